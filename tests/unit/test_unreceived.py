"""Work that leaves a queue although nobody received it is counted as received, and is a problem."""

import logging
import os
import subprocess
import sys

import pytest
from opentelemetry.context import attach, detach
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.view import View
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

from otel_ha import Attribute, Counter, Histogram, Operation, TelemetryConfig, UpDownCounter, measured
from otel_ha.export.pipeline import Pipeline
from otel_ha.vocabulary import ingest, runtime
from tests.recorded import MemoryReader, Recorded, accounts, in_threads, started, unbalanced

EVENT, QUEUED = ingest.EVENT, ingest.QUEUED_EVENT
UNRECEIVED = ("homeassistant.event.process.duration", "not_received", None)
SAMPLED = SpanContext(1, 1, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))


@pytest.fixture(params=["through the API", "by the journal"])
def recorded(request):
    with Recorded(catalog=ingest.CATALOG, journalled=request.param == "by the journal", readers=2) as recorded:
        yield recorded


def account(recorded, source="mqtt", reader=0):
    """Return received, processed, discarded and in flight of a source."""
    return tuple(accounts(recorded.collect(reader))[source].values())


def warnings(caplog):
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def discard(number, source="mqtt"):
    for _ in range(number):
        EVENT.discard("duplicate", source=source)


def start_and_end():
    with measured(QUEUED, source="mqtt"):
        pass


def start_and_discard():
    with measured(QUEUED, source="mqtt") as event:
        event.discard("filtered")


def sampled_discard():
    token = attach(set_span_in_context(NonRecordingSpan(SAMPLED)))
    discard(1)
    detach(token)


LEAVING = {
    "discarded": (lambda: discard(1), (1, 0, 1, 0)),
    "discarded by a handle": (lambda: EVENT.bind(source="mqtt").discard("late"), (1, 0, 1, 0)),
    "discarded in a sampled span": (sampled_discard, (1, 0, 1, 0)),
    "processed": (start_and_end, (1, 1, 0, 0)),
    "processed by a function": (measured(QUEUED, source="mqtt")(lambda: None), (1, 1, 0, 0)),
    "discarded in a block": (start_and_discard, (1, 0, 1, 0)),
    "measured elsewhere": (lambda: QUEUED.record(0.1, source="mqtt"), (1, 1, 0, 0)),
    "measured elsewhere by a handle": (lambda: QUEUED.bind(source="mqtt").record(0.1), (1, 1, 0, 0)),
    "started": (lambda: started(QUEUED, {"source": "mqtt"}), (1, 0, 0, 1)),
}


def test_twenty_discards_that_nobody_received_are_received_too(recorded):
    discard(20)
    assert account(recorded) == (20, 0, 20, 0)


@pytest.mark.parametrize(("leave", "expected"), LEAVING.values(), ids=LEAVING)
def test_work_that_nobody_received_is_received_however_it_leaves_the_queue(recorded, leave, expected):
    for times in (1, 2, 3):
        leave()
        assert account(recorded) == tuple(times * number for number in expected)
    assert recorded.problems() == {UNRECEIVED: 3}


def test_the_same_collection_shows_the_problem(recorded):
    discard(20)
    points = recorded.collect()
    attributes = {"otel_ha.instrument": UNRECEIVED[0], "otel_ha.problem.reason": "not_received"}
    assert points["otel_ha.recording.problems"] == {frozenset(attributes.items()): 20}


def test_every_reader_sees_the_same_accounts(recorded):
    discard(20)
    assert account(recorded, reader=1) == account(recorded, reader=0) == (20, 0, 20, 0)


def test_a_warning_names_the_operation_and_the_source_once(recorded, caplog):
    for _ in range(3):
        discard(20)
        recorded.collect()
    (warning,) = warnings(caplog)
    assert warning.startswith(
        "homeassistant.event.process.duration: work with source='mqtt' left the queue without receive() (number: 20);"
    )


def test_each_source_is_warned_of_once(recorded, caplog):
    for source in ("mqtt", "websocket", "mqtt", "websocket"):
        discard(1, source)
        recorded.collect()
    assert [("'mqtt'" in each, "'websocket'" in each) for each in warnings(caplog)] == [(True, False), (False, True)]


def test_each_source_has_its_own_account(recorded):
    EVENT.receive(source="websocket")
    discard(2, "mqtt")
    assert account(recorded, "mqtt") == (2, 0, 2, 0)
    assert account(recorded, "websocket") == (1, 0, 0, 1)


def test_work_of_another_source_than_was_received_is_received_there(recorded):
    EVENT.receive(source="mqtt")
    with measured(QUEUED, source="websocket"):
        pass
    assert account(recorded, "websocket") == (1, 1, 0, 0)
    assert account(recorded, "mqtt") == (1, 0, 0, 1)


def test_received_work_is_no_problem_however_it_leaves_the_queue(recorded):
    for leave, _ in LEAVING.values():
        EVENT.receive(source="mqtt")
        leave()
        recorded.collect()
    assert recorded.problems() == {}


