"""Spans of measured work: when there is one, and what it says."""

import logging
import time
from weakref import proxy

import pytest
from opentelemetry import context
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, Sampler
from opentelemetry.trace import (
    INVALID_SPAN,
    NonRecordingSpan,
    SpanKind,
    StatusCode,
    get_current_span,
    set_span_in_context,
)

from otel_ha import Counter, Discarded, Histogram, Operation, TelemetryConfig, measured
from otel_ha.declare.spans import SPANS
from otel_ha.vocabulary import ingest
from tests.recorded import Recorded
from tests.traced import Traced
from tests.unit.measure.conftest import SHAPE, WORK, boom, counts, raising

PLAIN = Histogram("test.plain", unit="s", description="Work.", attributes=(SHAPE,))


def attributes(span):
    """Return the attributes by the last part of their names."""
    return {key.rpartition(".")[2]: value for key, value in span.attributes.items()}


def test_measured_work_has_a_span(recorded, traced):
    measured(WORK)(lambda: None)()
    assert traced.one.name == "test.work"
    assert counts(recorded) == {(("outcome", "ok"),): 1}


def test_each_piece_of_work_has_a_span_of_its_own(recorded, traced):
    work = measured(WORK)(lambda: None)
    for _ in range(3):
        work()
    assert len({span.get_span_context().span_id for span in traced.spans}) == 3


def test_there_are_no_spans_while_traces_are_off(recorded):
    with Traced() as traced:
        SPANS.open_by(None)
        measured(WORK)(lambda: None)()
        assert not traced.spans


@pytest.mark.parametrize(
    ("operation", "name", "kind"),
    [
        (ingest.EVENT, "homeassistant.event.process", SpanKind.CONSUMER),
        (ingest.QUEUED_EVENT, "homeassistant.event.process", SpanKind.CONSUMER),
        (ingest.TRANSFORM, "homeassistant.transform", SpanKind.INTERNAL),
        (ingest.WRITE, "db.client.operation", SpanKind.CLIENT),
        (WORK, "test.work", SpanKind.INTERNAL),
        (Histogram("test.read_duration", unit="s", description="Reads."), "test.read", SpanKind.INTERNAL),
        (Histogram("test.subduration", unit="s", description="Reads."), "test.subduration", SpanKind.INTERNAL),
        (Histogram("duration", unit="s", description="Reads."), "duration", SpanKind.INTERNAL),
    ],
)
def test_the_name_and_the_kind_of_a_span_follow_from_the_operation(traced, operation, name, kind):
    with measured(operation):
        pass
    assert (traced.one.name, traced.one.kind) == (name, kind)


def test_a_span_has_the_attributes_as_declared_and_the_entity(recorded, traced):
    event = measured(ingest.EVENT, source="mqtt", domain=lambda _: "light", entity=lambda each: each)
    event(lambda _: None)("light.kitchen")
    assert traced.one.attributes == {
        "homeassistant.source": "mqtt",
        "homeassistant.domain": "light",
        "homeassistant.entity_id": "light.kitchen",
        "homeassistant.outcome": "ok",
    }


def test_a_span_has_the_entity_even_if_entity_metrics_are_off(traced):
    with Recorded(catalog=ingest.CATALOG, journalled=True, entity_metrics=False) as recorded:
        with measured(ingest.EVENT, source="mqtt", entity="light.kitchen"):
            pass
        assert recorded.value(ingest.RECEIVED, source="mqtt") == 1
    assert attributes(traced.one)["entity_id"] == "light.kitchen"


def test_a_span_has_the_attributes_that_a_block_sets(recorded, traced):
    with measured(WORK, shape="round") as work:
        work.set(colour="red")
    assert attributes(traced.one) == {"shape": "round", "colour": "red", "outcome": "ok"}


def test_an_error_is_the_status_of_a_span_and_its_exception_is_an_event(recorded, traced):
    with pytest.raises(RuntimeError):
        measured(WORK)(boom)()
    span = traced.one
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "RuntimeError: boom")
    [event] = span.events
    assert event.name == "exception"
    assert {key: event.attributes[key] for key in ("exception.type", "exception.message")} == {
        "exception.type": "RuntimeError",
        "exception.message": "boom",
    }
    assert 'raise RuntimeError("boom")' in event.attributes["exception.stacktrace"]
    assert attributes(span) == {"outcome": "error", "type": "RuntimeError"}


def test_an_error_has_a_type_even_if_the_operation_declares_none(traced):
    with pytest.raises(RuntimeError):
        measured(PLAIN)(boom)()
    assert traced.one.attributes == {"error.type": "RuntimeError"}


def test_a_failure_without_an_exception_is_the_status_of_a_span(recorded, traced):
    with measured(WORK) as work:
        work.fail("timeout")
    assert (traced.one.status.status_code, traced.one.status.description) == (StatusCode.ERROR, "timeout")
    assert not traced.one.events


