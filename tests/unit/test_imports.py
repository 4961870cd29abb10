"""The import contracts are complete: a new room is on their lists before it is built on."""

from __future__ import annotations

import pkgutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import dmft
import pipeline

ROOT = Path(__file__).resolve().parents[2]
OPEN_TO_THE_TRAINER = {"pipeline.contract", "pipeline.common"}
MAY_IMPORT_RECOGNISING = {"dmft.commands", "dmft.notebook", "dmft.recognise"}


def contracts() -> dict[str, dict[str, list[str]]]:
    """The linter's contracts by their names."""
    table = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return {c["name"]: c for c in table["tool"]["importlinter"]["contracts"]}


def children(package: object) -> set[str]:
    name, path = package.__name__, package.__path__  # type: ignore[attr-defined]
    return {f"{name}.{module.name}" for module in pkgutil.iter_modules(path)}


def test_every_child_of_the_encoder_is_forbidden_to_the_trainer_or_shared_with_it():
    listed = set(
        contracts()["The trainer knows the encoder by its contract and what both share"][
            "forbidden_modules"
        ]
    )
    assert listed - {"cli"} == children(pipeline) - OPEN_TO_THE_TRAINER


def test_what_both_share_may_import_no_room_of_the_encoder():
    listed = set(contracts()["What both share knows neither program"]["forbidden_modules"])
    assert listed == children(pipeline) - OPEN_TO_THE_TRAINER


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        (
            "A cache knows neither who fills it nor what it is filled from",
            OPEN_TO_THE_TRAINER | {"pipeline.datasets", "pipeline.manifests", "pipeline.raw"},
        ),
        ("Raw files and signals stand on the contract alone", {"pipeline.contract"}),
    ],
)
def test_rooms_below_the_encode_may_import_what_is_named_and_nothing_else(
    name: str, allowed: set[str]
):
    contract = contracts()[name]
    listed = {*contract["source_modules"], *contract["forbidden_modules"]}
    assert listed == children(pipeline) - allowed


def test_every_child_of_the_trainer_but_its_commands_may_not_import_recognising():
    contract = contracts()[
        "Nothing in the trainer imports recognising but its command and notebooks"
    ]
    assert set(contract["source_modules"]) == children(dmft) - MAY_IMPORT_RECOGNISING


@pytest.mark.parametrize("room", sorted(children(pipeline) - OPEN_TO_THE_TRAINER))
def test_the_linter_refuses_each_room_of_the_encoder_in_the_trainer(room: str, tmp_path: Path):
    (tmp_path / "dmft").mkdir()
    (tmp_path / "dmft" / "__init__.py").touch()
    (tmp_path / "dmft" / "metrics.py").write_text(f"import {room}\n")
    for child in children(pipeline):
        folder = tmp_path / Path(*child.split("."))
        folder.mkdir(parents=True)
        (folder / "__init__.py").touch()
    (tmp_path / "pipeline" / "__init__.py").touch()
    (tmp_path / "cli.py").touch()
    name = "The trainer knows the encoder by its contract and what both share"
    forbidden = contracts()[name]["forbidden_modules"]
    (tmp_path / ".importlinter").write_text(
        "[importlinter]\nroot_packages =\n  pipeline\n  dmft\ninclude_external_packages = True\n"
        "[importlinter:contract:1]\nname = guard\ntype = forbidden\nsource_modules = dmft\n"
        "forbidden_modules =\n" + "".join(f"  {module}\n" for module in forbidden)
    )
    run = "import sys; from importlinter.cli import lint_imports_command as c; c()"
    done = subprocess.run(
        [sys.executable, "-c", run], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"dmft.metrics -> {room}" in done.stdout
