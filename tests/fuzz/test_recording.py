"""Recording calls with hostile values: nothing escapes, and every measurement or a problem is counted."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
from collections import Counter as Counting
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from hypothesis import strategies as st
from opentelemetry import metrics
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client.parser import text_string_to_metric_families

from otel_ha import CatalogError, Discarded, Telemetry, measured, setup_telemetry
from otel_ha.export.otlp.encoding import MetricsEncoder, encoded_spans
from otel_ha.record.collected import metrics_of
from otel_ha.vocabulary import ingest, runtime
from tests.fuzz.budget import Fuzz
from tests.fuzz.instruments import (
    CATALOG,
    CONFIG,
    DEPTH,
    EXPIRING,
    LEVEL,
    LOAD,
    ODOMETER,
    PLACES,
    THINGS,
    WAIT,
)
from tests.fuzz.values import HOSTILE, Value, exactly
from tests.recorded import ROLES, MemoryReader, in_threads
from tests.traced import Traced

Attributes = dict[str, Any]
Action = Callable[[Any, Any, Attributes], Counting]
"""Uses two values and attributes; returns how many measurements of each kind are expected."""


def counters(value: Any, _: Any, attributes: Attributes) -> Counting:
    THINGS.add(1, **attributes)
    THINGS.add(1, shape=value)
    handle = THINGS.bind(**attributes)
    handle.add(1)
    handle.add(1)
    THINGS.bind(colour=value, undeclared=value).add(1)
    return Counting(things=5)


def amounts(value: Any, other: Any, attributes: Attributes) -> Counting:
    WAIT.record(value, **attributes)
    handle = WAIT.bind(size=other)
    for amount in (value, 1, other, value):
        handle.record(amount)
    return Counting(wait=5)


def others(value: Any, other: Any, attributes: Attributes) -> Counting:
    for verb in (LOAD.add, LEVEL.set, EXPIRING.add):
        verb(value, **attributes)
        verb(1, colour=other, size=value)
    LOAD.bind(**attributes).add(value)
    LEVEL.bind(**attributes).set(value)
    EXPIRING.bind(**attributes).add(value)
    EXPIRING.forget(**attributes)
    EXPIRING.forget(size=value)
    return Counting()


def observed(value: Any, other: Any, attributes: Attributes) -> Counting:
    for each in (DEPTH, ODOMETER, PLACES):
        each.observe(lambda: value, **attributes)
        each.observe(lambda: [(1, {"size": value}), (value, {"colour": other}), (2, attributes), (3, value)])
        each.observe(lambda: [value, other])
        with each.observe(value, size=other):
            pass
        each.observe(value)
    return Counting()


def by_the_api(value: Any, other: Any, _: Attributes) -> Counting:
    """Measurements of other code, which come through OpenTelemetry's own API: with text and numbers, as it allows."""
    named = metrics.get_meter(other if is_plain(other) else "fuzz", value if is_plain(value) else "1")
    named.create_counter("fuzz.named").add(1)
    meter = metrics.get_meter("fuzz")
    allowed = {name: each for name, each in (("text", value), ("é\n", other)) if is_plain(each)}
    meter.create_counter("fuzz.plain").add(1, allowed)
    meter.create_histogram("fuzz.plain.lengths").record(1.5, allowed)
    if is_plain(value) and not isinstance(value, str | bool) and -(10**300) < value < 10**300:
        meter.create_up_down_counter("fuzz.plain.level").add(value)
    return Counting()


def queued(value: Any, other: Any, attributes: Attributes) -> Counting:
    named = without(attributes, "reason", "outcome", "state")
    for event in ({"source": value, "domain": other}, named):
        ingest.EVENT.receive(**event)
        ingest.EVENT.discard(other, **event)
        ingest.EVENT.receive(**event)
        with measured(ingest.QUEUED_EVENT, **declared(event)):
            pass
        ingest.EVENT.discard(value, **event)  # nobody has received it
    handle = ingest.EVENT.bind(**values(declared(event)))
    handle.receive()
    handle.discard(value)
    with suppress(CatalogError):
        ingest.EVENT.bind(**attributes)
    return Counting(received=7)


