"""Published figures beside ours, and the headline of several seeds."""

import re
from dataclasses import replace

import pytest

from dmft.evaluation.significance import wilson
from dmft.reports.compare import kinds_compared, settings_of
from dmft.reports.format import hits_of, interval
from dmft.reports.load import load_runs
from dmft.reports.page.html import render_report
from dmft.reports.published import load_published


def as_if_of(run, protocol, **teacher):
    """The run, as if its protocol were another one, and its teacher had other settings."""
    folds = []
    for fold in run.folds:
        config = replace(
            fold.info.spec.config, teacher=replace(fold.info.spec.config.teacher, **teacher)
        )
        source = replace(
            fold.info.source, protocol=replace(fold.info.source.protocol, name=protocol)
        )
        folds.append(
            replace(
                fold,
                info=replace(fold.info, source=source, spec=replace(fold.info.spec, config=config)),
            )
        )
    return replace(run, folds=tuple(folds))


def published_rows(*runs):
    """Cells of the section's table, by what they are of."""
    section = render_report(runs).partition('id="published"')[2].partition("<h2")[0]
    rows = re.findall(r"<tr><td>(.*?)</tr>", section, re.S)
    cells = [[re.sub("<.*?>", "", cell) for cell in row.split("</td>")] for row in rows]
    return [row[:-1] for row in cells]


def test_published_figures_stand_beside_ours_where_all_that_decides_is_the_same(place):
    teacher, student = (load_runs([place / "runs" / kind])[0][0] for kind in ("teacher", "student"))
    shown = published_rows(as_if_of(teacher, "utd-50-50"))
    known = {
        figure.value: (figure.fusion_tokens, figure.note)
        for figure in load_published().figures
        if (figure.protocol, figure.model, figure.measure) == ("utd-50-50", "teacher", "score")
        and set(figure.modalities) == {"skeleton", "inertial"}
    }
    assert {tokens for tokens, _ in known.values()} == {0, 2, 4, 8, 16}
    of_four = {value: note for value, (tokens, note) in known.items() if tokens in (0, 4)}
    assert {float(row[3].split()[0]) for row in shown} == set(of_four)
    for row in shown:
        value, ours = float(row[3].split()[0]), 100 * teacher.metrics.accuracy
        assert row[1] == "overall"
        assert float(row[4].split()[0]) == pytest.approx(ours, abs=0.005)
        assert row[5] == "–", "these recordings are not those of the published figures"
        assert row[6:9] == ["1", "2", "12"]
        assert "of 8 people" in row[9]
        assert of_four[value] in row[10]
    assert published_rows(teacher) == []
    (sixteen,) = published_rows(as_if_of(teacher, "utd-50-50", fusion_tokens=16))
    assert known[float(sixteen[3].split()[0])][0] == 16
    assert published_rows(as_if_of(teacher, "utd-50-50", fusion_layers=0)) == []
    assert published_rows(as_if_of(teacher, "utd-loso")) == [], "there it is of other modalities"
    assert len(published_rows(as_if_of(student, "utd-50-50", fusion_tokens=16))) == 1


def test_seeds_of_a_setting_are_one_published_row_with_their_spread(place):
    both = [load_runs([place / "runs" / name])[0][0] for name in ("student", "student-1")]
    rows = published_rows(*(as_if_of(run, "utd-50-50") for run in both))
    (overall,) = [row for row in rows if row[1] == "overall"]
    assert overall[6] == "2"
    assert overall[4].endswith("(2)")
    assert " ± " in overall[4]


def test_the_headline_of_several_seeds_has_their_spread_and_an_interval(place):
    runs, _ = load_runs([place / "runs"])
    cards = re.findall(r'class="sure">(.*?)<', render_report(runs))
    assert len(cards) == 3
    assert [card.count("95 % interval ") for card in cards] == [1, 1, 1]
    (student,) = [card for card in cards if "2 seeds" in card]
    both = [wilson(*hits_of(run.metrics.confusion)) for run in runs if "student" in run.name]
    assert len(both) == 2
    means = tuple(sum(bounds) / 2 for bounds in zip(*both, strict=True))
    assert student.endswith(f"over seeds; 95 % interval {interval(means)}, mean over seeds")
    begun = [replace(r, folds=r.folds[:1]) if r.name == "student-1" else r for r in runs]
    page = render_report(begun)
    (card,) = re.findall(r'class="sure">(.*?left out.*?)<', page)
    whole = next(run for run in begun if run.name == "student")
    assert card.endswith(
        f"one seed; 95 % interval {interval(wilson(*hits_of(whole.metrics.confusion)))}; "
        "left out: seed 1 lacks 1 of 2 folds"
    )
    (setting,) = [each for each in settings_of(begun) if each.left_out]
    assert setting.scores == [whole.metrics.quoted]
    (row,) = kinds_compared(settings_of(begun))
    assert row["scores"]["student"] == [whole.metrics.quoted]
