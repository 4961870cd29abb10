"""A run folder: its files by name, claiming it for a run, and reading what it says of itself.

    run.json           what the run is: what decides it, where it comes from, what came of it
    model.safetensors  weights and the training fold's standardizers
    epochs.jsonl       one line an epoch          metrics.json      figures on the test fold
    checkpoint.safetensors  only while training   predictions.json  the votes behind them
    robustness.json    figures with failing modalities, where they were measured
    calibration.json   how sure is sure enough, and held-out.json what that was learnt from
    stages.json        where the time of training went

A run of several folds is a folder of such folders, ``fold-NAME``, with a ``folds.json``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from dmft.runs.files import read_json, write_json
from dmft.runs.spec import RunInfo
from pipeline.common.files import sweep_partial
from pipeline.common.settings import parse_table, to_table
from pipeline.contract import ConfigError, ContractError, check_path_name

RUN_FORMAT = "dmft-run"
RUN_VERSION = 2
RUN_FILE, FOLDS_FILE, MODEL_FILE = "run.json", "folds.json", "model.safetensors"
CHECKPOINT_FILE, EPOCHS_FILE = "checkpoint.safetensors", "epochs.jsonl"
METRICS_FILE, PREDICTIONS_FILE = "metrics.json", "predictions.json"
ROBUSTNESS_FILE = "robustness.json"
CALIBRATION_FILE, HELD_OUT_FILE = "calibration.json", "held-out.json"
STAGES_FILE = "stages.json"
MOST_PROBLEMS = 4
"""Lines that are said of a damaged file; one of an older version has a problem in every figure."""

Kept = TypeVar("Kept")


def read_kept(
    folder: Path, info: RunInfo, name: str, kind: type[Kept], *, command: str, verb: str
) -> Kept | None:
    """What a command wrote into a run's folder about its weights; None where there is nothing.

    Args:
        folder: Of one fold.
        info: What the run is.
        name: The file, which says the weights' ``model_sha256``.
        kind: What it holds.
        command: Who writes it, such as ``robustness``.
        verb: What that does, such as ``measure``.

    Raises:
        ContractError: the file is damaged, or of another run.
    """
    path = folder / name
    if not path.exists():
        return None
    mend = f"{verb} again with 'dmft {command} {folder}', or remove it"
    table = read_json(path, f"what 'dmft {command}' found")
    if table.get("model_sha256") != info.finished.model_sha256:
        raise ContractError(
            f"{path} is of weights {str(table.get('model_sha256'))[:12]!r}, wanted "
            f"{info.finished.model_sha256[:12]!r}: {mend}"
        )
    try:
        return parse_table(kind, table, where=str(path))
    except ConfigError as error:
        lines = str(error).splitlines()
        if len(lines) > MOST_PROBLEMS:
            lines[MOST_PROBLEMS:] = [f"  and {len(lines) - MOST_PROBLEMS} more"]
        text = "\n".join(lines)
        raise ContractError(f"{text}\nIt is damaged: {mend}") from error


def write_info(folder: Path, info: RunInfo) -> None:
    """Write ``run.json``."""
    head = {"format": RUN_FORMAT, "version": RUN_VERSION, "identity": info.spec.identity}
    write_json(folder / RUN_FILE, head | to_table(info))


def read_info(folder: Path) -> RunInfo:
    """Read ``run.json`` of one fold's folder.

    Raises:
        ContractError: it is not a run folder, of another version, or not what was written.
    """
    path = folder / RUN_FILE

    def check(table: Mapping[str, Any]) -> None:
        if table.get("format") != RUN_FORMAT:
            raise ContractError(f"{path} does not describe a run: wanted '{RUN_FORMAT}'")
        if table.get("version") != RUN_VERSION:
            raise ContractError(
                f"{folder} has run version {table.get('version')!r}; this software reads "
                f"{RUN_VERSION}. Train again, or install the version that wrote it."
            )

    table = read_json(path, "a run folder that 'dmft train' wrote", check)
    for key in ("format", "version", "identity"):
        table.pop(key, None)
    return parse_table(RunInfo, table, where=str(path))


def claim(folder: Path, info: RunInfo) -> RunInfo:
    """Make a folder the run's own, where it is not that already; return what it says.

    Raises:
        ContractError: the folder holds something else.
    """
    sweep_partial(folder)
    if (folder / RUN_FILE).exists():
        present = read_info(folder)
        if present.spec.identity != info.spec.identity:
            difference = present.spec.difference_from(info.spec)
            raise ContractError(f"{folder} holds another run: {difference}. Choose another folder.")
        return present
    refuse_occupied(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_info(folder, info)
    return info


def claim_folds(folder: Path, names: Sequence[str]) -> list[Path]:
    """Make a folder that of a run of several folds; return the folder of each.

    Raises:
        ContractError: the folder holds something else.
    """
    sweep_partial(folder)
    if (folder / FOLDS_FILE).exists():
        present = read_json(folder / FOLDS_FILE, "a list of folds").get("folds")
        if present != list(names):
            raise ContractError(
                f"{folder} holds the folds {present}, wanted {list(names)}: choose another folder"
            )
    else:
        refuse_occupied(folder)
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / FOLDS_FILE, {"folds": list(names)})
    return [folder / f"fold-{name}" for name in names]


def refuse_occupied(folder: Path) -> None:
    """Refuse a folder that holds anything that is not the run in question.

    Raises:
        ContractError: it is a file, or a folder with something in it.
    """
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise ContractError(
            f"{folder} exists and does not hold this run: choose another folder, or remove it"
        )


def is_run(folder: Path) -> bool:
    """Whether it is the folder of a run, of one fold or of several."""
    return (folder / RUN_FILE).exists() or (folder / FOLDS_FILE).exists()


def fold_folders(folder: Path) -> tuple[Path, ...]:
    """Return the folder of each fold: itself, where it is one run.

    Raises:
        ContractError: it is neither a run nor a folder of folds.
    """
    if (folder / RUN_FILE).exists():
        return (folder,)
    wanted = f"a run folder that 'dmft train' wrote, with a {RUN_FILE} or a {FOLDS_FILE}"
    if not (folder / FOLDS_FILE).exists():
        raise ContractError(f"{folder} is not a run: wanted {wanted}")
    names = read_json(folder / FOLDS_FILE, wanted).get("folds", [])
    return tuple(folder / f"fold-{check_path_name(name, 'fold')}" for name in names)
