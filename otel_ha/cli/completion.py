"""`otel-ha completion`: the script with which a shell completes commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from otel_ha.cli.options import json_option
from otel_ha.cli.output import print_json

__all__ = ["command"]


@click.command(
    epilog="""\b
Add the line of your shell to its start-up file:
  bash, ~/.bashrc:  eval "$(otel-ha completion bash)"
  zsh, ~/.zshrc:    eval "$(otel-ha completion zsh)"     (after compinit)
  fish, ~/.config/fish/config.fish:  otel-ha completion fish | source"""
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@json_option
@click.pass_context
def command(ctx: click.Context, shell: str, *, as_json: bool) -> None:
    """Print the script that completes commands and options with the Tab key."""
    made = get_completion_class(shell)
    assert made is not None, shell  # noqa: S101 - click has these three
    script = made(ctx.find_root().command, {}, "otel-ha", "_OTEL_HA_COMPLETE").source()
    if as_json:
        print_json({"shell": shell, "script": script})
    else:
        click.echo(script)
