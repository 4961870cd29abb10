"""The view of a cache in a real browser: played, changed, with frames of raw recordings."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.view import write_view
from tests.e2e.browser import NAMELESS, Browser, assert_content
from tests.fabricate import encode_here, record_ids, write_raw


@pytest.fixture(scope="module")
def view(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("view")
    raw = write_raw(folder / "raw", record_ids(8))
    write_raw(raw, record_ids(1), ["depth", "rgb"])
    encode_here(raw, folder / "c.zarr", modalities=("skeleton", "inertial"))
    write_view(str(folder / "c.zarr"), folder / "view.html", raw=raw)
    return folder / "view.html"


def test_the_view_plays_a_skeleton_and_changes_the_record(browser: Browser, view: Path) -> None:
    browser.open(view)
    about = "document.querySelector('#drawn p').innerText"
    first = browser.run(about)
    patch = "document.querySelector('#drawn input[type=range]').value"
    before = browser.run(patch)
    browser.run("new Promise(done => setTimeout(done, 400))")
    assert browser.run(patch) != before
    browser.run(
        "{const s = document.getElementById('record');"
        "s.value = '1'; s.dispatchEvent(new Event('change'))}"
    )
    assert browser.run(about) != first
    assert browser.run("document.querySelectorAll('#drawn svg').length") == 4
    assert_content(browser, view)


def test_the_view_shows_frames_of_raw_recordings(browser: Browser, view: Path) -> None:
    browser.open(view, width=400)
    browser.run(
        "{const s = document.getElementById('record');"
        f"s.value = found.records.findIndex(r => r.id === {record_ids(1)[0]!r});"
        "s.dispatchEvent(new Event('change'))}"
    )
    images = (
        "Promise.all([...document.querySelectorAll('#drawn img')].map(i => i.decode().then(() => "
    )
    assert browser.run(f"{images} i.naturalWidth)))") == [160] * 12
    assert browser.run("document.documentElement.scrollWidth") <= 400
    assert_content(browser, view)


def test_every_control_of_the_view_has_a_name(browser: Browser, view: Path) -> None:
    browser.open(view)
    assert browser.run(NAMELESS) == []


@pytest.mark.parametrize("width", [400, 1280])
def test_the_view_is_no_wider_than_the_window(browser: Browser, view: Path, width: int) -> None:
    browser.open(view, width=width)
    assert browser.run("document.documentElement.scrollWidth") <= width
    assert_content(browser, view)
