"""Which packages an extra brings, as the distribution itself says."""

from __future__ import annotations

from importlib import metadata

from pipeline.common import packages
from pipeline.common.packages import extra_of, packages_by_extra


def test_a_module_is_named_with_the_extra_that_brings_it():
    assert extra_of("torchvision.models") == "encode"
    assert extra_of("matplotlib") == "report"
    assert extra_of("bokeh") == "dashboard"
    assert extra_of("ruff") == "dev"
    assert extra_of("no_such_thing") is None


def test_the_trainers_own_packages_are_in_no_extra():
    base = packages_by_extra()[""]
    assert {"torch", "pandas", "google-crc32c"} <= set(base)
    assert extra_of("google_crc32c") is None


def test_an_extra_of_extras_does_not_list_the_distribution_itself(monkeypatch):
    listed = ["torch>=2", 'dmft[encode]; extra == "dev"', "av>=14 ; extra == 'encode'"]
    monkeypatch.setattr(packages.metadata, "requires", lambda name: listed)
    assert packages_by_extra() == {"": ("torch",), "encode": ("av",)}


def test_run_from_a_folder_nothing_is_known(monkeypatch):
    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(packages.metadata, "requires", missing)
    assert packages_by_extra() == {}
    assert extra_of("av") is None
