"""The kinds of rendered output, each with its arguments on the command line, and the catalogs that these name.

A kind is one entry of KINDS.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Protocol

from otel_ha.errors import TelemetryError
from otel_ha.render.alertmanager import alertmanager_files, alertmanager_options
from otel_ha.render.alerts.files import alert_options, alerts_files, alerts_page
from otel_ha.render.api import render_api
from otel_ha.render.catalogs import NamedCatalog, file_name, own_catalogs, service_catalogs
from otel_ha.render.dashboards.files import FORMATS, dashboard_files
from otel_ha.render.reference import render_reference
from otel_ha.render.registry import registry_options, render_registry
from otel_ha.render.rules import render_rules

__all__ = ["KINDS", "Files", "FromCatalogs", "FromOptions", "FromPage", "Kind", "load"]

Files = Mapping[str, str]
"""Texts by the names of their files."""


class Kind(Protocol):
    """One kind of output: its arguments on the command line, and the files that follow from them."""

    @property
    def help(self) -> str:
        """One line for --help."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the arguments."""

    def files(self, given: argparse.Namespace) -> Files:
        """Return the files. Raises TelemetryError for arguments that cannot work."""


def _no_options(_: argparse.ArgumentParser) -> None:
    pass


@dataclass(frozen=True, slots=True)
class FromCatalogs:
    """Output made from catalogs: those of --catalog, or else our own; `options` declares further arguments."""

    help: str
    render: Callable[[Sequence[NamedCatalog], argparse.Namespace], Files]
    own: Callable[[], list[NamedCatalog]] = own_catalogs
    options: Callable[[argparse.ArgumentParser], None] = _no_options

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare --catalog and the further arguments."""
        parser.add_argument(
            "--catalog",
            action="append",
            metavar="MODULE:NAME",
            help="a catalog to render, such as acme.metrics:CATALOG; may be given several times "
            f"(default: {', '.join(named.module for named in self.own())})",
        )
        self.options(parser)

    def files(self, given: argparse.Namespace) -> Files:
        """Import the catalogs and render them."""
        return self.render([load(spec) for spec in given.catalog] if given.catalog else self.own(), given)


@dataclass(frozen=True, slots=True)
class FromPage:
    """Output made from a page on standard input, whose blocks are filled in."""

    help: str
    name: str
    render: Callable[[str], str]

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare nothing: the page is all that it needs."""

    def files(self, _: argparse.Namespace) -> Files:
        """Read the page and render it."""
        try:
            # As UTF-8, as it is printed, whatever the terminal's encoding.
            with open(sys.stdin.fileno(), encoding="utf-8", closefd=False) as opened:
                page = opened.read()
        except UnicodeDecodeError as error:
            raise TelemetryError(
                f"the page on standard input is not UTF-8: {error.reason} at byte {error.start}; save it as UTF-8"
            ) from error
        except (AttributeError, OSError, ValueError) as error:  # closed, a folder, or an object without a file
            kind = self.name.removesuffix(".md")
            raise TelemetryError(
                f"standard input cannot be read; give it the page: otel-ha render {kind} < FILE"
            ) from error
        return {self.name: self.render(page)}


@dataclass(frozen=True, slots=True)
class FromOptions:
    """Output made from the arguments alone, which `options` declares."""

    help: str
    options: Callable[[argparse.ArgumentParser], None]
    render: Callable[[argparse.Namespace], Files]

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the arguments."""
        self.options(parser)

    def files(self, given: argparse.Namespace) -> Files:
        """Render what the arguments ask for."""
        return self.render(given)


def _dashboard_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--format", choices=FORMATS, default=FORMATS[0], help="the program that draws them (default: %(default)s)"
    )


KINDS: Mapping[str, Kind] = {
    "reference": FromCatalogs(
        "the reference of all metrics, as Markdown", lambda catalogs, _: {"metrics.md": render_reference(catalogs)}
    ),
    "dashboards": FromCatalogs(
        "dashboards, as JSON for Grafana or for VictoriaMetrics' page",
        lambda catalogs, given: dashboard_files(catalogs, given.format),
        own=service_catalogs,
        options=_dashboard_options,
    ),
    "rules": FromCatalogs(
        "recording rules for Prometheus or vmalert",
        lambda catalogs, _: {file_name(catalogs, "rules.yml"): render_rules(catalogs)},
        own=service_catalogs,
    ),
    "alerts": FromCatalogs(
        "alerts, as a Prometheus rules file", alerts_files, own=service_catalogs, options=alert_options
    ),
    "alerts-reference": FromCatalogs(
        "the reference of all alerts and their thresholds, as Markdown", alerts_page, own=service_catalogs
    ),
    "registry": FromCatalogs(
        "a semantic-convention registry, as YAML for OpenTelemetry Weaver",
        lambda catalogs, given: render_registry(catalogs, given.schema_url),
        own=service_catalogs,
        options=registry_options,
    ),
    "api": FromPage("the API page, read from standard input, with its blocks filled in", "api.md", render_api),
    "alertmanager": FromOptions(
        "Alertmanager's configuration: who is notified of alerts, and how often",
        alertmanager_options,
        alertmanager_files,
    ),
}


def load(spec: str) -> NamedCatalog:
    """Return the catalog of "MODULE:NAME"; NAME is CATALOG if left out. Raises TelemetryError."""
    path, _, name = spec.partition(":")
    if "" not in sys.path and not sys.flags.safe_path:
        sys.path.insert(0, "")  # the current folder, which the command otel-ha does not have, as python -m does
    # The user's module runs here: it may raise anything, and its prints must stay out of the files.
    with redirect_stdout(sys.stderr):
        try:
            module = importlib.import_module(path)
        except (Exception, SystemExit) as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise TelemetryError(
                f"cannot import {path!r}: {reason}; --catalog names a module that Python can import from here, "
                "such as acme.metrics:CATALOG"
            ) from error
        return NamedCatalog.of(module, name or "CATALOG")
