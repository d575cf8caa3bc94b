"""Signals, finalizers and forks that interrupt telemetry anywhere: nothing hangs, and nothing is lost."""

import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from tests.receivers import answer, late, receiving

NEVER = str(3600 * 1000)
NOWHERE = "http://127.0.0.1:9"


def start(way: str, endpoint: str = NOWHERE, **environment: str) -> subprocess.Popen[str]:
    variables = {
        "PATH": os.environ["PATH"],
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "OTEL_EXPORTER_PROMETHEUS_PORT": "0",
        "OTEL_HA_SYSTEM_METRICS": "false",
        "OTEL_METRIC_EXPORT_INTERVAL": NEVER,
        **environment,
    }
    command = [sys.executable, "-W", "ignore", "-m", "tests.e2e.interrupted", way]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=variables, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


def output(way: str, endpoint: str = NOWHERE, **environment: str) -> str:
    """The text that a process prints, which ends by itself; the time limit stands for "ends at all"."""
    with start(way, endpoint, **environment) as process:
        try:
            out, log = process.communicate(timeout=50)
        finally:
            process.kill()
    assert process.returncode == 0, log
    return out.strip()


SCRAPED = {"OTEL_METRICS_EXPORTER": "prometheus"}


@pytest.mark.parametrize("exemplars", ["trace_based", "always_on"])
def test_a_signal_handler_may_record_whatever_it_interrupts(exemplars):
    # With always_on, everything is recorded through the OpenTelemetry API.
    assert output("record", **SCRAPED, OTEL_METRICS_EXEMPLAR_FILTER=exemplars) == "[0.0, 0.0, 0.0]"


@pytest.mark.parametrize("exemplars", ["trace_based", "always_on"])
def test_a_finalizer_may_record_during_a_collection(exemplars):
    assert output("finalize", **SCRAPED, OTEL_METRICS_EXEMPLAR_FILTER=exemplars) == "0.0 0.0"


def test_a_signal_handler_may_ask_telemetry_whatever_it_interrupts():
    assert output("ask", **SCRAPED) == "[0.0]"


def test_a_signal_handler_may_summarize_and_flush_whatever_it_interrupts():
    assert output("summarize") == "ended"


def test_a_handler_that_shuts_down_is_interrupted_by_itself_while_the_receiver_hangs():
    with (
        socket.create_server(("127.0.0.1", 0)) as hanging,
        start("interrupt twice", f"http://127.0.0.1:{hanging.getsockname()[1]}") as process,
    ):
        try:
            assert process.stdout.readline() == "ready\n"
            for _ in range(3):
                process.send_signal(signal.SIGINT)
                time.sleep(0.3)
            _, log = process.communicate("\n", timeout=30)
            assert process.returncode == 0, log
        finally:
            process.kill()


def test_a_handler_that_interrupts_recording_shuts_down_without_loss():
    for _ in range(5):
        with receiving(answer()) as receiver:
            times = int(output("shut down while recording", receiver.url))
            assert len(receiver.requests) == 1
            assert receiver.total("test.jobs") - times in {0, 1}  # the one that was interrupted may be recorded


@pytest.mark.parametrize("way", ["pool", "spawned pool"])
@pytest.mark.parametrize("delay", [0.0, 0.2])
def test_the_children_of_a_pool_lose_nothing(way, delay):
    for _ in range(3 if way == "pool" else 1):
        with receiving(late(delay)) as receiver:
            output(way, receiver.url)
            assert receiver.total("test.jobs") == 4000


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_child_that_sets_telemetry_up_and_misses_sigterm_pushes_and_ends(method):
    with receiving(answer()) as receiver:
        assert output(f"miss signals in {method}", receiver.url) == str(128 + signal.SIGTERM)
        assert receiver.total("test.jobs") == 3


def test_the_handler_of_a_child_runs_at_most_as_often_as_the_signal_is_sent():
    assert output("handle twice", **SCRAPED) in {"1", "2"}


def test_an_event_loop_handles_sigterm_during_the_last_push_once():
    with receiving(late(1.0)) as receiver:
        assert output("handle in loop", receiver.url) == "1"
        assert receiver.total("test.jobs") == 3


@pytest.mark.parametrize(
    ("way", "returncode"),
    [
        ("exit after push", -signal.SIGTERM),
        ("exit in handler", 7),
        ("shut down in thread", -signal.SIGTERM),
    ],
)
def test_sigterm_during_the_last_push_takes_effect_after_it(way, returncode):
    with receiving(late(1.0)) as receiver, start(way, receiver.url) as process:
        try:
            assert process.stdout.readline() == "ready\n"
            before = len(receiver.requests)
            while len(receiver.requests) == before:
                time.sleep(0.01)
            time.sleep(0.3)
            process.send_signal(signal.SIGTERM)
            time.sleep(0.2)
            process.send_signal(signal.SIGTERM)
            _, log = process.communicate(timeout=30)
        finally:
            process.kill()
        assert process.returncode == returncode, log
        assert receiver.total("test.jobs") == 3


