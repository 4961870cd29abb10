"""Folds inside a training side: some of its groups (people) are held out, the others learnt from.

What is chosen, calibrated or watched there has seen no test record. There is one such split for
``dmft tune``, ``dmft calibrate`` and the ``--validate`` of ``dmft train`` and ``dmft distill``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dmft.protocols.files import NOT_GIVEN, FoldRule, Protocol
from dmft.protocols.folds import Fold
from dmft.protocols.group_folds import group_folds
from pipeline.common.words import meant
from pipeline.contract import ConfigError, ContractError

if TYPE_CHECKING:
    from dmft.data import Cache


def group_attribute(protocol: Protocol, fold: Fold, cache: Cache) -> str:
    """What the protocol keeps apart: its group, what makes its folds, or what its test names.

    Raises:
        ConfigError: it does not say.
    """
    way = protocol.leave_one_out or protocol.group_folds or protocol.hold_out
    named = protocol.group or (way.attribute if way else "")
    if not named and len(fold.rule.test) == 1:
        (named,) = fold.rule.test
    if not named:
        raise ConfigError(
            f"protocol {protocol.name} does not say what must not be on both sides: name it with "
            f"--by, one of {', '.join(cache.columns)}"
        )
    return named


def inner_rules(fold: Fold, cache: Cache, by: str, k: int | None = None) -> list[FoldRule]:
    """Folds inside a fold's training side; of its test side not even a label is looked at.

    Args:
        fold: The fold.
        cache: Its records.
        by: The attribute whose values are held out whole, such as subject.
        k: Folds at most, classes spread over them as evenly as whole groups allow; None for one
            for each value.

    Raises:
        ConfigError: there is no such column.
        ContractError: the training side has one value of it alone.
    """
    if by not in cache.columns:
        raise ConfigError(
            f"{cache.path} has no column {by!r}{meant(by, cache.columns)}: wanted one of "
            f"{', '.join(cache.columns)}"
        )
    rows = fold.train.numpy()
    column = cache.columns[by][rows]
    values = sorted({int(value) for value in column} - {NOT_GIVEN})
    if len(values) < 2:
        raise ContractError(
            f"the training records of fold {fold.name} have {len(values)} value(s) of {by}: wanted "
            "at least two, one to be held out and one to learn from"
        )
    held_out: list[tuple[int, ...]] = [(value,) for value in values]
    if k is not None and k < len(values):
        given = column != NOT_GIVEN
        labels = cache.labels[fold.train].numpy()[given]
        held_out = group_folds(column[given], labels, k, stratified=True, seed=0)
    return [
        FoldRule(
            name=f"without-{by}-{_name(held, number)}",
            train={**fold.rule.train, by: tuple(v for v in values if v not in held)},
            test={**fold.rule.train, by: held},
            hide_shared=fold.rule.hide_shared,
        )
        for number, held in enumerate(held_out, start=1)
    ]


def _name(held: tuple[int, ...], number: int) -> str:
    return "+".join(map(str, held)) if len(held) <= 4 else f"group-{number}"
