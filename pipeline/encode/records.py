"""One batch of records in, patches and states out: no Dask, no Zarr.

A record that cannot be read or encoded is an :class:`Encoded` with its failure, never an
exception: its neighbours go on. Each raw file is read once, and what is hashed is what is decoded.

Workers of an encode, ``cache verify --recompute`` and ``dmft predict`` all take their encoders from
:class:`Encoders`: what a cache says of its numbers is what they are made by.
"""

from __future__ import annotations

import hashlib
import logging
import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.cache.ledger import Failure, Source
from pipeline.common.packages import extra_of
from pipeline.common.stages import Meter
from pipeline.contract import ConfigError, Presence, Record, RecordingError, StreamRef
from pipeline.encode.readahead import read_ahead
from pipeline.encoders.config import FramesEncoding, ModalityEncoding, SeriesEncoding
from pipeline.encoders.kinds import READER, WEIGHTS, Kind, encoding_noted, kind_noted, kind_of
from pipeline.encoders.stage_names import COPYING, DECODING, ORDER, POOLING, READING
from pipeline.raw.tree import RawTree
from pipeline.readers.registry import Recording, readable
from pipeline.signals.recording import Frames, Signal, Streams
from pipeline.signals.resample import join

if TYPE_CHECKING:
    from torch import Tensor

    from pipeline.encoders.frames import FrameNetwork

logger = logging.getLogger(__name__)


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


@dataclass(slots=True)
class _Reading:
    """A record on its way, with what has been seen of its files so far."""

    record_id: str
    streams: tuple[StreamRef, ...]
    sources: tuple[Source, ...] = ()
    length: int = 0
    """T, once the last row or frame has been read."""
    times_s: list[float] = field(default_factory=list)
    """Times of the frames that the network was given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoder:
    """Everything a worker needs to encode records of one modality."""

    dataset: str
    modality: str
    tree: RawTree
    encoding: ModalityEncoding
    network: FrameNetwork | None = None
    """For kinds that need one."""
    noted: Mapping[str, Any] | None = None
    """How a description says that the files are read; None for the data set's own readers."""
    n_threads: int = 1
    """Records decoded ahead at a time."""
    n_readers: int = 1
    """Records whose files are read ahead at a time."""
    max_bytes_ahead: int = 256 << 20
    meter: Meter = field(default_factory=lambda: Meter(order=ORDER), compare=False)
    """Measures every stage."""

    @property
    def kind(self) -> Kind:
        """The kind of the modality."""
        return kind_of(self.encoding)

    def encode(self, records: Sequence[Record]) -> Iterator[Encoded]:
        """Encode records in order, those without the modality first.

        Yields one :class:`Encoded` a record.
        """
        readings = []
        for record in records:
            if self.modality in record.streams:
                readings.append(_Reading(record.id, record.streams[self.modality]))
            else:
                yield Encoded(record_id=record.id, presence=Presence.ABSENT)
        yield from (self._frames if self.kind.needs_network else self._rows)(readings)

    def _fetch(self, reading: _Reading) -> list[bytes]:
        """A record's files; notes them as they are read and hashed."""
        contents = []
        for stream in reading.streams:
            content = self.tree.read(stream.path)
            sha256 = hashlib.sha256(content).hexdigest()
            reading.sources += (
                Source(
                    path=stream.path, n_bytes=len(content), sha256=sha256, n_frames=stream.n_frames
                ),
            )
            if stream.sha256 is not None and stream.sha256 != sha256:
                raise RecordingError(
                    f"holds {len(content)} bytes of SHA-256 {sha256[:12]}..., but the manifest "
                    f"wants {stream.sha256[:12]}...: the file has changed. Restore it, or build "
                    "the manifest again",
                    stage="open",
                    path=stream.path,
                )
            contents.append(content)
        return contents

    def _decode(self, reading: _Reading, contents: Sequence[bytes]) -> Recording:
        """A record's recording."""
        with _blamed_on_the_record("read"):
            opened = list(zip(contents, reading.streams, strict=True))
            return readable(self.dataset, self.modality, self.noted).read(opened)

    def _rows(self, readings: Iterable[_Reading]) -> Iterator[Encoded]:
        """Encode without a network; neighbours with the same files, a trial's views, once."""
        for _, views in groupby(readings, key=lambda reading: reading.streams):
            first, *others = views
            encoded = self._encode_rows(first)
            yield encoded
            for other in others:
                yield replace(encoded, record_id=other.record_id)

    def _encode_rows(self, reading: _Reading) -> Encoded:
        try:
            with self.meter.busy(READING, n_items=1):
                contents = self._fetch(reading)
            with self.meter.busy(DECODING, n_items=1):
                recording = self._decode(reading, contents)
            with self.meter.busy(POOLING, n_items=1), _blamed_on_the_record("encode"):
                if isinstance(recording, Streams):
                    assert isinstance(self.encoding, SeriesEncoding)
                    recording = join(recording, self.encoding.rate_hz)
                assert isinstance(recording, Signal)
                reading.length = len(recording.values)
                return self._done(reading, self.kind.encode(recording.values, self.encoding))
        except RecordingError as error:
            return self._failed(reading, error)

    def _frames(self, readings: Iterable[_Reading]) -> Iterator[Encoded]:
        from pipeline.encoders.frames import encode_frames

        assert isinstance(self.encoding, FramesEncoding)
        if self.network is None:
            raise ConfigError(f"{self.modality} needs a network and the worker has none")
        self.meter.loops = {
            READING: (READING, self.n_readers),
            DECODING: (DECODING, self.n_threads),
            COPYING: (COPYING, 1),
        }
        ahead = read_ahead(
            readings,
            self._fetch,
            self._blocks,
            n_threads=self.n_threads,
            n_readers=self.n_readers,
            max_bytes=self.max_bytes_ahead,
            meter=self.meter,
        )
        for reading, result in encode_frames(
            ahead,
            self.network,
            self.encoding,
            lambda reading: np.array(reading.times_s),
            self.meter,
        ):
            if isinstance(result, RecordingError):
                yield self._failed(reading, result)
            else:
                yield self._done(reading, result)

    def _blocks(self, reading: _Reading, contents: Sequence[bytes]) -> Iterable[Tensor]:
        """A record's frames as bytes, every n-th, where the device takes them; in a thread."""
        assert isinstance(self.encoding, FramesEncoding)
        assert self.network is not None
        frames = self._decode(reading, contents)
        assert isinstance(frames, Frames)
        with _blamed_on_the_record("read"):
            for block, times_s in frames.every(self.encoding.every):
                reading.times_s.extend(times_s.tolist())
                yield self.network.transfers.staged(self.kind.encode(block, self.encoding))
            reading.length = frames.n_frames

    def _failed(self, reading: _Reading, error: RecordingError) -> Encoded:
        failure = Failure(
            stage=error.stage,
            type=type(error.__cause__ or error).__name__,
            message=str(error),
            path=error.path or reading.streams[0].path,
        )
        logger.info("record %s, %s: %s", reading.record_id, failure.path, failure.message)
        return Encoded(
            record_id=reading.record_id,
            presence=Presence.FAILED,
            sources=reading.sources,
            failure=failure,
        )

    def _done(self, reading: _Reading, patches: NDArray[np.float32]) -> Encoded:
        with np.errstate(over="ignore"):
            stored = patches.astype(self.kind.dtype)
        n_bad = stored.size - int(np.isfinite(stored).sum())
        if n_bad:
            error = RecordingError(
                f"{n_bad} of {stored.size} features are not finite or too large for {stored.dtype}",
                stage="encode",
            )
            return self._failed(reading, error)
        return Encoded(
            record_id=reading.record_id,
            presence=Presence.PRESENT,
            patches=stored,
            length=reading.length,
            sources=reading.sources,
        )


