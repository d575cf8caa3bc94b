"""The semantic-convention registry: catalogs in the YAML of OpenTelemetry's Weaver, file format definition/2.

A registry is a folder with a manifest and definitions. Attributes are defined once, and metrics refer to them. The
facts for which the format has no place are annotations: names in Prometheus, metric groups, limits and objectives.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from otel_ha.declare.catalog import Catalog
from otel_ha.declare.instruments import Attribute, Histogram, Instrument
from otel_ha.errors import TelemetryError
from otel_ha.render.catalogs import NamedCatalog, united
from otel_ha.render.yaml_text import to_yaml
from otel_ha.version import __version__
from otel_ha.vocabulary import runtime

__all__ = ["SCHEMA_URL", "registry_options", "render_registry"]

SCHEMA_URL: Final = f"https://otel-ha.invalid/schemas/otel-ha/{__version__}"
"""Identifies a registry that is not published: a host below .invalid never exists."""

_OPENING: Final = "Rendered by `python -m otel_ha.render registry`. Change the declarations, then render again."
_FORMAT: Final = {"file_format": "definition/2"}
_STABILITY: Final = {"stability": "development"}
_URL: Final = re.compile(r"https?://[^/\s]+/(\S+/)?\d+\.\d+\.\d+[^/\s]*")
_INTEGERS: Final = (runtime.CPU_NUMBER, runtime.GENERATION)
"""A declaration states no type of its values: these two are numbers, all others text."""


def registry_options(parser: argparse.ArgumentParser) -> None:
    """Declare --schema-url."""
    parser.add_argument(
        "--schema-url",
        default=SCHEMA_URL,
        metavar="URL",
        help="the URL that identifies the registry, which ends in its version (default: %(default)s)",
    )


def render_registry(catalogs: Sequence[NamedCatalog], schema_url: str = SCHEMA_URL) -> Mapping[str, str]:
    """Return the files of the registry by name. Raises TelemetryError for a URL that cannot identify it."""
    if not _URL.fullmatch(schema_url):
        raise TelemetryError(
            f"--schema-url {schema_url} identifies no registry; write a URL with a version at its end, as {SCHEMA_URL}"
        )
    catalog = united(catalogs)
    modules = ", ".join(named.module for named in catalogs)
    manifest = {"schema_url": schema_url, "description": f"The metrics of {modules}.", **_STABILITY}
    attributes = [_definition(declared) for declared in _attributes(catalog).values()]
    metrics = [_metric(instrument, catalog) for instrument in catalog]
    return {
        "manifest.yaml": _document(manifest),
        "attributes.yaml": _document({**_FORMAT, "attributes": attributes}),
        "metrics.yaml": _document({**_FORMAT, "metrics": metrics}),
    }


def _document(data: Mapping[str, Any]) -> str:
    """Return a file that begins with "---", so that several printed ones are a stream of documents."""
    return f"---\n{to_yaml(data, _OPENING)}"


def _attributes(catalog: Catalog) -> Mapping[str, list[Attribute]]:
    """Return the attributes of all instruments by name; two modules may declare the same name differently."""
    found: dict[str, list[Attribute]] = {}
    for instrument in catalog:
        for attribute in instrument.attributes:
            found.setdefault(attribute.name, []).append(attribute)
    return found


def _definition(declared: Sequence[Attribute]) -> Mapping[str, Any]:
    """Return the definition of one attribute: its values are closed only if all its declarations close them."""
    first = declared[0]
    values = dict.fromkeys(value for each in declared for value in each.values)
    kind: Any = "int" if first in _INTEGERS else "string"
    if all(each.values for each in declared):
        kind = {"members": [{"id": value, "value": value, **_STABILITY} for value in values]}
    budget = max(each.budget or 0 for each in declared)
    return {
        "key": first.name,
        "type": kind,
        "brief": first.description,
        **_STABILITY,
        **_annotations(prometheus_label=first.prometheus_label, budget=budget),
    }


def _metric(instrument: Instrument, catalog: Catalog) -> Mapping[str, Any]:
    objectives = [
        {"bound": objective.bound, "target": objective.target, "brief": objective.description}
        for objective in catalog.objectives
        if objective.histogram is instrument
    ]
    return {
        "name": instrument.name,
        "brief": instrument.description,
        "instrument": instrument.kind,
        "unit": instrument.unit,
        **_STABILITY,
        "attributes": [{"ref": attribute.name} for attribute in instrument.attributes],
        **_annotations(
            prometheus_name=instrument.prometheus_name,
            group=instrument.group,
            series=instrument.series,
            buckets=list(instrument.buckets) if isinstance(instrument, Histogram) else [],
            objectives=objectives,
        ),
    }


def _annotations(**facts: Any) -> Mapping[str, Any]:
    return {"annotations": {"otel_ha": {name: fact for name, fact in facts.items() if fact}}}
