"""The kinds of output about alerts: their arguments on the command line, and their files."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence

from otel_ha.render.alerts.groups import render_alerts
from otel_ha.render.alerts.page import render_alerts_page
from otel_ha.render.catalogs import NamedCatalog, file_name, united

__all__ = ["alert_options", "alerts_files", "alerts_page"]


def alert_options(parser: argparse.ArgumentParser) -> None:
    """Declare --set and --runbooks."""
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="change a threshold (error_share_page=10%%), an alert's for (ServiceDown.for=10m), or the for of all "
        "(for=1s); may be given several times; docs/reference/alerts.md lists the names",
    )
    parser.add_argument(
        "--runbooks",
        default="",
        metavar="URL",
        help="address of a folder with the runbooks; alerts then have the annotation runbook_url (default: runbook, "
        "with a path in this repository)",
    )


def alerts_files(catalogs: Sequence[NamedCatalog], given: argparse.Namespace) -> Mapping[str, str]:
    """Return the rules file with the alerts of these catalogs."""
    return {file_name(catalogs, "alerts.yml"): render_alerts(united(catalogs), given.set, given.runbooks)}


def alerts_page(catalogs: Sequence[NamedCatalog], _: argparse.Namespace) -> Mapping[str, str]:
    """Return the reference of the alerts of these catalogs."""
    return {"alerts.md": render_alerts_page(united(catalogs))}
