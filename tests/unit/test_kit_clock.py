"""The clock of the test kit: the history collects, and series expire, as the test says."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from otel_ha import TelemetryConfig, TelemetryError, setup_telemetry
from otel_ha.testing import Clock, captured_metrics
from otel_ha.vocabulary import ingest

SILENT = {"system_metrics": False, "environ": {}}


def offsets(metrics):
    """Return the seconds from the start of the running telemetry to each collection of its history."""
    begin, *collections = metrics.telemetry.history.timestamps
    return [round(each - begin, 6) for each in collections]


def test_time_stands_still():
    with captured_metrics() as metrics:
        assert metrics.clock.now() == metrics.clock.now()


def test_the_history_collects_whenever_its_interval_ends():
    with captured_metrics(history_interval=10) as metrics:
        metrics.clock.advance(25)
        metrics.clock.advance(4.5)
        assert offsets(metrics) == [10, 20]
        metrics.clock.advance(0.5)
        assert offsets(metrics) == [10, 20, 30]


def test_an_interval_below_a_second_adds_up_exactly():
    with captured_metrics(history_interval=0.1) as metrics:
        for _ in range(10):
            metrics.clock.advance(0.1)
        assert offsets(metrics) == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]


def test_a_day_leaves_what_the_history_keeps():
    with captured_metrics(history_interval=0.1, history_length=4) as metrics:
        begin = metrics.clock.now().timestamp
        metrics.clock.advance(24 * 3600)
        ends = [round(each - begin, 3) for each in metrics.telemetry.history.timestamps]
    assert ends == [86399.6, 86399.7, 86399.8, 86399.9, 86400.0]


def test_rates_are_those_of_the_time_that_passed():
    with captured_metrics(history_interval=10) as metrics:
        ingest.RECEIVED.add(120, source="mqtt")
        metrics.clock.advance(60)
        history = metrics.telemetry.history
        assert history.rate(ingest.RECEIVED, 60) == 2
        assert history.rate(ingest.RECEIVED, 30) == 0


def test_the_summary_is_of_the_time_of_the_clock():
    with captured_metrics(history_interval=10) as metrics:
        ingest.RECEIVED.add(120, source="mqtt")
        metrics.clock.advance(60)
        summary = metrics.telemetry.summary()
        assert summary["timestamp"] - summary["started"] == 60
        assert summary["current"]["performance"]["received_rate"] == 2


def test_captured_telemetry_is_healthy():
    with captured_metrics() as metrics:
        metrics.clock.advance(24 * 3600)
        health = metrics.telemetry.health()
        assert (health["status"], health["reasons"], health["endpoint"]["problem"]) == ("ok", [], None)


def test_telemetry_that_the_code_sets_up_collects_by_its_own_interval():
    with captured_metrics(history_interval=10) as metrics:
        metrics.clock.advance(7)
        with setup_telemetry("code", config=TelemetryConfig(history_interval=4, **SILENT)):
            metrics.clock.advance(9)
            assert offsets(metrics) == [4, 8]
        metrics.clock.advance(9)
        with setup_telemetry("code", config=TelemetryConfig(history_interval=5, **SILENT)):
            metrics.clock.advance(9)
            assert offsets(metrics) == [5]


def test_telemetry_without_history_lets_time_pass():
    with captured_metrics(history_length=0) as metrics:
        metrics.clock.advance(3600)
        assert metrics.telemetry.history is None


def test_a_series_that_is_not_used_expires():
    with captured_metrics(entity_metrics=True, entity_expiry=60) as metrics:
        for entity in ("light.a", "light.b"):
            ingest.ENTITY_EVENTS.add(1, entity=entity, domain="light")
        metrics.clock.advance(59)
        ingest.ENTITY_EVENTS.add(1, entity="light.b", domain="light")
        assert metrics[ingest.ENTITY_EVENTS].total(entity="light.a") == 1
        metrics.clock.advance(2)
        assert [each.attributes["entity"] for each in metrics[ingest.ENTITY_EVENTS].series()] == ["light.b"]


def test_a_series_that_has_expired_begins_again_at_zero():
    with captured_metrics(entity_metrics=True, entity_expiry=60) as metrics:
        ingest.ENTITY_EVENTS.add(5, entity="light.a", domain="light")
        metrics.clock.advance(3600)
        ingest.ENTITY_EVENTS.add(1, entity="light.a", domain="light")
        metrics.assert_recorded(ingest.ENTITY_EVENTS, 1, entity="light.a")


def test_a_series_that_the_code_forgets_is_gone():
    with captured_metrics(entity_metrics=True) as metrics:
        for entity in ("light.a", "light.b"):
            ingest.ENTITY_EVENTS.add(1, entity=entity, domain="light")
        ingest.ENTITY_EVENTS.forget(entity="light.a", domain="light")
        assert [each.attributes["entity"] for each in metrics[ingest.ENTITY_EVENTS].series()] == ["light.b"]


@pytest.mark.parametrize("begin", [datetime(2026, 2, 1, 11, tzinfo=UTC), 1769943600.0])
def test_time_begins_and_is_set_where_the_test_says(begin):
    with captured_metrics(clock=Clock(begin), history_interval=60) as metrics:
        metrics.clock.set(datetime(2026, 2, 1, 13, 2, tzinfo=timezone(timedelta(hours=2))))
        times = [datetime.fromtimestamp(each, UTC).minute for each in metrics.telemetry.history.timestamps]
    assert times == [0, 1, 2]


@pytest.mark.parametrize(
    ("move", "message"),
    [
        (lambda clock: clock.advance(-1), "it cannot move by -1 seconds, only forward, until the year 2999"),
        (lambda clock: clock.advance(float("nan")), "it cannot move by nan seconds, only forward, until the year 2999"),
        (lambda clock: clock.advance(float("inf")), "it cannot move by inf seconds, only forward, until the year 2999"),
        (
            lambda clock: clock.set(1769943600 * 10**9),  # nanoseconds
            "it cannot move to 1769943600000000000, only forward, until the year 2999",
        ),
        (
            lambda clock: clock.set(datetime(2026, 1, 31, tzinfo=UTC)),
            "it cannot move to 2026-01-31 00:00:00+00:00, only forward, until the year 2999",
        ),
    ],
)
def test_time_never_goes_back_or_too_far(move, message):
    clock = Clock(datetime(2026, 2, 1, 11, tzinfo=UTC))
    with pytest.raises(TelemetryError) as raised:
        move(clock)
    assert str(raised.value) == f"the clock is at 2026-02-01 11:00:00+00:00; {message}"
    assert clock.now().clock == 0


@pytest.mark.parametrize("start", [float("nan"), float("inf"), 1769943600 * 10**9, -1])
def test_time_begins_at_a_moment(start):
    with pytest.raises(TelemetryError, match=r"^the clock cannot begin at .*; allowed: from 1970 to the year 2999$"):
        Clock(start)


def test_a_date_needs_its_time_zone():
    with pytest.raises(TelemetryError) as raised:
        Clock(datetime(2026, 2, 1))  # noqa: DTZ001 - as said
    assert str(raised.value) == "the date 2026-02-01 00:00:00 has no time zone; add one, such as tzinfo=UTC"
