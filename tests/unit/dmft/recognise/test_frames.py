"""Runs on depth: raw frames pass the network that the cache was made with, and no other."""

import numpy as np
import pytest
import torch

from dmft.data import open_cache
from dmft.recognise import load_recogniser, predict
from dmft.runs.trained import load_run
from pipeline.contract import ConfigError
from pipeline.encoders.config import DepthEncoding, EncodingConfig
from tests.fabricate import SMALL_FRAMES, encode_here, record_ids, write_raw
from tests.trained import Place, train_on


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("frames")
    raw = write_raw(folder / "raw", record_ids(6)[3:], ["depth"], n_frames=3)
    place = Place(raw=raw, cache=folder / "cache.zarr", run=folder / "run")
    config = EncodingConfig(depth=DepthEncoding(**SMALL_FRAMES))
    encode_here(raw, place.cache, config=config)
    train_on(place, place.run, "modality.other.n_patches=4")
    return place


def test_depth_passes_the_network_that_the_cache_was_made_with(trained):
    run = load_run(trained.run)
    cache = open_cache(trained.cache, run.info.spec.modalities)
    wanted = run.predict(cache, torch.arange(len(cache))).numpy()
    model = load_recogniser(trained.run)
    assert model.weights == "random:0"
    found = predict(model, raw=trained.raw)
    given = [[each.probabilities[name] for name in model.classes] for each in found]
    assert [each.recording for each in found] == sorted(cache.record_ids)
    order = np.argsort(cache.record_ids)
    np.testing.assert_allclose(given, wanted[order], rtol=0, atol=1e-5)


def test_other_weights_are_refused(trained):
    with pytest.raises(ConfigError, match="'random:1' are not those that depth was encoded with"):
        predict(trained.run, raw=trained.raw, weights="random:1")
