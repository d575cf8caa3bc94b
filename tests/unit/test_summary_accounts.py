"""The accounts of a summary are those of one collection, and say by how much they do not add up."""

from collections.abc import Callable

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.view import ExplicitBucketHistogramAggregation, View

from otel_ha import measured, setup_telemetry
from otel_ha.declare.instruments import GROUPS
from otel_ha.export import pipeline
from otel_ha.serve.summary.accounts import accounts
from otel_ha.vocabulary import ingest
from tests.history import run
from tests.recorded import meanwhile
from tests.unit.conftest import config


@measured(ingest.EVENT, source="mqtt")
def handle() -> None:
    """Do nothing."""


@measured(ingest.QUEUED_EVENT, source="websocket")
def handle_from_queue() -> None:
    """Do nothing."""


def taken(recorded) -> dict:
    recorded.collect(1)
    with recorded.history.reading():
        return accounts(recorded.history.since_start(), GROUPS)


def test_events_are_accounted_for_by_source_and_in_total():
    with run() as recorded:
        handle()
        ingest.EVENT.receive(source="websocket")
        ingest.EVENT.receive(source="websocket")
        ingest.EVENT.discard("overflow", source="websocket")
        with measured(ingest.EVENT, source="mqtt") as event:
            event.discard("duplicate")
        with pytest.raises(OSError, match="disk"), measured(ingest.EVENT, source="mqtt"):
            raise OSError("disk")
        with measured(ingest.EVENT, source="mqtt"):
            found = taken(recorded)
    assert found["by_source"]["mqtt"] == {
        "received": 4,
        "discarded": {"duplicate": 1},
        "processed": {"error": 1, "ok": 1},
        "queued": 0,
        "active": 1,
        "in_flight": 1,
        "difference": 0,
    }
    assert found["by_source"]["websocket"]["queued"] == found["by_source"]["websocket"]["in_flight"] == 1
    assert found["total"]["received"] == 6
    assert found["total"]["discarded"] == {"duplicate": 1, "overflow": 1}
    assert (found["total"]["in_flight"], found["total"]["difference"]) == (2, 0)


def test_the_difference_says_by_how_much_the_accounts_do_not_add_up():
    with run() as recorded:
        ingest.RECEIVED.add(5, source="mqtt")
        ingest.DISCARDED.add(1, source="mqtt", reason="duplicate")
        ingest.RECEIVED.add(1, source="file")
        ingest.DISCARDED.add(3, source="file", reason="filtered")
        found = taken(recorded)
    assert (found["by_source"]["mqtt"]["difference"], found["by_source"]["file"]["difference"]) == (4, -2)
    assert found["total"]["difference"] == 2


def test_a_source_whose_events_are_only_processed_has_no_accounts():
    with run() as recorded:
        ingest.EVENT_DURATION.record(0.1, source="timer", outcome="ok")
        handle()
        found = taken(recorded)
    assert list(found["by_source"]) == ["mqtt"]
    assert found["total"]["difference"] == 0


def test_a_missing_source_or_reason_is_unknown():
    with run() as recorded:
        ingest.RECEIVED.add(2)
        ingest.DISCARDED.add(2)
        found = taken(recorded)
    assert found["by_source"] == {"unknown": found["total"]}
    assert found["total"]["discarded"] == {"unknown": 2}


def test_the_accounts_cover_the_time_since_the_start_when_the_history_is_shorter():
    with run(2) as recorded:
        for _ in range(9):
            handle()
            recorded.collect(10)
        assert taken(recorded)["total"]["received"] == 9


@pytest.mark.parametrize("group", ["business_metrics", "performance_metrics"])
def test_accounts_of_which_a_part_is_not_measured_are_null(group):
    with setup_telemetry(config=config(**{group: False})) as telemetry:
        handle()
        found = telemetry.summary()["accounts"]
    # With business metrics on, the durations of events are counted even if performance metrics are off.
    assert (found is None) == (group == "business_metrics")


def work() -> None:
    handle()
    ingest.EVENT.receive(source="websocket")
    handle_from_queue()


def foreign(monkeypatch: pytest.MonkeyPatch) -> dict:
    provider = MeterProvider(shutdown_on_exit=False)
    monkeypatch.setattr("otel_ha.telemetry.foreign_provider", lambda: provider)
    return {}


WAYS: dict[str, Callable[[pytest.MonkeyPatch], dict]] = {
    "by the journal": lambda _: {},
    "through the API": lambda patch: patch.setattr(pipeline, "is_supported", lambda: False) or {},
    "with a View": lambda _: {
        "views": [View(instrument_name="*duration", aggregation=ExplicitBucketHistogramAggregation([1.5]))]
    },
    "on a foreign MeterProvider": foreign,
}


@pytest.mark.parametrize("way", WAYS)
def test_accounts_add_up_while_threads_record_look_and_scrape(way, monkeypatch):
    more = WAYS[way](monkeypatch)
    with setup_telemetry(config=config(history_interval=0.1), **more) as telemetry:
        look = telemetry.summary if telemetry.pipeline.scrape is None else telemetry.prometheus_text
        with meanwhile(work, 100_000), meanwhile(look, 1000):
            found = [telemetry.summary()["accounts"]["total"] for _ in range(40)]
    assert {each["difference"] for each in found} == {0}
    assert found[-1]["received"] > found[0]["received"]
