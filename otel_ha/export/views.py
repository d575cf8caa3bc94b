"""From declarations to the SDK: the instrument and the View of each one, and which ones the user's Views match."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from opentelemetry import metrics
from opentelemetry.sdk.metrics.view import Aggregation, ExplicitBucketHistogramAggregation, View

from otel_ha.declare.instruments import (
    Counter,
    Histogram,
    Instrument,
    Observable,
    ObservableCounter,
    ObservableGauge,
    ObservableUpDownCounter,
    UpDownCounter,
)
from otel_ha.record.journal.sdk import (
    CellHistogram,
    CellSum,
    ObservedLastValue,
    ObservedSum,
    OwnProvider,
    is_matched,
)
from otel_ha.record.resolver import OVERFLOW
from otel_ha.version import DISTRO, SCHEMA_URL

_KINDS = {"counter": "counter", "updowncounter": "up_down_counter", "gauge": "gauge", "histogram": "histogram"}
# The limit of an expiring counter: its recorder keeps the declared one, as the SDK may still count expired series.
_ENOUGH = 1_000_000
# 1.45.0 and 1.45.1 accept no limit and have none themselves; the recorders keep the declared one on every version.
_TAKES_LIMIT = "aggregation_cardinality_limit" in inspect.signature(View).parameters


def make(meter: metrics.Meter, instrument: Instrument, groups: Collection[str], **known: Any) -> Any:
    """Return the API instrument of a declaration while metric groups are on; `known` are arguments like callbacks."""
    observed = "callbacks" in known or isinstance(instrument, Observable)
    kind = f"observable_{_KINDS[instrument.kind]}" if observed else _KINDS[instrument.kind]
    if isinstance(instrument, Histogram):
        # Not in the View: there it would override an exporter that asks for exponential histograms.
        known["explicit_bucket_boundaries_advisory"] = instrument.bounds(groups)
    create = getattr(meter, f"create_{kind}")
    return create(instrument.name, unit=instrument.unit, description=instrument.description, **known)


def aggregation_of(instrument: Instrument, groups: Collection[str], *, explicit: bool) -> Aggregation | None:
    """Return the aggregation that the journal can settle to; None if this kind of instrument has none.

    `groups` are the metric groups that are on; `explicit` is whether histograms have explicit buckets.
    """
    if isinstance(instrument, Histogram):
        bounds = instrument.bounds(groups)
        return CellHistogram(bounds) if explicit or not bounds else None
    if isinstance(instrument, Counter | UpDownCounter):
        observed = isinstance(instrument, Counter) and instrument.expires
        return ObservedSum() if observed else CellSum()
    if isinstance(instrument, ObservableCounter | ObservableUpDownCounter):
        return ObservedSum()
    return ObservedLastValue() if isinstance(instrument, ObservableGauge) else None


def view_of(instrument: Instrument, groups: Collection[str], aggregation: Aggregation | None) -> View:
    """Return the View of one declaration, with its attributes and its limit; the instrument itself has the bounds."""
    if aggregation is None and isinstance(instrument, Histogram) and not instrument.bounds(groups):
        # An exporter that asks for exponential histograms would have buckets.
        aggregation = ExplicitBucketHistogramAggregation(())
    keys = {attribute.name for attribute in instrument.attributes} | OVERFLOW.keys()
    limit: dict[str, Any] = {}
    if _TAKES_LIMIT:
        expires = isinstance(instrument, Counter) and instrument.expires
        # The sets that the recorder lets through, and one more for the overflow.
        let_through = instrument.series + instrument.reserve + 1
        limit["aggregation_cardinality_limit"] = _ENOUGH if expires else let_through
    return View(
        instrument_name=instrument.name, meter_name=DISTRO, attribute_keys=keys, aggregation=aggregation, **limit
    )


def matched_by(views: Sequence[View], catalog: Iterable[Instrument]) -> frozenset[Instrument]:
    """Return the declarations that one of the views matches: the SDK decides, with instruments that go nowhere."""
    if not views:
        return frozenset()
    meter = OwnProvider().get_meter(DISTRO, schema_url=SCHEMA_URL)
    made = {each: make(meter, each, ()) for each in catalog}
    return frozenset(each for each, instrument in made.items() if any(is_matched(view, instrument) for view in views))
