"""What an argument or option may be: a cache, a run, the name of what ships, a setting."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem


class CachePath(click.Path):
    """A cache: its path, a ``file://`` URL, or the URL of one that is read where it lies."""

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Return the path, or that of the folder which stands for a cache elsewhere."""
        scheme, separator, rest = str(value).partition("://")
        if separator and scheme != "file" and not ctx.resilient_parsing:
            from dmft.data.mirror import mirror_of, said
            from pipeline.common.progress_bar import ProgressBar

            with ProgressBar() as bar:
                path = mirror_of(str(value), bar.follow("opening", "objects"))
            click.echo(said(path), err=True)
            return path
        named = f"/{rest.lstrip('/')}" if separator else value
        here = Path(os.fsdecode(super().convert(named, param, ctx)))
        if not ctx.resilient_parsing:
            from dmft.data.absent import refuse_absent

            refuse_absent(here)  # before anything imports PyTorch
        return here


class RunPath(click.Path):
    """A run: its folder, or the URL of where it was published, from which it is brought here."""

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Return the folder, or the one that it was brought into."""
        scheme, separator, rest = str(value).partition("://")
        if not separator or scheme == "file" or ctx.resilient_parsing:
            named = f"/{rest.lstrip('/')}" if separator else value
            here = Path(os.fsdecode(super().convert(named, param, ctx)))
            if not ctx.resilient_parsing and not here.exists():
                from dmft.runs.folder import fold_folders

                fold_folders(here)  # says so before anything imports PyTorch
            return here
        from dmft.runs.published import brought_run
        from pipeline.common.progress_bar import ProgressBar

        with ProgressBar() as bar:
            return brought_run(str(value), bar.follow("fetching", "objects"))


class ShippedName(click.Path):
    """The name of what ships in a folder of ``data_manifests``, or a file; Tab offers both."""

    def __init__(self, folder: str) -> None:
        super().__init__()
        self.folder = folder

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """The names that begin so, then files."""
        from pipeline.common.settings import shipped_names

        names = [name for name in shipped_names(self.folder) if name.startswith(incomplete)]
        files = [] if names and not incomplete else super().shell_complete(ctx, param, incomplete)
        return [CompletionItem(name) for name in names] + files


class Setting(click.types.StringParamType):
    """``section.key=value``; Tab offers the keys."""

    name = "setting"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Keys of the configuration that begin so."""
        from dmft.config import load_config
        from pipeline.common.settings import to_table

        keys = (
            f"{section}.{key}="
            for section, table in to_table(load_config()).items()
            for key in table
            if section != "modality"
        )
        return [CompletionItem(key) for key in keys if key.startswith(incomplete)]


PATH = click.Path(path_type=Path)
CACHE = CachePath(path_type=Path)
RUN = RunPath(path_type=Path)
SEED = click.IntRange(0, 2**63 - 1)
