"""Encodes images as the data sets' video files: bytes follow from the images alone."""

from __future__ import annotations

import io
from collections.abc import Iterable
from fractions import Fraction

import av
import numpy as np
from numpy.typing import NDArray

AVI_HZ = Fraction(15)
"""Frames a second of UTD-MHAD's colour videos."""
MP4_HZ = Fraction(2997, 100)
"""Frames a second of MMAct's clips."""

Images = Iterable[NDArray[np.uint8]]
"""Frames of one film, each (H, W, 3), height and width even."""


def avi_bytes(images: Images) -> bytes:
    """An MPEG-4 .avi as UTD-MHAD has them."""
    return _film_bytes(images, "avi", "mpeg4", AVI_HZ, {"g": "15", "b": "2500000"})


def mp4_bytes(images: Images) -> bytes:
    """An H.264 .mp4 as MMAct has them."""
    return _film_bytes(images, "mp4", "libx264", MP4_HZ, {"preset": "superfast", "crf": "25"})


def _film_bytes(
    images: Images, container: str, codec: str, rate_hz: Fraction, options: dict[str, str]
) -> bytes:
    buffer = io.BytesIO()
    # One thread and the bitexact flags keep versions, dates and races out of the file.
    with av.open(buffer, "w", format=container, options={"fflags": "+bitexact"}) as file:
        video = file.add_stream(codec, rate=rate_hz)
        assert isinstance(video, av.VideoStream)
        video.pix_fmt = "yuv420p"
        video.codec_context.thread_count = 1
        video.codec_context.options = {"flags": "+bitexact", **options}
        for image in images:
            if not video.codec_context.is_open:
                video.height, video.width = image.shape[:2]
            file.mux(video.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        file.mux(video.encode(None))
    return buffer.getvalue()
