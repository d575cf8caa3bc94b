"""Traces from the same call: spans arrive once, with the Resource of metrics, by the project's own push."""

import asyncio
import logging
import threading

import pytest
from opentelemetry import trace
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceResponse,
)

from otel_ha import ConfigError, setup_telemetry
from otel_ha.declare.spans import SPANS
from otel_ha.vocabulary import ingest
from tests.receivers import answer, receiving, silent
from tests.unit.conftest import config
from tests.unit.signals.conftest import away_until, lines, wait_for


def reader(telemetry, name):
    (found,) = (each for each in telemetry.health()["readers"] if each["reader"] == name)
    return found


def span(name="work"):
    with trace.get_tracer("mine").start_as_current_span(name):
        pass


def names(receiver):
    return [each.item.name for each in receiver.spans()]


def test_a_span_arrives_when_telemetry_is_flushed(start):
    telemetry, receiver = start()
    span()
    assert telemetry.flush(30)
    assert names(receiver) == ["work"]
    assert reader(telemetry, "otlp traces")["status"] == "ok"
    assert reader(telemetry, "otlp traces")["target"] == f"{receiver.url}/v1/traces"


def test_the_three_signals_have_one_resource(start):
    telemetry, receiver = start(metrics_exporters=("otlp",))
    ingest.RECEIVED.add(1, source="mqtt")
    span()
    logging.getLogger("mine").error("failed")
    assert telemetry.flush(30)
    (traced,), (logged,) = receiver.spans(), receiver.records()
    assert traced.resource == logged.resource
    assert traced.resource["service.name"] == "test"
    measured = next(each for each in receiver.requests if each.target == "/v1/metrics")
    assert str(traced.resource["service.instance.id"]).encode() in measured.body


def test_the_limit_of_an_attributes_length_applies_to_spans_of_measured_work(start):
    telemetry, receiver = start(attribute_value_length_limit=16)
    ingest.EVENT.record(0.1, source="m" * 300)
    assert telemetry.flush(30)
    (traced,) = receiver.spans()
    assert {each.key: each.value.string_value for each in traced.item.attributes}["homeassistant.source"] == "m" * 16


def test_what_is_off_opens_no_span_and_sets_no_provider(telemetry):
    assert SPANS.tracer is None
    assert [each["reader"] for each in telemetry.health()["readers"] if "traces" in each["reader"]] == []


def test_measured_work_has_a_tracer_while_traces_are_on(start):
    telemetry, _ = start()
    assert SPANS.tracer is not None
    telemetry.shutdown()
    assert SPANS.tracer is None


def test_the_last_spans_arrive_at_the_end(start):
    telemetry, receiver = start()
    span("last")
    telemetry.shutdown()
    assert names(receiver) == ["last"]


def test_a_tracer_that_a_library_keeps_works_again_after_a_second_set_up(start):
    first, receiver = start()
    kept = trace.get_tracer("kept")
    first.shutdown()
    with kept.start_as_current_span("between"):
        pass
    second, again = start()
    with kept.start_as_current_span("after"):
        pass
    second.shutdown()
    assert names(receiver) == []
    assert names(again) == ["after"]


async def test_a_tracer_that_is_kept_decorates_functions_and_coroutine_functions(start):
    first, _ = start()
    kept = trace.get_tracer("kept")

    @kept.start_as_current_span("called")
    def call():
        return trace.get_current_span().get_span_context().is_valid

    @kept.start_as_current_span("awaited")
    async def awaited():
        await asyncio.sleep(0)
        return trace.get_current_span().get_span_context().is_valid

    first.shutdown()
    second, receiver = start()
    assert call()
    assert await awaited()
    assert second.flush(30)
    assert sorted(names(receiver)) == ["awaited", "called"]


