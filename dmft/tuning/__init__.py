"""Settings chosen by people who are left out inside a training side, never by its test side.

Read ``space.py`` (what a file of ranges may say), ``objective.py`` (what a trial is worth),
``search.py`` (trial after trial) and ``found.py`` (what came of it). Optuna proposes the trials.
"""

from typing import TYPE_CHECKING

from pipeline.common.lazy import lazily

if TYPE_CHECKING:
    from dmft.tuning.found import Tuning
    from dmft.tuning.search import tune
else:
    __getattr__ = lazily(__name__, {"found": "Tuning", "search": "tune"})

__all__ = ["Tuning", "tune"]
