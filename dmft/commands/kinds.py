"""What an argument or option may be: a cache, a run, the name of what ships, a setting."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem


class Place(click.Path):
    """What lies here, by its path or a ``file://`` URL, or elsewhere, by another URL."""

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Return the path here, of something that is there, or of what stands for it."""
        scheme, separator, rest = str(value).partition("://")
        if separator and scheme != "file" and not ctx.resilient_parsing:
            return self.brought(str(value))
        named = f"/{rest.lstrip('/')}" if separator else value
        path = Path(os.fsdecode(super().convert(named, param, ctx)))
        if not path.exists() and not ctx.resilient_parsing:
            self.refuse_absent(path)  # before anything imports PyTorch
        return path

    def brought(self, url: str) -> Path:
        """Return the folder that stands here for what lies elsewhere."""
        raise NotImplementedError

    def refuse_absent(self, path: Path) -> None:
        """Say that nothing is there, and what was wanted."""
        raise NotImplementedError


class CachePath(Place):
    """A cache; one that lies elsewhere is read there."""

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Return the path here; whoever asks for the configuration alone needs no cache."""
        if ctx.params.get("print_config"):
            return Path(os.fsdecode(value))
        return super().convert(value, param, ctx)

    def brought(self, url: str) -> Path:
        """Return the folder that keeps what has been read of it."""
        from dmft.data.mirror import in_place_note, mirror_of
        from pipeline.common.progress_bar import ProgressBar

        with ProgressBar() as bar:
            path = mirror_of(url, bar.follow("opening", "objects"))
        click.echo(in_place_note(path), err=True)
        return path

    def refuse_absent(self, path: Path) -> None:
        """Say how a cache is made."""
        from dmft.data.absent import refuse_absent

        refuse_absent(path)


class RunPath(Place):
    """A run; one that was published elsewhere is brought here."""

    def brought(self, url: str) -> Path:
        """Return the folder that it was brought into."""
        from dmft.runs.published import brought_run
        from pipeline.common.progress_bar import ProgressBar

        with ProgressBar() as bar:
            return brought_run(url, bar.follow("fetching", "objects"))

    def refuse_absent(self, path: Path) -> None:
        """Say what a run is."""
        from dmft.runs.folder import fold_folders

        fold_folders(path)


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
