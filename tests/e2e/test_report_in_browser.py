"""The report in a real browser: sorted, switched, saved, no complaint."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from dmft.reports.load import load_runs
from dmft.reports.page.html import write_report
from tests.e2e.browser import NAMELESS, Browser, assert_content

FIRST_COLUMN = (
    "[...document.querySelectorAll('#runs-table tbody tr')].map(r => r.cells[0].innerText)"
)


def test_the_report_opens_quickly_and_draws_every_figure(browser: Browser, report: Path) -> None:
    seconds = browser.open(report)
    assert seconds < 10, "about a tenth of a second on an idle machine"
    assert browser.run("document.querySelectorAll('figure svg').length") == 11
    laid_out = "document.querySelectorAll('section[data-run]').length"
    assert browser.run(laid_out) == 1, "a run is laid out once it is chosen: there may be hundreds"
    confusion = "document.querySelector('section:not([hidden]) .confusion svg')"
    assert browser.run(f"{confusion}.querySelectorAll('text').length") > 2 * 27
    assert_content(browser, report)


def test_values_that_only_rounding_tells_apart_are_one_line_and_no_endless_scale(
    browser: Browser, report: Path
) -> None:
    browser.open(report)
    assert browser.run("ticks(1, 1.0000000000000002, 5)") == [1]
    assert browser.run("ticks(0, 1, 5).length") == 6
    drawn = "lines(400, 300, '', [{{ name: 'loss', kind: 0, points: [[1, 2], [2, {}]] }}], {{}})"
    heights = f"{drawn}.querySelector('path').getAttribute('d').match(/ [0-9.]+/g)"
    level, other = browser.run(heights.format("2.0000000000000004"))
    assert level == other
    low, high = browser.run(heights.format("2.5"))
    assert low != high


def test_a_table_sorts_both_ways_and_says_so(browser: Browser, report: Path) -> None:
    browser.open(report)
    press = "document.querySelector('#runs-table th button').click()"
    heading = "document.querySelector('#runs-table th').getAttribute('aria-sort')"
    browser.run(press)
    assert browser.run(FIRST_COLUMN) == ["distilled", "seed-1", "student", "teacher"]
    assert browser.run(heading) == "ascending"
    browser.run(press)
    assert browser.run(FIRST_COLUMN) == ["teacher", "student", "seed-1", "distilled"]
    assert browser.run(heading) == "descending"
    browser.run(
        "[...document.querySelectorAll('#runs-table th button')]"
        ".find(b => b.innerText === 'accuracy').click()"
    )
    cells = (
        "[...document.querySelectorAll('#runs-table tbody tr')].map(r => +r.cells[5].dataset.value)"
    )
    found = browser.run(cells)
    assert found == sorted(found, reverse=True)
    assert_content(browser, report)


def test_a_figure_switches_between_votes_and_runs(browser: Browser, report: Path) -> None:
    browser.open(report)
    label = (
        "document.querySelector('section:not([hidden]) .confusion svg').getAttribute('aria-label')"
    )
    assert "of teacher, all modalities" in browser.run(label)
    browser.run(
        "{const s = document.querySelector('section:not([hidden]) .confusion select');"
        "s.value = 'inertial'; s.dispatchEvent(new Event('change'))}"
    )
    assert "of teacher, inertial" in browser.run(label)
    browser.run(
        "{const s = document.getElementById('run');"
        "s.value = '3'; s.dispatchEvent(new Event('change'))}"
    )
    assert "of distilled, all modalities" in browser.run(label)
    assert browser.run("document.querySelectorAll('section[data-run]:not([hidden])').length") == 1
    assert_content(browser, report)


def test_the_matrix_is_read_with_the_keyboard(browser: Browser, report: Path) -> None:
    browser.open(report)
    browser.run("document.querySelector('section:not([hidden]) .confusion svg').focus()")
    status = "document.querySelector('section:not([hidden]) .confusion .status').innerText"
    browser.press("ArrowRight")
    assert browser.run(status).startswith("class_0 taken for class_1:")
    browser.press("ArrowDown")
    assert browser.run(status).startswith("class_1 recognised:")
    i, j = browser.run("found.runs[0].errors[0].slice(1, 3)")
    browser.run("document.querySelector('section:not([hidden]) .confusion svg').focus()")
    for _ in range(i - 1):
        browser.press("ArrowDown")
    for _ in range(abs(j - 1)):
        browser.press("ArrowRight" if j > 1 else "ArrowLeft")
    if i == 0:
        browser.press("ArrowUp")
    browser.press("Enter")
    assert browser.run("found.records[found.runs[0].errors[0][0]]") in browser.run(status)


MATRIX = "document.querySelector('section:not([hidden]) .confusion')"


def choose(browser: Browser, name: str, value: str) -> None:
    """Choose something in the matrix that is seen."""
    browser.run(
        f"{{const s = {MATRIX}.querySelector('[name={name}]');"
        f"s.value = {value!r}; s.dispatchEvent(new Event('change'))}}"
    )


@pytest.mark.parametrize("width", [400, 1280])
def test_a_click_in_the_matrix_is_answered_where_it_is_seen(
    browser: Browser, report: Path, width: int
) -> None:
    """The answer once stood below the fold."""
    browser.open(report, width=width)
    browser.run(
        f"{{const cell = [...{MATRIX}.querySelectorAll('rect')]"
        ".find(r => r.getAttribute('fill') === 'rgb(var(--miss))');"
        "cell.scrollIntoView({block: 'center', inline: 'center'});"
        "const box = cell.getBoundingClientRect(), at = {clientX: box.x + 5, clientY: box.y + 5};"
        "cell.dispatchEvent(new MouseEvent('click', {...at, bubbles: true}))}"
    )
    answered = f"{MATRIX}.querySelector('.status li')"
    top, bottom, height = browser.run(
        f"(b => [b.top, b.bottom, innerHeight])({answered}.getBoundingClientRect())"
    )
    assert 0 <= top < bottom <= height
    wrong = set(browser.run("found.runs[0].errors.map(e => found.records[e[0]])"))
    assert browser.run(f"{answered}.querySelector('.record').innerText") in wrong


def test_seeds_are_added_up_and_classes_without_records_left_out(
    browser: Browser, report: Path
) -> None:
    browser.open(report)
    browser.run(
        "{const s = document.getElementById('run');"
        "s.value = '1'; s.dispatchEvent(new Event('change'))}"
    )
    counted = (
        f"[...{MATRIX}.querySelectorAll('text')].map(t => +t.textContent)"
        ".filter(n => n > 0).reduce((a, b) => a + b, 0)"
    )
    assert browser.run(counted) == 2 * 27
    choose(browser, "of", "setting")
    assert browser.run(counted) == 3 * 27, "both folds of one seed, one of the other"
    for name in ("student", "seed-1"):
        browser.run(
            f"{{const {{confusion}} = found.runs.find(r => r.name === {name!r});"
            "for (const m of Object.values(confusion)) { m[3].fill(0); m.forEach(r => r[3] = 0) }}"
        )
    choose(browser, "cells", "percent")
    said = browser.run(f"{MATRIX}.querySelector('svg').textContent")
    assert "class_3" not in said.replace("class_3…", "")
    assert "1 class without records left out" in said
    assert_content(browser, report)


ROWS = "[...document.querySelectorAll('#wrong tbody tr')].map(r => r.innerText.split('\\t'))"
OPENED = "document.getElementById('opened')"


def test_wrong_records_are_filtered_and_opened_with_the_keyboard(
    browser: Browser, report: Path
) -> None:
    browser.open(report)
    rows = browser.run(ROWS)
    assert len(rows) == len({row[0] for row in rows}) > 10
    assert all(row[0].split("_")[1] == f"s{row[2]}" for row in rows), "the cache says whose it is"
    parts = [int(row[3]) / int(row[4]) for row in rows]
    assert parts == sorted(parts, reverse=True)
    of_one, _, person, *_ = rows[0]
    browser.run(
        "{const f = document.getElementById('find');"
        f"f.value = 'person {person} {of_one}'; f.dispatchEvent(new Event('input'))}}"
    )
    assert [row[0] for row in browser.run(ROWS)] == [of_one]
    browser.run("document.querySelector('#wrong button.record').focus()")
    browser.press("Enter")
    assert browser.run(f"{OPENED}.open")
    assert browser.run("document.getElementById('opened-name').innerText") == of_one
    said = browser.run(f"[...{OPENED}.querySelectorAll('tbody tr')].map(r => r.cells[1].innerText)")
    assert len(said) == int(rows[0][4])
    assert sum(word != "right" for word in said) == int(rows[0][3])
    assert browser.run(f"{OPENED}.querySelectorAll('figure svg').length") == 4, (
        "signals and attention"
    )
    browser.press("Escape")
    assert not browser.run(f"{OPENED}.open")
    assert browser.run("document.activeElement.innerText") == of_one
    assert_content(browser, report)


def test_a_place_of_the_map_says_what_it_is_and_opens_its_record(
    browser: Browser, report: Path
) -> None:
    browser.open(report)
    places = "document.querySelectorAll('#seen svg [data-place]')"
    assert browser.run(f"{places}.length") == 2 * 27
    press = "p => p.dispatchEvent(new MouseEvent('click', {bubbles: true}))"
    browser.run(f"[...{places}].filter(p => p.localName === 'path').slice(0, 1).forEach({press})")
    record = browser.run("document.querySelector('#seen button.record').innerText")
    said = browser.run("document.querySelector('#seen .status p').innerText")
    assert said.startswith(f"{record}: class_")
    assert said.endswith(", wrong")
    browser.run("document.querySelector('#seen button.record').click()")
    assert browser.run("document.getElementById('opened-name').innerText") == record
    browser.press("Escape")
    browser.run(
        "{const s = document.querySelector('#seen [name=colour]');"
        "s.value = 'error'; s.dispatchEvent(new Event('change'))}"
    )
    legend = browser.run("document.querySelector('#seen .colours').innerText")
    assert set(legend.split()) <= {"right", "trained", "on", "wrong"}
    assert_content(browser, report)


def test_two_runs_stand_side_by_side(browser: Browser, report: Path) -> None:
    browser.open(report)
    runs = {run.name: run for run in load_runs([report.parent / "runs"])[0]}
    both = runs["teacher"].predictions.merge(runs["distilled"].predictions, on="record")
    browser.run(
        "{const [a, b] = document.querySelectorAll('select.side');"
        "a.value = 0; b.value = 3; b.dispatchEvent(new Event('change'))}"
    )
    lost, won = both["correct_x"] & ~both["correct_y"], both["correct_y"] & ~both["correct_x"]
    said = browser.run("document.getElementById('sides-said').innerText")
    assert f"{len(both)} records were tested by both" in said
    assert f"{lost.sum()} only in the first, {won.sum()} only in the second" in said
    browser.run(
        "{const s = document.getElementById('changed-how');"
        "s.value = 'won'; s.dispatchEvent(new Event('change'))}"
    )
    names = "[...document.querySelectorAll('#changed tbody tr')].map(r => r.cells[0].innerText)"
    assert set(browser.run(names)) == set(both["record"][won])
    assert_content(browser, report)


def test_names_that_are_markup_stay_words(browser: Browser, report: Path) -> None:
    run = load_runs([report.parent / "runs/student"])[0][0]
    evil = "<img src=x onerror=alert(1)>'\"</script>"
    folds = []
    for fold in run.folds:
        votes = dataclasses.replace(
            fold.votes, records=tuple(f"{evil}{record}" for record in fold.votes.records)
        )
        spec = dataclasses.replace(
            fold.info.spec, classes=tuple(f"{evil}{name}" for name in fold.info.spec.classes)
        )
        info = dataclasses.replace(fold.info, spec=spec)
        folds.append(
            dataclasses.replace(fold, votes=votes, predictions=votes.to_frame(), info=info)
        )
    page = report.parent / "evil.html"
    write_report([dataclasses.replace(run, name=evil, folds=tuple(folds))], page)
    browser.open(page)
    browser.run("document.querySelector('#wrong button.record').click()")
    assert browser.run("document.getElementById('opened-name').innerText").startswith(evil)
    assert browser.run("document.querySelectorAll('img').length") == 0
    assert_content(browser, page)


def test_families_of_faults_are_drawn_with_each_of_their_sizes(
    browser: Browser, report: Path
) -> None:
    browser.open(report)
    browser.run(
        "{const s = document.querySelector('#faults select');"
        "s.value = 'inertial'; s.dispatchEvent(new Event('change'))}"
    )
    titles = browser.run(
        "[...document.querySelectorAll('#faults svg title')].map(t => t.textContent).slice(1)"
    )
    faults = browser.run("found.settings.find(s => s.faults).faults")
    of_inertial = [each for each in faults["single"] if each["modality"] == "inertial"]
    name = "distilled, skeleton + inertial"
    for each in of_inertial:
        assert f"{each['family']}, {name}: {100 * each['score']:.1f} %" in titles
        for degree, part in each["degrees"].items():
            size = f"{100 * float(degree):.1f} % of its size"
            assert f"{each['family']}, {size}, {name}: {100 * part:.1f} %" in titles
    assert {"noise", "axes", "unit", "removed"} <= {each["family"] for each in of_inertial}
    assert len(titles) == sum(1 + len(each["degrees"]) for each in of_inertial)
    assert_content(browser, report)


@pytest.mark.parametrize("kind", ["SVG", "PNG"])
def test_a_figure_is_saved_as_a_file_of_its_own(browser: Browser, report: Path, kind: str) -> None:
    browser.open(report)
    browser.run(
        "window.saved = new Promise(done => {"
        "HTMLAnchorElement.prototype.click = function () {"
        "done(this.download)}});"
        "window.blobs = []; const old = URL.createObjectURL;"
        "URL.createObjectURL = (b) => { window.blobs.push(b); return old(b); };"
        f"[...document.querySelectorAll('section:not([hidden]) .confusion .save button')]"
        f".find(b => b.innerText.endsWith('{kind}')).click()"
    )
    assert browser.run("window.saved") == f"confusion-teacher-all-modalities.{kind.lower()}"
    start = browser.run(
        "window.blobs[0].slice(0, 200).arrayBuffer().then(b => [...new Uint8Array(b)])"
    )
    if kind == "PNG":
        assert bytes(start).startswith(b"\x89PNG")
        return
    text = browser.run("window.blobs[0].text()")
    assert text.startswith("<svg")
    assert "var(" not in text
    assert 'xmlns="http://www.w3.org/2000/svg"' in text
    assert_content(browser, report)


def test_colours_follow_the_switch_and_stay(browser: Browser, report: Path) -> None:
    browser.open(report)
    paper = "getComputedStyle(document.body).backgroundColor"
    assert browser.run(paper) == "rgb(255, 255, 255)"
    browser.run("document.getElementById('theme').click()")
    assert browser.run(paper) == "rgb(20, 23, 27)"
    assert browser.run("document.getElementById('theme').innerText") == "Colours: dark"
    browser.run("document.getElementById('theme').click()")
    assert browser.run(paper) == "rgb(255, 255, 255)"
    browser.run("localStorage.clear()")
    assert_content(browser, report)


def test_numbers_are_saved_as_a_table_that_no_spreadsheet_executes(
    browser: Browser, report: Path
) -> None:
    browser.open(report)
    rows = """csv([['=1+1', 'a, "b"', 0.5, -1], ['-x', null, undefined, 'plain']])"""
    assert browser.run(rows) == """'=1+1,"a, ""b""\",0.5,-1\n'-x,,,plain\n"""
    browser.run(
        "window.saved = new Promise(done => { window.download = (blob, name) =>"
        "blob.text().then(text => done([name, text])) });"
        f"[...{MATRIX}.querySelectorAll('.save button')]"
        ".find(b => b.innerText.endsWith('CSV')).click()"
    )
    name, text = browser.run("window.saved")
    assert name == "confusion-teacher-all-modalities.csv"
    lines = text.splitlines()
    assert len(lines) == 28
    counts = browser.run("found.runs[0].confusion['all modalities']")
    assert [int(n) for n in lines[1].split(",")[1:]] == counts[0]


def test_no_table_is_cut_at_1280_pixels(browser: Browser, report: Path) -> None:
    """The widest one was, with a third of the page empty."""
    browser.open(report, width=1280)
    cut = (
        "[...document.querySelectorAll('.wide')].filter(w => w.querySelector('table') &&"
        " w.scrollWidth > w.clientWidth).map(w => w.innerText.slice(0, 60))"
    )
    assert browser.run(cut) == []


@pytest.mark.parametrize("width", [400, 1280])
def test_nothing_but_tables_and_figures_is_wider_than_the_window(
    browser: Browser, report: Path, width: int
) -> None:
    browser.open(report, width=width)
    assert browser.run("document.documentElement.scrollWidth") <= width
    assert_content(browser, report)


def test_every_control_has_a_name(browser: Browser, report: Path) -> None:
    browser.open(report)
    assert browser.run(NAMELESS) == []


def test_on_paper_tables_keep_their_headings_and_controls_go(
    browser: Browser, report: Path
) -> None:
    """Headings are buttons, and a rule that hid every button once hid them too."""
    browser.open(report)
    browser.send("Emulation.setEmulatedMedia", media="print")
    shown = "e => getComputedStyle(e).display !== 'none' && e.getClientRects().length > 0"
    assert browser.run(f"[...document.querySelectorAll('#runs-table th button')].every({shown})")
    assert not browser.run(f"[...document.querySelectorAll('.controls, #theme')].some({shown})")
    browser.send("Emulation.setEmulatedMedia", media="screen")