def test_a_result_that_is_judged_an_error_is_the_status_of_a_span(recorded, traced):
    measured(WORK, outcome_of=lambda _: "error")(lambda: None)()
    assert traced.one.status.status_code is StatusCode.ERROR


@pytest.mark.parametrize(("expected", "error"), [(KeyError, KeyError), ((), KeyboardInterrupt), ((), GeneratorExit)])
def test_an_expected_exception_and_a_cancellation_are_no_error_of_a_span(recorded, traced, expected, error):
    with pytest.raises(error):
        measured(WORK, expected=expected)(raising)(error())
    assert traced.one.status.status_code is StatusCode.UNSET
    assert not traced.one.events


def test_a_span_of_discarded_work_says_the_reason(recorded, traced):
    with measured(ingest.EVENT, source="mqtt") as event:
        event.discard("duplicate")
    assert attributes(traced.one) == {"source": "mqtt", "reason": "duplicate"}
    assert traced.one.status.status_code is StatusCode.UNSET


def test_a_span_says_the_reason_even_if_the_operation_declares_none(traced):
    measured(PLAIN, outcome_of=lambda _: Discarded("late"))(lambda: None)()
    assert traced.one.attributes == {"homeassistant.discard.reason": "late"}


def test_no_secret_is_in_a_span(recorded, traced):
    config = TelemetryConfig(environ={"OTEL_EXPORTER_OTLP_HEADERS": "api-key=s3cret-enough"})
    with pytest.raises(ValueError, match="s3cret"):
        measured(WORK)(raising)(ValueError(f"s3cret-enough at http://me:{'pass'}@example.org/"))
    assert config
    said = [traced.one.status.description, *traced.one.events[0].attributes.values()]
    assert not [text for text in said if "s3cret" in text or "me:pass" in text]


def test_a_span_has_only_values_that_can_be_sent(recorded, traced):
    gone = type("Gone", (), {})()
    with measured(PLAIN, shape="a\udc80") as work:
        work.set(shape=proxy(gone))
        del gone
    with measured(PLAIN, shape=2**70), measured(PLAIN, shape=float("nan")), measured(PLAIN, shape=None):
        pass
    assert [attributes(span).get("shape") for span in traced.spans] == ["_OTHER", None, "_OTHER", "_OTHER"]


def test_the_text_of_an_attribute_is_as_long_in_a_span_as_in_a_metric(recorded, traced):
    work = measured(PLAIN, shape="a" * 1_000_000)(lambda: None)
    work()
    SPANS.open_by(traced.tracer, 16)
    work()
    assert [len(span.attributes["test.shape"]) for span in traced.spans] == [255, 16]


def test_the_text_of_an_exception_is_sent_without_what_utf_8_lacks(recorded, traced):
    with pytest.raises(ValueError, match="a"):
        measured(WORK)(raising)(ValueError("a\udc80"))
    assert traced.one.status.description == "ValueError: a?"


def test_an_exception_that_has_no_text_costs_nothing_else(recorded, traced):
    class Mute(Exception):  # noqa: N818 - not an error of ours
        def __str__(self):
            raise RuntimeError("no text")

    with pytest.raises(Mute):
        measured(WORK)(raising)(Mute())
    assert traced.one.status.status_code is StatusCode.ERROR


# ---- Operation.record


@pytest.mark.parametrize("bound", [False, True])
def test_work_that_was_measured_elsewhere_has_a_span_of_its_duration(recorded, traced, bound):
    record = ingest.EVENT.bind(source="mqtt").record if bound else ingest.EVENT.record
    before = time.time_ns()
    for _ in range(3):
        record(1.5, **({} if bound else {"source": "mqtt"}))
    for span in traced.spans:
        assert before - 1.5e9 <= span.start_time <= span.end_time - 1.5e9
        assert attributes(span) == {"source": "mqtt", "outcome": "ok"}
    assert len(traced.spans) == 3
    assert counts(recorded, ingest.EVENT_DURATION) == {(("outcome", "ok"), ("source", "mqtt")): 3}


def test_a_duration_of_any_length_has_a_span_that_begins_after_1970(recorded, traced):
    ingest.TRANSFORM.record(1e15)
    assert traced.one.start_time == 0


def test_a_failure_that_was_measured_elsewhere_is_the_status_of_a_span(recorded, traced):
    ingest.TRANSFORM.record(0.1, "error", error_type="timeout")
    assert (traced.one.status.status_code, traced.one.status.description) == (StatusCode.ERROR, "timeout")


def test_a_duration_that_cannot_be_recorded_has_no_span(recorded, traced):
    ingest.TRANSFORM.record(-1)
    assert not traced.spans


# ---- Samplers and processors


