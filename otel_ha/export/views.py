"""From declarations to the SDK: the instrument and the View of each, and which of them the user's Views are for."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Sequence
from typing import Any

from opentelemetry import metrics
from opentelemetry.sdk.metrics.view import Aggregation, View

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
from otel_ha.record.journal.aggregations import CellHistogram, CellSum, ObservedLastValue, ObservedSum
from otel_ha.record.journal.sdk import OwnProvider
from otel_ha.record.resolver import OVERFLOW
from otel_ha.version import DISTRO, SCHEMA_URL

_KINDS = {"counter": "counter", "updowncounter": "up_down_counter", "gauge": "gauge", "histogram": "histogram"}
# Series of an expiring counter: its recorder keeps the limit, as the SDK may go on counting those that have expired.
_ENOUGH = 1_000_000
# 1.45.0 and 1.45.1 take no limit and have none of their own; the recorders keep the declared one on all of them.
_TAKES_LIMIT = "aggregation_cardinality_limit" in inspect.signature(View).parameters


def make(meter: metrics.Meter, instrument: Instrument, **known: Any) -> Any:
    """Return the API instrument of a declaration; `known` is whatever else it is made with, such as callbacks."""
    observed = "callbacks" in known or isinstance(instrument, Observable)
    kind = f"observable_{_KINDS[instrument.kind]}" if observed else _KINDS[instrument.kind]
    if isinstance(instrument, Histogram):
        # Not in the View: there it would overrule an exporter that asks for exponential histograms.
        known["explicit_bucket_boundaries_advisory"] = instrument.buckets
    create = getattr(meter, f"create_{kind}")
    return create(instrument.name, unit=instrument.unit, description=instrument.description, **known)


def aggregation_of(instrument: Instrument, *, explicit: bool) -> Aggregation | None:
    """Return what makes aggregations that can be bound to; None where there is none for this kind of instrument.

    `explicit` tells whether histograms have explicit buckets.
    """
    if isinstance(instrument, Histogram):
        return CellHistogram(instrument.buckets) if explicit else None
    if isinstance(instrument, Counter | UpDownCounter):
        observed = isinstance(instrument, Counter) and instrument.expires
        return ObservedSum() if observed else CellSum()
    if isinstance(instrument, ObservableCounter | ObservableUpDownCounter):
        return ObservedSum()
    return ObservedLastValue() if isinstance(instrument, ObservableGauge) else None


def view_of(instrument: Instrument, aggregation: Aggregation | None) -> View:
    """Return the View of one declaration: its attributes and no others, its limit. The bounds are the instrument's."""
    keys = {attribute.name for attribute in instrument.attributes} | OVERFLOW.keys()
    limit: dict[str, Any] = {}
    if _TAKES_LIMIT:
        expires = isinstance(instrument, Counter) and instrument.expires
        # What the recorder lets through, and one more: the set that takes the surplus.
        let_through = instrument.series + instrument.reserve + 1
        limit["aggregation_cardinality_limit"] = _ENOUGH if expires else let_through
    return View(
        instrument_name=instrument.name, meter_name=DISTRO, attribute_keys=keys, aggregation=aggregation, **limit
    )


def matched_by(views: Sequence[View], catalog: Iterable[Instrument]) -> frozenset[Instrument]:
    """Return the declarations that one of the views matches: the SDK is asked, with instruments that go nowhere."""
    if not views:
        return frozenset()
    meter = OwnProvider().get_meter(DISTRO, schema_url=SCHEMA_URL)
    made = {each: make(meter, each) for each in catalog}
    return frozenset(each for each, instrument in made.items() if any(view._match(instrument) for view in views))
