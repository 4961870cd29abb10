"""A modality's kind decides how it is encoded, whatever the modality is called."""

from __future__ import annotations

import dataclasses
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import zarr

from pipeline.cache.verify import verify
from pipeline.cache.writer import CacheStore
from pipeline.contract import ConfigError, ContractError, RecordingError
from pipeline.encode.options import EncodeOptions, set_up
from pipeline.encode.recheck import recheck
from pipeline.encoders.config import (
    ColourEncoding,
    DepthEncoding,
    EncodingConfig,
    FramesEncoding,
    ModalityEncoding,
    SeriesEncoding,
    SkeletonEncoding,
)
from pipeline.encoders.kinds import KINDS, encoding_noted, kind_noted, kind_of, to_note
from pipeline.encoders.pixels import colour_pixels, depth_pixels
from pipeline.encoders.weights import load_weights
from pipeline.manifests import Manifest
from pipeline.readers import registry
from pipeline.signals.recording import Frames
from tests.fabricate import SMALL_FRAMES, encode_here, manifest_of, record_ids, write_raw

DEPTH = DepthEncoding(**SMALL_FRAMES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(EncodingConfig):
    """What a user writes who adds a second depth camera."""

    kinect_depth: ModalityEncoding = DEPTH


CONFIG = Config(depth=DEPTH)


@pytest.fixture
def readers(monkeypatch: pytest.MonkeyPatch) -> None:
    """UTD-MHAD read as ever, and its depth files as another camera's, too."""
    utd = registry.READERS["utd-mhad"]
    added = {"utd-mhad": {**utd, "kinect_depth": utd["depth"]}}
    monkeypatch.setattr(registry, "READERS", added)


def manifest_of_two_cameras(raw: Path) -> Manifest:
    """The tree's records, whose depth files lie in it a second time as another camera's."""
    manifest = manifest_of(raw)
    shutil.copytree(raw / "Depth", raw / "Kinect")
    records = []
    for record in manifest.records:
        (depth,) = record.streams["depth"]
        kinect = replace(depth, name="kinect_depth", path=depth.path.replace("Depth/", "Kinect/"))
        records.append(replace(record, streams={**record.streams, "kinect_depth": (kinect,)}))
    return replace(manifest, records=tuple(records))


@pytest.mark.usefixtures("readers")
def test_a_depth_camera_of_another_name_is_encoded_as_depth(tmp_path: Path) -> None:
    """Its millimetres were cast to bytes once, 2500 to 196, and its weights were not in its key."""
    raw = write_raw(tmp_path / "raw", record_ids(2), ("depth",), n_frames=3)
    manifest = manifest_of_two_cameras(raw)
    summary = encode_here(raw, tmp_path / "c", manifest, config=CONFIG)
    assert summary.failures == ()
    group = zarr.open_group(str(tmp_path / "c"), mode="r")
    assert group["kinect_depth"].dtype == np.float16
    assert group["kinect_depth"][...].tobytes() == group["depth"][...].tobytes()
    modalities = summary.spec.modalities
    assert modalities["kinect_depth"].encoding == modalities["depth"].encoding
    assert modalities["kinect_depth"].encoding["weights_sha256"]
    store = CacheStore.read(str(tmp_path / "c"))
    keys = [entry.key for entry in store.entries("kinect_depth").values()]
    encode_here(raw, tmp_path / "c", manifest, config=CONFIG, weights="random:1", replace=True)
    assert not set(keys) & {entry.key for entry in store.entries("kinect_depth").values()}
    outside = recheck(verify(str(tmp_path / "c")), str(raw), n_records=4, weights="random:1")
    assert (outside.n_recomputed, outside.findings) == (4, ())


@pytest.mark.usefixtures("readers")
def test_a_camera_alone_needs_weights_whatever_it_is_called(tmp_path: Path) -> None:
    raw = write_raw(tmp_path / "raw", record_ids(1), ("depth",), n_frames=2)
    options = EncodeOptions(config=CONFIG, modalities=("kinect_depth",), weights="random:0")
    setup = set_up(manifest_of_two_cameras(raw), str(raw), str(tmp_path / "c"), options)
    noted = setup.specs["kinect_depth"].encoding["weights_sha256"]
    assert noted == load_weights("random:0").sha256


@pytest.mark.usefixtures("readers")
def test_a_depth_camera_that_is_configured_as_colour_is_refused(tmp_path: Path) -> None:
    raw = write_raw(tmp_path / "raw", record_ids(1), ("depth",), n_frames=2)
    config = replace(CONFIG, kinect_depth=ColourEncoding(**SMALL_FRAMES))
    manifest = manifest_of_two_cameras(raw)
    summary = encode_here(raw, tmp_path / "c", manifest, config=config)
    ((_, modality, failure),) = summary.failures
    assert (modality, failure.stage) == ("kinect_depth", "check")
    assert failure.message.startswith("frames of uint16: wanted uint8, as this modality is")
    series = replace(CONFIG, kinect_depth=SeriesEncoding())
    with pytest.raises(ConfigError, match="kinect_depth of utd-mhad is read as Frames and config"):
        encode_here(raw, tmp_path / "c", manifest, config=series)


def test_a_listed_modality_without_a_reader_is_refused_and_not_left_out(tmp_path: Path) -> None:
    raw = write_raw(tmp_path / "raw", record_ids(1), ("depth", "inertial"), n_frames=2)
    manifest = manifest_of_two_cameras(raw)
    with pytest.raises(
        ConfigError, match=r"no reader for modality 'kinect_depth' of utd-mhad.* --modalities"
    ):
        encode_here(raw, tmp_path / "c", manifest)
    encode_here(raw, tmp_path / "c", manifest, modalities=("inertial",))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.settings.__name__)
