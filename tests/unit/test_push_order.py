"""Pushes of one reader: one after the other, the newest values last, and none that its end cuts off in vain."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

import pytest

from otel_ha import Telemetry, setup_telemetry
from otel_ha.vocabulary import ingest
from tests.faults.stored import in_pushes
from tests.receivers import Reply, answer, receiving, silent
from tests.servers.running import eventually
from tests.unit.conftest import config

RECEIVED = "homeassistant.event.received"


@pytest.fixture
def telemetry_to() -> Callable[[str], Telemetry]:
    """Telemetry that pushes to a URL only when it is flushed, and at its end."""

    def telemetry_to(url: str, **settings: object) -> Telemetry:
        given = config(
            metrics_exporters=("otlp",), otlp_endpoint=url, export_interval=3600.0, history_length=0, **settings
        )
        return setup_telemetry("test", config=given)

    return telemetry_to


def held(release: threading.Event) -> Reply:
    """Reply with success once released."""

    def reply(connection, ended) -> None:
        release.wait(60)
        answer()(connection, ended)

    return reply


def flushing(telemetry: Telemetry) -> threading.Thread:
    thread = threading.Thread(target=telemetry.flush, args=(60,))
    thread.start()
    return thread


def test_a_flush_that_waits_for_another_one_pushes_the_values_of_its_own_time(telemetry_to):
    release = threading.Event()
    with receiving(held(release), answer()) as receiver, telemetry_to(receiver.url) as telemetry:
        ingest.RECEIVED.add(1, source="mqtt")
        first = flushing(telemetry)
        eventually(lambda: receiver.requests)
        second = flushing(telemetry)
        time.sleep(0.3)  # it would collect now if it did not wait
        ingest.RECEIVED.add(1, source="mqtt")
        release.set()
        first.join()
        second.join()
        assert len(receiver.requests) == 2
        assert receiver.total(RECEIVED) == 2


@pytest.mark.parametrize("temporality", ["cumulative", "delta"])
def test_the_end_cuts_off_no_flush(telemetry_to, caplog, temporality):
    release = threading.Event()
    with receiving(held(release), answer()) as receiver:
        telemetry = telemetry_to(receiver.url, otlp_temporality=temporality, shutdown_timeout=60.0)
        ingest.RECEIVED.add(1, source="mqtt")
        flushes = [flushing(telemetry)]
        eventually(lambda: receiver.requests)
        flushes.append(flushing(telemetry))
        ingest.RECEIVED.add(1, source="mqtt")
        end = threading.Thread(target=telemetry.shutdown)
        end.start()
        eventually(lambda: telemetry.pipeline is None)
        release.set()
        for thread in (*flushes, end):
            thread.join()
        pushed = [in_pushes([body]).received for body in receiver.bodies("/v1/metrics")]
    assert pushed[-1] == 2 if temporality == "cumulative" else sum(pushed) == 2
    assert [each for each in caplog.records if each.levelno >= logging.WARNING] == []


def test_a_last_push_that_is_cut_off_is_one_line_which_does_not_blame_the_receiver(telemetry_to, caplog):
    with receiving(silent) as receiver:
        telemetry = telemetry_to(receiver.url, shutdown_timeout=0.5)
        ingest.RECEIVED.add(1, source="mqtt")
        telemetry.shutdown()
        eventually(lambda: "otel-ha-push" not in {thread.name for thread in threading.enumerate()})
    assert [each.getMessage() for each in caplog.records] == [
        f"the last push to {receiver.url}/v1/metrics did not end in time; its interval may be lost"
    ]
