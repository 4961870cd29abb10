"""Protocols: named rules from records to folds, read from small TOML files.

Shipped ones lie in ``data_manifests/protocols``; a user's own is a file. A rule selects by the
cache's attribute columns. A fold without training or test records, or with a record on both
sides, is refused.

Read ``files.py`` (what a file may say), ``folds.py`` (what that is on the records of a cache),
``inner.py`` (folds inside a training side) and ``shared_files.py`` (what the two sides of a fold
have in common).
"""

from dmft.protocols.files import (
    ColumnFolds,
    FoldRule,
    GroupFolds,
    HoldOut,
    LeaveOneOut,
    Protocol,
    load_protocol,
)
from dmft.protocols.folds import Fold, choose_folds, every_record, fold_rules, make_fold
from dmft.protocols.inner import group_attribute, inner_rules
from dmft.protocols.shared_files import forbid_shared, seen_by

__all__ = [
    "ColumnFolds",
    "Fold",
    "FoldRule",
    "GroupFolds",
    "HoldOut",
    "LeaveOneOut",
    "Protocol",
    "choose_folds",
    "every_record",
    "fold_rules",
    "forbid_shared",
    "group_attribute",
    "inner_rules",
    "load_protocol",
    "make_fold",
    "seen_by",
]