def test_a_child_that_gets_sigterm_while_it_is_forked_ends_by_it():
    code = """
import os, signal, time
from otel_ha import TelemetryConfig, setup_telemetry
config = TelemetryConfig(metrics_exporters=("prometheus",), prometheus_port=0, system_metrics=False)
telemetry = setup_telemetry("test", config=config)
statuses = set()
for n in range(60):
    child = os.fork()
    if not child:
        for _ in range(600):  # Python may miss a signal just before it sleeps
            time.sleep(0.1)
        os._exit(0)
    time.sleep(n / 4000)
    os.kill(child, signal.SIGTERM)
    statuses.add(os.waitpid(child, 0)[1])
print(statuses)
telemetry.shutdown()
"""
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=50)
    assert done.stdout.strip() == "{15}", done.stderr


def test_sigterm_twice_loses_nothing():
    with receiving(late(1.0)) as receiver, start("interrupt twice", receiver.url) as process:
        try:
            assert process.stdout.readline() == "ready\n"
            process.send_signal(signal.SIGTERM)
            time.sleep(0.3)
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=30)
        finally:
            process.kill()
        assert process.returncode == -signal.SIGTERM
        assert receiver.total("test.jobs") == 3


def test_sixty_setups_leave_no_thread_descriptor_or_hook_and_less_than_a_megabyte():
    with receiving(answer()) as receiver:
        assert output("cycle", receiver.url).startswith("[0, 0, 0] 0 ")


def test_a_child_that_shuts_down_hears_of_signals_no_longer():
    assert output("stop in child", **SCRAPED) == "True [] -1"


@pytest.mark.parametrize(
    "reply",
    [answer(), answer("400 Bad Request", b"\x12\x03why", Content_Type="application/x-protobuf")],
    ids=["accepted", "refused"],
)
def test_a_child_imports_nothing_in_a_thread_and_nothing_of_requests(reply):
    # gevent replaces the locks of imports when gunicorn's worker begins, after a fork with --preload.
    code = """
import os, sys
from otel_ha import TelemetryConfig, setup_telemetry
telemetry = setup_telemetry("test")
child = os.fork()
if child:
    os.waitpid(child, 0)
else:
    before = set(sys.modules)
    telemetry.prometheus_text()
    telemetry.flush()
    telemetry.summary()
    print(sorted(set(sys.modules) - before), "requests" in sys.modules, flush=True)
    os._exit(0)
"""
    with receiving(reply) as receiver:
        endpoint = f"http://localhost:{receiver.port}"
        out, log = run(code, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, OTEL_HA_SYSTEM_METRICS="true")
        assert receiver.requests
    assert out == "[] False", log


def run(code: str, **environment: str) -> tuple[str, str]:
    """The output and the log of code that ends by itself."""
    variables = {"OTEL_EXPORTER_PROMETHEUS_PORT": "0", "OTEL_HA_SYSTEM_METRICS": "false", **environment}
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False, timeout=50)
    return done.stdout.strip(), done.stderr


SLOW_SET_UP = """
import os, signal, threading, time
from otel_ha import TelemetryConfig, compat, setup_telemetry
from otel_ha.export.pipeline import Pipeline
from otel_ha.compat.running import forget
from otel_ha.telemetry import running_telemetry
import otel_ha.telemetry

signal.alarm(30)
config = TelemetryConfig(service_name="test", metrics_exporters=("prometheus",))
begun, go_on, connect = threading.Event(), threading.Event(), Pipeline.connect

def slow(self):
    begun.set()
    go_on.wait()
    connect(self)

Pipeline.connect = slow
thread = threading.Thread(target=setup_telemetry, kwargs={"config": config})
thread.start()
begun.wait()
"""


def test_a_child_that_is_forked_during_the_first_set_up_can_set_telemetry_up():
    out, log = run(f"""{SLOW_SET_UP}
Pipeline.connect = connect
if not os.fork():
    print(setup_telemetry(config=config).pipeline is not None, flush=True)
    os._exit(0)
os.wait()
go_on.set()
""")
    assert out == "True", log


def test_telemetry_that_is_not_connected_yet_is_not_the_running_one():
    out, log = run(f"""{SLOW_SET_UP}
threading.Timer(0.3, go_on.set).start()
print(running_telemetry())
monitor = compat.get_performance_monitor()
monitor.record_error("x")
print(monitor.error_counts["total"])
""")
    assert out.split() == ["None", "1"], log


