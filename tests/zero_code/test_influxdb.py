"""Unmodified programs with influxdb-client and influxdb3-python: what they report equals what the store has."""

import re

import pytest

from tests.zero_code.recipes import NEWEST, OLDEST

POINTS = "homeassistant_point_written_total"
OPERATIONS = "db_client_operation_duration_seconds_count"
RETRIES = "homeassistant_retry_attempts_total"
WAITING = "homeassistant_queue_size"
BYTES = "homeassistant_data_sent_bytes_total"


@pytest.mark.parametrize("name", [NEWEST, OLDEST])
@pytest.mark.parametrize(
    ("program", "queue"),
    [("influxdb_client_writer.py", "influxdb-client"), ("influxdb3_writer.py", "influxdb3-python")],
)
def test_a_program_that_writes(make_environment, name, command, program, queue, victoria_metrics):
    environment = make_environment(name)
    started = environment.start(command, program, victoria_metrics.url, OTEL_SERVICE_NAME="writer")
    started.wait_for_output("written", within=120)
    before = started.wait_for(lambda seen: seen.total(POINTS, outcome="ok") > 120)
    assert before.total(POINTS, outcome="error", error_type="400") == 3
    victoria_metrics.stop()  # not killed: it keeps what it has answered in memory for some seconds
    started.wait_for(lambda seen: seen.total(RETRIES, component="influxdb") >= 2 and seen.total(WAITING) > 20)
    victoria_metrics.start()
    started.wait_for(lambda seen: seen.total(WAITING, queue=queue) < 20)
    (environment.logs / "stop").touch()
    output = started.wait_for_output(" more", within=120)
    written = 100 + int(re.search(r"(\d+) more", output)[1])
    seen = started.scrape()
    assert seen.total(POINTS, sink="influxdb", outcome="ok") == written
    assert seen.total(POINTS) == written + 3
    assert seen.total(OPERATIONS, outcome="error") == 1
    assert seen.total(OPERATIONS, db_system_name="influxdb", server_address="127.0.0.1") == seen.total(
        "homeassistant_batch_size_count"
    )
    assert (seen.total(WAITING, queue=queue), seen.total(BYTES) > 0) == (0, True)
    assert "rejected 400" in output
    assert stored(victoria_metrics) == written
    started.stop()


def stored(store):
    """The points in the store, each once: a batch whose answer was lost was written twice."""
    found = store.export('{__name__="state_value"}')
    return sum(len({moment for moment, _ in samples}) for _, samples in found)
