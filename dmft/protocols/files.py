"""What a protocol file may say: rules from records to folds, and the figure that is quoted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.common.settings import parse_table, read_toml
from pipeline.contract import ConfigError, ContractError, check_path_name

METRICS = ("accuracy", "macro_f1")
EVERY_RECORD = "all"
"""Name of the fold that is none: all records to learn from, and none left to be measured on."""
NOT_GIVEN = -1
"""Stands in a column for a record without the attribute; it is in no fold of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldRule:
    """One train/test split as a rule."""

    name: str
    """Unique in its protocol; names the fold's folder."""
    train: Mapping[str, tuple[int | str, ...]]
    """Records to learn from: attribute to the values that it may have, all of which must fit. In a
    file texts too, of an attribute that was texts; of a cache numbers alone."""
    test: Mapping[str, tuple[int | str, ...]]
    """Records to be measured on, likewise."""
    hide_shared: bool = False
    """Take a modality from the test records whose raw file of it a training record has too."""

    def __post_init__(self) -> None:
        try:
            check_path_name(self.name, "fold")
        except ContractError as error:
            raise ConfigError(str(error)) from error
        if self.is_every_record:
            return
        for side in ("train", "test"):
            rule = getattr(self, side)
            if not rule or not all(rule.values()):
                raise ConfigError(f"{side} is {dict(rule)!r}: wanted values of an attribute")

    @property
    def is_every_record(self) -> bool:
        """Whether it leaves nobody out."""
        return self.name == EVERY_RECORD and not self.train and not self.test


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaveOneOut:
    """One fold for every value of an attribute."""

    attribute: str
    """Column of the cache, such as subject."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupFolds:
    """Some folds of whole groups: every value of an attribute is in the test of one of them."""

    attribute: str
    """Column of the cache, such as subject."""
    k: int
    """How many folds."""
    stratified: bool = True
    """Whether classes are spread over the folds as evenly as whole groups allow."""
    seed: int = 0
    """Lays groups that are alike out otherwise."""

    def __post_init__(self) -> None:
        if self.k < 2:
            raise ConfigError(f"k is {self.k}: wanted at least 2 folds")


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldOut:
    """A fold for each list of values, which are tested on; all others are for training."""

    attribute: str
    """Column of the cache, such as subject."""
    test: tuple[tuple[int | str, ...], ...]
    """Lists of values, of an attribute of texts as texts."""

    def __post_init__(self) -> None:
        if not self.test or not all(self.test):
            raise ConfigError(f"test is {[list(v) for v in self.test]}: wanted lists of values")


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnFolds:
    """Folds as a column of the table of trials has them.

    ``train`` and ``test`` in it make one fold; any other values one each, which is tested on.
    """

    attribute: str
    """The column, such as fold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """A protocol file."""

    name: str
    """Such as utd-50-50."""
    dataset: str = ""
    """Data set that it is meant for; empty for any."""
    metric: str = "accuracy"
    """The figure that is quoted: accuracy or macro_f1."""
    description: str = ""
    """For people."""
    folds: tuple[FoldRule, ...] = ()
    """The folds, or none and one of those below."""
    leave_one_out: LeaveOneOut | None = None
    """Instead of ``folds``: every value of an attribute is one."""
    group_folds: GroupFolds | None = None
    """Instead of ``folds``: some, of whole groups."""
    hold_out: HoldOut | None = None
    """Instead of ``folds``: one for each list of test values."""
    column: ColumnFolds | None = None
    """Instead of ``folds``: as a column says."""
    group: str = ""
    """An attribute of which no value may be on both sides of a fold, such as subject."""
    hide_shared: bool = False
    """Take a modality from the test records whose raw file of it a training record has too, as
    when one sensor recording goes with the films of four cameras."""

    def __post_init__(self) -> None:
        if self.metric not in METRICS:
            raise ConfigError(f"metric is {self.metric!r}: wanted accuracy or macro_f1")
        ways = ("folds", "leave_one_out", "group_folds", "hold_out", "column")
        if len(chosen := [way for way in ways if getattr(self, way)]) != 1:
            raise ConfigError(
                f"{' and '.join(chosen) or 'no folds'}: wanted one of {', '.join(ways)}"
            )
        names = [fold.name for fold in self.folds]
        if len(set(names)) != len(names):
            raise ConfigError(f"folds are named {names}: wanted different names")


def load_protocol(name_or_file: str) -> Protocol:
    """Read a shipped protocol by name or a TOML file.

    >>> load_protocol("utd-loso").leave_one_out
    LeaveOneOut(attribute='subject')

    Raises:
        ConfigError: there is none of that name, or it is not a valid protocol.
    """
    table = read_toml(name_or_file, "protocols", "protocol")
    return parse_table(Protocol, table, where=f"protocol {name_or_file}")