def test_a_set_up_does_not_wait_for_ever_for_that_of_another_thread():
    out, log = run(f"""{SLOW_SET_UP}
otel_ha.telemetry._SETTING_UP = 0.2
print(setup_telemetry(config=config))
go_on.set()
thread.join()
print(setup_telemetry(config=config))
""")
    assert out.splitlines() == ["<Telemetry 'test', running>"] * 2, log


def test_a_handler_of_the_earlier_api_interrupts_a_set_up_for_which_another_thread_waits():
    out, log = run(
        f"""{SLOW_SET_UP}
otel_ha.telemetry._SETTING_UP = 100  # that limit would end it as well
go_on.set()
thread.join()
running_telemetry().shutdown()
go_on.clear()
forget()

def interrupted(self):
    waiting = threading.Thread(target=compat.get_performance_monitor, daemon=True)
    waiting.start()
    time.sleep(0.3)
    compat.get_performance_monitor()  # as a handler does
    connect(self)

Pipeline.connect = interrupted
setup_telemetry(config=config)
print("ended")
"""
    )
    assert out == "ended", log


def test_a_child_that_is_forked_during_the_last_push_can_set_telemetry_up():
    code = """
import os, signal, sys, threading, time
from otel_ha import setup_telemetry
from tests.e2e.interrupted import CATALOG, JOBS
signal.alarm(30)
telemetry = setup_telemetry("test", catalog=CATALOG)
JOBS.add(1)
thread = threading.Thread(target=telemetry.shutdown)
thread.start()
while telemetry.pipeline is not None:
    time.sleep(0.01)
time.sleep(0.2)
if not os.fork():
    print(setup_telemetry("test", catalog=CATALOG).pipeline is not None, flush=True)
    os._exit(0)
os.wait()
print(thread.is_alive())
"""
    with receiving(late(2.0)) as receiver:
        out, log = run(code, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url)
    assert out.split() == ["True", "True"], log


def test_sigterm_and_then_ctrl_c_inside_a_logging_handler_ends_the_process():
    code = """
import logging, os, signal, sys, time
from otel_ha import TelemetryConfig, setup_telemetry
from tests.e2e.interrupted import CATALOG, JOBS
signal.alarm(30)

class Interrupted(logging.Handler):
    def emit(self, record):
        if record.name == "service":
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(2)  # its last push fails, and waits to log that
            os.kill(os.getpid(), signal.SIGINT)

logging.getLogger().addHandler(Interrupted())
config = TelemetryConfig(service_name="test", metrics_exporters=("otlp",), shutdown_timeout=0.5)
telemetry = setup_telemetry(config=config, catalog=CATALOG)
JOBS.add(1)
signal.signal(signal.SIGINT, lambda *_: (telemetry.shutdown(), print("shut down", flush=True)))
logging.getLogger("service").warning("x")
time.sleep(20)
"""
    out, log = run(code, OTEL_EXPORTER_OTLP_ENDPOINT=NOWHERE)
    assert out == "shut down", log


def test_sigterm_ends_the_process_even_if_the_last_push_raises():
    code = """
import signal, time
from otel_ha.lifecycle import Sigterm

class Broken:
    def shutdown(self):
        raise RuntimeError

Sigterm(Broken()).install()
print("ready", flush=True)
signal.alarm(20)
time.sleep(30)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.readline()
        process.terminate()
        assert process.wait(timeout=30) == -signal.SIGTERM


def test_a_signal_that_waited_takes_its_action_where_kill_ends_a_process():
    code = """
import os, signal, sys
from otel_ha.lifecycle import Sigterm
kill = os.kill
os.kill = lambda *_: os._exit(99)
del signal.pthread_kill  # as on Windows
signal.signal(signal.SIGTERM, lambda *_: (print("handled", flush=True), os._exit(0)))
sigterm = Sigterm(None)
sigterm.install()
sigterm.hold()
kill(os.getpid(), signal.SIGTERM)
sigterm.release()
for _ in range(100):
    pass
"""
    assert run(code) == ("handled", "")


def test_telemetry_is_set_up_where_processes_cannot_fork():
    code = """
import asyncio, logging, os, random, threading  # Python's own use the hook where there is one
del os.register_at_fork
from otel_ha import TelemetryConfig, compat, setup_telemetry
config = TelemetryConfig(metrics_exporters=("prometheus",), prometheus_port=0, system_metrics=False)
with setup_telemetry("test", config=config) as telemetry:
    print(telemetry.metrics_url is not None)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=50)
    assert done.stdout.strip() == "True", done.stderr
