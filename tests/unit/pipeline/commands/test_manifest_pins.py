"""``dmft manifest lock`` and what ``check`` makes of it, for data that ship and a user's own."""

from __future__ import annotations

import importlib.resources
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli import dmft
from pipeline.manifests import save_manifest, shipped
from pipeline.manifests.model import Manifest
from pipeline.manifests.pins import PINS_FILE, pin_problems, read_pins
from tests.fabricate import manifest_of, write_raw

SHIPPED = shipped.shipped_folder()
ROOT = Path(__file__).resolve().parents[4]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(dmft, ["manifest", *map(str, arguments)])


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the data that ship, in the place of them; without MMAct's clips, to be quick."""
    folder = tmp_path / "data_manifests"
    shutil.copytree(SHIPPED, folder, ignore=shutil.ignore_patterns("__pycache__", "*-clips.csv"))
    monkeypatch.setattr(importlib.resources, "files", lambda _: folder)
    kept = (line for line in (folder / PINS_FILE).read_text().splitlines() if "clips" not in line)
    (folder / PINS_FILE).write_text("\n".join(kept) + "\n")
    return folder


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A user's manifest of three records."""
    raw = write_raw(tmp_path / "raw", [f"a1_s1_t{trial}" for trial in (1, 2, 3)], ("inertial",))
    made: Manifest = manifest_of(raw)
    save_manifest(made, tmp_path / "own.jsonl")
    return tmp_path / "own.jsonl"


def test_the_data_that_ship_are_what_was_pinned() -> None:
    done = run("check")
    assert done.exit_code == 0, f"{done.output}\nrun: dmft manifest lock --shipped"
    assert "mmact-clips.csv: 35117 records, as pinned, no problems" in done.stdout
    assert "utd-mhad.jsonl: 861 records, as pinned, no problems" in done.stdout


def test_make_check_and_pre_commit_hold_the_data_that_ship_against_their_pins() -> None:
    assert "\t$(BIN)/dmft manifest check\n" in (ROOT / "Makefile").read_text()
    assert "entry: .venv/bin/dmft manifest check," in (ROOT / ".pre-commit-config.yaml").read_text()


def test_a_frame_count_of_a_clip_that_changed_is_named_by_its_line() -> None:
    name, old, new = "mmact-clips.csv", b"1,1,1,1,carrying,268", b"1,1,1,1,carrying,269"
    content = (SHIPPED / name).read_bytes()
    assert content.count(old + b"\n") == 1
    pin = read_pins(SHIPPED / PINS_FILE)[name]
    first, whole = pin_problems(content.replace(old, new, 1), pin, "R")
    assert first.where == "line 2"
    assert first.message == "'1,1,1,1,carrying,269' is not what was pinned"
    assert whole.message.endswith("If the change is meant, run: R")


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("utd-mhad.jsonl", "7230e2a833", "7230e2a834"),
        ("published.toml", "93.97", "93.98"),
        ("configs/paper.toml", "\n", "\n\n"),
        ("protocols/utd-loso.toml", "subject", "trial"),
        ("experiments/table-1.toml", "name", "title"),
        ("motions/body.toml", "=", "= "),
    ],
)
def test_a_change_of_any_kind_of_data_that_ship_is_found_and_says_how_it_is_meant(
    copy: Path, file: str, old: str, new: str
) -> None:
    edit(copy / file, old, new)
    done = run("check")
    assert done.exit_code == 1
    assert f"{copy / file}: pinned: line " in done.stdout
    assert "If the change is meant, run: dmft manifest lock --shipped" in done.stdout
    if file == "utd-mhad.jsonl":
        assert "line 2: record a1_s1_t1 is not what was pinned" in done.stdout


def test_lock_pins_all_that_ships_anew_after_changes_and_merges(copy: Path) -> None:
    edit(copy / "configs/paper.toml", "\n", "\n\n")
    (copy / "configs/new.toml").write_text("[training]\n")
    (copy / "motions/mmact.toml").unlink()
    done = run("check")
    assert "new.toml: to pin it, run: dmft manifest lock --shipped" in done.stdout
    assert re.search(r"missing: line 1: \S+mmact.toml is pinned and cannot be read", done.stdout)
    done = run("lock", "--shipped")
    assert done.exit_code == 0, done.output
    deeds = {Path(line.split(": ")[0]).name: line for line in done.stdout.splitlines()[:3]}
    for name, deed in {"paper": "pinned anew", "new": "pinned", "mmact": "dropped"}.items():
        assert f": {deed} in " in deeds[f"{name}.toml"]
    assert run("check").exit_code == 0
    edit(copy / PINS_FILE, "# lines", "<<<<<<< HEAD\n# lines")
    assert "line 2 is '<<<<<<< HEAD'" in str(run("check").exception)
    assert run("lock", "--shipped").exit_code == 0
    assert run("check").exit_code == 0


