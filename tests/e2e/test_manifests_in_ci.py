"""The workflow and the hook that users copy do what the page says of them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pipeline.manifests import save_manifest
from pipeline.manifests.lock import lock_files
from tests.fabricate import manifest_of, write_raw

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/how-to/check-manifests-in-ci.md"
WORKFLOW = ROOT / "docs/how-to/check-manifests/github-workflow.yml"
HOOK = ROOT / "docs/how-to/check-manifests/pre-commit-config.yaml"
INSTALLS = "pip install"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    binaries = Path(sys.executable).parent
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("GIT_")},
        "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "PRE_COMMIT_HOME": str(tmp_path / "pre-commit"),
        "HOME": str(tmp_path),
    }


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """One with a manifest of three records, locked."""
    folder = tmp_path / "repository"
    (folder / "manifests").mkdir(parents=True)
    raw = write_raw(tmp_path / "raw", [f"a1_s1_t{trial}" for trial in (1, 2, 3)], ("inertial",))
    save_manifest(manifest_of(raw), folder / "manifests/lab.jsonl")
    lock_files([folder / "manifests/lab.jsonl"])
    return folder


def change(repository: Path) -> None:
    path = repository / "manifests/lab.jsonl"
    path.write_text(path.read_text().replace('"trial":2', '"trial":4'))


def forget_to_lock(repository: Path) -> None:
    shutil.copy(repository / "manifests/lab.jsonl", repository / "manifests/new.jsonl")


def steps(repository: Path, environment: dict[str, str]) -> list[tuple[int, str]]:
    """Exit code and output of each step of the workflow that is a command, as GitHub runs them."""
    (job,) = yaml.safe_load(WORKFLOW.read_text())["jobs"].values()
    commands = [step["run"] for step in job["steps"] if "run" in step]
    assert [INSTALLS in command for command in commands] == [True, False, False]
    done = []
    for command in commands[1:]:
        shell = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", command]
        ran = subprocess.run(
            shell, cwd=repository, env=environment, capture_output=True, text=True, check=False
        )
        done.append((ran.returncode, ran.stdout))
    return done


def test_the_workflow_passes_what_was_locked_and_annotates_what_was_not(
    repository: Path, environment: dict[str, str]
) -> None:
    assert [code for code, _ in steps(repository, environment)] == [0, 0]
    change(repository)
    forget_to_lock(repository)
    (pinned, output), (all_of_them, forgotten) = steps(repository, environment)
    assert (pinned, all_of_them) == (1, 1)
    line = "::error file=manifests/lab.jsonl,line=3,title=pinned (line 3)::record a1_s1_t2 is not"
    assert output.startswith(line)
    assert re.search(r"::error file=manifests/new.jsonl,line=1,.*dmft manifest lock", forgotten)


def test_the_hook_lets_through_what_was_locked_alone(
    repository: Path, environment: dict[str, str]
) -> None:
    pytest.importorskip("pre_commit", reason="pre-commit is not installed")

    def ran(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=repository, env=environment, capture_output=True, text=True, check=False
        )

    shutil.copy(HOOK, repository / ".pre-commit-config.yaml")
    ran("git", "init", "-q")
    ran("git", "add", "-A")
    passed = ran(sys.executable, "-m", "pre_commit", "run")
    assert passed.returncode == 0, passed.stdout + passed.stderr
    assert "manifests are what was locked" in passed.stdout
    assert "Skipped" not in passed.stdout
    change(repository)
    ran("git", "add", "-A")
    refused = ran(sys.executable, "-m", "pre_commit", "run")
    assert refused.returncode == 1
    assert "line 3: record a1_s1_t2 is not what was pinned" in refused.stdout


@pytest.mark.parametrize("file", [WORKFLOW, HOOK], ids=lambda file: file.name)
def test_the_page_shows_the_files_that_are_run(file: Path) -> None:
    assert f"```yaml\n{file.read_text()}```\n" in PAGE.read_text()
