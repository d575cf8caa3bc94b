"""`otel-ha catalog`: the declared metrics as a table, Markdown or JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click
from rich import box
from rich.console import Console, Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from otel_ha.cli.options import json_option
from otel_ha.cli.output import print_json, printable
from otel_ha.declare.instruments import Attribute, Histogram, Instrument, Observable
from otel_ha.render.catalogs import NamedCatalog, own_catalogs
from otel_ha.render.kinds import load
from otel_ha.render.reference import render_reference

__all__ = ["command"]


@click.command(
    epilog="""\b
Examples:
  otel-ha catalog
  otel-ha catalog --catalog acme.metrics:CATALOG --format markdown > acme.md
  otel-ha catalog --json | jq '.metrics[].prometheus_name'"""
)
@click.option(
    "--catalog",
    "specs",
    multiple=True,
    metavar="MODULE:NAME",
    help="A catalog, such as acme.metrics:CATALOG, importable from the current folder; may be given several times. "
    " [default: the catalogs of otel-ha]",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "markdown", "json"]),
    help="The form of the output.  [default: table]",
)
@json_option
def command(specs: Sequence[str], form: str | None, *, as_json: bool) -> None:
    """Print the declared metrics: names, kinds, units, descriptions, attributes."""
    if as_json and form not in {None, "json"}:
        raise click.UsageError(f"--json contradicts --format {form}; give one of them.")
    catalogs = [load(spec) for spec in specs] or own_catalogs()
    if as_json or form == "json":
        print_json({"metrics": [_metric(each, source) for source in catalogs for each in source.catalog]})
    elif form == "markdown":
        click.echo(render_reference(catalogs), nl=False)
    else:
        _print_tables(catalogs)


def _metric(instrument: Instrument, source: NamedCatalog) -> dict[str, Any]:
    """Return a metric as data for JSON, with the words of the summary's `metrics`."""
    objectives = (each for each in source.catalog.objectives if each.histogram is instrument)
    return {
        "name": instrument.name,
        "prometheus_name": instrument.prometheus_name,
        "kind": f"{'observable_' * isinstance(instrument, Observable)}{instrument.kind}",
        "unit": instrument.unit,
        "description": instrument.description,
        "group": instrument.group,
        "limit": instrument.series,
        "attributes": [_attribute(each) for each in instrument.attributes],
        "buckets": list(instrument.buckets) if isinstance(instrument, Histogram) else None,
        "objectives": [
            {"description": each.description, "bound": each.bound, "target": each.target} for each in objectives
        ],
        "catalog": f"{source.module}:{source.name}",
    }


def _attribute(attribute: Attribute) -> dict[str, Any]:
    return {
        "name": attribute.name,
        "label": attribute.prometheus_label,
        "keyword": attribute.keyword,
        "values": list(attribute.values) or None,
        "budget": attribute.budget,
        "description": attribute.description,
    }


def _print_tables(catalogs: Sequence[NamedCatalog]) -> None:
    console = Console(highlight=False)
    for source in catalogs:
        title = Text(f"{source.module}:{source.name}", "bold")
        table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
        table.add_column("Metric", overflow="fold")
        table.add_column("Kind, unit, group", overflow="fold")
        for each in source.catalog:
            table.add_row(_described(each), f"{each.kind}\n{each.unit}\n{each.group}")
        console.print(table)


def _described(instrument: Instrument) -> Group:
    """Return the first cell of a metric's row: its name in Prometheus, its description, its attributes' keywords."""
    about = printable(instrument.description)
    if instrument.attributes:
        about += f"\nby {', '.join(each.keyword for each in instrument.attributes)}"
    return Group(Text(instrument.prometheus_name, "bold", overflow="fold"), Padding(Text(about), (0, 0, 0, 2)))
