"""A model on every record: the one to use, once a run of all folds has said what to expect of it.

Nothing is left to measure it on. The figures of the run by folds, which must be of the very same
settings, are noted beside it and stand on its card; they are not its own.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from dmft.evaluation.averages import mean_of_folds
from dmft.evaluation.metrics import read_metrics
from dmft.runs.folder import FOLDS_FILE, METRICS_FILE, fold_folders, read_info
from dmft.runs.spec import RunSpec
from pipeline.contract import ConfigError

ON = ("folds", "all")
PER_FOLD = ("fold", "split_hash", "n_train", "n_test", "seed", "teachers", "shuffle_buffer")
"""What may differ between a model on every record and those of the folds."""


def expected_figures(spec: RunSpec, run: str | Path) -> Mapping[str, float]:
    """What a run of all folds measured, for a model that is trained on every record.

    Raises:
        ConfigError: it is of one fold, or of other settings.
    """
    folder = Path(run)
    if not (folder / FOLDS_FILE).exists():
        raise ConfigError(
            f"{folder} is not a run of all folds: wanted one of the same settings, made with "
            "--fold all"
        )
    measured = []
    for each in fold_folders(folder):
        found = read_info(each).spec
        like = {name: getattr(spec, name) for name in PER_FOLD}
        if found.validation is not None and spec.validation is not None:
            ours = spec.validation
            like["validation"] = dataclasses.replace(
                found.validation, rule=ours.rule, split_hash=ours.split_hash
            )
        if (moved := dataclasses.replace(found, **like)) != spec:
            raise ConfigError(
                f"{folder} has other settings than the model on every record: "
                f"{moved.difference_from(spec)}"
            )
        measured.append(read_metrics(each / METRICS_FILE, spec.classes))
    mean = mean_of_folds(measured)
    return {
        "n_folds": mean.n_folds,
        "n_records": mean.n_records,
        "accuracy": mean.accuracy,
        "accuracy_spread": mean.accuracy_spread,
        "macro_f1": mean.macro_f1,
    }
