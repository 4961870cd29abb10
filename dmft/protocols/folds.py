"""The folds of a protocol on the records of one cache."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from dmft.protocols.files import (
    EVERY_RECORD,
    NOT_GIVEN,
    ColumnFolds,
    FoldRule,
    GroupFolds,
    HoldOut,
    Protocol,
)
from dmft.protocols.group_folds import group_folds
from dmft.protocols.shared_files import shared_rows, shared_text
from pipeline.common.words import first_of, meant, text_of
from pipeline.contract import ConfigError, ContractError

if TYPE_CHECKING:
    from torch import Tensor

    from dmft.data import Cache

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fold:
    """A fold on the records of one cache."""

    name: str
    """Its name in the protocol."""
    rule: FoldRule
    """What selected the records."""
    train: Tensor
    """Shapes: (n,) int64, rows of the cache."""
    test: Tensor
    """Shapes: (n,) int64, rows of the cache."""
    split_hash: str = field(default="")
    """SHA-256 of the record identities on both sides."""
    shared: Mapping[str, int] = field(default_factory=dict)
    """Modality to the test records of which some raw file is a training record's too."""
    hidden: Mapping[str, Tensor] = field(default_factory=dict)
    """Modality to the test records that count as having none of it. Shapes: (n,) int64 each."""


def fold_rules(protocol: Protocol, cache: Cache) -> tuple[FoldRule, ...]:
    """Return the protocol's folds, those that a rule stands for spelt out for this cache.

    Raises:
        ContractError: the protocol is for another data set, or for a column the cache lacks.
    """
    hide = protocol.hide_shared
    rules = _rules(protocol, cache)
    return tuple(replace(rule, hide_shared=hide or rule.hide_shared) for rule in rules)


def _rules(protocol: Protocol, cache: Cache) -> tuple[FoldRule, ...]:
    """Return the protocol's folds, spelt out for this cache in numbers.

    Raises:
        ContractError: the protocol is for another data set, or for a column the cache lacks.
    """
    if protocol.dataset and protocol.dataset != cache.spec.dataset:
        raise ContractError(
            f"protocol {protocol.name} is for {protocol.dataset!r} and {cache.path} holds "
            f"{cache.spec.dataset!r}: choose another protocol, or write one in a TOML file"
        )
    if protocol.folds:
        return tuple(_in_numbers(rule, cache, protocol.name) for rule in protocol.folds)
    way = protocol.leave_one_out or protocol.group_folds or protocol.hold_out or protocol.column
    assert way is not None
    attribute = way.attribute
    column = _column(cache, attribute, protocol.name)
    values = sorted({int(value) for value in column} - {NOT_GIVEN})
    if len(values) < 2:
        raise ContractError(
            f"protocol {protocol.name} leaves one {attribute} out and {cache.path} has only "
            f"{values}: wanted at least two"
        )
    texts = _texts(cache, attribute)
    tests: list[tuple[str, tuple[int, ...]]]
    tests = [(_shown(value, texts), (value,)) for value in values]
    if isinstance(way, GroupFolds):
        if way.k > len(values):
            raise ContractError(
                f"protocol {protocol.name} wants {way.k} folds of whole {attribute}s and "
                f"{cache.path} has {len(values)}: wanted at most as many"
            )
        given = column != NOT_GIVEN
        labels = np.asarray(cache.labels)[given]
        made = group_folds(column[given], labels, way.k, stratified=way.stratified, seed=way.seed)
        tests = [(str(number), fold) for number, fold in enumerate(made, start=1)]
    elif isinstance(way, HoldOut):
        tests = [
            (
                "+".join(map(str, wanted)) if len(wanted) <= 4 else str(number),
                _numbers(wanted, attribute, cache, protocol.name),
            )
            for number, wanted in enumerate(way.test, start=1)
        ]
    elif isinstance(way, ColumnFolds) and {"train", "test"} <= set(texts):
        train, test = (texts.index(side) for side in ("train", "test"))
        return (FoldRule(name=attribute, train={attribute: (train,)}, test={attribute: (test,)}),)
    return tuple(
        FoldRule(
            name=f"{attribute}-{name}",
            train={attribute: tuple(value for value in values if value not in test)},
            test={attribute: test},
        )
        for name, test in tests
    )


def _texts(cache: Cache, attribute: str) -> list[str]:
    """What the numbers of an attribute stand for; none where they are numbers themselves."""
    description = cache.spec.provenance.get("description")
    values = description.get("values", {}) if isinstance(description, Mapping) else {}
    return [str(text) for text in values.get(attribute, ())]


def _shown(value: int, texts: list[str]) -> str:
    """A value in the name of a fold."""
    return re.sub(r"[^\w.+-]", "_", text_of(value, texts))[:60]


def _numbers(
    wanted: tuple[int | str, ...], attribute: str, cache: Cache, protocol: str
) -> tuple[int, ...]:
    """Values of an attribute as a cache has them."""
    texts = _texts(cache, attribute)
    for value in wanted:
        if isinstance(value, str) and value not in texts:
            raise ContractError(
                f"protocol {protocol} names {attribute} {value!r}: {cache.path} has "
                f"{first_of(texts, 12) or 'numbers there'}"
            )
    return tuple(texts.index(v) if isinstance(v, str) else v for v in wanted)


def _in_numbers(rule: FoldRule, cache: Cache, protocol: str) -> FoldRule:
    """A rule with the numbers for its texts."""
    sides = {
        side: {
            name: _numbers(values, name, cache, protocol)
            for name, values in getattr(rule, side).items()
        }
        for side in ("train", "test")
    }
    return replace(rule, train=sides["train"], test=sides["test"])


