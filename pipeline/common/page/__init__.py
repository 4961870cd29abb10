"""The page that both programs write: one HTML file that needs no network and no other file.

``base.html`` has the shared look (``base.css``) and drawing (``base.js``), ``elements.html`` the
tables, cards and figures. What is on a page belongs to whoever writes it: a package with a
``page.html``, which extends the base, and a ``page.js``. ``pipeline.view`` shows a cache,
``dmft.reports.page`` shows runs. Whatever a template shows is escaped by Jinja.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from pipeline.contract import ConfigError

__all__ = ["check_place", "environment", "render_page", "write_page"]


def environment(package: str) -> Environment:
    """Templates of a package, and those that all pages share."""
    templates = Environment(
        loader=ChoiceLoader([PackageLoader(package, ""), PackageLoader(__name__, "")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # JSON of the filter ``tojson`` holds no "<", so it cannot end the script element around it.
    templates.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}
    templates.filters["indented"] = lambda content: json.dumps(content, indent=2)
    templates.globals["source"] = lambda name: Markup(
        templates.loader.get_source(templates, name)[0]  # type: ignore[union-attr]
    )
    return templates


def render_page(package: str, **content: Any) -> str:
    """Return the page of a package.

    Args:
        package: Has the ``page.html`` and the ``page.js``.
        content: What ``page.html`` shows; ``found`` of it is what the script draws from, for JSON.
    """
    return environment(package).get_template("page.html").render(content)


def check_place(path: Path) -> None:
    """Refuse a page in a folder that is not there, nor the one above it: a slip, not a wish.

    Raises:
        ConfigError: naming what is missing.
    """
    folder = path.absolute().parent
    if not folder.is_dir() and not folder.parent.is_dir():
        raise ConfigError(
            f"{path}: there is no folder {folder.parent}: make it, or write elsewhere"
        )


def write_page(page: str, path: Path) -> int:
    """Write a page, and the folder that it lies in where it is missing; return its bytes.

    Raises:
        ConfigError: the folder above that one is missing too.
    """
    check_place(path)
    content = page.encode()
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return len(content)
