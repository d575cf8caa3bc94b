"""Render text from the declarations: ``python -m otel_ha.render KIND`` prints it.

A kind is one entry of KINDS. Everything else in this package turns objects into text; only this module imports the
modules that the command line names, reads and prints.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from otel_ha.errors import TelemetryError
from otel_ha.render.api import render_api
from otel_ha.render.catalogs import NamedCatalog, own_catalogs
from otel_ha.render.reference import render_reference

__all__ = ["KINDS", "FromCatalogs", "FromPage", "Kind", "load", "main"]


class Kind(Protocol):
    """One kind of output: its arguments on the command line, and the text that follows from them."""

    @property
    def help(self) -> str:
        """One line for --help."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the arguments."""

    def output(self, given: argparse.Namespace) -> str:
        """Return the text. Raises TelemetryError for arguments that cannot work."""


@dataclass(frozen=True, slots=True)
class FromCatalogs:
    """Output made from catalogs: those of --catalog, or else our own."""

    help: str
    render: Callable[[Sequence[NamedCatalog]], str]

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare --catalog."""
        parser.add_argument(
            "--catalog",
            action="append",
            metavar="MODULE:NAME",
            help="a catalog to render, such as acme.metrics:CATALOG; may be given several times "
            "(default: the catalogs of otel-ha)",
        )

    def output(self, given: argparse.Namespace) -> str:
        """Import the catalogs and render them."""
        return self.render([load(spec) for spec in given.catalog] if given.catalog else own_catalogs())


@dataclass(frozen=True, slots=True)
class FromPage:
    """Output made from a page on standard input, whose blocks are filled in."""

    help: str
    render: Callable[[str], str]

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare nothing: the page is all that it needs."""

    def output(self, _: argparse.Namespace) -> str:
        """Read the page and render it."""
        return self.render(sys.stdin.read())


KINDS: Mapping[str, Kind] = {
    "reference": FromCatalogs("the reference of all metrics, as Markdown", render_reference),
    "api": FromPage("the API page, read from standard input, with its blocks filled in", render_api),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print one kind of output; returns the exit status. A wrong argument exits with status 2 and one line."""
    parser = argparse.ArgumentParser(
        prog="python -m otel_ha.render", description="Render text from the declared metrics, and print it."
    )
    kinds = parser.add_subparsers(dest="kind", metavar="KIND", required=True)
    for name, kind in KINDS.items():
        kind.add_arguments(kinds.add_parser(name, help=kind.help, description=f"Print {kind.help}."))
    given = parser.parse_args(arguments)
    try:
        output = KINDS[given.kind].output(given)
    except TelemetryError as error:
        parser.error(str(error))
    sys.stdout.write(output)
    return 0


def load(spec: str) -> NamedCatalog:
    """Return the catalog of "MODULE:NAME"; NAME is CATALOG if left out. Raises TelemetryError."""
    path, _, name = spec.partition(":")
    try:
        module = importlib.import_module(path)
    except Exception as error:  # the user's module runs here, and may raise anything
        raise TelemetryError(f"cannot import {path!r}: {type(error).__name__}: {error}") from error
    return NamedCatalog.of(module, name or "CATALOG")


if __name__ == "__main__":
    sys.exit(main())
