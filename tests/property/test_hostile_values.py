"""Whatever a value is or does, recording never raises, and the accounts add up."""

import contextlib
import logging
from collections import Counter as Counting
from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_ha import Discarded, measured
from otel_ha.record.collected import metrics_of
from otel_ha.vocabulary import ingest
from tests.fuzz.instruments import DEPTH, EXPIRING, LEVEL, LOAD, THINGS, WAIT
from tests.hostile import VALUES
from tests.recorded import ROLES, Recorded

INSTRUMENTS = (THINGS, LOAD, LEVEL, WAIT, EXPIRING, DEPTH)
VERBS = (THINGS.add, LOAD.add, LEVEL.set, WAIT.record, EXPIRING.add)
BOUND = {THINGS: "add", LOAD: "add", LEVEL: "set", WAIT: "record", EXPIRING: "add"}

ANY = st.integers(0, len(VALUES) - 1)  # the index of a value: Hypothesis would hash and show the value itself


def instruments(value, other):
    """Use a value as amount and attribute of every instrument."""
    for verb in VERBS:
        verb(value, colour=other, shape=value)
        verb(1, colour=value, shape=other, size=value)
        verb(1, undeclared=value)
    for instrument, verb in BOUND.items():
        handle = instrument.bind(colour=value, size=other)
        for amount in (1, value, 1):
            getattr(handle, verb)(amount)
    EXPIRING.forget(colour=value, size=other)
    DEPTH.observe(lambda: value)
    DEPTH.observe(lambda: 1, colour=value)
    DEPTH.observe(lambda: [(1, {"colour": value, "size": other}), (value, {"size": "small"})])


def queued(value, other):
    """One event that waits, is started, and ends; and one that is discarded while it waits."""
    event = {"source": value, "domain": other}
    ingest.EVENT.receive(**event)
    with measured(ingest.QUEUED_EVENT, **event):
        pass
    ingest.EVENT.receive(**event)
    ingest.EVENT.discard(other, **event)
    bound = ingest.EVENT.bind(**event)
    bound.receive()
    bound.discard(other)
    return 3


def recorded_elsewhere(value, other):
    """Events that were measured elsewhere, with every kind of outcome."""
    ingest.EVENT.record(0.1, value, source=other, domain=value)
    ingest.EVENT.record(0.1, Discarded(value), source=other)
    ingest.EVENT.bind(source=value).record(0.1, other)
    return 3


def blocks(value, other):
    """Events that are measured as blocks, whose values become known in the block."""
    with measured(ingest.EVENT, source=other) as event:
        event.set(source=value, domain=value, entity=other)
    with measured(ingest.EVENT, source="mqtt") as event:
        event.discard(value)
    with measured(ingest.EVENT, source="mqtt", domain=other) as event:
        event.fail(value)
    with measured(ingest.EVENT, source="mqtt") as event:
        event.set(source=value)
        event.cancel()
    with contextlib.suppress(LookupError), measured(ingest.EVENT, source=value) as event:
        event.set(domain=other)
        raise LookupError
    return 5


def functions(value, other):
    """Events that are measured as calls, with computed attributes and every kind of result."""
    handle = measured(ingest.EVENT, source=lambda each: each, outcome_of=lambda result: result)(lambda _: other)
    assert handle(value) is other
    handle = measured(ingest.EVENT, source=lambda _: "mqtt", outcome_of=Discarded)(lambda each: each)
    assert handle(value) is value
    return 2


def exact_accounts(recorded):
    """Return the accounts by source and its type: 1, 1.0 and True are three sources."""
    found = defaultdict(Counting)
    data = recorded.readers[0].get_metrics_data()
    for _, _, metric in metrics_of(data):
        if role := ROLES.get(metric.name):
            for point in metric.data.data_points:
                source = point.attributes.get("homeassistant.source")
                found[type(source), source][role] += point.count if role == "processed" else point.value
    return found


@pytest.mark.parametrize("journalled", [True, False])
@settings(max_examples=25)
@given(pairs=st.lists(st.tuples(ANY, ANY), min_size=1, max_size=5))
def test_no_value_raises_when_it_is_recorded(journalled, pairs):
    with Recorded(*INSTRUMENTS, journalled=journalled) as recorded:
        for value, other in pairs:
            for _ in range(3):
                instruments(VALUES[value](), VALUES[other]())
        recorded.collect()
        recorded.collect()
        data = recorded.readers[0].get_metrics_data()
        # Points are added up one by one: as keys of a dict, 1, 1.0 and True would be the same.
        things = (metric for _, _, metric in metrics_of(data) if metric.name == THINGS.name)
        counted = sum(point.value for metric in things for point in metric.data.data_points)
    assert counted >= len(pairs) * 3 * 4


@pytest.mark.parametrize("journalled", [True, False])
@settings(max_examples=25)
@given(
    work=st.lists(st.sampled_from([queued, recorded_elsewhere, blocks, functions]), min_size=1, max_size=4),
    pairs=st.lists(st.tuples(ANY, ANY), min_size=1, max_size=5),
)
def test_an_event_ends_whatever_its_values_are(journalled, work, pairs):
    with Recorded(catalog=ingest.CATALOG, journalled=journalled) as recorded:
        # The same events several times: first in full, then resolved.
        done = sum(act(VALUES[value](), VALUES[other]()) for _ in range(3) for act in work for value, other in pairs)
        found = exact_accounts(recorded)
    for account in found.values():
        assert account["received"] == account["processed"] + account["discarded"]
        assert account["in_flight"] == 0
    assert sum(account["received"] for account in found.values()) == done


@pytest.mark.parametrize("index", range(len(VALUES)))
def test_every_value_is_recorded_in_every_place(index):
    for journalled in (True, False):
        with Recorded(*INSTRUMENTS, catalog=ingest.CATALOG, journalled=journalled) as recorded:
            value = VALUES[index]()
            instruments(value, value)
            done = sum(act(value, value) for _ in range(3) for act in (queued, recorded_elsewhere, blocks, functions))
            found = exact_accounts(recorded)
        assert {account["in_flight"] for account in found.values()} == {0}
        assert sum(account["received"] for account in found.values()) == done


def test_a_filter_of_logging_that_raises_does_not_reach_the_measured_code():
    def fail(_):
        raise ZeroDivisionError

    logger = logging.getLogger("otel_ha")
    logger.addFilter(fail)
    try:
        with Recorded(THINGS) as recorded:
            THINGS.add(1, colour="blue")
            assert recorded.value(THINGS, colour="_OTHER") == 1
    finally:
        logger.removeFilter(fail)
