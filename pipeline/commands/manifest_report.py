"""What ``dmft manifest check`` says: lines for people, JSON for programs, GitHub's annotations."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from pipeline.manifests import Manifest
from pipeline.manifests.file_check import FileReport

FIRST, MANY = 3, 10
"""Of more than so many problems of one kind people are shown the first."""
_LINE = re.compile(r"line (\d+)")


def show_text(reports: Sequence[FileReport], other: Manifest | None) -> None:
    """A line a problem on standard output; the verdict on standard error where there are any."""
    for report in reports:
        before = f"{shown(report.file)}: " if len(reports) > 1 else ""
        counts = Counter(problem.kind for problem in report.problems)
        n_shown: Counter[Any] = Counter()
        for problem in report.problems:
            n_shown[problem.kind] += 1
            is_many = counts[problem.kind] > MANY
            if not is_many or n_shown[problem.kind] <= FIRST:
                click.echo(f"{before}{problem.kind}: {problem.where}: {problem.message}")
            elif n_shown[problem.kind] == FIRST + 1:
                left = counts[problem.kind] - FIRST
                click.echo(f"{before}{problem.kind}: ... and {left:,} more; --json lists all")
    _show_verdicts(reports, other)


def show_json(reports: Sequence[FileReport], other: Manifest | None) -> None:
    """One object, or a list of them where several files were checked."""
    objects = [_as_object(report, other) for report in reports]
    click.echo(json.dumps(objects[0] if len(objects) == 1 else objects, indent=2))


def show_github(reports: Sequence[FileReport], other: Manifest | None) -> None:
    """Workflow commands, which GitHub Actions shows at the lines of a pull request."""
    for report in reports:
        records = report.manifest.records if report.manifest else ()
        lines = {record.id: number for number, record in enumerate(records, start=2)}
        for problem in report.problems:
            found = _LINE.fullmatch(problem.where)
            # What is wrong with a recording stands at the record that lists it, if one does.
            number = int(found[1]) if found else lines.get(problem.where, 1)
            place = f"file={_property(shown(report.file))},line={number}"
            title = _property(f"{problem.kind} ({problem.where})")
            click.echo(f"::error {place},title={title}::{_data(problem.message)}")
    _show_verdicts(reports, other)


FORMS: Mapping[str, Callable[[Sequence[FileReport], Manifest | None], None]] = {
    "text": show_text,
    "json": show_json,
    "github": show_github,
}
"""Name of a form to what writes it."""


def _show_verdicts(reports: Sequence[FileReport], other: Manifest | None) -> None:
    """What was found of each manifest, and of each file with a problem; a sum of several."""
    for report in reports:
        if report.manifest is not None or report.problems or len(reports) == 1:
            verdict = f"{shown(report.file)}: {_verdict(report, other)}"
            click.echo(verdict, err=bool(report.problems))
    if len(reports) > 1:
        n_pinned = sum(report.is_pinned for report in reports)
        n_wrong = sum(bool(report.problems) for report in reports)
        sound = f"{n_wrong} of them with problems" if n_wrong else "no problems"
        click.echo(f"{len(reports)} files, {n_pinned} of them pinned, {sound}", err=bool(n_wrong))


def _verdict(report: FileReport, other: Manifest | None) -> str:
    if report.problems:
        kinds = Counter(str(problem.kind) for problem in report.problems)
        counts = ", ".join(f"{n} {kind}" for kind, n in sorted(kinds.items()))
        n = len(report.problems)
        records = report.manifest.records if report.manifest else ()
        n_files = sum(len(streams) for record in records for streams in record.streams.values())
        if n_files and kinds["missing"] == n_files:
            counts += "; not one of its files is there: is this their tree?"
        return f"{n} problem{'' if n == 1 else 's'} ({counts})"
    found = []
    if report.manifest is not None:
        found.append(f"{len(report.manifest.records)} records")
    n_compared = _n_compared(report, other)
    if n_compared is not None:
        found.append(f"{n_compared} of them in both manifests and in agreement")
    if report.is_pinned:
        found.append("as pinned")
    return ", ".join([*found, "no problems"])


def _n_compared(report: FileReport, other: Manifest | None) -> int | None:
    if report.manifest is None or other is None:
        return None
    return len({r.id for r in report.manifest.records} & {r.id for r in other.records})


def _as_object(report: FileReport, other: Manifest | None) -> dict[str, Any]:
    manifest = report.manifest
    return {
        "file": str(report.file),
        "ok": not report.problems,
        "pinned": report.is_pinned,
        "n_records": len(manifest.records) if manifest else None,
        "n_compared": _n_compared(report, other),
        "sha256": manifest.sha256 if manifest else None,
        "problems": [asdict(problem) for problem in report.problems],
    }


def shown(file: Path) -> str:
    """A path as a person would type it here, and as GitHub finds it in the repository."""
    relative = os.path.relpath(file)
    return str(file) if relative.startswith("..") else relative


def _data(text: str) -> str:
    """Text of a workflow command, by GitHub's rules."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    """A property of a workflow command, by GitHub's rules."""
    return _data(text).replace(":", "%3A").replace(",", "%2C")
