"""Signals that end a service while it handles some thousand events per second."""

from __future__ import annotations

import signal

import pytest

from tests.faults.running import Account
from tests.faults.stored import Stored, in_pushes, in_store, in_text
from tests.receivers import Receiver, answer, receiving, silent
from tests.servers.prometheus import Scrape
from tests.servers.running import HOST, eventually

RATE = "--rate=3000"
TERM, INT = signal.SIGTERM, signal.SIGINT
CHOPPED = (
    "the events that were recorded until the signal are stored; those that the program still handles during the last "
    "push are not counted, and without telemetry the signal would have ended it before them"
)
AWAY = "no receiver takes the last push: the events since the one before are gone, which the log says"


def final(read, account: Account) -> Stored:
    """The stored events once all are there."""
    return eventually(read, lambda found: account.lost(found) == 0)


@pytest.mark.servers
@pytest.mark.parametrize(
    ("name", "options", "signals"),
    [
        ("SIGTERM, a handler of the event loop", [], [TERM]),
        ("SIGTERM, its default action", ["--default-action"], [TERM]),
        ("SIGTERM twice", [], [TERM, TERM]),
        ("SIGTERM twice, its default action", ["--default-action"], [TERM, TERM]),
        ("SIGINT, a handler of the event loop", [], [INT]),
        ("SIGINT, its default action", ["--default-action"], [INT]),
        ("SIGTERM, then SIGINT", [], [TERM, INT]),
    ],
)
def test_a_signal_in_mid_stream_loses_nothing(otelcol, start, table, name, options, signals):
    service = start(RATE, *options, OTEL_EXPORTER_OTLP_ENDPOINT=otelcol.otlp_http_endpoint)
    service.wait_for_events(1500)
    service.check_now(lambda: in_text(otelcol.prometheus_url))
    account = service.stop(*signals)
    assert account.returncode == (-TERM if options and TERM in signals else 0)
    stored = final(lambda: in_text(otelcol.prometheus_url), account)
    assert service.log_lines() == []
    note = CHOPPED if account.returncode < 0 else ""
    table.add(account.outcome(f"{name}, in mid-stream", "Processes", stored, log_lines=0, note=note))


def bodies(receiver: Receiver) -> list[bytes]:
    return receiver.bodies("/v1/metrics")


@pytest.mark.parametrize(
    ("name", "options", "signals"),
    [
        ("SIGTERM", [], [TERM]),
        ("SIGTERM twice", [], [TERM, TERM]),
        ("SIGTERM, its default action", ["--default-action"], [TERM]),
        ("SIGINT, its default action", ["--default-action"], [INT]),
    ],
)
def test_a_receiver_that_hangs_delays_the_end_by_five_seconds_at_most(start, table, name, options, signals):
    with receiving(answer(), silent) as receiver:
        service = start(RATE, *options, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url)
        service.wait_for(lambda: service.check_now(lambda: in_pushes(bodies(receiver))).received > 0)
        service.wait_for_events(1500)
        account = service.stop(*signals)
        [taken, *_] = bodies(receiver)
    lines = service.log_lines()
    assert "did not end in time" in lines[-1]
    outcome = account.outcome(
        f"{name}, with a receiver that hangs",
        "Processes",
        in_pushes([taken]),
        log_lines=len(lines),
        loses=AWAY,
        away=True,
    )
    assert outcome.lost > 0
    table.add(outcome)


@pytest.fixture
def chain(make_otelcol, make_prometheus):
    """A Collector that pushes to a Prometheus through its queue on disk."""
    prometheus = make_prometheus([Scrape("unused", f"{HOST}:1")]).start()
    return make_otelcol(upstream=prometheus.otlp_endpoint).start(), prometheus


@pytest.mark.servers
@pytest.mark.parametrize("action", ["", ", its default action"], ids=["handler", "default"])
def test_sigterm_with_a_dead_collector_loses_the_events_since_its_death_and_says_so(chain, start, table, action):
    collector, prometheus = chain
    options = ["--default-action"] if action else []
    service = start(RATE, *options, OTEL_EXPORTER_OTLP_ENDPOINT=collector.otlp_http_endpoint)
    service.wait_for(lambda: service.check_now(lambda: in_store(prometheus.url)).received > 0)
    accepted = in_text(collector.prometheus_url)
    service.wait_for_events(500)  # meanwhile what it has accepted is on disk
    collector.kill()
    service.wait_for_events(1500)
    account = service.stop()
    collector.start()
    stored = eventually(lambda: in_store(prometheus.url), lambda found: found.received >= accepted.received)
    lines = len(service.log_lines())
    assert lines > 0, "the log does not say that the last push failed"
    outcome = account.outcome(
        f"SIGTERM{action}, with a dead Collector", "Processes", stored, log_lines=lines, loses=AWAY, away=True
    )
    assert outcome.lost > 0
    table.add(outcome)
