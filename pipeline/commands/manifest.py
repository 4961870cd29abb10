"""``dmft manifest``: building is in ``manifest_build``, checking in ``manifest_check``."""

from __future__ import annotations

import click

from pipeline.commands.manifest_build import build
from pipeline.commands.manifest_check import check_command, lock_command
from pipeline.common.suggesting import SuggestingGroup


@click.group(cls=SuggestingGroup, context_settings={"help_option_names": ["-h", "--help"]})
def manifest() -> None:
    """Build, check and lock manifests: the ordered list of a data set's records and files."""


manifest.add_command(build)
manifest.add_command(check_command)
manifest.add_command(lock_command)
