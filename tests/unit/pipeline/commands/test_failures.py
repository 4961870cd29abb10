"""What failed alike is one line, not hundreds."""

from __future__ import annotations

from pipeline.cache.ledger import Failure
from pipeline.commands.failures import failure_lines


def failed(record: str, message: str) -> tuple[str, str, Failure]:
    """A record's skeleton that could not be read."""
    path = f"Skeleton/{record}_skeleton.mat"
    failure = Failure(stage="read", type="Error", message=message.format(path), path=path)
    return record, "skeleton", failure


def test_many_of_one_reason_are_one_line_with_three_names():
    lines = list(failure_lines([failed(f"r{n}", "{} no such file in raw") for n in range(64)]))
    assert lines == ["64 skeleton, no such file in raw: r0, r1, r2, ..."]


def test_few_are_a_line_each_with_their_file_once():
    failures = [failed("r1", "{} is truncated: 7 bytes"), failed("r2", "no header")]
    assert list(failure_lines(failures)) == [
        "r1 skeleton: Skeleton/r1_skeleton.mat is truncated: 7 bytes",
        "r2 skeleton: Skeleton/r2_skeleton.mat: no header",
    ]


def test_of_many_reasons_the_first_are_shown_and_the_others_counted():
    lines = list(failure_lines([failed(f"r{n}", f"reason {'x' * n}") for n in range(30)]))
    assert len(lines) == 21
    assert lines[-1] == "... and 10 more; --json lists all"


def test_one_file_that_many_share_is_named():
    path = "Skeleton.tar.gz"
    failure = Failure(stage="read", type="Error", message=f"{path} is torn", path=path)
    lines = list(failure_lines([(f"r{n}", "skeleton", failure) for n in range(5)]))
    assert lines == ["5 skeleton, Skeleton.tar.gz: is torn: r0, r1, r2, ..."]
