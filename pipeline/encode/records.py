"""One batch of records in, patches and states out: no Dask, no Zarr.

A record that cannot be read or encoded is an :class:`Encoded` with its failure, never an
exception: its neighbours go on. Each raw file is read once, and what is hashed is what is decoded.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.cache.ledger import Failure, Source
from pipeline.contract import ConfigError, Presence, Record, RecordingError, StreamRef
from pipeline.encode.readahead import ReadAhead
from pipeline.encoders import inertial, skeleton
from pipeline.encoders.config import (
    FramesEncoding,
    InertialEncoding,
    ModalityEncoding,
    SeriesEncoding,
    SkeletonEncoding,
    encoding_kind,
)
from pipeline.raw.tree import RawTree
from pipeline.readers.registry import Recording, reader_for
from pipeline.signals.recording import Frames, Streams
from pipeline.signals.resample import join

if TYPE_CHECKING:
    from pipeline.encoders.frames import FrameNetwork

logger = logging.getLogger(__name__)

FRAME_MODALITIES = frozenset({"rgb", "depth"})
STORED_DTYPE = {"rgb": "float16", "depth": "float16"}
"""Features of a network in half precision: finer than the network's own arithmetic."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """What became of one record's modality."""

    record_id: str
    presence: Presence
    patches: NDArray[Any] | None = None
    """(P, D) in the stored dtype; None unless present."""
    length: int = 0
    """T: raw rows or frames."""
    sources: tuple[Source, ...] = ()
    failure: Failure | None = None


@dataclass(slots=True, kw_only=True)
class Encoder:
    """Everything a worker needs to encode records of one modality."""

    dataset: str
    modality: str
    tree: RawTree
    encoding: ModalityEncoding
    network: FrameNetwork | None = None
    """For colour and depth."""
    n_threads: int = 1
    """Records read and decoded ahead at a time."""
    max_bytes_ahead: int = 256 << 20
    on_record: Callable[[Encoded], None] | None = None
    """Told of each record as it is done."""
    _sources: dict[str, tuple[Source, ...]] = field(default_factory=dict)
    _lengths: dict[str, int] = field(default_factory=dict)
    _last: tuple[tuple[StreamRef, ...], Encoded] | None = None
    """The files of the last record without a network and what became of it."""

    def encode(self, records: Sequence[Record]) -> Iterator[Encoded]:
        """Encode records in order.

        Yields one :class:`Encoded` a record.
        """
        self._last = None  # files may have changed since the last call
        present = []
        for record in records:
            if self.modality in record.streams:
                present.append(record)
            else:
                yield Encoded(record_id=record.id, presence=Presence.ABSENT)
        results = (
            self._frames(present)
            if isinstance(self.encoding, FramesEncoding)
            else map(self._rows, present)
        )
        for encoded in results:
            if self.on_record is not None:
                self.on_record(encoded)
            yield encoded

    def _open(self, record: Record) -> list[tuple[bytes, StreamRef]]:
        """Read and hash a record's files."""
        contents, sources = [], []
        for stream in record.streams[self.modality]:
            content = self.tree.read(stream.path)
            found = hashlib.sha256(content).hexdigest()
            sources.append(
                Source(
                    path=stream.path,
                    n_bytes=len(content),
                    sha256=found,
                    n_frames=stream.n_frames,
                )
            )
            self._sources[record.id] = tuple(sources)
            if stream.sha256 is not None and found != stream.sha256:
                raise RecordingError(
                    f"holds {len(content)} bytes of SHA-256 {found[:12]}..., but the manifest "
                    f"wants {stream.sha256[:12]}...: the file has changed. Restore it, or build "
                    "the manifest again",
                    stage="open",
                    path=stream.path,
                )
            contents.append((content, stream))
        return contents

    def _read(self, record: Record) -> Recording:
        opened = self._open(record)
        try:
            return reader_for(self.dataset, self.modality)(opened)
        except RecordingError:
            raise
        except Exception as error:  # a decoder's own error: this record's fault, no one else's
            raise RecordingError(f"{type(error).__name__}: {error}", stage="read") from error

    def _rows(self, record: Record) -> Encoded:
        """Encode a record without a network; the views of a trial, one after another, once."""
        streams = record.streams[self.modality]
        if self._last is not None and self._last[0] == streams:
            return replace(self._last[1], record_id=record.id)
        encoded = self._encode_rows(record)
        self._last = streams, encoded
        return encoded

    def _encode_rows(self, record: Record) -> Encoded:
        try:
            recording = self._read(record)
            assert not isinstance(recording, Frames)
            if isinstance(recording, Streams):
                assert isinstance(self.encoding, InertialEncoding | SeriesEncoding)
                recording = join(recording, self.encoding.rate_hz)
            patches = encode_signal(recording.values, self.encoding)
        except RecordingError as error:
            return self._failed(record, error)
        except Exception as error:  # whatever its numbers did: this record's fault, no one else's
            failure = RecordingError(f"{type(error).__name__}: {error}", stage="encode")
            failure.__cause__ = error
            return self._failed(record, failure)
        return self._done(record, patches, len(recording.values))

    def _frames(self, records: Sequence[Record]) -> Iterator[Encoded]:
        from pipeline.encoders.frames import encode_frames

        assert isinstance(self.encoding, FramesEncoding)
        if self.network is None:
            raise ConfigError(f"{self.modality} needs a network and the worker has none")
        ahead = ReadAhead(
            records, self._blocks, n_threads=self.n_threads, max_bytes=self.max_bytes_ahead
        )
        for record, result in encode_frames(ahead, self.network, self.encoding):
            length = self._lengths.pop(record.id, 0)
            if isinstance(result, RecordingError):
                yield self._failed(record, result)
            else:
                yield self._done(record, result, length)

    def _blocks(self, record: Record) -> Iterable[NDArray[np.uint8]]:
        """A record's frames as bytes, every n-th; runs in a read-ahead thread."""
        from pipeline.encoders.frames import depth_levels

        assert isinstance(self.encoding, FramesEncoding)
        frames = self._read(record)
        assert isinstance(frames, Frames)
        path = record.streams[self.modality][0].path
        levels = depth_levels(self.encoding) if self.modality == "depth" else None
        every, seen = self.encoding.every, 0
        try:
            for block, _ in frames.blocks:
                kept = block[-seen % every :: every]
                seen += len(block)
                if len(kept):
                    yield kept.astype(np.uint8, copy=False) if levels is None else levels[kept]
            self._lengths[record.id] = seen
        except RecordingError as error:
            error.path = error.path or path
            raise
        except Exception as error:
            raise RecordingError(f"{type(error).__name__}: {error}", path=path) from error

    def _failed(self, record: Record, error: RecordingError) -> Encoded:
        paths = [stream.path for stream in record.streams[self.modality]]
        failure = Failure(
            stage=error.stage,
            type=type(error.__cause__ or error).__name__,
            message=str(error),
            path=error.path or paths[0],
        )
        logger.warning("record %s, %s: %s", record.id, failure.path, failure.message)
        return Encoded(
            record_id=record.id,
            presence=Presence.FAILED,
            sources=self._sources.pop(record.id, ()),
            failure=failure,
        )

    def _done(self, record: Record, patches: NDArray[np.float32], length: int) -> Encoded:
        with np.errstate(over="ignore"):
            stored = patches.astype(STORED_DTYPE.get(self.modality, "float32"))
        if not np.isfinite(stored).all():
            bad = int(np.size(stored) - np.isfinite(stored).sum())
            return self._failed(
                record,
                RecordingError(
                    f"{bad} of {stored.size} features are not finite or too large for "
                    f"{stored.dtype}",
                    stage="encode",
                ),
            )
        return Encoded(
            record_id=record.id,
            presence=Presence.PRESENT,
            patches=stored,
            length=length,
            sources=self._sources.pop(record.id, ()),
        )


def encode_signal(values: NDArray[np.float32], encoding: ModalityEncoding) -> NDArray[np.float32]:
    """Encode a recording that needs no network.

    Shapes: values (T, ...) as its reader gives them; returns (P, D).

    Raises:
        RecordingError: the values cannot be encoded.
    """
    if isinstance(encoding, SkeletonEncoding):
        return skeleton.encode_skeleton(values, encoding)
    assert isinstance(encoding, InertialEncoding | SeriesEncoding)
    return inertial.encode_inertial(values, encoding)


def encoder_version(modality: str) -> int:
    """Version of the code that makes a modality's numbers."""
    kind = encoding_kind(modality)
    if kind is FramesEncoding:
        from pipeline.encoders import frames

        return frames.VERSION
    return skeleton.VERSION if kind is SkeletonEncoding else inertial.VERSION
