"""Trial after trial: Optuna proposes, the objective answers, a database in the folder remembers.

What is proposed is a function of the seed and of the trials before, and a trial's figures are one
of its configuration. So neither an interruption nor the number of processes changes what is found.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import optuna
import pandas as pd
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
)
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.trial import FrozenTrial, TrialState
from torch import nn

from dmft.config import (
    Configuration,
    RunConfig,
    change_config,
    make_config,
    shipped_base,
)
from dmft.data import Cache
from dmft.data.counter_rng import derive_seed
from dmft.experiments.pool import Pool, each_said_once
from dmft.experiments.runner import RunCallback
from dmft.experiments.task import do_rows
from dmft.models.config import require
from dmft.models.own import find_own
from dmft.protocols import Protocol as Rules
from dmft.protocols import (
    choose_folds,
    every_record,
    group_attribute,
    inner_rules,
    load_protocol,
)
from dmft.runs.folder import refuse_occupied
from dmft.runs.spec import KINDS
from dmft.training.device import resolve_device
from dmft.training.final import ON
from dmft.tuning.found import Tuning
from dmft.tuning.objective import Question, Worth, inner_protocol, worth_of
from dmft.tuning.space import Space, read_space
from dmft.tuning.teachers import refuse_shared, teacher_settings
from pipeline.common.files import held
from pipeline.common.settings import difference, flatten, to_table
from pipeline.contract import ConfigError, ContractError

STUDY_FILE, TRAININGS = "study.db", "trainings"
STUDY = "dmft"
SCORES, WHY_NOT, ASKED = "scores", "why_not", "asked"
"""What is noted of a trial, and of the study."""
N_HELD_OUT = 4
"""Folds inside a training side, where it has as many people."""


class TuneCallback(RunCallback, Protocol):
    """What a caller is told: how trainings go, and how trials went."""

    def trials(self, done: int, total: int) -> None:
        """So many trials are done, of so many."""

    def trial(self, number: int, params: Mapping[str, Any], worth: Worth, best: float) -> None:
        """A trial has ended."""


def tune(
    cache: Cache,
    protocol: str | Rules,
    space: str | Path | Mapping[str, Any],
    out: str | Path,
    *,
    kind: str = "teacher",
    model: str | type[nn.Module] | None = None,
    teacher: Configuration | None = None,
    config: Configuration | None = None,
    base: str | None = None,
    fold: str | None = None,
    on: str = "folds",
    by: str = "",
    n_held_out: int = N_HELD_OUT,
    trials: int = 30,
    seed: int = 0,
    device: str = "auto",
    n_workers: int = 0,
    trust: bool = False,
    callback: TuneCallback | None = None,
) -> Tuning:
    """Choose settings by people who are left out inside the training side of a fold.

    Every trial is trained once without each of up to ``n_held_out`` groups of the training people
    and measured on those. No test record is in a training, a figure or a choice. Called again it
    goes on where it was stopped, or adds trials.

    Example::

        space = {"training.learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}}
        found = tune(open_cache("raw.zarr"), "utd-loso", space, "tuned", trials=20)
        train(cache, "utd-loso", "teacher", config=found.config)

    Args:
        cache: The features, whole: it is opened again by its path where rows are trained.
        protocol: A shipped protocol's name, a file, or a protocol.
        space: A file of settings and their ranges, or such a table.
        out: Folder of the search.
        kind: ``teacher``, ``student`` or ``distilled``.
        model: A network of your own in its place.
        teacher: Of a distilled student: what its teachers are, a configuration or a run whose
            settings are taken. They are trained anew, once without each group that is held out.
        config: What the search begins with; a table of changes is laid over ``default``, or over
            the teacher's.
        base: The shipped configuration that ``config.toml`` is to stand on; by default that of
            ``config``.
        fold: One fold's name, or None for the first.
        on: ``folds``, or ``all`` to choose by every record, for a model that is trained on them.
        by: Attribute whose values are held out whole; by default what the protocol keeps apart.
        n_held_out: Folds inside the training side, at most as many as there are values.
        trials: How many are to be done in all.
        seed: Of every training, and of what is proposed.
        device: ``auto``, ``cpu`` or ``cuda``.
        n_workers: Processes that train a trial's folds; 0 for this one alone.
        trust: Use a cache that nothing vouches for.
        callback: Told how it goes.

    Raises:
        ConfigError: the space, the protocol or the fold cannot be used.
        ContractError: the folder holds another search, or no trial could be trained.
    """
    folder, rules = Path(out), load_protocol(protocol) if isinstance(protocol, str) else protocol
    require(kind in KINDS, "kind", kind, ", ".join(KINDS))
    wanted = "the teachers' configuration for kind 'distilled', and None for the others"
    require((kind == "distilled") == (teacher is not None), "teacher", teacher, wanted)
    require(on in ON, "on", on, " or ".join(ON))
    require(trials >= 1, "trials", trials, "a positive number")
    require(n_held_out >= 2, "n_held_out", n_held_out, "at least 2")
    if cache.is_selection:
        raise ConfigError(
            f"{cache!r} is a selection, and rows are trained on a cache of its own: make one with "
            "'dmft cache subset'"
        )
    chosen = every_record(cache) if on == "all" else choose_folds(rules, cache, fold)[0]
    taught_by = None
    if teacher is not None:
        taught_by = teacher_settings(teacher, chosen.name, cache.modalities)
    start = make_config(config, None if taught_by is None else taught_by.config)
    ranges, network = read_space(space, start), find_own(model)
    if taught_by is not None:
        refuse_shared(ranges)
    inside = inner_rules(chosen, cache, by or group_attribute(rules, chosen, cache), n_held_out)
    question = Question(
        cache=cache,
        protocol=rules,
        fold=chosen,
        inner=choose_folds(inner_protocol(rules, chosen, inside), cache, "all"),
        modalities=cache.modalities,
        kind=kind,
        network=network,
        teacher=taught_by,
        seed=seed,
        device=resolve_device(device).type,
    )
    _claim(folder)
    refusal = ContractError(f"{folder} is in use: another search is writing to it. Wait for it.")
    with held(folder / ".lock", refusal), contextlib.ExitStack() as open_now:
        study = _study(folder, _asked(question, ranges, start))
        open_now.enter_context(each_said_once())
        pool = None
        if n_workers > 1:
            pool = open_now.enter_context(Pool(min(n_workers, len(question.inner)), do_rows))

        def worth(settings: RunConfig, recipe: str) -> Worth:
            rows, trainings = question.rows(settings, recipe), folder / TRAININGS
            return worth_of(rows, cache.path, trainings, pool=pool, trust=trust, callback=callback)

        if callback is not None:
            callback.trials(len(_told(study)), trials)
        before = worth(start, "before")
        if before.why_not:
            raise ContractError(f"the configuration to begin with cannot be used: {before.why_not}")
        _begin_with(study, ranges, start)
        while len(told := _told(study)) < trials:
            trial = _propose(study, ranges, derive_seed(seed, len(told), "tune"))
            params = dict(trial.params)
            try:
                found = worth(change_config(start, params), f"trial {len(told)}")
            except ConfigError as error:
                found = Worth(scores={}, why_not=str(error))
            _tell(study, trial, found)
            if callback is not None:
                callback.trial(len(told), params, found, max(before.mean, _best_value(study)))
        made = _found(study, question, folder, start, before)
        made.write(base or shipped_base(config if isinstance(config, str | Path) else "default"))
    return made


def _claim(folder: Path) -> None:
    """Make the folder a search's, where it is not one already."""
    if not (folder / STUDY_FILE).exists() and not (folder / ".lock").exists():
        refuse_occupied(folder)
        folder.mkdir(parents=True, exist_ok=True)


def _asked(question: Question, ranges: Space, start: RunConfig) -> dict[str, Any]:
    """All that decides what a search finds, but for how many trials there are."""
    taught_by = question.teacher
    return flatten(
        {
            "protocol": to_table(question.protocol),
            "fold": question.fold.name,
            "split": question.fold.split_hash,
            "inner": {fold.name: fold.split_hash for fold in question.inner},
            "cache": question.cache.spec.fingerprint,
            "modalities": list(question.modalities),
            "model": question.kind,
            "network": None if question.network is None else to_table(question.network),
            "seed": question.seed,
            "device": question.device,
            "config": to_table(start),
            "space": {key: distribution_to_json(each) for key, each in ranges.items()},
            **({} if taught_by is None else {"taught_by": to_table(taught_by)}),
        }
    )


def _study(folder: Path, asked: Mapping[str, Any]) -> optuna.Study:
    """Open the folder's search, or begin one.

    Raises:
        ContractError: it is one of something else.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    path = (folder / STUDY_FILE).resolve()
    study = optuna.create_study(
        storage=f"sqlite:///{path}", study_name=STUDY, direction="maximize", load_if_exists=True
    )
    present = study.user_attrs.get(ASKED)
    if present is None:
        study.set_user_attr(ASKED, dict(asked))
    elif present != (wanted := _as_json(asked)):
        raise ContractError(
            f"{folder} holds another search: {difference(present, wanted)}. Choose another folder."
        )
    for trial in study.get_trials(deepcopy=False):  # killed between its proposal and its figures
        if trial.state == TrialState.RUNNING and not _is_whole(trial, asked):
            study.tell(trial.number, state=TrialState.FAIL)
    return study


def _as_json(table: Mapping[str, Any]) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(json.dumps(table))
    return read


def _is_whole(trial: FrozenTrial, asked: Mapping[str, Any]) -> bool:
    """Whether all of what was proposed had been noted."""
    wanted = {key.removeprefix("space.") for key in asked if key.startswith("space.")}
    return trial.params.keys() == wanted


def _told(study: optuna.Study) -> list[FrozenTrial]:
    """Trials that have a figure, or a reason for none."""
    return [t for t in study.get_trials(deepcopy=False) if SCORES in t.user_attrs and _ended(t)]


def _ended(trial: FrozenTrial) -> bool:
    return trial.state in (TrialState.COMPLETE, TrialState.FAIL)


def _begin_with(study: optuna.Study, ranges: Space, start: RunConfig) -> None:
    """Let the first trial be what was there before, where the space has it."""
    settings = flatten(to_table(start))
    params = {key: settings.get(key) for key in ranges}
    if all(_holds(ranges[key], value) for key, value in params.items()):
        study.enqueue_trial(params, skip_if_exists=True)


def _holds(values: BaseDistribution, value: Any) -> bool:
    if isinstance(values, CategoricalDistribution):
        return value in values.choices
    assert isinstance(values, IntDistribution | FloatDistribution)
    if value is None or not values.low <= value <= values.high:
        return False
    return values.step is None or ((value - values.low) / values.step).is_integer()


def _propose(study: optuna.Study, ranges: Space, seed: int) -> optuna.Trial:
    """The next trial: one that was killed, or a new one."""
    for killed in study.get_trials(deepcopy=False, states=[TrialState.RUNNING]):
        return optuna.Trial(study, killed._trial_id)
    study.sampler = optuna.samplers.TPESampler(seed=seed % 2**32)
    return study.ask(ranges)


def _tell(study: optuna.Study, trial: optuna.Trial, worth: Worth) -> None:
    """Note its figures; first what they are made of, so that an ended trial is a whole one."""
    trial.set_user_attr(SCORES, dict(worth.scores))
    if worth.why_not:
        trial.set_user_attr(WHY_NOT, worth.why_not)
        study.tell(trial, state=TrialState.FAIL)
    else:
        study.tell(trial, worth.mean)


def _best_value(study: optuna.Study) -> float:
    values = [t.value for t in _told(study) if t.value is not None]
    return max(values, default=float("-inf"))


def _found(
    study: optuna.Study, question: Question, folder: Path, start: RunConfig, before: Worth
) -> Tuning:
    """What the trials come to."""
    told = _told(study)
    finished = [trial for trial in told if trial.value is not None]
    best = max(finished, key=lambda trial: (trial.value, -trial.number), default=None)
    better = best is not None and best.value is not None and best.value > before.mean
    config = change_config(start, best.params) if best is not None and better else start
    rows = [
        {
            "trial": number,
            "value": trial.value,
            **trial.params,
            **trial.user_attrs[SCORES],
            "failed": trial.user_attrs.get(WHY_NOT, ""),
        }
        for number, trial in enumerate(told)
    ]
    settings = flatten(to_table(config))
    keys = list(told[0].params) if told else []
    return Tuning(
        config=config,
        folder=folder,
        protocol=question.protocol.name,
        fold=question.fold.name,
        metric=question.protocol.metric,
        held_out=tuple(fold.name for fold in question.inner),
        before=before.scores,
        best=best.user_attrs[SCORES] if best is not None and better else before.scores,
        best_trial=told.index(best) if best is not None and better else None,
        importance=_importance(study, len(finished)),
        chosen={key: settings.get(key) for key in keys},
        trials=pd.DataFrame(rows).set_index("trial"),
    )


def _importance(study: optuna.Study, n_finished: int) -> dict[str, float]:
    """PED-ANOVA: how much each setting tells the best trials from the others."""
    values = {trial.value for trial in _told(study)}
    if n_finished < 4 or len(values) < 2:
        return {}
    evaluator = PedAnovaImportanceEvaluator(target_quantile=0.25)
    return dict(get_param_importances(study, evaluator=evaluator))