def elsewhere(value: Any, other: Any, attributes: Attributes) -> Counting:
    named = without(attributes, "outcome")
    ingest.EVENT.record(0.1, value, **named)
    ingest.EVENT.record(0.1, Discarded(value), source=other)
    handle = ingest.EVENT.bind(**values({"source": value}))
    handle.record(0.1, other)
    handle.record(0.1, Discarded(other))
    return Counting(received=4)


def blocks(value: Any, other: Any, attributes: Attributes) -> Counting:
    with measured(ingest.EVENT, source=other) as event:
        event.set(**attributes)
        event.set(source=value, entity=other)
    with measured(ingest.EVENT, source="mqtt") as event:
        event.discard(value)
    with measured(ingest.EVENT, source="mqtt", domain=other) as event:
        event.fail(value)
    with suppress(LookupError), measured(ingest.EVENT, source=value) as event:
        event.cancel()
        raise LookupError
    return Counting(received=4)


def functions(value: Any, other: Any, _: Attributes) -> Counting:
    handle = measured(ingest.EVENT, source=lambda each, *_, **__: each, outcome_of=lambda result: result)(
        lambda *_, **__: other
    )
    assert handle(value) is other
    assert handle(value, other, more=value) is other
    handle = measured(ingest.EVENT, source="mqtt", outcome_of=Discarded, expected=lambda _: value)(lambda each: each)
    assert handle(value) is value
    return Counting(received=3)


def raising(value: Any, other: Any, _: Attributes) -> Counting:
    error = ValueError(value, other)

    @measured(ingest.EVENT, source=lambda: value, domain=lambda: 1 / 0, expected=lambda _: other)
    def fails() -> None:
        raise error

    with pytest.raises(ValueError) as caught:
        fails()
    assert caught.value is error
    return Counting(received=1)


def coroutines(value: Any, other: Any, _: Attributes) -> Counting:
    @measured(ingest.EVENT, source=lambda each: each, outcome_of=lambda result: result)
    async def handle(_: Any) -> Any:
        return other

    @measured(ingest.EVENT, source=lambda each: each)
    async def steps(each: Any) -> Any:
        yield each

    async def main() -> None:
        assert await handle(value) is other
        async for each in steps(value):
            assert each is value

    asyncio.run(main())
    return Counting(received=2)


def generators(value: Any, other: Any, _: Attributes) -> Counting:
    @measured(ingest.EVENT, source=lambda each: each, outcome_of=lambda result: result)
    def handle(each: Any) -> Iterator[Any]:
        yield each
        return other

    assert [each is value for each in handle(value)] == [True]
    left = handle(value)
    next(left)
    left.close()
    return Counting(received=2)


def is_plain(value: Any) -> bool:
    return any(type(value) is kind for kind in (str, int, float, bool))  # a set would hash the type


def without(attributes: Attributes, *keywords: str) -> Attributes:
    return {keyword: value for keyword, value in attributes.items() if keyword not in keywords}


def declared(attributes: Attributes) -> Attributes:
    """Return those attributes that measured() accepts: it raises CatalogError for others, before any work."""
    return {k: v for k, v in attributes.items() if k in {"source", "domain", "entity"}}


def values(attributes: Attributes) -> Attributes:
    """Return those attributes that bind() accepts: it raises CatalogError for functions."""
    return {keyword: value for keyword, value in attributes.items() if not callable(value)}


@contextmanager
def quiet() -> Iterator[None]:
    """Run a block without the log: it has thousands of problems, each the first one of its kind."""
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


@contextmanager
def telemetry() -> Iterator[tuple[Telemetry, MemoryReader]]:
    """Run a block with telemetry that is scraped, and collected in memory for an OTLP request."""
    with setup_telemetry("fuzz", config=CONFIG, catalog=CATALOG) as running:
        assert running.pipeline is not None
        reader = MemoryReader()
        reader.gate = running.pipeline.gate
        running.pipeline.provider.add_metric_reader(reader)
        yield running, reader