class Fragile(Sampler, SpanProcessor):
    """Raises wherever a user's code may."""

    def __init__(self, where):
        self.where = where

    def should_sample(self, *arguments, **more):
        self.fail("sampler")
        return Traced().provider.sampler.should_sample(*arguments, **more)

    def on_start(self, span, parent_context=None):
        self.fail("start")

    def on_end(self, span):
        self.fail("end")

    def get_description(self):
        return "fragile"

    def fail(self, where):
        if self.where == where:
            raise RuntimeError("fragile")


def test_work_in_a_span_that_is_not_sampled_is_counted_and_its_decision_is_current(recorded):
    asked = []
    with Traced(ALWAYS_OFF) as traced:
        work = measured(WORK)(lambda: asked.append(is_sampled()))
        work()
        work()
        assert not traced.spans
    assert asked == [False, False]
    assert counts(recorded) == {(("outcome", "ok"),): 2}


def is_sampled():
    context = get_current_span().get_span_context()
    assert context.is_valid
    return context.trace_flags.sampled


@pytest.mark.parametrize("where", ["sampler", "start", "end"])
def test_a_sampler_or_a_processor_that_raises_costs_the_span_only(recorded, caplog, where):
    fragile = Fragile(where)
    with caplog.at_level(logging.WARNING, "otel_ha"), Traced(fragile) as traced:
        traced.provider.add_span_processor(fragile)
        work = measured(WORK)(lambda: "result")
        assert [work(), work()] == ["result", "result"]
        ingest.EVENT.record(0.1, source="mqtt")
    assert counts(recorded) == {(("outcome", "ok"),): 2}
    assert sum(counts(recorded, ingest.EVENT_DURATION).values()) == 1
    assert recorded.problems()["test.work", "span_failed", None] == 2
    action = "ending" if where == "end" else "opening"
    [said] = [each.getMessage() for each in caplog.records if "test.work" in each.getMessage()]
    assert said.startswith(f"test.work: {action} its span failed: RuntimeError('fragile') (later ones")


class BrokenSpan(NonRecordingSpan):
    """A span of a tracer with a fault."""

    def get_span_context(self):
        raise RuntimeError("broken")


@pytest.mark.parametrize("span", [None, BrokenSpan(None)], ids=["no span", "a broken one"])
def test_a_tracer_that_returns_no_usable_span_costs_the_span_only(recorded, span):
    class Broken:
        def start_span(self, *_, **__):
            return span

    SPANS.open_by(Broken())
    try:
        assert measured(WORK)(lambda: "result")() == "result"
    finally:
        SPANS.open_by(None)
    assert get_current_span() is INVALID_SPAN
    assert counts(recorded) == {(("outcome", "ok"),): 1}
    assert recorded.problems() == {("test.work", "span_failed", None): 1}


def test_a_broken_span_of_other_code_costs_the_exemplar_only():
    with Recorded(WORK, journalled=True) as recorded:
        work = measured(WORK)(lambda: "result")
        token = context.attach(set_span_in_context(BrokenSpan(None)))
        try:
            assert [work() for _ in range(3)] == 3 * ["result"]
        finally:
            context.detach(token)
        assert counts(recorded) == {(("outcome", "ok"),): 3}
        assert recorded.problems() == {}


# ---- Without metrics


def test_work_has_spans_while_nothing_is_recorded(traced):
    measured(WORK)(lambda: None)()
    ingest.EVENT.record(0.1, source="mqtt")
    ingest.EVENT.bind(source="mqtt").record(0.1)
    ingest.EVENT.receive(source="mqtt")
    assert [span.name for span in traced.spans] == ["test.work", *2 * ["homeassistant.event.process"]]


def test_an_error_has_a_status_while_nothing_is_recorded(traced):
    with pytest.raises(RuntimeError):
        measured(WORK)(boom)()
    assert traced.one.status.status_code is StatusCode.ERROR


def test_an_operation_of_ones_own_is_consumed_if_it_counts_received_work(traced):
    received = Counter("test.received", unit="{thing}", description="Came.")
    Operation(duration=WORK, received=received).record(0.1)
    assert traced.one.kind is SpanKind.CONSUMER


class _Unnamable(type):
    def __getattribute__(cls, name):
        if name in {"__qualname__", "__module__", "__name__"}:
            raise ZeroDivisionError
        return super().__getattribute__(name)


class UnnamableError(Exception, metaclass=_Unnamable):
    """Its class raises when it is named."""


def test_a_span_tells_of_an_exception_whose_class_cannot_be_named(recorded, traced):
    with pytest.raises(Exception, match="a message"), measured(WORK):
        raise UnnamableError("a message")
    [event] = traced.one.events
    assert (event.name, event.attributes["exception.message"]) == ("exception", "a message")
    assert not any(reason == "span_failed" for _, reason, _ in recorded.problems())
