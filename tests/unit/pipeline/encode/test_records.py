"""Records to patches and states: every failure is its record's own, with file and reason."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pipeline.contract import ConfigError, Presence, RecordingError
from pipeline.encode.records import Encoder
from pipeline.encoders import kinds
from pipeline.encoders.config import ColourEncoding, DepthEncoding, EncodingConfig, SeriesEncoding
from pipeline.raw.tree import RawTree
from pipeline.readers.registry import Readable
from pipeline.synthetic.utd_mhad import mat_bytes
from tests.fabricate import SMALL_FRAMES, manifest_of, path_of, record_ids, write_raw

IDS = record_ids(3)
BAD = IDS[1]


@pytest.fixture
def raw(tmp_path):
    return write_raw(tmp_path / "raw", IDS)


def encoder(raw, modality="inertial", **changes) -> Encoder:
    given = {
        "dataset": "utd-mhad",
        "modality": modality,
        "tree": RawTree(raw),
        "encoding": EncodingConfig().of(modality),
    }
    return Encoder(**{**given, **changes})


def encode_series_by(monkeypatch, encode):
    """Have all series encoded in another way."""
    changed = [
        replace(kind, encode=encode) if kind.settings is SeriesEncoding else kind
        for kind in kinds.KINDS
    ]
    monkeypatch.setattr(kinds, "KINDS", changed)


def encode_bad(raw, modality: str, content: bytes | None, *, manifest_first: bool = False):
    """Replace a file, and return what became of its record; the others must be present."""
    manifest = manifest_of(raw) if manifest_first else None
    path = raw / path_of(BAD, modality)
    path.write_bytes(content) if content is not None else path.unlink()
    records = (manifest or manifest_of(raw)).records
    found = {e.record_id: e for e in encoder(raw, modality).encode(records)}
    assert all(found[i].presence == Presence.PRESENT for i in IDS if i != BAD)
    return found[BAD]


NAN = np.full((50, 6), 1.0)
NAN[7, 2] = np.nan


@pytest.mark.parametrize(
    ("content", "stage", "says"),
    [
        (b"", "open", "the file is empty"),
        (b"hello", None, "MAT"),
        (mat_bytes("d_iner", np.ones((50, 6)))[:-20], None, ""),
        (mat_bytes("d_skel", np.ones((50, 6))), None, "d_iner"),
        (mat_bytes("d_iner", np.ones((50, 5))), None, "5"),
        (mat_bytes("d_iner", NAN), "check", "nan"),
    ],
    ids=["empty", "no MAT", "truncated", "wrong key", "wrong shape", "NaN"],
)
def test_a_bad_file_is_quarantined_with_its_name_and_reason(content, stage, says, raw):
    encoded = encode_bad(raw, "inertial", content)
    assert encoded.presence == Presence.FAILED
    assert encoded.patches is None
    assert encoded.failure.path == path_of(BAD, "inertial")
    assert stage in (None, encoded.failure.stage)
    assert says in encoded.failure.message
    assert encoded.sources[0].n_bytes == len(content)


def test_a_file_that_is_gone_is_quarantined(raw):
    encoded = encode_bad(raw, "skeleton", None, manifest_first=True)
    assert encoded.failure.stage == "open"
    assert path_of(BAD, "skeleton") in encoded.failure.message
    assert encoded.sources == ()


def test_a_file_that_changed_is_quarantined(raw):
    encoded = encode_bad(raw, "skeleton", b"other", manifest_first=True)
    assert "holds 5 bytes" in encoded.failure.message
    assert "the file has changed" in encoded.failure.message


def test_what_a_decoder_trips_over_is_its_records_fault(raw, monkeypatch):
    def reader(opened):
        raise ZeroDivisionError("odd header")

    monkeypatch.setattr("pipeline.encode.records.readable", lambda *_: Readable(read=reader))
    (first, *_) = encoder(raw).encode(manifest_of(raw).records)
    assert (first.failure.type, first.failure.stage) == ("ZeroDivisionError", "read")
    assert first.failure.message == "ZeroDivisionError: odd header"


def test_what_an_encoder_trips_over_is_its_records_fault(raw, monkeypatch):
    def encode_series(values, encoding):
        raise FloatingPointError("odd numbers")

    encode_series_by(monkeypatch, encode_series)
    (first, *_) = encoder(raw).encode(manifest_of(raw).records)
    assert (first.failure.type, first.failure.stage) == ("FloatingPointError", "encode")


def test_features_that_do_not_fit_their_type_are_quarantined(raw, monkeypatch):
    def encode_series(values, encoding):
        return np.full((128, 6), np.inf, np.float32)

    encode_series_by(monkeypatch, encode_series)
    (first, *_) = encoder(raw).encode(manifest_of(raw).records)
    assert "768 of 768 features are not finite or too large for float32" in first.failure.message


def test_two_streams_where_the_reader_takes_one_are_quarantined(raw):
    record = manifest_of(raw).records[0]
    ref = record.streams["inertial"][0]
    both = replace(record, streams={"inertial": (ref, replace(ref, name="other"))})
    (found,) = encoder(raw).encode([both])
    assert "2 streams, inertial, other: this data set's reader takes 1" in found.failure.message


def test_a_record_without_the_modality_is_absent(raw):
    (raw / path_of(BAD, "inertial")).unlink()
    states = {e.record_id: e.presence for e in encoder(raw).encode(manifest_of(raw).records)}
    assert states[BAD] == Presence.ABSENT


def test_frames_without_a_network_are_a_mistake_of_ours(raw):
    write_raw(raw, IDS, ("depth",), n_frames=2)
    encoding = DepthEncoding(**SMALL_FRAMES)
    with pytest.raises(ConfigError, match="depth needs a network"):
        list(encoder(raw, "depth", encoding=encoding).encode(manifest_of(raw).records))


class _CountingNetwork:
    """Stands for the ResNet: a frame's features are its mean grey."""

    batch = 4

    def __init__(self):
        import torch

        from pipeline.encoders.transfers import Transfers

        self.transfers = Transfers(torch.device("cpu"))

    def prepare(self, block, size):
        return block.reshape(len(block), -1).float().mean(1)

    def empty_batch(self, size):
        import torch

        return torch.zeros(self.batch)

    def forward(self, images):
        return images[:, None].expand(-1, 2048)


