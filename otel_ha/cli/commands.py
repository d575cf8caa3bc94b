"""The command line of `otel-ha`, and what all of its commands share: errors in one line, and exit codes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib import import_module
from typing import Final

import click

from otel_ha.cli.failures import FailedError, tell
from otel_ha.errors import TelemetryError
from otel_ha.scrub import mask_shapes
from otel_ha.version import __version__

__all__ = ["COMMANDS", "program", "run"]

COMMANDS: Final = {
    "doctor": "otel_ha.cli.doctor.command",
    "top": "otel_ha.cli.top.command",
    "run": "otel_ha.cli.run",
    "catalog": "otel_ha.cli.catalog",
    "render": "otel_ha.cli.render",
    "completion": "otel_ha.cli.completion",
}
"""The modules of the commands; each has its command as `command`. Only the one that runs is imported."""


class _Commands(click.Group):
    """Imports a command when it is needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - as in click
        """Return the names of the commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - as in click
        """Return the command of this name, or None."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(COMMANDS[cmd_name]).command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that is called. Raises click's error, with the nearest name, if there is none."""
        name = args[0]
        if name not in COMMANDS and not name.startswith("-") and not ctx.resilient_parsing:
            from difflib import get_close_matches  # noqa: PLC0415 - only mistakes need it

            if near := get_close_matches(name.lower(), COMMANDS, n=1):
                ctx.fail(f"No such command {name!r}. Did you mean {near[0]!r}?")
        return super().resolve_command(ctx, args)


@click.command(
    cls=_Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "show_default": True},
    epilog="""\b
Examples:
  otel-ha doctor
  otel-ha top http://127.0.0.1:9464 http://192.168.1.5:9464
  otel-ha run --service ha-ingestor -- python app.py
  otel-ha catalog --catalog acme.metrics:CATALOG
  otel-ha render dashboards --format grafana --out dashboards

Exit codes: 0 fine, 1 a finding (also a service that does not answer), 2 wrong usage, 130 after Ctrl-C. With --json,
an error is JSON too, {"error": "…"}, on standard output.""",
)
@click.version_option(__version__, prog_name="otel-ha", message="%(prog)s %(version)s")
@click.pass_context
def program(ctx: click.Context) -> int:
    """Look inside services that use otel-ha, and find out why no data arrives."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
    return 2


def run(arguments: Sequence[str]) -> int:
    """Run the command line and return the exit code: 0 fine, 1 a finding, 2 wrong usage, 130 after Ctrl-C."""
    as_json = "--json" in arguments and arguments[0] != "run"  # there, it is an argument of the program
    plain = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
    color = False if plain else None  # None: on a terminal only
    try:
        status = program.main(list(arguments), prog_name="otel-ha", standalone_mode=False, color=color)
    except click.ClickException as error:
        tell(_in_one_line(error), as_json=as_json)
        return error.exit_code
    except click.Abort:
        return 130
    except TelemetryError as error:
        tell(" ".join(str(error).split()), as_json=as_json)
        return 1 if isinstance(error, FailedError) else 2
    return status if isinstance(status, int) else 0


def _in_one_line(error: click.ClickException) -> str:
    """Return a mistake on the command line, and the command whose --help lists what is allowed."""
    message = mask_shapes(" ".join(error.format_message().split()))  # click quotes a URL with its password
    context = error.ctx if isinstance(error, click.UsageError) else None
    return f"{message} See {context.command_path} --help." if context else message
