"""Registered names as OpenTelemetry instruments of the running pipeline, so that they are scraped and pushed.

A name is exposed as OpenTelemetry spells it, in lower case. A counter whose name does not end in "_total" is an up-down
counter there, because every way to Prometheus appends "_total" to a counter. Names that a recording rule has, and those
of declared metrics, are left out: a second metric of the same name would break the scrape or the rule.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final

from opentelemetry.context import get_current
from opentelemetry.metrics import Meter, MeterProvider

from otel_ha.compat.built_in import NAMES
from otel_ha.compat.metric import BUCKETS, PARTS, Metric, samples_of, within_limit
from otel_ha.compat.old_names.old_name import PREFIX
from otel_ha.compat.old_names.table import OLD_NAMES
from otel_ha.compat.process_lock import ProcessLock
from otel_ha.compat.spelling import OVERFLOW, Labels, instrument_name
from otel_ha.declare.instruments import Counter, Instrument, ObservableCounter
from otel_ha.declare.ports import AttributeValue
from otel_ha.export.pipeline import Pipeline
from otel_ha.record.resolver import OVERFLOW as OVERFLOW_ATTRIBUTES
from otel_ha.telemetry import Telemetry, running_telemetry
from otel_ha.version import DISTRO
from otel_ha.vocabulary import ha_ingestor, runtime

SCOPE: Final = f"{DISTRO}.compat"
MOST_NAMES: Final = 500

Write = Callable[[float, dict[str, AttributeValue], Any], None]


def record(metric: Metric, value: float, labels: Labels) -> None:
    """Record a value to the running pipeline, if there is one; never raises."""
    telemetry = running_telemetry()
    pipeline = None if telemetry is None else telemetry.pipeline
    if telemetry is None or pipeline is None:
        return
    try:
        with _lock():
            found = _names_on(telemetry, pipeline).exposed(metric, pipeline)
            kept = None if found is None else within_limit(found.series, labels, metric.type)
            if found is None or kept is None:
                return
            found.series.add(kept)
        attributes: dict[str, AttributeValue] = OVERFLOW_ATTRIBUTES if kept == OVERFLOW else {**dict(kept)}
        pipeline.gate.write(partial(found.write, value, attributes, get_current()))
    except Exception as error:  # noqa: BLE001 - recording never raises into the service
        pipeline.report(metric.name, "failed", f"recording failed: {error!r}")


class Exposed:
    """One name as an instrument, with the series that it has."""

    def __init__(self, name: str, kind: str, write: Write) -> None:
        self.name = name
        self.kind = kind
        self.write = write
        self.series: set[Labels] = set()


class Names:
    """The registered names on one MeterProvider; `taken` are the names of samples that other metrics have."""

    def __init__(self, meter: Meter, taken: Iterable[str]) -> None:
        self._meter = meter
        self._taken = set(taken)
        self._by_name: dict[str, Exposed] = {}

    def exposed(self, metric: Metric, pipeline: Pipeline) -> Exposed | None:
        """Return the instrument of a metric, made if it is new; None if the name cannot be exposed."""
        name = instrument_name(metric.name)
        if name in _WITHHELD:
            return None
        found = self._by_name.get(name)
        if found is None and (found := self._make(name, metric, pipeline)) is not None:
            self._by_name[name] = found
        if found is None or (found.name, found.kind) == (metric.name, metric.type):
            return found
        message = f"is {name} in the scrape, like the {found.kind} {found.name}; not scraped or pushed; rename one"
        pipeline.report(metric.name, "name_taken", message)
        return None

    def _make(self, name: str, metric: Metric, pipeline: Pipeline) -> Exposed | None:
        if len(self._by_name) >= MOST_NAMES:
            message = f"more than {MOST_NAMES} registered names; further ones are not scraped or pushed"
            pipeline.report("MetricsRegistry", "names_exceeded", message)
            return None
        samples = samples_of(name, metric.type) | _family_of(name, metric.type == "counter")
        if samples & self._taken:
            message = "another metric has this name; this one is not scraped or pushed; register another name"
            pipeline.report(metric.name, "name_taken", message)
            return None
        self._taken |= samples
        return Exposed(metric.name, metric.type, _instrument(self._meter, name, metric))


def _family_of(name: str, counts: bool) -> set[str]:  # noqa: FBT001 - private
    """Return the name of a counter's family, which OpenMetrics spells without "_total"; no other may have it."""
    return {name.removesuffix("_total")} if counts else set()


def _instrument(meter: Meter, name: str, metric: Metric) -> Write:
    known: dict[str, Any] = {"unit": "", "description": metric.help_text}
    if metric.type == "histogram":
        bounds = metric.buckets or BUCKETS
        return meter.create_histogram(name, **known, explicit_bucket_boundaries_advisory=bounds).record
    if metric.type == "gauge":
        return meter.create_gauge(name, **known).set
    create = meter.create_counter if name.endswith("_total") else meter.create_up_down_counter
    return create(name, **known).add


_lock = ProcessLock()
_on: weakref.WeakKeyDictionary[MeterProvider, Names] = weakref.WeakKeyDictionary()
"""By provider, because one that the service brought along outlives a pipeline, and so do its instruments."""


def _names_on(telemetry: Telemetry, pipeline: Pipeline) -> Names:
    found = _on.get(pipeline.provider)
    if found is None:
        ours = {
            name for each in (telemetry.catalog, runtime.CATALOG, ha_ingestor.CATALOG) for name in _samples_of(each)
        }
        found = _on[pipeline.provider] = Names(pipeline.provider.get_meter(SCOPE), ours)
    return found


def _samples_of(instruments: Iterable[Instrument]) -> Iterable[str]:
    for each in instruments:
        yield from samples_of(each.prometheus_name, "histogram")
        yield from _family_of(each.prometheus_name, isinstance(each, Counter | ObservableCounter))


_WITHHELD: Final = frozenset(
    {*NAMES, *(f"{name}{part}" for name in NAMES for part in PARTS)}
    | {f"{PREFIX}{old.name}{part}" for old in OLD_NAMES for part in ("", *PARTS)}
    | {"target_info"}
)
"""Names of the earlier system: they exist in its texts, and as recording rules."""
