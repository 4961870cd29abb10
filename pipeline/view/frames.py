"""A few frames of a record's raw colour and depth, small enough to stand in a page.

A cache holds no frames, so the raw files are read again, by the readers that the encoder reads
them with. What cannot be read becomes a line of text; nothing here fails a page.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from pipeline.contract import ConfigError, Record, RecordingError
from pipeline.encoders.kinds import READER
from pipeline.raw.tree import RawTree
from pipeline.readers.registry import READERS, Readable, readable
from pipeline.signals.recording import Frames

N_FRAMES = 6
"""Frames of each stream, evenly spaced from the first to the last."""
WIDTH = 160
"""Pixels that a frame is made narrower to."""
CODECS = {"rgb24": ("mjpeg", "yuvj420p"), "gray": ("png", "gray")}
"""Colour in a few kilobytes; depth without the rings that JPEG draws around a person."""


Notes = Mapping[str, Mapping[str, Any]]
"""Modality to what the cache notes of its encoding."""


def with_frames(dataset: str, records: Sequence[Record], notes: Notes | None = None) -> list[str]:
    """Modalities of some records that are read as frames."""
    readers = READERS.get(dataset, {})
    framed = {name for name, source in readers.items() if source.gives is Frames}
    for name, note in (notes or {}).items():
        if READER in note:
            is_framed = note[READER].get("kind") in ("colour", "depth")
            framed = framed | {name} if is_framed else framed - {name}
    return sorted(framed & {name for record in records for name in record.streams}, reverse=True)


def drawn_frames(
    tree: RawTree, dataset: str, record: Record, notes: Notes | None = None
) -> dict[str, dict[str, Any]]:
    """Frames of every stream of frames that a record has, for JSON.

    Returns:
        Modality to ``images`` (each a frame's number and a data URI) and ``said`` in words.
    """
    found = {}
    for name in with_frames(dataset, [record], notes):
        try:
            noted = (notes or {}).get(name, {}).get(READER)
            found[name] = _drawn(tree, readable(dataset, name, noted), name, record)
        except (RecordingError, ConfigError, OSError) as error:
            found[name] = {"images": [], "said": f"could not be read: {error}"}
    return found


def _drawn(tree: RawTree, source: Readable, modality: str, record: Record) -> dict[str, Any]:
    streams = record.streams[modality]
    frames = source.read([(tree.read(s.path), s) for s in streams])
    assert isinstance(frames, Frames)
    wanted = np.unique(np.linspace(0, frames.n_frames - 1, N_FRAMES).astype(int))
    kept, n_seen = [], 0
    for block, _ in frames.blocks:
        step = max(1, -(-block.shape[2] // WIDTH))
        inside = wanted[(n_seen <= wanted) & (wanted < n_seen + len(block))]
        kept += list(block[inside - n_seen][:, ::step, ::step])
        n_seen += len(block)
    chosen = np.stack(kept)
    caption = f"{len(kept)} of {n_seen} frames of {streams[0].path}"
    if chosen.ndim == 3:
        chosen, near, far = _grey(chosen)
        caption += f"; bright is {near / 1000:.2f} m, dark {far / 1000:.2f} m, black no reading"
    images = [
        {"frame": int(k) + 1, "source": _data_uri(image)}
        for k, image in zip(wanted, chosen, strict=True)
    ]
    return {"images": images, "said": caption}


def _grey(depth: NDArray[Any]) -> tuple[NDArray[np.uint8], int, int]:
    """Near is bright, far is dark but not black, no reading is; with both ends in millimetres.

    Those are the nearest and the farthest reading, the outermost per cent apart.

    Shapes: (n, h, w) -> (n, h, w).
    """
    is_read = depth > 0
    near, far = (
        (int(mm) for mm in np.quantile(depth[is_read], [0.01, 0.99])) if is_read.any() else (0, 1)
    )
    far = max(far, near + 1)
    level = 255 - 205 * np.clip((depth.astype(float) - near) / (far - near), 0, 1)
    return np.where(is_read, level, 0).astype(np.uint8), near, far


def _data_uri(image: NDArray[np.uint8]) -> str:
    """A picture as a page carries it.

    Shapes: image (h, w) or (h, w, 3).
    """
    kind = "gray" if image.ndim == 2 else "rgb24"
    name, pixels = CODECS[kind]
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format=kind)
    codec: Any = av.CodecContext.create(name, "w")
    codec.width, codec.height, codec.pix_fmt = frame.width, frame.height, pixels
    codec.time_base = Fraction(1)
    packets = [*codec.encode(frame.reformat(format=pixels)), *codec.encode(None)]
    content = b"".join(map(bytes, packets))
    text = base64.b64encode(content).decode()
    return f"data:image/{'jpeg' if name == 'mjpeg' else name};base64,{text}"
