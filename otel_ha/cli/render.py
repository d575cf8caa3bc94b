"""`otel-ha render`: everything that otel_ha.render renders, with its options."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem

from otel_ha.render.__main__ import render
from otel_ha.render.kinds import KINDS

__all__ = ["command"]


def _complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    if ctx.params.get(param.name or ""):
        return []
    return [CompletionItem(name, help=kind.help) for name, kind in KINDS.items() if name.startswith(incomplete)]


@click.command(
    # The kinds declare their options themselves, --help included.
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
    short_help="Render dashboards, rules, alerts, references from the metrics.",
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, shell_complete=_complete)
def command(arguments: tuple[str, ...]) -> int:
    """Render files from the declared metrics."""
    return render(arguments, "otel-ha render")
