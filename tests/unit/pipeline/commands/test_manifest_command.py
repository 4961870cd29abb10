"""``dmft manifest``: what a user types and what comes back."""

from __future__ import annotations

import importlib.resources
import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from cli import dmft
from pipeline.commands import manifest as command
from pipeline.manifests import load_manifest

PUBLISHED = Path(str(importlib.resources.files("data_manifests"))) / "utd-mhad.jsonl"


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """Twelve records of inertial and skeleton, one without its skeleton, and strays."""
    root = tmp_path / "raw"
    for folder, modality in (("Inertial", "inertial"), ("Skeleton", "skeleton")):
        (root / folder).mkdir(parents=True)
        for trial in range(1, 13):
            name = f"a1_s1_t{trial}_{modality}.mat"
            (root / folder / name).write_bytes(f"{folder}{trial}".encode())
            (root / folder / f"note{trial}.txt").write_text("stray")
    (root / "Skeleton" / "a1_s1_t4_skeleton.mat").unlink()
    return root


def run(*arguments: object) -> Result:
    return CliRunner().invoke(dmft, ["manifest", *map(str, arguments)])


def built(raw: Path) -> Path:
    output = raw.parent / "m.jsonl"
    assert run("build", "utd-mhad", raw, "-o", output).exit_code == 0
    return output


def test_build_writes_the_manifest_and_sums_up(raw: Path, tmp_path: Path) -> None:
    output = tmp_path / "m.jsonl"
    result = run("build", "utd-mhad", raw, "-o", output, "--jobs", 2)

    assert result.exit_code == 0, result.output
    found = load_manifest(output)
    assert len(found.records) == 12
    for part in (
        f"12 records of utd-mhad, sha256 {found.sha256}",
        "inertial       12 files",
        "skeleton       11 files",
        "no files of rgb, depth",
        "1 incomplete records:\n  a1_s1_t4 lacks skeleton",
        "24 ignored files:\n  Inertial/note1.txt: not a recording's name in utd-mhad",
        "and 14 more",
    ):
        assert part in result.stdout
    assert result.stderr == ""


def test_build_writes_over_a_file_only_when_told_to(raw: Path) -> None:
    output = built(raw)
    before = output.read_bytes()
    (raw / "Inertial" / "a1_s1_t12_inertial.mat").unlink()

    refused = run("build", "utd-mhad", raw, "-o", output)
    assert refused.exit_code == 2
    assert "m.jsonl exists" in refused.stderr
    assert output.read_bytes() == before
    assert run("build", "utd-mhad", raw, "-o", output, "--force").exit_code == 0
    assert output.read_bytes() != before


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("ntu", "."), "'ntu' is not one of mmact, pattern, table, utd-mhad"),
        (("utd-mhad", "absent"), "'absent' does not exist"),
        (("utd-mhad", "."), "absent is not a folder: make it first"),
    ],
)
def test_build_used_wrongly_exits_2(
    arguments: tuple[str, str], reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("build", *arguments, "-o", "absent/m.jsonl")

    assert result.exit_code == 2
    assert reason in " ".join(result.stderr.split())


def test_check_is_content_with_what_build_made(raw: Path) -> None:
    output = built(raw)
    for arguments in ((), ("--raw", raw), ("--raw", raw, "--against", output, "--jobs", 1)):
        result = run("check", output, *arguments)
        assert result.exit_code == 0, result.output
    assert "12 records, 12 of them in both manifests and in agreement, no problems" in result.output


def test_check_names_every_problem_and_exits_1(raw: Path) -> None:
    output = built(raw)
    (raw / "Inertial" / "a1_s1_t1_inertial.mat").unlink()
    (raw / "Inertial" / "a1_s1_t2_inertial.mat").write_bytes(b"other")
    (raw / "Skeleton" / "a1_s1_t4_skeleton.mat").write_bytes(b"new")
    result = run("check", output, "--raw", raw)

    assert result.exit_code == 1
    assert "missing: a1_s1_t1: Inertial/a1_s1_t1_inertial.mat is not in" in result.stdout
    assert "changed: a1_s1_t2: Inertial/a1_s1_t2_inertial.mat holds 5 bytes" in result.stdout
    assert "extra: Skeleton/a1_s1_t4_skeleton.mat: is a recording that no" in result.stdout
    assert "3 problems (1 changed, 1 extra, 1 missing)" in result.stderr


def test_check_answers_machines_in_json(raw: Path) -> None:
    output = built(raw)
    good = json.loads(run("check", output, "--json").stdout)
    assert good["ok"] is True
    assert good["n_records"] == 12
    assert good["sha256"] == load_manifest(output).sha256

    output.write_text(output.read_text().replace("Inertial/a1_s1_t1_", "../a1_s1_t1_"))
    result = run("check", output, "--json")
    bad = json.loads(result.stdout)
    assert result.exit_code == 1
    assert (bad["ok"], bad["n_records"]) == (False, None)
    assert [(p["kind"], p["where"]) for p in bad["problems"]] == [("escaping", "line 2")]


def test_check_against_a_published_manifest_names_what_differs(raw: Path) -> None:
    output = built(raw)
    result = run("check", output, "--against", "utd-mhad", "--json")

    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert report["n_compared"] == 4
    assert {p["kind"] for p in report["problems"]} == {"disagrees"}
    assert run("check", output, "--against", PUBLISHED).exit_code == 1


def test_check_used_wrongly_exits_2(raw: Path, tmp_path: Path) -> None:
    output = built(raw)
    damaged = tmp_path / "damaged.jsonl"
    damaged.write_text("{}")

    for arguments, reason in (
        ((tmp_path / "absent.jsonl",), "does not exist"),
        ((output, "--against", "ntu"), "--against ntu: no such file, and no manifest ships"),
        ((output, "--against", damaged), "is not a sound manifest"),
        ((output, "--raw", tmp_path / "absent"), "does not exist"),
    ):
        result = run("check", *arguments)
        assert result.exit_code == 2, result.output
        assert reason in result.stderr


def test_the_shipped_manifest_checks_out() -> None:
    result = run("check", PUBLISHED)

    assert result.exit_code == 0
    assert "861 records, as pinned, no problems" in result.output


BUILD = command.manifest.commands["build"]
assert isinstance(BUILD, click.Group)


@pytest.mark.parametrize(
    ("names", "params"),
    [
        (("check",), command.manifest.commands["check"].params),
        *((("build", name), made.params) for name, made in BUILD.commands.items()),
    ],
)
def test_every_option_says_what_it_does_and_its_default(
    names: tuple[str, ...], params: list[click.Parameter]
) -> None:
    for option in params:
        if option.param_type_name == "option":
            assert option.help  # type: ignore[attr-defined]
    text = run(*names, "--help").output
    assert text.count("[default: ") + text.count("[required]") >= 3


def test_another_tree_is_asked_about_and_not_listed_file_by_file(raw: Path, tmp_path: Path) -> None:
    output = built(raw)
    (tmp_path / "wrong").mkdir()
    result = run("check", output, "--raw", tmp_path / "wrong")
    assert result.exit_code == 1
    assert len(result.stdout.splitlines()) == 4
    assert "missing: ... and 20 more; --json lists all" in result.stdout
    assert "not one of its files is there: is this their tree?" in result.stderr