def test_the_exception_of_a_decorated_function_passes_and_is_recorded(start):
    telemetry, receiver = start()

    @trace.get_tracer("kept").start_as_current_span("failing")
    def fail():
        raise KeyError("gone")

    with pytest.raises(KeyError, match="gone"):
        fail()
    assert telemetry.flush(30)
    (sent,) = receiver.spans()
    assert [each.name for each in sent.item.events] == ["exception"]


def test_spans_wait_while_the_receiver_is_away_and_arrive_once(start, caplog):
    is_back = threading.Event()
    telemetry, receiver = start(away_until(is_back), otlp_timeout=2.0)
    span()
    assert not telemetry.flush(30)
    assert reader(telemetry, "otlp traces")["status"] == "failing"
    is_back.set()
    wait_for(lambda: telemetry.flush(30))
    assert names(receiver)[-1] == "work"
    assert reader(telemetry, "otlp traces")["dropped"] == 0
    assert len(lines(caplog, "works again")) == 1


def test_spans_that_the_receiver_refuses_are_dropped_and_counted(start, caplog):
    telemetry, receiver = start(answer("400 Bad Request", b"no"))
    span()
    span()
    assert not telemetry.flush(30)
    assert reader(telemetry, "otlp traces")["dropped"] == 2
    assert telemetry.health()["status"] == "degraded"
    span()
    telemetry.flush(30)
    assert names(receiver) == ["work"] * 3
    assert len(lines(caplog, "failed: 400")) == 1


class RaisingHandler(logging.Handler):
    """A mistake of the program's."""

    def emit(self, record):
        if record.name == "otel_ha":
            raise RuntimeError("raised by the program's handler")


def test_pushes_go_on_when_a_handler_of_the_program_raises(start):
    telemetry, receiver = start(answer("400 Bad Request"), answer())
    handler = RaisingHandler()
    logging.getLogger().addHandler(handler)
    try:
        span()
        assert not telemetry.flush(30)
        span("later")
        assert telemetry.flush(30)
    finally:
        logging.getLogger().removeHandler(handler)
    assert names(receiver)[-1] == "later"


def test_spans_that_the_receiver_rejects_are_counted_and_told_once(start, caplog):
    partial = ExportTraceServiceResponse(
        partial_success=ExportTracePartialSuccess(rejected_spans=1, error_message="too old")
    )
    telemetry, _ = start(answer(body=partial.SerializeToString()))
    for _ in range(2):
        span()
        assert not telemetry.flush(30)
    assert reader(telemetry, "otlp traces")["rejected_points"] == 1
    assert reader(telemetry, "otlp traces")["dropped"] == 2
    assert len(lines(caplog, "rejected 1 spans: too old")) == 1


def test_a_full_queue_drops_new_spans_and_the_lines_about_the_outage_count_them(start, caplog, monkeypatch):
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "3")
    is_back = threading.Event()
    telemetry, receiver = start(away_until(is_back), otlp_timeout=0.9, logs_exporters=())
    for number in range(3):
        span(f"kept {number}")
    assert not telemetry.flush(30)
    for number in range(4):
        span(f"dropped {number}")
    assert not telemetry.flush(30)
    assert reader(telemetry, "otlp traces")["dropped"] == 4
    assert reader(telemetry, "otlp traces")["status"] in {"dropping", "failing"}
    assert "spans beyond OTEL_BSP_MAX_QUEUE_SIZE are dropped meanwhile" in lines(caplog, "failed")[0]
    is_back.set()
    wait_for(lambda: telemetry.flush(30))
    assert set(names(receiver)) == {"kept 0", "kept 1", "kept 2"}
    assert len(lines(caplog, "")) == 2
    assert "dropped meanwhile: 4 spans" in lines(caplog, "works again")[0]


