"""The reference of metrics: from catalogs to one page of Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from otel_ha.config.settings import Setting, settings
from otel_ha.config.telemetry_config import TelemetryConfig
from otel_ha.declare.instruments import GROUPS, Attribute, Counter, Histogram, Instrument, Observable
from otel_ha.render.catalogs import NamedCatalog
from otel_ha.render.markdown import Anchors, code, table

__all__ = ["render_reference"]

_OPENING = """\
# Metrics

<!-- Rendered from the catalogs by `python -m otel_ha.render reference`; change the declarations, then `make docs`. -->

Every metric of the catalogs below: its name in Prometheus and in OpenTelemetry, its attributes, and its limits.

- **Labels.** Prometheus spells an attribute's dots as underscores: `homeassistant.source` becomes the label
  `homeassistant_source`. Python code uses the keyword: `source="mqtt"`.
- **Values.** An attribute has a closed set of values, a budget (the number of different values that are kept), or
  neither. Other values are recorded as `_OTHER`.
- **Series limit.** The number of attribute sets that an instrument keeps. Beyond it, the attribute with the most values
  is recorded as `_OTHER`. A quarter more sets are reserved for these; everything else shares one series,
  `otel_metric_overflow="true"`.
- **Histograms** have three names in Prometheus: `…_bucket`, `…_sum` and `…_count`.
- **Further labels.** Prometheus adds `job` and `instance`. The series `target_info` describes the service, the process
  and the host. [Stable names](stability.md) has the labels of each way to Prometheus, and what may change.
"""

_GROUPS = """
## Metric groups

Each metric belongs to one group. One setting, an argument of `TelemetryConfig` or an environment variable, switches the
whole group. A metric of a group that is off does not exist; a histogram may keep its count and sum for another group.

"""

_CATALOGS = """
## Catalogs

"""


def render_reference(catalogs: Iterable[NamedCatalog]) -> str:
    """Return the page: groups and catalogs, then for each catalog a summary and one section for each metric."""
    sources = list(catalogs)
    anchors = Anchors()
    for heading in ("Metrics", "Metric groups", "Catalogs"):
        anchors.of(heading)
    sections, links = [], []
    for source in sources:
        links.append((_link(_title(source), anchors), str(len(source.catalog)), source.about))
        sections.append(_catalog(source, anchors))
    contents = table(("Catalog", "Metrics", "Description"), links)
    return "".join([_OPENING, _GROUPS, _groups(sources), _CATALOGS, contents, *sections])


def _groups(sources: Sequence[NamedCatalog]) -> str:
    used = [instrument.group for source in sources for instrument in source.catalog]
    rows = []
    for group in GROUPS:
        name, known = _switch(group)
        switch = (code(name), code(known.variables[0]), "on" if known.default else "off")
        rows.append((code(group), *switch, str(used.count(group))))
    return table(("Group", "Setting", "Variable", "Default", "Metrics on this page"), rows)


def _catalog(source: NamedCatalog, anchors: Anchors) -> str:
    about = f"{source.about}\n\n" if source.about else ""
    rows = (
        (_link(code(each.prometheus_name), anchors), type(each).__name__, code(each.unit), each.group, each.description)
        for each in source.catalog
    )
    summary = table(("Metric", "Kind", "Unit", "Group", "Description"), rows)
    sections = (f"\n### {code(each.prometheus_name)}\n\n{_metric(each, source)}" for each in source.catalog)
    return f"\n## {_title(source)}\n\n{about}{summary}{''.join(sections)}"


def _title(source: NamedCatalog) -> str:
    return code(source.module if source.name == "CATALOG" else f"{source.module}:{source.name}")


def _link(heading: str, anchors: Anchors) -> str:
    return f"[{heading}](#{anchors.of(heading)})"


def _metric(instrument: Instrument, source: NamedCatalog) -> str:
    first, *others = _facts(instrument, source)
    facts = f"{instrument.description}\n\n{table(first, others)}\n"
    if not instrument.attributes:
        return f"{facts}It has no attributes.\n"
    head = ("Attribute", "Label", "Keyword", "Values", "Description")
    return facts + table(head, map(_attribute, instrument.attributes))


def _facts(instrument: Instrument, source: NamedCatalog) -> Iterator[tuple[str, str]]:
    yield "OpenTelemetry name", code(instrument.name)
    yield "Kind", _kind(instrument)
    yield "Unit", code(instrument.unit)
    yield "Metric group", _group(instrument.group)
    if isinstance(instrument, Histogram) and instrument.count_group:
        yield "Without its group", f"`{instrument.count_group}` keeps its count and sum, in a single bucket"
    yield "Series limit", _limit(instrument)
    if isinstance(instrument, Counter) and instrument.expires:
        yield "A series ends", _expiry(instrument)
    if isinstance(instrument, Histogram):
        yield "Buckets", ", ".join(f"{bound:g}" for bound in instrument.buckets)
    for objective in source.catalog.objectives:
        if objective.histogram is instrument:
            yield "Objective", f"{objective.description} (bound {objective.bound:g}, target {objective.target:g})"
    if earlier := [rename.name for rename in source.catalog.renames if rename.instrument is instrument]:
        yield "Earlier names", ", ".join(map(code, earlier))
    if instrument in source.instruments:
        yield "In Python", code(source.instruments[instrument])
    if operations := source.operations_with(instrument):
        yield "Recorded by", ", ".join(map(code, operations))


def _attribute(attribute: Attribute) -> tuple[str, ...]:
    if attribute.values:
        values = ", ".join(map(code, attribute.values))
    else:
        values = f"a budget of {attribute.budget:,}" if attribute.budget else "any"
    spellings = (attribute.name, attribute.prometheus_label, attribute.keyword)
    return (*map(code, spellings), values, attribute.description)


def _kind(instrument: Instrument) -> str:
    return f"{type(instrument).__name__}{', read at each collection' if isinstance(instrument, Observable) else ''}"


def _group(group: str) -> str:
    name, known = _switch(group)
    state = "on" if known.default else "off"
    return f"`{group}`, {state} by default; `{name}` or `{known.variables[0]}` switches it"


def _limit(instrument: Instrument) -> str:
    sets = f"{instrument.series:,} attribute set{'s' * (instrument.series != 1)}"
    if not isinstance(instrument, Histogram):
        return sets
    # One series for each bucket, one each for +Inf, the sum and the count.
    return f"{sets}, each with {len(instrument.buckets) + 3} series in Prometheus"


def _expiry(instrument: Counter) -> str:
    if instrument.expires is not True:
        return f"after {instrument.expires:g} s without a new value"
    known = settings(TelemetryConfig)["entity_expiry"]
    return f"after {known.default:g} s without a new value; `{known.variables[0]}` sets the time"


def _switch(group: str) -> tuple[str, Setting]:
    return next((name, known) for name, known in settings(TelemetryConfig).items() if known.group == group)