def check_exports(running: Telemetry, reader: MemoryReader, expected: Counting) -> None:
    """Check that a scrape and a push can be read, and that the accounts in them are right."""
    text = running.prometheus_text()
    list(text_string_to_metric_families(text))
    text.encode()
    data = reader.get_metrics_data()
    request = ExportMetricsServiceRequest.FromString(MetricsEncoder()(data))
    pushed = {each.name for scope in request.resource_metrics[0].scope_metrics for each in scope.metrics}
    found = Counting()
    for _, _, metric in metrics_of(data):
        assert metric.name in pushed
        for point in metric.data.data_points:
            if role := ROLES.get(metric.name):
                found[role] += point.count if role == "processed" else point.value
            elif metric.name == THINGS.name:
                found["things"] += point.value
            elif metric.name == WAIT.name:
                found["wait"] += point.count
            elif metric.name == runtime.RECORDING_PROBLEMS.name:
                named = dict(point.attributes)
                if (named["otel_ha.instrument"], named["otel_ha.problem.reason"]) == (WAIT.name, "invalid_amount"):
                    found["wait"] += point.value
    assert found["received"] == found["processed"] + found["discarded"]
    assert found["in_flight"] == 0
    assert {kind: found[kind] for kind in ("received", "things", "wait")} == {
        kind: expected[kind] for kind in ("received", "things", "wait")
    }


def check_pages(running: Telemetry) -> None:
    """Check that the summary and the status page can be written."""
    json.dumps(running.summary(), allow_nan=False).encode()
    page = running._endpoint._endpoint.respond("GET", "/", {"accept": "text/html"})
    assert page.status == 200
    page.body.decode()


KEYWORDS = st.sampled_from(
    [
        *("colour", "shape", "size", "source", "domain", "entity", "reason", "state", "outcome"),
        *("error_type", "amount", "self", "class", "", "�", "x" * 300, "le", "name", "duration"),
        *("operation", "a b", "instrument"),
    ]
)
ACTIONS: list[Action] = [
    *(
        counters,
        amounts,
        others,
        observed,
        by_the_api,
        queued,
        elsewhere,
        blocks,
        functions,
        raising,
        coroutines,
        generators,
    ),
]
CALLS = st.tuples(st.sampled_from(ACTIONS), HOSTILE, HOSTILE, st.dictionaries(KEYWORDS, HOSTILE, max_size=4))
Call = tuple[Action, Value, Value, dict[str, Value]]


def act(call: Call) -> Counting:
    action, value, other, attributes = call
    return action(value.make(), other.make(), {keyword: each.make() for keyword, each in attributes.items()})


# Earlier findings: a keyword of its own, a sum of more than 64 bits, and half of a surrogate pair.
KNOWN: list[list[Call]] = [
    [(others, exactly(1), exactly("a"), {"self": exactly("a")})],
    [(others, exactly(2**62), exactly("a"), {})],
    [(by_the_api, Value("10**5000", lambda: 10**5000), exactly(-(10**400)), {})],
    [(by_the_api, exactly(2**70), exactly("a"), {}), (by_the_api, exactly("\ud800"), exactly("\udc80"), {})],
]


def check_calls(calls: list[Call]) -> None:
    with quiet(), telemetry() as (running, reader):
        expected: Counting = Counting()
        for call in calls:
            for _ in range(2):  # in full, and resolved
                expected += act(call)
        gc.collect(0)
        check_exports(running, reader, expected)
        check_exports(running, reader, expected)
        check_pages(running)


def check_threads(calls: list[Call]) -> None:
    with quiet(), telemetry() as (running, reader):
        done: list[Counting] = []
        in_threads(
            3, lambda i: done.extend([act(each) for each in calls[i::3] for _ in range(5)]) or reader.collected()
        )
        check_exports(running, reader, sum(done, Counting()))


def check_spans(calls: list[Call]) -> None:
    with Traced() as traced:
        check_calls(calls)
    encode = encoded_spans(traced.spans)
    spans = ExportTraceServiceRequest.FromString(encode).resource_spans
    assert sum(len(scope.spans) for each in spans for scope in each.scope_spans) == len(traced.spans)


def test_recording_in_spans(fuzz: Fuzz) -> None:
    fuzz(check_spans, st.lists(CALLS, min_size=1, max_size=5), most=5)


def test_recording(fuzz: Fuzz) -> None:
    fuzz(check_calls, st.lists(CALLS, min_size=1, max_size=8), known=KNOWN, most=10)


def test_recording_in_threads(fuzz: Fuzz) -> None:
    fuzz(check_threads, st.lists(CALLS, min_size=3, max_size=12), most=5)