def every_record(cache: Cache) -> Fold:
    """All records of a cache to learn from, and none left to be measured on."""
    return make_fold(FoldRule(name=EVERY_RECORD, train={}, test={}), cache, EVERY_RECORD)


def choose_folds(protocol: Protocol, cache: Cache, which: str | None) -> tuple[Fold, ...]:
    """Return one fold by name or number, the first where None, every one where ``all``.

    Example::

        (fold,) = choose_folds(load_protocol("utd-loso"), cache, "subject-3")

    Raises:
        ConfigError: there is no such fold.
        ContractError: a fold cannot be made of this cache's records.
    """
    rules = fold_rules(protocol, cache)
    if which == "all":
        return tuple(_made(rule, cache, protocol.name, protocol.group) for rule in rules)
    names = [rule.name for rule in rules]
    if which is None:
        chosen = 0
    elif which in names:
        chosen = names.index(which)
    elif which.isdecimal() and int(which) < len(names):
        chosen = int(which)
    else:
        raise ConfigError(
            f"protocol {protocol.name} has no fold {which!r}{meant(which, names)}: wanted one of "
            f"{', '.join(names)}, a number from 0 to {len(names) - 1}, or all"
        )
    return (_made(rules[chosen], cache, protocol.name, protocol.group),)


def _check_groups(fold: Fold, cache: Cache, protocol: str, group: str) -> None:
    """Refuse a fold with a group on both sides."""
    if not group:
        return
    column = _column(cache, group, protocol)
    both = sorted(set(column[fold.train].tolist()) & set(column[fold.test].tolist()) - {NOT_GIVEN})
    if both:
        texts = _texts(cache, group)
        shown = ", ".join(_shown(value, texts) for value in both[:8])
        raise ContractError(
            f"protocol {protocol}, fold {fold.name}: {group} {shown} is on both sides, "
            f"{len(both)} in all, and no {group} may be"
        )


def _made(rule: FoldRule, cache: Cache, protocol: str, group: str = "") -> Fold:
    """Apply a rule, and warn of what makes its figures mean less than they seem to."""
    fold = make_fold(rule, cache, protocol)
    _check_groups(fold, cache, protocol, group)
    where = f"protocol {protocol}, fold {rule.name}"
    for side, wanted in (("train", rule.train), ("test", rule.test)):
        for attribute, values in wanted.items():
            present = set(_column(cache, attribute, protocol).tolist())
            if nobody := [value for value in values if value not in present]:
                log.warning(
                    "%s: the %s side names %s %s, which no record of %s has",
                    *(where, side, attribute, nobody, cache.path),
                )
    learnt, measured = (
        {cache.spec.classes[label] for label in cache.labels[rows].tolist()}
        for rows in (fold.train, fold.test)
    )
    if unseen := sorted(measured - learnt):
        log.warning(
            "%s: %d of the %d test classes are never trained on and cannot be recognised: %s",
            *(where, len(unseen), len(measured), ", ".join(unseen[:5])),
        )
    if fold.hidden:
        counts = ", ".join(f"{len(rows):,} of {name}" for name, rows in fold.hidden.items())
        log.warning("%s: hidden from test records, being trained on: %s", where, counts)
    if fold.shared:
        log.warning(
            "%s: %s: such figures say nothing of new recordings (--forbid-shared refuses them)",
            *(where, shared_text(fold)),
        )
    for side, classes in (("train", learnt), ("test", measured)):
        if len(classes) == 1 and len(cache.spec.classes) > 1:
            log.warning(
                "%s: the %s side has one class, %s: its figures say little",
                *(where, side, *classes),
            )
    return fold


def make_fold(rule: FoldRule, cache: Cache, protocol: str) -> Fold:
    """Apply a rule to the records of a cache.

    Raises:
        ContractError: a side is empty, a record is on both sides, or a column is unknown.
    """
    import torch

    rows: dict[str, np.ndarray] = {}
    for side, wanted in (("train", rule.train), ("test", rule.test)):
        chosen = np.ones(len(cache), dtype=bool)
        for attribute, values in wanted.items():
            chosen &= np.isin(_column(cache, attribute, protocol), values)
        if rule.is_every_record:
            chosen[:] = side == "train"
        elif not chosen.any():
            selected_by = ", ".join(f"{name} in {list(values)}" for name, values in wanted.items())
            raise ContractError(
                f"protocol {protocol}, fold {rule.name}: the {side} side "
                f"{selected_by} is empty, no record of {cache.path} fits it"
            )
        rows[side] = np.flatnonzero(chosen)
    both = np.intersect1d(rows["train"], rows["test"])
    if len(both):
        raise ContractError(
            f"protocol {protocol}, fold {rule.name}: {len(both)} record(s) are on both sides, "
            f"such as {cache.record_ids[both[0]]!r}. Make train and test disjoint."
        )
    digest = hashlib.sha256()
    for side in ("train", "test"):
        digest.update(f"{side}\n".encode())
        digest.update("\n".join(sorted(cache.record_ids[i] for i in rows[side])).encode())
    shared = shared_rows(cache, rows["train"], rows["test"])
    return Fold(
        name=rule.name,
        rule=rule,
        train=torch.from_numpy(rows["train"]),
        test=torch.from_numpy(rows["test"]),
        split_hash=digest.hexdigest(),
        shared={name: len(own) for name, own in shared.items() if not rule.hide_shared},
        hidden={n: torch.from_numpy(own) for n, own in shared.items() if rule.hide_shared},
    )


def _column(cache: Cache, attribute: str, protocol: str) -> np.ndarray:
    if attribute not in cache.columns:
        raise ContractError(
            f"protocol {protocol} selects by {attribute!r} and {cache.path} has the columns "
            f"{', '.join(cache.columns) or '(none)'}: use one of those"
        )
    return cache.columns[attribute]
