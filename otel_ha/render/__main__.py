"""Render a page from the declarations: ``python -m otel_ha.render KIND`` prints it.

A kind is one entry of KINDS. Everything else in this package turns objects into text; only this module imports the
modules that are named on the command line, and prints.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from otel_ha.errors import TelemetryError
from otel_ha.render.reference import render_reference
from otel_ha.render.sources import NamedCatalog, own_catalogs

__all__ = ["KINDS", "Kind", "main"]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of output, made from catalogs."""

    help: str
    render: Callable[[Sequence[NamedCatalog]], str]


KINDS = {
    "reference": Kind("the reference of all metrics, as Markdown", render_reference),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print one kind of output; returns the exit status. A wrong argument exits with status 2 and one line."""
    parser = _parser()
    given = parser.parse_args(arguments)
    try:
        catalogs = [load(spec) for spec in given.catalog] if given.catalog else own_catalogs()
    except TelemetryError as error:
        parser.error(f"argument --catalog: {error}")
    sys.stdout.write(KINDS[given.kind].render(catalogs))
    return 0


def load(spec: str) -> NamedCatalog:
    """Return the catalog of "MODULE:NAME"; NAME is CATALOG if left out. Raises TelemetryError."""
    path, _, name = spec.partition(":")
    try:
        module = importlib.import_module(path)
    except Exception as error:  # the user's module runs here, and may raise anything
        raise TelemetryError(f"cannot import {path!r}: {type(error).__name__}: {error}") from error
    return NamedCatalog.of(module, name or "CATALOG")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m otel_ha.render",
        description="Render a page from the declared metrics and print it.",
        epilog="Without --catalog, the catalogs of otel-ha itself are rendered.",
    )
    kinds = "; ".join(f"{name}: {kind.help}" for name, kind in KINDS.items())
    parser.add_argument("kind", choices=KINDS, metavar="KIND", help=kinds)
    parser.add_argument(
        "--catalog",
        action="append",
        metavar="MODULE:NAME",
        help="a catalog to render, such as acme.metrics:CATALOG; may be given several times",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
