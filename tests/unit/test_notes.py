"""The notes of health: connections that are down and silent sources change neither status nor code."""

import json

import pytest

from otel_ha import setup_telemetry
from otel_ha.render.alerts.thresholds import THRESHOLDS
from otel_ha.serve.notes import notes
from otel_ha.serve.remedies import of_note
from otel_ha.vocabulary import ingest
from tests.history import run
from tests.unit.conftest import config, get

SILENCE = next(each.number for each in THRESHOLDS if each.name == "silence")


@pytest.fixture
def recorded():
    with run() as recorded:
        yield recorded


def test_a_connection_that_is_down_is_noted(recorded):
    ingest.CONNECTIONS.add(0, kind="mqtt")
    ingest.CONNECTIONS.add(1, kind="websocket")
    recorded.collect(1)
    assert notes(recorded.history) == ["mqtt: no connection is up"]


def test_a_source_is_silent_beyond_the_threshold_of_the_alert(recorded):
    ingest.MESSAGE_AGE.observe(lambda: SILENCE + 1, source="mqtt")
    ingest.MESSAGE_AGE.observe(lambda: SILENCE, source="websocket")
    recorded.collect(1)
    assert notes(recorded.history) == ["mqtt: no event for 1 h"]


def test_notes_end_with_their_causes(recorded):
    ingest.CONNECTIONS.add(0, kind="mqtt")
    recorded.collect(1)
    ingest.CONNECTIONS.add(1, kind="mqtt")
    assert notes(recorded.history), "as of the last collection"
    recorded.collect(1)
    assert notes(recorded.history) == []


def test_every_note_has_a_remedy_of_its_own(recorded):
    ingest.CONNECTIONS.add(0, kind="mqtt")
    ingest.MESSAGE_AGE.observe(lambda: SILENCE + 1, source="mqtt")
    recorded.collect(1)
    remedies = {of_note(note) for note in notes(recorded.history)}
    assert len(remedies) == 2
    assert of_note("") not in remedies


def test_notes_change_neither_the_status_nor_the_code():
    with setup_telemetry(config=config()) as telemetry:
        ingest.CONNECTIONS.add(0, kind="mqtt")
        telemetry.history.collect()
        status, body = get(telemetry.wsgi_app, "/healthz")
    found = json.loads(body)
    assert (status, found["status"], found["reasons"]) == (200, "ok", [])
    assert found["notes"] == ["mqtt: no connection is up"]


def test_the_notes_of_a_summary_are_of_the_same_collection_as_its_connections():
    with setup_telemetry(config=config()) as telemetry:
        ingest.CONNECTIONS.add(0, kind="mqtt")
        summary = telemetry.summary()
        assert [row["up"] for row in summary["connections"]] == [0]
        assert summary["health"]["notes"] == ["mqtt: no connection is up"]


def test_health_takes_no_collection():
    with setup_telemetry(config=config()) as telemetry:
        reads = []
        ingest.QUEUE_SIZE.observe(lambda: reads.append(1) or 0, queue="ingest")
        telemetry.health()
    assert len(reads) == 1, "the last one"


def test_without_a_history_there_are_no_notes():
    with setup_telemetry(config=config(history_length=0)) as telemetry:
        ingest.CONNECTIONS.add(0, kind="mqtt")
        assert telemetry.health()["notes"] == []


def test_after_the_shutdown_there_are_no_notes():
    with setup_telemetry(config=config()) as telemetry:
        ingest.CONNECTIONS.add(0, kind="mqtt")
    assert telemetry.health()["notes"] == []


def test_a_handler_that_interrupts_a_collection_gets_no_notes(recorded):
    ingest.CONNECTIONS.add(0, kind="mqtt")
    recorded.collect(1)
    found = []
    recorded.history.store.take = lambda *_, **__: found.append(notes(recorded.history))
    recorded.collect(1)
    assert found == [[]]
