"""What Tab offers."""

from __future__ import annotations

import click

from dmft.commands import kinds


def offered(kind: click.ParamType, incomplete: str) -> list[str]:
    """Completions of what is typed so far."""
    context = click.Context(click.Command("train"))
    return [item.value for item in kind.shell_complete(context, click.Option(["--x"]), incomplete)]


def test_shipped_names_are_offered_then_files():
    names = ["utd-50-50", "utd-loso", "utd-one-in", "utd-two-out"]
    assert offered(kinds.ShippedName("protocols"), "utd") == [*names, "utd"]
    assert "table-1" in offered(kinds.ShippedName("experiments"), "")


def test_the_keys_of_settings_are_offered():
    assert offered(kinds.Setting(), "training.e") == ["training.epochs="]
    assert "distill.temperature=" in offered(kinds.Setting(), "distill")