def test_work_without_a_queue_is_no_problem(recorded):
    with measured(EVENT, source="mqtt") as event:
        event.discard("filtered")
    EVENT.record(0.1, source="mqtt")
    assert account(recorded) == (2, 1, 1, 0)
    assert recorded.problems() == {}


def test_work_that_is_received_by_its_instruments_is_no_problem(recorded):
    ingest.RECEIVED.add(1, source="mqtt")
    ingest.IN_FLIGHT.add(1, source="mqtt", state="queued")
    discard(1)
    assert account(recorded) == (1, 0, 1, 0)
    assert recorded.problems() == {}


def test_work_received_afterwards_is_in_flight(recorded):
    discard(1)
    recorded.collect()
    EVENT.receive(source="mqtt")
    assert account(recorded) == (2, 0, 1, 1)


def test_work_beyond_the_received_is_a_problem(recorded):
    for _ in range(3):
        EVENT.receive(source="mqtt")
    discard(5)
    assert account(recorded) == (5, 0, 5, 0)
    assert recorded.problems() == {UNRECEIVED: 2}


def test_a_source_beyond_the_budget_has_no_other_problem_for_it(recorded):
    for number in range(18):
        discard(1, f"source-{number}")
    recorded.collect()
    before = recorded.problems()
    assert unbalanced(recorded.collect()) == {}
    assert account(recorded, "_OTHER") == (2, 0, 2, 0)
    assert before[UNRECEIVED] == 18
    # Two discards, each on two instruments.
    assert before == recorded.problems()
    assert sum(count for (_, reason, _), count in before.items() if reason == "budget_exceeded") == 4


def test_the_last_collection_counts_them_too(recorded):
    discard(20)
    recorded.pipeline.disconnect()
    assert account(recorded) == (20, 0, 20, 0)
    assert recorded.problems() == {UNRECEIVED: 20}


def test_work_that_other_code_receives_is_no_problem(recorded, caplog):
    EVENT.expect_unreceived(source="mqtt")
    discard(20, "mqtt")
    discard(2, "websocket")
    assert account(recorded, "mqtt") == (20, 0, 20, 0)
    assert recorded.problems() == {UNRECEIVED: 2}
    assert "'mqtt'" not in "".join(warnings(caplog))


@pytest.mark.parametrize("wrong", [[1], object(), 1])
def test_a_wrong_source_is_not_expected_and_does_not_raise(recorded, wrong):
    EVENT.expect_unreceived(source=wrong)
    discard(1)
    recorded.collect()
    assert recorded.problems() == {UNRECEIVED: 1}


def test_nothing_is_expected_of_the_next_telemetry():
    for expected in ({}, {UNRECEIVED: 1}):
        with Recorded(catalog=ingest.CATALOG, journalled=True) as recorded:
            if not expected:
                EVENT.expect_unreceived(source="mqtt")
            discard(1)
            recorded.collect()
            assert recorded.problems() == expected


def test_telemetry_that_is_off_expects_nothing_and_does_not_raise():
    EVENT.expect_unreceived(source="mqtt")
    discard(1)


LANE = Attribute("test.lane", "The lane.")
STATE = Attribute("test.state", "The state.", values=("queued", "active"))
REASON = Attribute("test.reason", "The reason.")
DONE = Histogram("test.done", unit="s", description="Done.")
THERE = UpDownCounter("test.there", unit="{job}", description="There.", attributes=(LANE, STATE))
CAME = Counter("test.came", unit="{job}", description="Came.")
GONE = Counter("test.gone", unit="{job}", description="Gone.", attributes=(REASON,))


@pytest.mark.parametrize("journalled", [False, True])
def test_each_instrument_gets_those_of_the_attributes_that_it_declares(journalled):
    job = Operation(duration=DONE, in_flight=THERE, received=CAME, discarded=GONE)
    with Recorded(DONE, THERE, CAME, GONE, journalled=journalled) as recorded:
        job.discard("late", lane="left")
        assert recorded.value(THERE, lane="left", state="queued") == 0
        assert recorded.value(CAME) == 1


@pytest.mark.parametrize("journalled", [False, True])
def test_work_that_is_not_counted_when_received_is_not_in_flight(journalled):
    job = Operation(duration=DONE, in_flight=THERE, discarded=GONE)
    with Recorded(DONE, THERE, GONE, journalled=journalled) as recorded:
        job.discard("late", lane="left")
        assert recorded.value(THERE, lane="left", state="queued") == 0
        assert recorded.problems() == {("test.done", "not_received", None): 1}