def test_a_users_manifest_is_locked_and_every_later_change_found(own: Path) -> None:
    assert run("check", own).exit_code == 0
    unlocked = run("check", "--locked", own)
    assert (unlocked.exit_code, f"run: dmft manifest lock {own}" in unlocked.stdout) == (1, True)
    done = run("lock", own)
    assert done.exit_code == 0
    assert f"{own}: pinned in {own.parent / PINS_FILE}\nNext: git add " in done.stdout
    assert run("check", "--locked", own).stdout == f"{own}: 3 records, as pinned, no problems\n"
    again = run("lock", own)
    assert f"{own}: unchanged in " in again.stdout
    edit(own, '"label":0', '"label":1')
    changed = run("check", own)
    assert changed.exit_code == 1
    assert "line 2: record a1_s1_t1 is not what was pinned" in changed.stdout
    assert f"If the change is meant, run: dmft manifest lock {own}" in changed.stdout
    assert "pinned anew" in run("lock", own).stdout
    assert run("check", own).exit_code == 0


def test_pins_stand_for_all_the_files_that_they_list(own: Path) -> None:
    protocol = own.parent / "protocols" / "p.toml"
    protocol.parent.mkdir()
    protocol.write_text('name = "p"\n')
    other = shutil.copy(own, own.parent / "other.jsonl")
    pins = own.parent / PINS_FILE
    assert run("lock", own, other).exit_code == 0
    assert run("lock", protocol).stdout.startswith(f"{protocol}: pinned in {protocol.parent}")
    done = run("check", pins, protocol)
    assert "3 files, 3 of them pinned, no problems" in done.stdout
    Path(other).unlink()
    gone = run("check", pins)
    assert gone.exit_code == 1
    assert f"restore it, or run: dmft manifest lock {pins}" in gone.stdout
    assert "other.jsonl: dropped in " in run("lock", pins).stdout
    assert run("check", pins).exit_code == 0


def test_a_manifest_with_problems_is_not_locked(own: Path) -> None:
    edit(own, '"n_records":3', '"n_records":4')
    done = run("lock", own)
    assert "n_records is 4 and 3 record lines follow" in str(done.exception)
    assert not (own.parent / PINS_FILE).exists()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("lock",), "wanted a FILE to lock, or --shipped"),
        (("lock", "--shipped", "{own}"), "wanted a FILE to lock, or --shipped"),
        (("check", "--raw", "."), "take one FILE: 0 are named"),
    ],
)
def test_wrong_use_is_refused(own: Path, arguments: tuple[str, ...], reason: str) -> None:
    done = run(*(argument.format(own=own) for argument in arguments))
    assert (done.exit_code, reason in done.stderr) == (2, True)
    (own.parent / PINS_FILE).write_text("")
    assert "lists no file" in str(run("check", own.parent / PINS_FILE).exception)


def test_github_shows_each_problem_at_its_line(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(own.parent)
    run("lock", "own.jsonl")
    edit(own, '"label":0', '"label":7777')
    (own.parent / "raw/Inertial/a1_s1_t2_inertial.mat").unlink()
    done = run("check", "own.jsonl", "--raw", "raw", "--format", "github")
    assert done.exit_code == 1
    first, *others = done.stdout.splitlines()
    place = "::error file=own.jsonl,line=2,title=pinned (line 2)"
    assert first == f"{place}::record a1_s1_t1 is not what was pinned"
    assert any("label 7777" in line for line in others)
    edit(own, '"label":7777', '"label":0')
    done = run("check", "own.jsonl", "--raw", "raw", "--format", "github")
    assert done.stdout.startswith(
        "::error file=own.jsonl,line=3,title=missing (a1_s1_t2)::Inertial/a1_s1_t2_inertial.mat"
    )


def test_github_s_special_characters_are_escaped() -> None:
    from pipeline.commands.manifest_report import _data, _property

    assert _data("1 %\r\n: ,") == "1 %25%0D%0A: ,"
    assert _property("a:b,c%") == "a%3Ab%2Cc%25"


def test_machines_are_told_of_several_files_in_a_list(own: Path) -> None:
    run("lock", own)
    one = json.loads(run("check", own, "--json").stdout)
    assert (one["ok"], one["pinned"]) == (True, True)
    other = shutil.copy(own, own.parent / "other.jsonl")
    two = json.loads(run("check", own, own.parent / PINS_FILE, other, "--format", "json").stdout)
    found = [(report["file"], report["pinned"]) for report in two]
    assert found == [(str(own), True), (str(other), False)], "each file once"


def test_checking_needs_no_more_packages_than_the_workflow_installs(own: Path) -> None:
    run("lock", own)
    script = (
        "import importlib.metadata as m, sys, cli\n"
        f"cli.dmft(['manifest', 'check', '--locked', {str(own)!r}], standalone_mode=False)"
    )
    shown = f"import atexit, sys; atexit.register(lambda: print(*sys.modules))\n{script}"
    done = subprocess.run([sys.executable, "-c", shown], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert {"click", "pydantic"} <= loaded
    assert not loaded & {"torch", "numpy", "pandas", "zarr", "dask", "scipy", "jinja2", "av"}
