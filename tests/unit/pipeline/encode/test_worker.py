"""What a worker builds once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.cache.writer import CacheStore
from pipeline.contract import ConfigError
from pipeline.encode.job import worker_settings
from pipeline.encode.options import EncodeOptions, set_up
from pipeline.encode.plan import Plan
from pipeline.encode.worker import Worker
from pipeline.encoders.config import ColourEncoding, DepthEncoding, EncodingConfig
from tests.fabricate import SMALL_FRAMES, manifest_of, record_ids, write_raw


def test_each_modality_passes_a_network_in_its_own_arithmetic(tmp_path):
    """Depth took colour's once, whatever its own setting and its cache's note of it said."""
    raw = write_raw(tmp_path / "raw", record_ids(1), ("rgb", "depth"), n_frames=2)
    config = EncodingConfig(
        rgb=ColourEncoding(**SMALL_FRAMES),
        depth=DepthEncoding(**SMALL_FRAMES | {"dtype": "bfloat16"}),
    )
    options = EncodeOptions(config=config, weights="random:0", n_workers=0)
    setup = set_up(manifest_of(raw), str(raw), str(tmp_path / "c"), options)
    store = CacheStore.preview(setup.location, setup.manifest, setup.specs)
    worker = Worker(worker_settings(store, setup, Plan(tasks=(), counts={}), session=""))
    rgb, depth = worker.encoder("rgb").network, worker.encoder("depth").network
    assert (str(rgb.dtype), str(depth.dtype)) == ("torch.float32", "torch.bfloat16")
    assert worker.encoder("depth").network is depth
    other = Worker(replace(worker.settings, weights="random:1"))
    with pytest.raises(ConfigError, match="'random:1' are not those that rgb was encoded with"):
        other.encoder("rgb")