@pytest.mark.parametrize("every", [1, 3])
def test_the_length_is_that_of_the_recording_also_where_frames_are_left_out(every, tmp_path):
    raw = write_raw(tmp_path / "raw", IDS[:1], ("depth",), n_frames=35)
    encoding = DepthEncoding(every=every, patches=2)
    (found,) = encoder(raw, "depth", encoding=encoding, network=_CountingNetwork()).encode(
        manifest_of(raw).records
    )
    assert found.presence == Presence.PRESENT
    assert found.length == 35


def test_every_third_frame_is_every_third_frame_across_blocks(tmp_path):
    """35 frames come in blocks of 16; frames 0, 3, 6, ... are kept whatever block they are in."""
    ids = IDS[:1]
    raw = tmp_path / "raw"
    (raw / "Depth").mkdir(parents=True)
    depth = np.full((240, 320, 35), 4500, np.uint16)
    depth[:, :, ::3] = 500  # bright
    (raw / path_of(ids[0], "depth")).write_bytes(mat_bytes("d_depth", depth))
    encoding = DepthEncoding(every=3, patches=4)
    (found,) = encoder(raw, "depth", encoding=encoding, network=_CountingNetwork()).encode(
        manifest_of(raw).records
    )
    assert (found.patches == 255).all()


def test_a_truncated_video_is_quarantined_and_its_neighbours_are_not(tmp_path):
    raw = write_raw(tmp_path / "raw", IDS, ("rgb",), n_frames=20)
    path = raw / path_of(BAD, "rgb")
    path.write_bytes(path.read_bytes()[:-3000])
    found = {
        e.record_id: e
        for e in encoder(
            raw, "rgb", encoding=ColourEncoding(patches=2), network=_CountingNetwork(), n_threads=2
        ).encode(manifest_of(raw).records)
    }
    assert found[BAD].failure.path == path_of(BAD, "rgb")
    assert all(found[i].length == 20 for i in IDS if i != BAD)


def test_errors_travel_between_processes_with_all_they_know():
    import pickle

    error = pickle.loads(pickle.dumps(RecordingError("no", stage="check", path="a.mat")))  # noqa: S301
    assert (str(error), error.stage, error.path) == ("no", "check", "a.mat")
