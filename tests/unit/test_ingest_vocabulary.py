import re

import pytest

from otel_ha import Counter, Histogram, ObservableGauge, ObservableUpDownCounter, UpDownCounter
from otel_ha.testing import captured_metrics
from otel_ha.vocabulary import ingest

# The instruments that the design lists, with attributes that distinguish their series.
LISTED = [
    ("homeassistant.event.received", Counter, {"source"}),
    ("homeassistant.event.resynchronized", Counter, {"source"}),
    ("homeassistant.event.discarded", Counter, {"source", "reason"}),
    ("homeassistant.event.in_flight", UpDownCounter, {"source", "state"}),
    ("homeassistant.event.process.duration", Histogram, {"source", "outcome", "error_type"}),
    ("homeassistant.event.lag", Histogram, {"source", "sink"}),
    ("homeassistant.data.received", Counter, {"source", "type"}),
    ("homeassistant.data.sent", Counter, {"sink", "type"}),
    ("homeassistant.transform.duration", Histogram, {"transformer", "outcome", "error_type"}),
    ("homeassistant.point.written", Counter, {"sink", "measurement", "outcome"}),
    ("db.client.operation.duration", Histogram, {"system", "operation", "error_type"}),
    ("homeassistant.batch.size", Histogram, {"sink"}),
    ("homeassistant.queue.size", ObservableUpDownCounter, {"queue"}),
    ("homeassistant.queue.capacity", ObservableUpDownCounter, {"queue"}),
    ("homeassistant.queue.oldest_item.age", ObservableGauge, {"queue"}),
    ("homeassistant.connection.active", UpDownCounter, {"kind"}),
    ("homeassistant.connection.closed", Counter, {"kind", "reason"}),
    ("homeassistant.connection.reconnects", Counter, {"kind"}),
    ("homeassistant.message.age", ObservableGauge, {"source"}),
    ("homeassistant.broker.message.dropped", Counter, {"source"}),
    ("homeassistant.errors", Counter, {"component", "error_type", "severity"}),
    ("homeassistant.circuit_breaker.state", ObservableUpDownCounter, {"component", "state"}),
    ("homeassistant.retry.attempts", Counter, {"component", "operation"}),
    ("homeassistant.entity.events", Counter, {"entity"}),
]


@pytest.mark.parametrize(("name", "kind", "keywords"), LISTED, ids=[name for name, *_ in LISTED])
def test_every_instrument_that_the_design_lists_is_declared(name, kind, keywords):
    instrument = ingest.CATALOG[name]
    assert type(instrument) is kind
    assert keywords <= {attribute.keyword for attribute in instrument.attributes}


def test_nothing_else_is_declared():
    assert {i.name for i in ingest.CATALOG} == {name for name, *_ in LISTED}


@pytest.mark.parametrize("instrument", ingest.CATALOG, ids=lambda i: i.name)
def test_a_description_is_a_sentence_that_does_not_repeat_the_name(instrument):
    assert instrument.description[0].isalnum()
    assert instrument.description.endswith((".", "…"))
    assert instrument.name not in instrument.description


@pytest.mark.parametrize("instrument", ingest.CATALOG, ids=lambda i: i.name)
def test_every_attribute_is_bounded(instrument):
    unbounded = {a.name for a in instrument.attributes if not a.values and a.budget is None}
    assert unbounded <= {"homeassistant.entity_id"}  # opt-in, with expiry


def test_an_attribute_is_declared_only_once():
    declared = {attribute for instrument in ingest.CATALOG for attribute in instrument.attributes}
    assert len({attribute.name for attribute in declared}) == len(declared)


@pytest.mark.parametrize("word", ["rate", "ratio", "efficiency", "success", "percent"])
def test_derived_values_are_not_instruments(word):
    assert not [i.name for i in ingest.CATALOG if word in re.split("[._]", i.name)]


def test_no_bucket_bound_is_an_integer():
    buckets = [bound for i in ingest.CATALOG if isinstance(i, Histogram) for bound in i.buckets]
    assert not [bound for bound in buckets if bound.is_integer()]


def test_events_are_not_counted_by_entity_by_default():
    assert ingest.ENTITY_EVENTS.group == "entity"
    assert ingest.ENTITY_EVENTS.expires


def test_events_with_and_without_a_queue_use_the_same_instruments():
    assert ingest.EVENT.instruments == ingest.QUEUED_EVENT.instruments


def test_the_objectives_are_on_processing_and_lag():
    assert {o.histogram for o in ingest.CATALOG.objectives} == {ingest.EVENT_DURATION, ingest.LAG_TO_WRITE}


def test_the_whole_vocabulary_can_be_recorded():
    with captured_metrics(entity_metrics=True) as metrics:
        for instrument in ingest.CATALOG:
            attributes = {a.keyword: (a.values or ("x",))[0] for a in instrument.attributes}
            for verb in ("add", "record"):
                if hasattr(instrument, verb):
                    getattr(instrument, verb)(1, **attributes)
            if hasattr(instrument, "observe"):
                instrument.observe(lambda: 1, **attributes)
            metrics.assert_recorded(instrument, 1, **attributes)
        metrics.assert_no_problems()
