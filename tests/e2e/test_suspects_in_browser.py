"""The page of ``dmft audit`` in a real browser: opened, filtered, ticked, no complaint."""

from __future__ import annotations

import pytest

from dmft.data import open_cache
from dmft.evaluation.suspects import Suspect
from dmft.reports.suspects import write_suspects
from tests.e2e.browser import find_browser, started
from tests.factories import write_cache

CHROMIUM = find_browser()


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_a_suspect_is_opened_beside_others_and_what_is_ticked_is_saved(tmp_path):
    cache = open_cache(write_cache(tmp_path / "c.zarr", n_subjects=2, n_classes=2, n_trials=2))
    one = {"record": "a1_s1_t1", "old_label": "class_0", "score": 2.0}
    suspects = [
        Suspect(kind="near-duplicate", other="a2_s2_t1", note="<b>near</b>", **one),
        Suspect(kind="label", new_label="class_1", note="2 of 2 votes", **one),
    ]
    page = tmp_path / "page.html"
    write_suspects(cache, suspects, page)
    with started(CHROMIUM, tmp_path / "profile") as browser:
        browser.open(page)
        browser.run("document.querySelectorAll('button.record')[0].click()")
        assert browser.run("document.getElementById('opened').open") is True
        sides = "[...document.querySelectorAll('#opened h3')].map((each) => each.textContent)"
        assert browser.run(sides) == ["a1_s1_t1", "a2_s2_t1"]
        assert browser.run("document.querySelectorAll('#opened svg').length") == 4
        browser.press("Escape")
        assert browser.run("document.getElementById('opened').open") is False
        shown = "[...document.querySelectorAll('#suspects tbody tr')].map((row) => row.hidden)"
        browser.run("kind = document.getElementById('kind'); kind.value = 'label'")
        browser.run("document.getElementById('kind').dispatchEvent(new Event('change'))")
        assert browser.run(shown) == [True, False]
        browser.run("document.querySelectorAll('#suspects input')[1].click()")
        assert browser.run("document.getElementById('said').textContent") == "1 ticked"
        browser.run("saved = null; download = (blob, name) => { saved = blob.text(); }")
        browser.run("document.getElementById('save').click()")
        assert browser.run("saved") == (
            "record,kind,modality,score,other,old_label,new_label,note\n"
            "a1_s1_t1,label,,2,,class_0,class_1,2 of 2 votes\n"
        )
        assert (browser.complaints, browser.requests) == ([], [page.as_uri()])
