"""The page that both programs write: one HTML file that needs no network and no other file.

``elements`` makes pieces of HTML, ``frame`` puts them into ``page.html`` with the shared look
(``base.css``) and drawing (``base.js``). What is on a page belongs to whoever writes it:
``pipeline.view`` shows a cache, ``dmft.reports`` shows runs.
"""

from pipeline.common.page.elements import (
    Cell,
    Number,
    Raw,
    card,
    cards,
    chooser,
    facts,
    figure,
    folded_json,
    select,
    table,
    warning,
)
from pipeline.common.page.frame import embedded, render_page, write_page

__all__ = [
    "Cell",
    "Number",
    "Raw",
    "card",
    "cards",
    "chooser",
    "embedded",
    "facts",
    "figure",
    "folded_json",
    "render_page",
    "select",
    "table",
    "warning",
    "write_page",
]
