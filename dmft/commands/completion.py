"""``dmft completion``."""

from __future__ import annotations

import click


@click.command(short_help="Complete commands and options with the Tab key.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print what makes SHELL complete dmft's commands and options.

    \b
    Once and for all:
      bash  echo 'eval "$(dmft completion bash)"' >> ~/.bashrc
      zsh   echo 'eval "$(dmft completion zsh)"' >> ~/.zshrc
      fish  dmft completion fish > ~/.config/fish/completions/dmft.fish
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    root = click.get_current_context().find_root().command
    click.echo(kind(root, {}, "dmft", "_DMFT_COMPLETE").source())
