"""Traces and logs at the end of a process, after a fork, and with a receiver that hangs: none is lost or sent twice."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.receivers import Receiver, answer, receiving, silent

SETTINGS = {
    "OTEL_TRACES_EXPORTER": "otlp",
    "OTEL_LOGS_EXPORTER": "otlp",
    "OTEL_METRICS_EXPORTER": "otlp",
    "OTEL_HA_SYSTEM_METRICS": "false",
    "OTEL_BSP_SCHEDULE_DELAY": "3600000",
    "OTEL_BLRP_SCHEDULE_DELAY": "3600000",
}


def environment(receiver: Receiver, **more: str) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    return clean | SETTINGS | {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url} | more


@contextmanager
def traced(way: str, receiver: Receiver, **more: str) -> Iterator[subprocess.Popen[str]]:
    """The service, once it is ready."""
    command = [sys.executable, "-W", "error", "-m", "tests.e2e.traced", way]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, env=environment(receiver, **more), text=True, stdin=pipe, stdout=pipe, stderr=pipe
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n", process.stderr and process.stderr.read()
            yield process
        finally:
            process.kill()


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """The return code and the log; standard input stays open."""
    process.wait(timeout=40)
    assert process.stderr is not None
    return process.returncode, process.stderr.read()


def names(receiver: Receiver) -> list[str]:
    return sorted(each.item.name for each in receiver.spans())


def bodies(receiver: Receiver) -> list[str]:
    return sorted(each.item.body.string_value for each in receiver.records())


def test_the_last_span_and_record_arrive_at_a_normal_exit():
    with receiving(answer()) as receiver, traced("wait", receiver) as process:
        process.stdin.close()
        assert ended(process)[0] == 0
        assert (names(receiver), bodies(receiver)) == (["parent"], ["parent"])


@pytest.mark.parametrize("way", ["wait", "busy"])
def test_the_last_span_and_record_arrive_at_sigterm(way):
    with receiving(answer()) as receiver, traced(way, receiver) as process:
        process.send_signal(signal.SIGTERM)
        assert ended(process)[0] == -signal.SIGTERM
        assert names(receiver)[-1] == "parent"
        assert bodies(receiver)[-1] == "parent"


def test_an_asyncio_service_that_drains_on_sigterm_sends_what_it_does_meanwhile():
    with receiving(answer()) as receiver, traced("asyncio", receiver) as process:
        process.send_signal(signal.SIGTERM)
        assert ended(process)[0] == 0
        assert (names(receiver), bodies(receiver)) == (["late", "parent"], ["late", "parent"])


@pytest.mark.parametrize("way", ["fork", "multiprocessing"])
def test_parent_and_child_send_their_own_once_under_their_own_instances(way):
    expected = {"fork": ["after", "child", "parent", "shared"], "multiprocessing": ["child", "parent"]}[way]
    with receiving(answer()) as receiver, traced(way, receiver) as process:
        process.stdin.close()
        code, log = ended(process)
        assert code == 0, log
        spans, records = receiver.spans(), receiver.records()
    assert sorted(each.item.name for each in spans) == expected
    assert sorted(each.item.body.string_value for each in records) == [each for each in expected if each != "shared"]
    instances = {each.resource["service.instance.id"] for each in spans}
    assert len(instances) == 2
    assert instances == {each.resource["service.instance.id"] for each in records}
    of_child = {each.resource["service.instance.id"] for each in (*spans, *records) if "child" in str(each.item)}
    assert len(of_child) == 1


@pytest.mark.parametrize("end", ["exit", signal.SIGTERM])
def test_a_receiver_that_hangs_delays_the_end_for_the_time_limit_of_all_signals(end):
    with receiving(silent) as receiver, traced("wait", receiver, OTEL_HA_SHUTDOWN_TIMEOUT="0.5") as process:
        if end == "exit":
            process.stdin.close()
        else:
            process.send_signal(end)
        code, log = ended(process)
        assert code == (0 if end == "exit" else -end)
        assert "Traceback" not in log
        assert "1 spans and 1 log records are lost: the last push did not end in time" in log


def test_the_last_pushes_of_all_signals_run_side_by_side():
    all_three = threading.Barrier(3)

    def together(connection, ended):
        all_three.wait(30)
        answer()(connection, ended)

    with receiving(together) as receiver, traced("wait", receiver, OTEL_HA_SHUTDOWN_TIMEOUT="60") as process:
        process.stdin.close()
        code, log = ended(process)
        assert (code, log) == (0, "parent\n")
        assert {each.target for each in receiver.requests} == {"/v1/metrics", "/v1/traces", "/v1/logs"}


def test_ctrl_c_during_the_last_push_ends_it():
    with receiving(silent) as receiver, traced("wait", receiver, OTEL_HA_SHUTDOWN_TIMEOUT="600") as process:
        process.send_signal(signal.SIGINT)
        while not receiver.requests:
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        ended(process)


def test_the_last_push_to_a_receiver_that_is_away_is_one_line_and_what_is_lost_another():
    away = receiving(answer("503 Service Unavailable"))
    with away as receiver, traced("wait", receiver, OTEL_HA_SHUTDOWN_TIMEOUT="60") as process:
        process.stdin.close()
        code, log = ended(process)
        assert code == 0
        assert log.count("the last push to") == 1
        assert log.count("are lost") == 1


def run(program: str, receiver: Receiver, **more: str) -> str:
    """Return what a program prints."""
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(program)]
    done = subprocess.run(
        command, env=environment(receiver, **more), text=True, capture_output=True, timeout=50, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_providers_that_the_process_has_are_used_and_go_on():
    program = """
        import logging, warnings
        from opentelemetry import trace, _logs
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
        from opentelemetry.sdk._logs import LoggerProvider
        from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
        spans, records = InMemorySpanExporter(), InMemoryLogRecordExporter()
        traces, logs = TracerProvider(), LoggerProvider()
        traces.add_span_processor(SimpleSpanProcessor(spans))
        logs.add_log_record_processor(SimpleLogRecordProcessor(records))
        trace.set_tracer_provider(traces)
        _logs.set_logger_provider(logs)

        from otel_ha import setup_telemetry
        from otel_ha.declare.spans import SPANS
        for _ in range(2):
            with setup_telemetry("mine") as telemetry:
                with SPANS.tracer.start_as_current_span("ours"):
                    logging.getLogger("mine").error("failed")
                names = [each["reader"] for each in telemetry.health()["readers"]]
        with trace.get_tracer("theirs").start_as_current_span("later"):
            logging.getLogger("mine").error("later")
        print([each.name for each in spans.get_finished_spans()])
        print([each.log_record.body for each in records.get_finished_logs() if "mine" in
               each.instrumentation_scope.name])
        print(names)
    """
    with receiving(answer()) as receiver:
        spans, records, readers = run(program, receiver).splitlines()
        assert spans == "['ours', 'ours', 'later']"
        assert records == "['failed', 'failed']"
        assert "traces" not in readers
        assert {each.target for each in receiver.requests} <= {"/v1/metrics"}


def test_many_cycles_leave_no_thread_descriptor_handler_or_hook():
    program = """
        import atexit, gc, logging, os, threading
        from opentelemetry import trace
        from otel_ha import setup_telemetry

        hooks = []
        registered = os.register_at_fork
        def register(**arguments):
            hooks.append(arguments)
            registered(**arguments)

        def cycle():
            with setup_telemetry("mine") as telemetry:
                with trace.get_tracer("mine").start_as_current_span("work"):
                    logging.getLogger("mine").error("failed")
                assert telemetry.flush(30)

        def left():
            gc.collect()
            return (threading.active_count(), len(os.listdir("/proc/self/fd")), len(logging._handlerList),
                    logging.Logger.callHandlers, len(logging.getLogger().handlers), atexit._ncallbacks(), len(hooks))

        logging.getLogger("mine").addHandler(logging.NullHandler())
        cycle()
        os.register_at_fork = register
        before = left()
        for _ in range(60):
            cycle()
        after = left()
        print(before == after, before, after)
    """
    with receiving(answer()) as receiver:
        assert run(program, receiver).startswith("True"), run(program, receiver)
        assert Counter(names(receiver)) == {"work": 61}


def test_with_both_off_nothing_of_them_is_imported():
    program = """
        import logging, sys
        from otel_ha import setup_telemetry
        original = logging.Logger.callHandlers
        with setup_telemetry("mine"):
            assert logging.Logger.callHandlers is original
        print([name for name in sys.modules if name.startswith(("otel_ha.export.signals", "opentelemetry.sdk.trace",
               "opentelemetry.sdk._logs", "opentelemetry._logs", "opentelemetry.instrumentation.logging"))])
    """
    with receiving(answer()) as receiver:
        none = {"OTEL_TRACES_EXPORTER": "none", "OTEL_LOGS_EXPORTER": ""}
        assert run(program, receiver, **none) == "[]\n"


def test_only_what_is_on_is_imported():
    program = """
        import sys
        from otel_ha import setup_telemetry
        with setup_telemetry("mine"):
            pass
        print([name for name in sys.modules if name.startswith(("opentelemetry.sdk._logs",
               "opentelemetry.instrumentation.logging"))])
    """
    with receiving(answer()) as receiver:
        assert run(program, receiver, OTEL_LOGS_EXPORTER="none") == "[]\n"
