"""The answers of the earlier API, over a history whose collections are taken by hand."""

import pytest

from otel_ha.compat import answers, events
from otel_ha.vocabulary import ha_ingestor, ingest, runtime
from tests import history

CATALOG = ingest.CATALOG | runtime.CATALOG | ha_ingestor.CATALOG


@pytest.fixture
def run():
    """A history of two collections."""
    with history.run(length=2, catalog=CATALOG) as running:
        yield running


def count(number: int, outcome: str = "ok") -> None:
    for _ in range(number):
        events.counted("mqtt", "light", "", outcome)


def test_errors_older_than_the_history_are_not_in_the_error_rate(run):
    events.failed("timeout")
    count(1, "error")
    for _ in range(3):
        run.collect(10)
    count(10)
    run.collect(10)
    assert answers.performance(run.history).error_rate == 0.0


def test_events_older_than_the_history_are_not_in_the_error_rate(run):
    count(90)
    for _ in range(3):
        run.collect(10)
    count(10)
    events.failed("timeout")
    run.collect(10)
    assert answers.performance(run.history).error_rate == 0.1


def test_an_event_measured_as_ok_and_counted_as_failed_has_failed(run):
    for outcome in ("ok", "ok", "ok", "error"):
        events.measured(0.1, "mqtt", "light", "")
        count(1, outcome)
    run.collect(10)
    assert answers.performance(run.history).error_rate == 0.25


def test_the_rate_includes_events_that_were_only_counted(run):
    count(50)
    run.collect(10)
    assert answers.performance(run.history).event_processing_rate == 5.0


def test_the_rate_includes_an_event_that_was_measured_and_counted_once(run):
    for _ in range(20):
        events.measured(0.1, "mqtt", "light", "")
        count(1)
    run.collect(10)
    assert answers.performance(run.history).event_processing_rate == 2.0


def test_the_rate_includes_events_without_a_source(run):
    for _ in range(30):
        events.timed(10)
    run.collect(10)
    assert answers.performance(run.history).event_processing_rate == 3.0


def test_the_rate_is_over_the_stored_collections(run):
    count(1000)
    for _ in range(3):
        run.collect(10)
    count(10)
    run.collect(10)
    assert answers.performance(run.history).event_processing_rate == 10 / run.history.seconds()
