"""A group of commands that names the nearest one where there is none of a name."""

from __future__ import annotations

import click

from pipeline.common.words import meant


class SuggestingGroup(click.Group):
    """What ``dmft`` and its groups are."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command, or say which one may have been meant.

        Raises:
            click.UsageError: there is none of that name.
        """
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            near = meant(args[0], self.list_commands(ctx))
            if not near or near.strip(" ()") in error.message:
                raise
            raise click.UsageError(f"{error.message.removesuffix('.')}{near}.", ctx) from error