@contextmanager
def _blamed_on_the_record(stage: str) -> Iterator[None]:
    """Whatever a decoder or its numbers raise is this record's failure, no one else's.

    A package of ours that is not installed is no record's: it is raised as it is.
    """
    try:
        yield
    except RecordingError:
        raise
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and extra_of(error.name or ""):
            raise
        raise RecordingError(f"{type(error).__name__}: {error}", stage=stage) from error


@dataclass(slots=True, kw_only=True)
class Encoders:
    """Encoders of one cache's modalities; a network is loaded once for each arithmetic."""

    dataset: str
    """Names the readers."""
    weights: str
    """Names of the weights of the networks that frames pass: one for all, or by modality."""
    device: str | None = None
    """Where it runs; None for a GPU where there is one."""
    n_threads: int = 1
    n_readers: int = 1
    max_bytes_ahead: int = 256 << 20
    _networks: dict[tuple[Any, ...], FrameNetwork] = field(default_factory=dict, repr=False)

    def encoder(self, modality: str, note: Mapping[str, Any], tree: RawTree) -> Encoder:
        """The encoder of one modality.

        Args:
            modality: Which.
            note: What the cache notes of its encoding.
            tree: Where the raw files are.

        Raises:
            ConfigError: the weights are not those that the note names.
            ContractError: no kind is encoded so.
        """
        return Encoder(
            dataset=self.dataset,
            modality=modality,
            tree=tree,
            encoding=encoding_noted(note),
            network=self._network(modality, note) if kind_noted(note).needs_network else None,
            noted=note.get(READER),
            n_threads=self.n_threads,
            n_readers=self.n_readers,
            max_bytes_ahead=self.max_bytes_ahead,
        )

    def _network(self, modality: str, note: Mapping[str, Any]) -> FrameNetwork:
        import torch

        from pipeline.encoders.frames import FrameNetwork
        from pipeline.encoders.weights import load_weights, weights_for

        encoding, wanted = encoding_noted(note), note[WEIGHTS]
        assert isinstance(encoding, FramesEncoding)
        assert encoding.dtype != "auto"
        key = (wanted, encoding.dtype, encoding.mean, encoding.std)
        if key not in self._networks:
            asked = weights_for(self.weights, modality)
            loaded = load_weights(asked, encoding.network)
            if loaded.sha256 != wanted:
                raise ConfigError(
                    f"weights {asked!r} are not those that {modality} was encoded with: "
                    f"they are {loaded.sha256[:12]} on {platform.node()} and were {wanted[:12]}. "
                    "Give those with --weights, and the same file to every worker"
                )
            device = torch.device(self.device or ("cuda" if torch.cuda.is_available() else "cpu"))
            self._networks[key] = FrameNetwork(
                loaded,
                device=device,
                dtype=encoding.dtype,
                mean=encoding.mean,
                std=encoding.std,
            )
        return self._networks[key]
