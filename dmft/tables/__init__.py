"""The paper's tables from a results file, ours beside the published figures.

Read ``published.py`` (the figures, from one data file), ``build.py`` (ours beside them) and
``render.py`` (Markdown, CSV, LaTeX).
"""

from dmft.tables.build import Line, Ours, Table, build_tables
from dmft.tables.published import Figure, Published, load_published
from dmft.tables.render import FORMATS, render, write_tables

__all__ = [
    "FORMATS",
    "Figure",
    "Line",
    "Ours",
    "Published",
    "Table",
    "build_tables",
    "load_published",
    "render",
    "write_tables",
]
