"""A finished run in a notebook: loaded, predicted with, its figures looked at as tables.

Beside the command ``dmft predict`` the one place that may ask :mod:`dmft.recognise` for raw files.
"""

from typing import TYPE_CHECKING

from pipeline.common.lazy import lazily

if TYPE_CHECKING:
    from dmft.notebook.run import Run, load
else:
    __getattr__ = lazily(__name__, {"run": "Run load"})

__all__ = ["Run", "load"]