def test_every_kind_says_all_that_is_asked_of_one(kind) -> None:
    assert kind_of(kind.settings()) is kind
    assert kind.version >= 1
    assert kind.dtype == ("float16" if kind.needs_network else "float32")
    assert kind.needs_network == issubclass(kind.settings, FramesEncoding)
    assert callable(kind.encode)


@pytest.mark.parametrize("is_timed", [True, False])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.settings.__name__)
def test_a_kind_is_known_again_by_what_a_cache_notes_of_it(kind, is_timed: bool) -> None:
    encoding = kind.settings(window=3, stride=2, patches=7)
    note = to_note(encoding, weights_sha256="abc", is_timed=is_timed)
    assert kind_noted(note) is kind
    assert encoding_noted(note) == encoding


def test_every_modality_of_every_data_set_has_a_kind_that_takes_what_its_reader_gives() -> None:
    for modalities in registry.READERS.values():
        for name, source in modalities.items():
            kind = kind_of(EncodingConfig().of(name))
            assert kind.needs_network == (source.gives is Frames), name


def test_what_is_no_kind_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"FramesEncoding is no kind of encoding: wanted one of"):
        kind_of(FramesEncoding())
    with pytest.raises(ContractError, match="with the settings hops, window: no kind"):
        kind_noted({"window": 1, "hops": 2, "encoder_version": 1})


def test_pixels_are_never_squeezed_into_a_type_that_they_do_not_fit() -> None:
    millimetres = np.array([[[0, 500, 2500, 4500]]], np.uint16)
    assert depth_pixels(millimetres, DepthEncoding()).tolist() == [[[0, 255, 128, 0]]]
    with pytest.raises(RecordingError, match="frames of uint16: wanted uint8"):
        colour_pixels(millimetres, ColourEncoding())
    with pytest.raises(RecordingError, match="frames of uint8: wanted uint16"):
        depth_pixels(millimetres.astype(np.uint8), DepthEncoding())


def test_settings_stand_in_the_order_in_which_caches_note_them() -> None:
    names = [field.name for field in dataclasses.fields(SkeletonEncoding)]
    assert names == ["window", "stride", "patches", "recentre", "scale", "face", "body"]
