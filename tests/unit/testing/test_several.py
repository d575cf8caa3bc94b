"""Several set-ups, several captures and several threads."""

from __future__ import annotations

import threading

import pytest

import otel_ha.export.pipeline
from otel_ha import Catalog, setup_telemetry
from otel_ha.testing import Series, captured_metrics
from otel_ha.vocabulary import ingest
from tests.unit.testing.kit import CATALOG, HEAT, OPENINGS, PEOPLE, UNKNOWN, WIDTH, WORK, failure, lines


def set_up(times: int = 1) -> None:
    """Do what code under test may do: set telemetry up, record, and shut it down."""
    for number in range(1, times + 1):
        with setup_telemetry("code", catalog=CATALOG):
            OPENINGS.add(1, room="hall")
            OPENINGS.add(1, room=f"room {number}")
            PEOPLE.add(number, room="hall")
            HEAT.set(20 + number, room="hall")
            WIDTH.record(number, room="hall")


# ---- several set-ups


def test_counters_and_histograms_of_several_set_ups_add_up():
    with captured_metrics(CATALOG) as metrics:
        OPENINGS.add(1, room="hall")
        set_up(2)
        metrics.assert_recorded(OPENINGS, 3, room="hall")
        metrics.assert_recorded(OPENINGS, 5)
        metrics.assert_recorded(WIDTH, 2)
        assert metrics[WIDTH].total() == 3


def test_of_a_gauge_and_an_up_down_counter_the_newest_value_counts():
    with captured_metrics(CATALOG) as metrics:
        set_up(2)
        metrics.assert_recorded(PEOPLE, 2)
        metrics.assert_recorded(HEAT, 22)
        assert metrics[HEAT].series() == [Series({"room": "hall"}, 22, 22)]


def test_a_quantile_is_of_the_values_of_all_set_ups():
    with captured_metrics(CATALOG) as metrics:
        for value in (1.0, 2.0, 3.0, 4.0, 5.0):
            with setup_telemetry("code", catalog=CATALOG):
                WORK.record(value)
        assert [metrics[WORK].quantile(share) for share in (0.2, 0.6, 1.0)] == pytest.approx([1, 3, 5], rel=0.03)


def test_an_increase_spans_set_ups():
    with captured_metrics(CATALOG) as metrics:
        set_up(1)
        metrics.mark()
        set_up(2)
        assert metrics[OPENINGS].increase() == 4
        assert metrics[OPENINGS].increase(room="room 2") == 1
        assert metrics[WIDTH].increase() == 2


def test_accounts_add_up_over_set_ups_although_work_was_in_flight():
    with captured_metrics() as metrics:
        for _ in range(2):
            with setup_telemetry("code"):
                ingest.EVENT.receive(source="mqtt")
                ingest.EVENT.record(0.1, source="mqtt")
        metrics.assert_accounts(ingest.EVENT)
        assert metrics[ingest.RECEIVED].total() == 4


def test_an_instrument_that_only_the_catalog_of_the_code_has_is_found():
    with captured_metrics(CATALOG) as metrics:
        openings = metrics[UNKNOWN]
        with setup_telemetry("code", catalog=Catalog(UNKNOWN)):
            UNKNOWN.add(2)
            assert openings.total() == 2
        assert openings.total() == 2


def test_an_instrument_that_the_catalog_of_the_code_lacks_is_named():
    with captured_metrics(CATALOG) as metrics:
        OPENINGS.add(1)
        with setup_telemetry("code", catalog=Catalog(UNKNOWN)):
            OPENINGS.add(1)
            assert failure(metrics.assert_recorded, OPENINGS, 2) == lines("""
                test.openings: expected 2, found 1
                the newest telemetry does not record it: the catalog lacks it; """).rstrip() + (
                " give a catalog that has it to captured_metrics(), metrics_catalog or setup_telemetry()"
            )
            assert failure(metrics[WIDTH].count).startswith("test.width cannot be recorded: the catalog lacks it")


# ---- several captures


def test_a_capture_within_another_one_has_what_is_recorded_in_it():
    with captured_metrics(CATALOG) as outer:
        OPENINGS.add(1)
        with captured_metrics(CATALOG) as inner:
            OPENINGS.add(10)
            inner.assert_recorded(OPENINGS, 10)
            outer.assert_recorded(OPENINGS, 1)
        OPENINGS.add(1)
        outer.assert_recorded(OPENINGS, 2)
        inner.assert_recorded(OPENINGS, 10)


def test_one_capture_after_another_begins_with_nothing():
    for _ in range(2):
        with captured_metrics(CATALOG) as metrics:
            metrics.assert_nothing_recorded(OPENINGS)
            OPENINGS.add(1)
            metrics.assert_recorded(OPENINGS, 1)


def test_the_answers_remain_after_the_capture():
    with captured_metrics(CATALOG) as metrics:
        OPENINGS.add(1, room="hall")
        WIDTH.record(2.0)
    OPENINGS.add(5)
    metrics.assert_recorded(OPENINGS, 1)
    assert metrics[WIDTH].quantile(0.5) == 2
    assert metrics.telemetry is None
    assert failure(metrics.assert_recorded, OPENINGS, 2) == (
        "test.openings: expected 2, found 1\nrecorded:\n  1 with room='hall'\n"
        "the capture has ended; nothing is recorded since"
    )


# ---- expiry


def test_a_series_that_expired_and_came_back_has_increased_from_0():
    with captured_metrics(entity_metrics=True, entity_expiry=60) as metrics:
        ingest.ENTITY_EVENTS.add(5, entity="light.hall")
        metrics.mark()
        assert metrics[ingest.ENTITY_EVENTS].increase() == 0
        metrics.clock.advance(3600)
        assert metrics[ingest.ENTITY_EVENTS].series() == []
        ingest.ENTITY_EVENTS.add(2, entity="light.hall")
        assert metrics[ingest.ENTITY_EVENTS].total() == metrics[ingest.ENTITY_EVENTS].increase() == 2


# ---- several threads


@pytest.mark.parametrize("is_supported", [True, False])
def test_accounts_add_up_while_threads_record(monkeypatch, is_supported):
    monkeypatch.setattr(otel_ha.export.pipeline, "is_supported", lambda: is_supported)
    stop = threading.Event()

    def work() -> None:
        while not stop.wait(0.001):
            for _ in range(5):
                ingest.EVENT.receive(source="mqtt")
                ingest.EVENT.discard("filtered", source="mqtt")
                ingest.EVENT.record(0.1, source="mqtt", domain="light")

    with captured_metrics() as metrics:
        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(50):
                metrics.assert_accounts(ingest.EVENT)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        metrics.assert_accounts(ingest.EVENT)
        metrics.assert_no_problems()


def test_several_threads_may_ask_at_once():
    answers = []
    with captured_metrics(CATALOG) as metrics:
        OPENINGS.add(3)

        def ask() -> None:
            answers.extend(metrics[OPENINGS].total() for _ in range(50))

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert answers == [3] * 200


def test_a_source_may_ask():
    with captured_metrics() as metrics:
        ingest.QUEUE_SIZE.observe(lambda: 1 + metrics[ingest.RECEIVED].total(), queue="ingest")
        assert metrics[ingest.QUEUE_SIZE].total() == 1
        metrics.assert_no_problems()