def test_a_queue_that_is_full_without_an_outage_is_told_when_it_starts_and_when_it_ends(start, caplog, monkeypatch):
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "3")
    arrived, may_answer = threading.Event(), threading.Event()

    def slow(connection, ended):
        arrived.set()
        may_answer.wait(30)
        answer()(connection, ended)

    telemetry, _ = start(slow, answer(), logs_exporters=())
    span()
    flushing = threading.Thread(target=telemetry.flush, args=(30,))
    flushing.start()
    assert arrived.wait(30)
    for _ in range(5):
        span()
    may_answer.set()
    flushing.join()
    assert telemetry.flush(30)
    assert telemetry.flush(30)
    assert lines(caplog, "")[0].startswith("3 spans are dropped, and more may follow: 3 wait already")
    assert lines(caplog, "")[1:] == ["spans wait for a push again (dropped in all: 3)"]


def test_every_span_of_many_threads_arrives_once_or_is_counted(start, monkeypatch):
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "50")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "10")
    telemetry, receiver = start(logs_exporters=())

    def work(worker):
        for number in range(200):
            span(f"{worker} {number}")

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    telemetry.flush(30)
    telemetry.shutdown()
    arrived = names(receiver)
    assert len(arrived) == len(set(arrived))


def test_a_full_batch_is_pushed_at_once(start, monkeypatch):
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "5")
    _, receiver = start(logs_exporters=())
    for number in range(5):
        span(str(number))
    wait_for(lambda: len(receiver.spans()) == 5)


def test_a_receiver_that_hangs_holds_up_the_end_for_the_time_limit_only(start, caplog):
    telemetry, _ = start(silent, otlp_timeout=60.0)
    span()
    telemetry.shutdown(timeout=0.3)
    assert lines(caplog, "1 spans are lost")


def test_the_sampler_is_that_of_opentelemetry(start, monkeypatch):
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    telemetry, receiver = start()
    span()
    assert telemetry.flush(30)
    assert receiver.spans() == []


def test_spans_of_a_push_are_not_pushed(start):
    telemetry, receiver = start()
    span()
    assert telemetry.flush(30)
    assert telemetry.flush(30)
    assert len(receiver.requests) == 1


@pytest.mark.parametrize("value", ["0", "-1", "many", "1.5"])
def test_a_wrong_variable_of_the_queue_is_a_mistake_that_names_it(monkeypatch, value):
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", value)
    with pytest.raises(ConfigError, match=f"OTEL_BSP_MAX_QUEUE_SIZE is '?{value}"):
        setup_telemetry(config=config(traces_exporters=("otlp",)))


def test_the_console_prints_spans(capsys, monkeypatch):
    with setup_telemetry("test", config=config(traces_exporters=("console",), metrics_exporters=())) as telemetry:
        span("printed")
        assert telemetry.flush(30)
    assert '"name": "printed"' in capsys.readouterr().out


def test_the_global_provider_flushes(start):
    _, receiver = start()
    span()
    assert trace.get_tracer_provider().force_flush(30_000)
    assert names(receiver) == ["work"]


def test_one_outage_of_the_receiver_is_one_line_for_all_signals(start, caplog):
    is_back = threading.Event()
    telemetry, _ = start(away_until(is_back), metrics_exporters=("otlp",), otlp_timeout=2.0, export_interval=3600.0)
    caplog.clear()
    ingest.RECEIVED.add(1, source="mqtt")
    span()
    logging.getLogger("mine").error("failed")
    assert not telemetry.flush(30)
    assert len(lines(caplog, "push to")) == 1
    assert "(metrics, traces, logs) failed: " in lines(caplog, "push to")[0]
    is_back.set()
    wait_for(lambda: telemetry.flush(30))
    assert telemetry.health()["status"] == "ok"
    assert len(lines(caplog, "works again")) == 1
    assert len(lines(caplog, "push to")) == 2


def test_signals_with_receivers_of_their_own_have_outages_of_their_own(start, caplog):
    with receiving(answer("503 Service Unavailable")) as other:
        telemetry, _ = start(
            answer("503 Service Unavailable"), otlp_timeout=0.5, otlp_logs_endpoint=f"{other.url}/v1/logs"
        )
        span()
        logging.getLogger("mine").error("failed")
        telemetry.flush(30)
        assert len(lines(caplog, " failed: ")) == 2
