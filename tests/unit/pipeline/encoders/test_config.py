"""The encoding configuration: strict, complete in its complaints, measured defaults."""

from __future__ import annotations

import pytest

from pipeline.common.settings import to_table
from pipeline.contract import ConfigError
from pipeline.encoders.config import (
    ColourEncoding,
    DepthEncoding,
    EncodingConfig,
    SeriesEncoding,
    SkeletonEncoding,
    load_config,
)


def test_no_file_gives_the_defaults():
    assert load_config(None) == EncodingConfig()


def test_what_a_file_does_not_name_keeps_its_default(tmp_path):
    path = tmp_path / "c.toml"
    path.write_text("[inertial]\nwindow = 8\nstride = 4\n")
    config = load_config(path)
    assert config.inertial == SeriesEncoding(window=8, stride=4, patches=128, rate_hz=100.0)
    assert config.skeleton == SkeletonEncoding()
    assert to_table(config.inertial) == {
        "window": 8,
        "stride": 4,
        "patches": 128,
        "rate_hz": 100.0,
    }


def test_every_problem_of_a_file_is_named_at_once(tmp_path):
    path = tmp_path / "c.toml"
    path.write_text(
        '[inertial]\nwindwo = 8\n[skeleton]\nscale = "head"\n[depth]\nimage_size = "big"\n'
        "[rgb]\npatches = 0\n"
    )
    with pytest.raises(ConfigError) as raised:
        load_config(path)
    for found in (str(path), "inertial.windwo", "'head'", "'big'", "patches is 0"):
        assert found in str(raised.value)


def test_a_file_that_is_not_toml_is_refused(tmp_path):
    path = tmp_path / "c.toml"
    path.write_text("[inertial\n")
    with pytest.raises(ConfigError, match=r"c\.toml is not valid TOML: "):
        load_config(path)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.toml"):
        load_config(tmp_path / "none.toml")


KINDS = [SeriesEncoding, SkeletonEncoding, ColourEncoding, DepthEncoding]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["window", "stride", "patches"])
def test_counts_below_one_are_refused(kind, name):
    with pytest.raises(ConfigError, match=f"{name} is -1: wanted at least 1"):
        kind(**{name: -1})


@pytest.mark.parametrize("kind", KINDS)
def test_a_stride_that_skips_rows_is_refused(kind):
    with pytest.raises(ConfigError, match="stride 5 is longer than window 4"):
        kind(window=4, stride=5)


@pytest.mark.parametrize("kind", [SeriesEncoding])
@pytest.mark.parametrize("rate_hz", [0.0, -1.0, 1001.0, float("nan")])
def test_a_rate_out_of_range_is_refused(kind, rate_hz):
    with pytest.raises(ConfigError, match=f"rate_hz is {rate_hz}: wanted more than 0 and at most"):
        kind(rate_hz=rate_hz)


def test_what_a_change_does_not_name_keeps_the_default_of_its_modality():
    """A modality's own default was lost once, and its kind's taken, where another key was set."""
    assert load_config(None, ["inertial.window=4"]).inertial.rate_hz == 100.0
    assert load_config(None, ["wifi.window=4"]).wifi.rate_hz == 10.0


@pytest.mark.parametrize("size", [31, 1025])
def test_an_image_size_out_of_range_is_refused(size):
    with pytest.raises(ConfigError, match=f"image_size is {size}: wanted 32 to 1024"):
        ColourEncoding(image_size=size)


@pytest.mark.parametrize(("near", "far"), [(-1, 10), (10, 10), (0, 65536)])
def test_depths_out_of_order_are_refused(near, far):
    with pytest.raises(ConfigError, match=f"near_mm {near} and far_mm {far}"):
        DepthEncoding(near_mm=near, far_mm=far)


def test_a_modality_without_an_encoding_is_refused():
    with pytest.raises(ConfigError, match="no encoding for modality 'smell': have rgb"):
        EncodingConfig().of("smell")


def test_a_setting_of_the_command_line_lies_over_the_file(tmp_path):
    path = tmp_path / "c.toml"
    path.write_text("[rgb]\nevery = 4\npatches = 8\n")
    config = load_config(path, ["rgb.every=2", "skeleton.scale=none"])
    assert (config.rgb.every, config.rgb.patches, config.skeleton.scale) == (2, 8, "none")


def test_a_wrong_setting_of_the_command_line_is_named():
    with pytest.raises(ConfigError, match=r"rgb\.evry is not a setting"):
        load_config(None, ["rgb.evry=2"])


def test_what_a_description_says_is_the_default_whatever_its_modality_is_called():
    """Sections called as those built in once kept theirs, and nobody was told."""
    own = {"depth": DepthEncoding(near_mm=300), "skeleton": SkeletonEncoding(face=False)}
    config = load_config(None, ["depth.far_mm=3000"], own)
    assert (config.depth.near_mm, config.depth.far_mm) == (300, 3000)
    assert not config.skeleton.face
    back = load_config(None, ["depth.near_mm=500", "skeleton.face=true"], own)
    assert back.with_own(own) is back
    assert (back.depth, back.skeleton) == (DepthEncoding(), SkeletonEncoding())
    assert load_config(None).with_own(own).depth == own["depth"]
    changed = load_config(None, ["depth.patches=2"])
    assert changed.with_own(own).depth == changed.depth
