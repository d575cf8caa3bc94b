"""The earlier API in forked children."""

import os
import subprocess
import sys
import weakref

from otel_ha.compat.process_lock import ProcessLock

FORKED = """
import os, re
from otel_ha.compat import get_prometheus_collector

collector = get_prometheus_collector()

def push(depth, connections, state):
    collector.update_queue_depth(depth)
    collector.update_active_connections(connections, "mqtt")
    collector.update_circuit_breaker_state(state, "db")

def show(process):
    text = collector.export_metrics()
    names = ("queue_size", "connection_active", "circuit_breaker_state")
    found = [re.findall("homeassistant_" + name + r"[{].* (.*)", text) for name in names]
    print(process, *(n for numbers in found for n in numbers), flush=True)

push(5, 3, 2)
if (child := os.fork()) == 0:
    push(2, 1, 0)
    show("child")
    os._exit(0)
os.waitpid(child, 0)
show("parent")
"""


def test_a_forked_child_and_its_parent_each_show_their_own_figures():
    quiet = {"OTEL_METRICS_EXPORTER": "prometheus", "OTEL_EXPORTER_PROMETHEUS_PORT": "0"}
    command = [sys.executable, "-W", "error", "-c", FORKED]
    done = subprocess.run(command, env={**os.environ, **quiet}, capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout.splitlines() == ["child 2.0 1.0 1.0 0.0 0.0", "parent 5.0 3.0 0.0 0.0 1.0"], done.stderr


FORKED_WITH_REGISTERED_NAMES = """
import os, re
from otel_ha.compat import get_metrics_collector, get_prometheus_collector

collector = get_metrics_collector()
registry = collector.registry
registry.register_counter("things_total", "Things")

def count(number):
    registry.increment_counter("things_total", number)
    collector.record_influxdb_write(number, True, 0.5)

def show(process):
    text = get_prometheus_collector().export_metrics()
    names = ("things_total", "homeassistant_point_written_total")
    found = [re.findall("^" + name + r"(?:[{].*)? (.*)", text, re.M) for name in names]
    own = registry.get_metric("things_total").numbers[()]
    print(process, own, *(n for numbers in found for n in numbers), flush=True)

count(5)
if (child := os.fork()) == 0:
    count(2)
    show("child")
    os._exit(0)
os.waitpid(child, 0)
show("parent")
"""


def test_registered_names_start_at_zero_in_a_forked_child():
    quiet = {"OTEL_METRICS_EXPORTER": "prometheus", "OTEL_EXPORTER_PROMETHEUS_PORT": "0"}
    command = [sys.executable, "-W", "error", "-c", FORKED_WITH_REGISTERED_NAMES]
    done = subprocess.run(command, env={**os.environ, **quiet}, capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout.splitlines() == ["child 2.0 2.0 2.0", "parent 5.0 5.0 5.0"], done.stderr


FORKED_WHILE_SET_UP = """
import logging, os, signal, threading
from otel_ha.compat import get_performance_monitor
from otel_ha.telemetry import running_telemetry

held, go_on = threading.Event(), threading.Event()

class Slow(logging.Handler):
    def emit(self, record):
        if threading.current_thread() is not threading.main_thread():
            held.set()
            go_on.wait()

logging.getLogger("otel_ha").addHandler(Slow())
other = threading.Thread(target=get_performance_monitor)
other.start()
held.wait()
if (child := os.fork()) == 0:
    signal.alarm(20)
    get_performance_monitor().record_event_processed("mqtt")
    print("child", get_performance_monitor().event_counts["total"], flush=True)
    os._exit(0)
print("ended with", os.waitpid(child, 0)[1])
go_on.set()
other.join()
"""


def test_a_child_forked_during_the_set_up_of_another_thread_sets_up_itself():
    slow = {"OTEL_METRICS_EXPORTER": "prometheus", "OTEL_EXPORTER_PROMETHEUS_PORT": "0", "OTEL_HA_NONSENSE": "1"}
    command = [sys.executable, "-c", FORKED_WHILE_SET_UP]
    done = subprocess.run(command, env={**os.environ, **slow}, capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout.splitlines() == ["child 1", "ended with 0"], done.stderr


def test_a_lock_is_not_kept_alive_for_a_fork():
    lock = ProcessLock()
    gone = weakref.ref(lock)
    del lock
    assert gone() is None
