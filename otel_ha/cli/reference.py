"""The reference of the command: its --help, as a page of Markdown; ``python -m otel_ha.cli.reference`` prints it."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout, suppress

import click

from otel_ha.cli.commands import COMMANDS, program
from otel_ha.render.__main__ import arguments_of
from otel_ha.render.kinds import KINDS

__all__ = ["render_commands"]

_WIDTH = 80
_OPENING = """\
# The command `otel-ha`

<!-- Rendered from otel_ha/cli by `make docs`; change it there. -->

The extra `cli` installs it: in a clone, `pip install '.[cli]'`. `otel-ha render` needs the extra `render` for YAML, and
`dashboards` for Grafana.

- **Exit codes.** 0: fine. 1: a finding of the doctor, a service that does not answer, or a reader of the output that
  has left. 2: wrong usage, such as an unknown option, a text that is not a URL, a catalog that cannot be imported, or a
  missing extra. 130: Ctrl-C. After `otel-ha run`, the exit code is the program's own.
- **`--json`** (not of `otel-ha run`, whose output is the program's) prints JSON on standard output, in ASCII, and
  `{"error": "…"}` there if the command fails; the exit code says which. Without it, an error is one line on standard
  error.
- **Terminals.** `NO_COLOR=1` turns colours off. Elsewhere than on a terminal there are none.
- **Variables.** An option overrides its variable; an empty variable counts as not set. Those of services are
  [settings](settings.md).

[Why is there no data?](../how-to/why-is-there-no-data.md) explains the doctor's findings.
"""


def render_commands() -> str:
    """Return the page: one section for each command."""
    return _OPENING + "".join(f"\n## {title}\n\n```text\n{text.rstrip()}\n```\n" for title, text in _helps())


def _helps() -> Iterator[tuple[str, str]]:
    # argparse asks this variable for the width, click its context.
    os.environ["COLUMNS"] = str(_WIDTH)
    settings = program.context_settings
    parent = click.Context(program, info_name="otel-ha", terminal_width=_WIDTH, **settings)
    yield "otel-ha", program.get_help(parent)
    for name in COMMANDS:
        if name == "render":
            yield from _kinds()
            continue
        command = program.get_command(parent, name)
        assert command is not None, name  # noqa: S101 - it is one of COMMANDS
        yield f"otel-ha {name}", command.get_help(click.Context(command, parent=parent, info_name=name))


def _kinds() -> Iterator[tuple[str, str]]:
    parser = arguments_of("otel-ha render")
    yield "otel-ha render", parser.format_help()
    for name in KINDS:
        printed = io.StringIO()
        with redirect_stdout(printed), suppress(SystemExit):  # a public way to the help of one kind
            parser.parse_args([name, "--help"])
        yield f"otel-ha render {name}", printed.getvalue()


if __name__ == "__main__":
    sys.stdout.write(render_commands())
