"""Pins: whatever changes in a file is found, at its line where that can be said."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.contract import ContractError
from pipeline.manifests.lock import lock_files
from pipeline.manifests.pins import PINS_FILE, Pin, pin_of, pin_problems, read_pins, write_pins

LINES = st.lists(st.text("ab", max_size=3), min_size=1, max_size=40)


def problems(before: str, after: str) -> list[tuple[str, str]]:
    found = pin_problems(after.encode(), pin_of(before.encode()), "dmft manifest lock f")
    return [(problem.where, problem.message) for problem in found]


@given(LINES, st.data())
def test_a_line_that_alone_is_changed_is_named(lines: list[str], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(lines) - 1))
    changed = [*lines[:at], lines[at] + "c", *lines[at + 1 :]]
    found = problems("\n".join(lines), "\n".join(changed))
    assert [where for where, _ in found] == [f"line {at + 1}"] * 2
    assert found[0][1] == f"{changed[at]!r} is not what was pinned"
    assert found[1][1].endswith("If the change is meant, run: dmft manifest lock f")


@given(LINES, LINES)
def test_any_other_file_is_a_problem_and_names_no_line_that_is_the_same(
    lines: list[str], others: list[str]
) -> None:
    found = problems("\n".join(lines), "\n".join(others))
    assert bool(found) == (lines != others)
    for where, message in found[:-1]:
        number = int(where.removeprefix("line "))
        assert lines[number - 1] != others[number - 1], message


def test_a_line_too_many_is_counted_and_many_changed_ones_are_between_two() -> None:
    before = "\n".join("abcdefghi")
    assert "10 lines where 9 were pinned" in problems(before, before + "\n")[0][1]
    ((where, message),) = problems(before, before.upper())
    assert (where, ", with changed lines between 1 and 9: wanted " in message) == ("line 1", True)


def test_a_changed_record_is_named_by_its_id() -> None:
    found = problems('{"id":"a1"}\n{"id":"a2","x":1}', '{"id":"a1"}\n{"id":"a2","x":2}')
    assert found[0] == ("line 2", "record a2 is not what was pinned")


def test_pins_are_read_as_they_were_written_and_sha256sum_s_too(tmp_path: Path) -> None:
    pins = {"b/c.toml": pin_of(b"x\ny"), "a.jsonl": pin_of(b"")}
    write_pins(tmp_path / PINS_FILE, pins)
    assert read_pins(tmp_path / PINS_FILE) == pins
    digest = hashlib.sha256(b"x").hexdigest()
    (tmp_path / PINS_FILE).write_text(f"{digest}  a b.csv\n")
    plain = read_pins(tmp_path / PINS_FILE)
    assert plain == {"a b.csv": Pin(sha256=digest)}
    (problem,) = pin_problems(b"y", plain["a b.csv"], "r")
    assert (problem.where, digest in problem.message) == ("line 1", True)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("<<<<<<< HEAD\n", "line 1 is '<<<<<<< HEAD': wanted a SHA-256, two spaces"),
        (f"{'0' * 64}  a\n{'1' * 64}  a\n", "line 2: a is there twice"),
    ],
)
def test_damaged_pins_are_refused_by_line(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / PINS_FILE).write_text(text)
    with pytest.raises(ContractError, match=reason):
        read_pins(tmp_path / PINS_FILE)
    with pytest.raises(ContractError, match="absent cannot be read"):
        read_pins(tmp_path / "absent")
    with pytest.raises(ContractError, match="absent/p cannot be written"):
        write_pins(tmp_path / "absent" / "p", {})


def test_what_cannot_be_read_is_not_locked(tmp_path: Path) -> None:
    (tmp_path / "folder.toml").mkdir()
    with pytest.raises(ContractError, match=r"folder.toml cannot be read: Is a directory"):
        lock_files([tmp_path / "folder.toml"])
    assert not (tmp_path / PINS_FILE).exists()
