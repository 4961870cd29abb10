"""A sequence of pictures, in files or in one archive (.zip): colour frames, or 16-bit depth.

Pictures are taken in the order of their names, in which numbers count as numbers. All have one
size, and none is larger than a frame of a film may be.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.contract import RecordingError, StreamRef
from pipeline.datasets.pattern import PICTURES, is_picture, natural
from pipeline.datasets.reading import Kind, Source
from pipeline.readers.limits import Limits
from pipeline.readers.readable import Opened
from pipeline.readers.video import MAX_PIXELS
from pipeline.signals.recording import Block, Frames

BLOCK_FRAMES = 16
MAX_PICTURES = 100_000
MAX_PICTURE_BYTES = 256 << 20
_FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "PPM")


Picture = tuple[str, Callable[[], bytes]]
"""Name of a picture and what gives its bytes."""


def read_images(opened: Sequence[Opened], kind: Kind, source: Source) -> Frames:
    """Frames of pictures, each a file, or of one archive of them.

    Shapes: blocks of frames (n, H, W, 3) uint8 RGB or (n, H, W) uint16 millimetres, times_s (n,).

    Raises:
        RecordingError: no archive, no pictures, not ``ref.n_frames`` of them, more than a film may
            have; from a block, a picture that cannot be read or is of another size.
    """
    content, ref = opened[0]
    if len(opened) > 1 or not content.startswith(b"PK"):
        pictures = [(other.path, partial(bytes, each)) for each, other in opened]
        return Frames(n_frames=len(opened), every=partial(_blocks, pictures, ref, kind, source))
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise ref.refuse(f"is no .zip of pictures: {error}", "open") from error
    members = [m for m in archive.infolist() if is_picture(m.filename)]
    members.sort(key=lambda member: natural(member.filename))
    if not 0 < len(members) <= MAX_PICTURES:
        raise ref.refuse(
            f"holds {len(members)} pictures ({', '.join(PICTURES)}): wanted 1 to {MAX_PICTURES}"
        )
    if ref.n_frames not in (None, len(members)):
        raise ref.refuse(f"holds {len(members)} pictures where the manifest lists {ref.n_frames}")
    packed = [(m.filename, partial(_unpacked, archive, m, ref)) for m in members]
    return Frames(n_frames=len(members), every=partial(_blocks, packed, ref, kind, source))


def _blocks(
    found: Sequence[Picture], ref: StreamRef, kind: Kind, source: Source, every: int
) -> Iterator[Block]:
    from pipeline.readers.described import in_millimetres

    assert source.rate_hz is not None
    size: tuple[int, ...] | None = None
    for start in range(0, len(found), BLOCK_FRAMES):
        pictures, places = [], []
        for place, (name, content) in enumerate(found[start : start + BLOCK_FRAMES], start):
            is_kept = place % every == 0
            shape, picture = _picture(name, content(), ref, kind, is_kept)
            size = size or shape
            limit = Limits.of_environment().pixels
            if shape != size or size[0] * size[1] * len(found) > limit:
                raise ref.refuse(
                    f"holds {name} of {shape} beside {size}: wanted pictures of "
                    f"one size, and at most {limit} pixels in all"
                )
            if picture is not None:
                pictures.append(picture)
                places.append(place)
        if not pictures:
            continue
        block = np.stack(pictures)
        if kind == "depth":
            block = in_millimetres(block, source, ref, places)
        yield block, np.array(places) / source.rate_hz


def _unpacked(archive: zipfile.ZipFile, member: zipfile.ZipInfo, ref: StreamRef) -> bytes:
    if member.file_size > MAX_PICTURE_BYTES:
        raise ref.refuse(f"declares {member.file_size} bytes of {member.filename}: too many")
    try:
        with archive.open(member) as file:
            return file.read(member.file_size + 1)
    except Exception as error:  # as many types as there are ways to damage an archive
        raise ref.refuse(f"holds {member.filename}, which cannot be read: {error}") from error


def _picture(
    name: str, content: bytes, ref: StreamRef, kind: Kind, is_kept: bool
) -> tuple[tuple[int, ...], NDArray[Any] | None]:
    """Shape by the picture's header, and its pixels where it is kept.

    Shapes: (H, W, 3) uint8 of colour, (H, W) of depth.
    """
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ref.refuse(
                    f"holds {name} of {image.size}: wanted at most {MAX_PIXELS} pixels"
                )
            shape = (image.height, image.width, *([3] if kind == "colour" else []))
            if kind == "colour":
                return shape, np.asarray(image.convert("RGB")) if is_kept else None
            if image.mode not in ("I;16", "I;16B", "I", "L"):
                raise ref.refuse(f"holds {name} in mode {image.mode}: wanted depth in one channel")
            return shape, np.asarray(image) if is_kept else None
    except RecordingError:
        raise
    except Exception as error:  # as many types as there are ways to damage a picture
        raise ref.refuse(f"holds {name}, which cannot be read: {error}") from error
