"""Published figures, read from ``data_manifests/published.toml``; none is typed into code."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass

from dmft.experiments.grid import MODELS
from dmft.models.config import require
from pipeline.common.settings import parse_table, shipped_folder

MEASURES = ("score", "seconds_per_epoch", "saved_megabytes")
OVERALL = "overall"


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedFigure:
    """One published number and what it is of."""

    table: int
    """Number of the paper's table."""
    protocol: str
    """Ours of the same rule."""
    modalities: tuple[str, ...]
    """What went in."""
    method: str
    """As printed."""
    model: str = ""
    """What of ours stands beside it; empty for other methods."""
    fusion_tokens: int = 0
    """F, where the table is about it."""
    measure: str = "score"
    """score (the protocol's own, in percent), seconds_per_epoch or saved_megabytes."""
    of: str = OVERALL
    """overall, or a modality."""
    value: float
    """As printed."""
    source: str
    """Key of ``sources``."""
    note: str = ""
    """What a reader should know."""

    def __post_init__(self) -> None:
        known = f"one of {', '.join(MODELS)}, or nothing"
        require(self.model in ("", *MODELS), "model", self.model, known)
        wanted = f"one of {', '.join(MEASURES)}"
        require(self.measure in MEASURES, "measure", self.measure, wanted)


@dataclass(frozen=True, slots=True, kw_only=True)
class TableInfo:
    """What one of the paper's tables is about."""

    number: int
    """In the paper."""
    title: str
    """In our words."""
    unit: str
    """Unit of its figures."""
    experiments: tuple[str, ...]
    """Shipped experiments that make ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """The whole file."""

    fusion_tokens: int
    """F of the paper's teachers where a table does not say."""
    sources: Mapping[str, str]
    """Key to citation."""
    tables: tuple[TableInfo, ...]
    """In order."""
    figures: tuple[PublishedFigure, ...]
    """In the order of the paper."""

    def __post_init__(self) -> None:
        numbers = {table.number for table in self.tables}
        for figure in self.figures:
            require(figure.source in self.sources, "source", figure.source, "a key of [sources]")
            require(figure.table in numbers, "table", figure.table, "the number of a [[tables]]")


def load_published(text: str | None = None) -> Published:
    """Read the file that is shipped, or some text in its format.

    Raises:
        ConfigError: the text is not in the format.
    """
    if text is None:
        text = (shipped_folder() / "published.toml").read_text()
    return parse_table(Published, tomllib.loads(text), where="published.toml")