@pytest.mark.parametrize("viewed", ["homeassistant.event.in_flight", "homeassistant.event.*", "otel_ha.*"])
def test_an_instrument_with_a_view_has_its_part_of_the_account(viewed):
    reader = MemoryReader()
    config = TelemetryConfig(metrics_exporters=(), environ={})
    pipeline = Pipeline(config, ingest.CATALOG | runtime.CATALOG, views=[View(instrument_name=viewed)])
    reader.gate = pipeline.gate
    pipeline.provider.add_metric_reader(reader)
    pipeline.connect()
    discard(20)
    points = reader.collected()
    pipeline.disconnect()
    pipeline.shutdown(1)
    assert tuple(accounts(points)["mqtt"].values()) == (20, 0, 20, 0)
    assert sum(points["otel_ha.recording.problems"].values()) == 20


@pytest.mark.parametrize("viewed", ["received", "in_flight", "discarded", "process.duration"])
def test_threads_that_receive_first_have_no_problem_if_an_instrument_has_a_view(viewed):
    config = TelemetryConfig(metrics_exporters=(), environ={})
    view = View(instrument_name=f"homeassistant.event.{viewed}")
    pipeline = Pipeline(config, ingest.CATALOG | runtime.CATALOG, views=[view])
    reader = MemoryReader()
    reader.gate = pipeline.gate
    pipeline.provider.add_metric_reader(reader)
    pipeline.connect()
    seen = []

    def work(number):
        for _ in range(300):
            if number == 0:
                seen.append(reader.collected())
            EVENT.receive(source="mqtt")
            EVENT.discard("late", source="mqtt")

    in_threads(3, work)
    seen.append(reader.collected())
    pipeline.disconnect()
    pipeline.shutdown(1)
    assert tuple(accounts(seen[-1])["mqtt"].values()) == (900, 0, 900, 0)
    assert not any("otel_ha.recording.problems" in points for points in seen)
    assert all(account["in_flight"] >= 0 for points in seen for account in accounts(points).values())


def test_work_received_before_telemetry_runs_is_received_when_it_leaves_the_queue(recorded):
    recorded.pipeline.disconnect()
    EVENT.receive(source="mqtt")
    recorded.pipeline.connect()
    start_and_end()
    assert account(recorded) == (1, 1, 0, 0)


FORKED = """
import os, re, sys
from otel_ha import TelemetryConfig, setup_telemetry
from otel_ha.vocabulary import ingest

settings = TelemetryConfig(
    metrics_exporters=("prometheus",), endpoint_server=False, exemplar_filter=sys.argv[1], environ={}
)

def show(process):
    text = telemetry.prometheus_text()
    names = ("received_total", "discarded_total", "in_flight", "problems_total")
    print(process, *(number for name in names for number in re.findall(name + "{.* (.*)", text)), flush=True)

with setup_telemetry("test", config=settings) as telemetry:
    for _ in range(3):
        ingest.EVENT.discard("late", source="mqtt")
    if (child := os.fork()) == 0:
        ingest.EVENT.discard("late", source="mqtt")
        show("child")
        os._exit(0)
    os.waitpid(child, 0)
    show("parent")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.parametrize("exemplar_filter", ["trace_based", "always_on"])
def test_a_forked_child_balances_its_own_account(exemplar_filter):
    command = [sys.executable, "-c", FORKED, exemplar_filter]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout.splitlines() == ["child 1.0 1.0 0.0 1.0", "parent 3.0 3.0 0.0 3.0"], done.stderr


def test_the_next_telemetry_on_another_provider_balances_as_well():
    reader = MemoryReader()
    provider, observed = MeterProvider([reader], shutdown_on_exit=False), {}
    config = TelemetryConfig(metrics_exporters=(), environ={})
    for number in (1, 2):
        pipeline = Pipeline(config, ingest.CATALOG | runtime.CATALOG, foreign=provider, observed=observed)
        reader.gate = pipeline.gate
        pipeline.connect()
        discard(20)
        assert tuple(accounts(reader.collected())["mqtt"].values()) == (20 * number, 0, 20 * number, 0)
        pipeline.disconnect()
        pipeline.shutdown(1)
    provider.shutdown()


def test_threads_that_discard_what_nobody_received_leave_exact_accounts(recorded):
    torn = []

    def work(number):
        for turn in range(500):
            if number == 0:
                torn.append((unbalanced(recorded.collect(turn % 2)), None))
            elif number % 2:
                discard(1)
            else:
                EVENT.receive(source="mqtt")
                EVENT.discard("late", source="mqtt")

    in_threads(5, work)
    assert [each for each, _ in torn if each] == []
    received, processed, discarded, in_flight = account(recorded)
    assert (received, processed, discarded, in_flight) == (2000, 0, 2000, 0)
    assert recorded.problems() == {UNRECEIVED: 1000}


def test_threads_that_receive_first_have_no_problem(recorded):
    def work(number):
        for turn in range(500):
            if number == 0:
                recorded.collect(turn % 2)
            EVENT.receive(source="mqtt")
            if turn % 2:
                EVENT.discard("late", source="mqtt")
            else:
                start_and_end()

    in_threads(4, work)
    recorded.collect()
    assert recorded.problems() == {}
