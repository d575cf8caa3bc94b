"""Web servers with several processes: every worker counts exactly, however it ends."""

from __future__ import annotations

import http.client
import os
import signal
import time
from collections import Counter
from dataclasses import replace
from urllib.request import urlopen

import psutil
import pytest

from tests.faults.stored import in_text
from tests.servers.running import HOST, eventually, free_ports

pytestmark = pytest.mark.servers

REQUESTS = 40
WORKERS = 2
MOST = 15
"""Requests after which a worker is replaced."""
LATE = 10
"""Requests before a worker is killed."""
GUNICORN = {"sync": "sync", "gthread": "gthread", "uvicorn": "uvicorn.workers.UvicornWorker"}
PRELOAD = ("--preload",)
NEVER = "3600000"


@pytest.fixture
def serve(start, otelcol):
    """Starts a server for which `{host}` and `{port}` stand in its arguments, and waits for its first answer."""

    def serve(*command: str, **environment: str):
        [port] = free_ports(1)
        url = f"http://{HOST}:{port}/"
        arguments = [each.format(host=HOST, port=port) for each in command]
        settings = {
            "OTEL_METRICS_EXPORTER": "otlp",
            "OTEL_EXPORTER_OTLP_ENDPOINT": otelcol.otlp_http_endpoint,
            "OTEL_METRIC_EXPORT_INTERVAL": NEVER,
            **environment,
        }
        service = start(url, *arguments, module="tests.faults.serving", **settings)
        ask(service)
        return service

    return serve


def ask(service) -> int:
    """Send requests until one is answered, as a worker may end meanwhile; return the number of the process."""
    return eventually(lambda: answer(service), timeout=60)


def answer(service) -> int:
    """Send a request, and return the number of the process that answered."""
    try:
        with urlopen(service.metrics_url, timeout=20) as answer:
            return int(answer.read())
    except http.client.HTTPException as error:  # the worker has ended
        raise ConnectionError from error


def ask_often(service) -> Counter[int]:
    """Send requests, and return how many each process has answered."""
    return Counter(ask(service) for _ in range(REQUESTS))


def wait_for_workers(service, answered: Counter[int]) -> None:
    """Wait until every worker has begun, and none is about to be replaced.

    A signal that comes while a worker begins runs the handler of its parent, gunicorn's, which forgets it there.
    """

    def have_begun() -> bool:
        answered[ask(service)] += 1
        workers = [each.pid for each in psutil.Process(service.pid).children()]
        return len(workers) == WORKERS and all(0 < answered[each] < MOST - 2 for each in workers)

    eventually(have_begun, timeout=60)


def outcome(service, otelcol, fault, *, least=0, **more):
    """The row of a server that is stopped, when at most `least` events are missing."""
    sent = time.perf_counter()
    account = replace(service.stop(), shutdown=time.perf_counter() - sent)
    assert account.returncode == 0, service.log()
    wanted = account.recorded - least
    stored = eventually(lambda: in_text(otelcol.prometheus_url), lambda found: found.received >= wanted)
    lines = [line for line in service.log_lines() if "otel_ha" in line]
    return account.outcome(fault, "Processes", stored, log_lines=len(lines), **more)


@pytest.mark.parametrize(
    ("worker", "preload"),
    [("sync", ()), ("sync", PRELOAD), ("gthread", PRELOAD), ("uvicorn", ()), ("uvicorn", PRELOAD)],
    ids=lambda each: each if isinstance(each, str) else "".join(each).strip("-"),
)
def test_workers_of_gunicorn_that_are_replaced_reloaded_and_stopped_count_exactly(
    serve, otelcol, table, worker, preload
):
    application = "asgi" if worker == "uvicorn" else "wsgi"
    options = ("--bind", "{host}:{port}", "--workers", str(WORKERS), "--worker-class", GUNICORN[worker], *preload)
    replaced = ("--max-requests", str(MOST))
    service = serve("gunicorn", *options, *replaced, f"tests.faults.answering:{application}_application")
    ask_often(service)
    first = ask(service)
    service.send(signal.SIGHUP)
    eventually(lambda: answer(service), lambda pid: pid != first)
    wait_for_workers(service, ask_often(service))
    how = " ".join(("gunicorn,", worker, "workers", *preload))
    table.add(outcome(service, otelcol, f"{how}: --max-requests, HUP, SIGTERM"))


def test_workers_of_uvicorn_count_exactly(serve, otelcol, table):
    options = ("--host", "{host}", "--port", "{port}", "--workers", "2", "--no-access-log")
    service = serve("uvicorn", *options, "tests.faults.answering:asgi_application")
    ask_often(service)
    table.add(outcome(service, otelcol, "uvicorn --workers 2, SIGTERM"))


def test_a_worker_that_is_killed_loses_the_events_since_its_last_push(serve, otelcol, table):
    options = ("--bind", "{host}:{port}", "--workers", "1", "tests.faults.answering:wsgi_application")
    service = serve("gunicorn", *options, OTEL_METRIC_EXPORT_INTERVAL="1000", OTEL_METRIC_EXPORT_TIMEOUT="30000")
    ask_often(service)
    recorded = service.recorded()
    eventually(lambda: in_text(otelcol.prometheus_url), lambda found: found.received == recorded)
    for _ in range(LATE):
        worker = ask(service)
    os.kill(worker, signal.SIGKILL)
    eventually(lambda: answer(service), lambda pid: pid != worker)
    why = "a killed process runs nothing: the events since its last push are lost, at most those of one interval"
    found = outcome(service, otelcol, "gunicorn, a worker killed with -9", least=LATE, loses=why)
    assert found.lost <= LATE
    assert found.duplicated == 0
    table.add(found)
