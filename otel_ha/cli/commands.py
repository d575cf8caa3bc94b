"""The command line of `otel-ha`, and what all of its commands share: errors in one line, and exit codes."""

from __future__ import annotations

import sys
from importlib import import_module

import click

from otel_ha.errors import TelemetryError
from otel_ha.version import __version__

__all__ = ["run"]

_COMMANDS = {
    "catalog": "otel_ha.cli.catalog",
    "doctor": "otel_ha.cli.doctor.command",
    "render": "otel_ha.cli.render",
    "top": "otel_ha.cli.top.command",
}
"""The modules of the commands; each has its command as `command`. Only the one that runs is imported."""


class _Commands(click.Group):
    """Imports a command when it is needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - as in click
        """Return the names of the commands."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - as in click
        """Return a command, or None if there is none of this name."""
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = import_module(_COMMANDS[cmd_name]).command
        return command


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="otel-ha", message="%(prog)s %(version)s")
def otel_ha() -> None:
    """Look inside services that use otel-ha, and find out why no data arrives."""


def run() -> int:
    """Run the command line and return the exit code: 0 fine, 1 a finding, 2 wrong usage."""
    try:
        status = otel_ha.main(prog_name="otel-ha", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        return 130
    except TelemetryError as error:
        sys.stderr.write(f"otel-ha: {error}\n")
        return 1
    return status if isinstance(status, int) else 0
