"""Progress: a bar on a terminal, lines now and then elsewhere, never on standard output."""

from __future__ import annotations

import pytest

from pipeline.common import progress_bar
from pipeline.common.progress_bar import ProgressBar


@pytest.fixture
def clock(monkeypatch):
    """A clock that a test moves."""
    now = [0.0]
    monkeypatch.setattr(progress_bar.time, "monotonic", lambda: now[0])
    return now


def test_away_from_a_terminal_it_says_now_and_then_how_far_it_is(clock, capsys):
    with ProgressBar(plain_every_s=5) as bar:
        bar.start("hashing", total=9, unit="files")
        for seconds in (1.0, 6.0, 7.0):
            clock[0] = seconds
            bar.advance()
        assert not bar.is_drawn
    captured = capsys.readouterr()
    assert captured.err == "hashing: 2 of 9 files, 21 s left\n"
    assert captured.out == ""


def test_without_lines_of_its_own_it_says_what_it_is_told_alone(clock, capsys):
    bar = ProgressBar(plain_every_s=None)
    bar.start("training", total=2)
    clock[0] = 100.0
    bar.update(1)
    bar.say("half")
    assert capsys.readouterr().err == "half\n"


def test_the_time_left_counts_what_was_done_since_the_start(clock):
    bar = ProgressBar()
    bar.start("training", total=100, done=50)
    assert bar.left == ""
    clock[0] = 100.0
    bar.update(60)
    assert bar.left == "7 min left"
    bar.update(100)
    assert bar.left == ""


def test_on_a_terminal_it_is_a_bar_that_lines_are_said_above(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    with ProgressBar() as bar:
        bar.start("training", total=2, unit="epochs")
        assert bar.is_drawn
        bar.update(1, note="loss [b]1[/b]")
        bar.say("[1/2] a row")
    assert not bar.is_drawn
    assert "[1/2] a row" in capsys.readouterr().err


def test_nothing_to_do_draws_nothing(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    with ProgressBar() as bar:
        bar.start("training", total=0)
        assert not bar.is_drawn
    assert capsys.readouterr().err == ""


def test_work_that_counts_for_itself_is_followed(clock, capsys):
    with ProgressBar(plain_every_s=5) as bar:
        progress = bar.follow("checking", "files")
        for done, seconds in ((1, 1.0), (2, 6.0), (3, 7.0)):
            clock[0] = seconds
            progress(done, 9)
    assert capsys.readouterr().err.startswith("checking: 2 of 9 files")
