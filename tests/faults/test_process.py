"""A program whose own process has a fault: its loop, its threads, its clock, its descriptors, its sleep."""

from __future__ import annotations

import importlib.util
import signal
import socket
import time
from dataclasses import replace

import psutil
import pytest

from tests.faults.stored import in_pushes
from tests.receivers import answer, receiving
from tests.servers.fixtures import lacking
from tests.servers.running import get, get_json

BEGIN, END = signal.SIGHUP, signal.SIGUSR2


@pytest.fixture
def receiver():
    """A receiver that closes every connection, so that each push needs a new one."""
    with receiving(answer()) as receiver:
        yield receiver


@pytest.fixture
def harmed(start, receiver):
    """Starts the program with a fault that signals begin and end."""

    def harmed(harm: str, *options: str, **environment: str):
        settings = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
            "OTEL_METRIC_EXPORT_INTERVAL": "500",
            "OTEL_METRIC_EXPORT_TIMEOUT": "30000",  # on a busy machine, a push may take longer than the interval
            "OTEL_HA_HISTORY_INTERVAL": "0.5",
            **environment,
        }
        return start(*options, module="tests.faults.harmed", HARM=harm, **settings)

    return harmed


def stored(receiver):
    return in_pushes(receiver.bodies("/v1/metrics"))


def wait_for_pushes(service, receiver, count: int = 3) -> None:
    goal = len(receiver.requests) + count
    service.wait_for(lambda: service.check_now(lambda: stored(receiver)) and len(receiver.requests) >= goal)


def scraped(service) -> int:
    """Scrape, and return the length of the text."""
    return len(get(service.metrics_url))


def row(service, receiver, fault: str, **more: str):
    """The outcome of a program that is stopped."""
    account = service.stop()
    assert account.returncode == 0, service.log()
    return account.outcome(fault, "Processes", stored(receiver), log_lines=len(service.log_lines()), **more)


def test_a_service_on_uvloop_counts_exactly(receiver, harmed, table):
    if importlib.util.find_spec("uvloop") is None:
        lacking("uvloop is not installed: pip install uvloop")
    service = harmed("uvloop", "--rate=2000")
    wait_for_pushes(service, receiver)
    service.wait_for(lambda: scraped(service))
    table.add(row(service, receiver, "uvloop"))


def test_threads_that_calculate_without_a_pause_hold_up_neither_scrapes_nor_pushes_nor_the_end(receiver, harmed, table):
    service = harmed("busy", "--rate=500")
    wait_for_pushes(service, receiver, 1)
    service.send(BEGIN)
    for _ in range(3):
        scraped(service)
        wait_for_pushes(service, receiver, 1)
    table.add(row(service, receiver, "4 threads that calculate without a pause"))


def test_a_clock_that_jumps_changes_no_count_no_rate_and_no_interval(receiver, harmed, table):
    service = harmed("clock", "--rate=500")
    wait_for_pushes(service, receiver)
    for step in (BEGIN, END):  # 3 hours forward, 5 hours back
        service.send(step)
        wait_for_pushes(service, receiver, 4)
        summary = get_json(service.metrics_url.replace("/metrics", "/summary"))
        assert summary["current"]["performance"]["received_rate"] > 1  # over three hours, it would be less
        assert all(each["received_rate"] >= 0 for each in summary["history"]["performance"])
        assert all(each["start"] <= each["end"] for kind in summary["roll_ups"].values() for each in kind)
    table.add(row(service, receiver, "Clock steps, 3 hours forward and 5 back"))


def test_a_process_that_was_stopped_counts_exactly_when_it_continues(receiver, harmed, table):
    service = harmed("busy", "--rate=1000")
    wait_for_pushes(service, receiver, 1)
    service.send(signal.SIGSTOP)
    time.sleep(2)
    service.send(signal.SIGCONT)
    wait_for_pushes(service, receiver)
    scraped(service)
    found = row(service, receiver, "SIGSTOP for 2 s, then SIGCONT")
    table.add(replace(found, loop_delay=None))


def test_without_descriptors_telemetry_waits_and_then_everything_arrives(receiver, harmed, table):
    service = harmed("descriptors", "--rate=100", OTEL_METRIC_EXPORT_TIMEOUT="2500")
    wait_for_pushes(service, receiver, 1)
    service.send(BEGIN)
    service.wait_for_log("push .* Too many open files")
    host, _, port = service.target.rpartition(":")
    clients = [socket.create_connection((host, int(port)), timeout=20) for _ in range(3)]
    service.wait_for_log("endpoint .* Too many open files")
    process = psutil.Process(service.pid)
    before, pushes, since = sum(process.cpu_times()[:2]), len(receiver.requests), time.monotonic()
    service.wait_for_events(200)
    share = (sum(process.cpu_times()[:2]) - before) / (time.monotonic() - since)
    assert len(receiver.requests) == pushes
    assert share < 0.5
    service.send(END)
    service.wait_for_log("works again")
    service.wait_for_log("accepts connections .* again")
    for client in clients:
        client.close()
    scraped(service)
    found = row(service, receiver, "All descriptors taken", note=f"{share:.0%} of a CPU meanwhile")
    table.add(replace(found, log_lines=found.log_lines // 2))  # pushes and scrapes have an outage each


def test_without_new_threads_scrapes_and_pushes_go_on_and_the_last_push_arrives(receiver, harmed, table):
    service = harmed("threads", "--rate=500")
    scraped(service)
    wait_for_pushes(service, receiver, 1)
    service.send(BEGIN)
    for _ in range(3):
        scraped(service)
        wait_for_pushes(service, receiver, 1)
    table.add(row(service, receiver, "No thread can be started, from then to the end"))
