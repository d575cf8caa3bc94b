"""The snippets of the earlier documentation still work."""

import pytest

from otel_ha.compat import get_performance_monitor
from otel_ha.telemetry import running_telemetry
from otel_ha.vocabulary import ha_ingestor, ingest
from tests.earlier import problems, values
from tests.unit.compat.conftest import MQTT, SERVER, run


class TestTheSnippets:
    def test_an_event_and_a_processing_time_are_recorded_once(self, telemetry):
        summary = run("performance_monitor")["summary"]
        assert values(telemetry, ha_ingestor.COUNTED_EVENTS) == {MQTT: 1}
        assert values(telemetry, ingest.EVENT_DURATION) == {frozenset({("homeassistant_outcome", "ok")}): 1}
        assert summary["current_metrics"]["business"]["total_events_processed"] == 1
        assert summary["current_metrics"]["performance"]["average_processing_time_ms"] == pytest.approx(150.5)
        assert problems(telemetry) == 0

    def test_a_processed_event_is_one_event_in_each_way(self, telemetry):
        text = run("enhanced_collector")["text"]
        assert values(telemetry, ha_ingestor.COUNTED_EVENTS) == {MQTT: 1}
        assert values(telemetry, ingest.EVENT_DURATION) == {MQTT: 1}
        assert values(telemetry, ingest.RECEIVED) == {frozenset({("homeassistant_source", "mqtt")}): 1}
        assert get_performance_monitor().event_counts["total"] == 1
        assert "homeassistant_event_process_duration_seconds_count" in text
        assert problems(telemetry) == 0

    def test_readings_of_a_machine_are_exposed_unchanged(self, telemetry):
        run("prometheus_collector")
        assert values(telemetry, ha_ingestor.CPU) == {frozenset({SERVER}): 25.5}
        assert values(telemetry, ha_ingestor.MEMORY) == {frozenset({SERVER}): 60.0}
        assert values(telemetry, ha_ingestor.MEMORY_USED) == {frozenset({SERVER}): 2048 * 1024 * 1024}
        root = frozenset({SERVER, ("system_filesystem_mountpoint", "/")})
        assert values(telemetry, ha_ingestor.FILESYSTEM) == {root: 45.0}
        assert values(telemetry, ha_ingestor.DISK_IO) == {
            frozenset({SERVER, ("disk_io_direction", "read")}): 100 * 1024 * 1024,
            frozenset({SERVER, ("disk_io_direction", "write")}): 50 * 1024 * 1024,
        }
        default = ("network_interface_name", "default")
        assert values(telemetry, ha_ingestor.NETWORK_IO) == {
            frozenset({SERVER, default, ("network_io_direction", "transmit")}): 200 * 1024 * 1024,
            frozenset({SERVER, default, ("network_io_direction", "receive")}): 150 * 1024 * 1024,
        }
        assert problems(telemetry) == 0

    @pytest.mark.parametrize("snippet", ["performance_monitor", "enhanced_collector", "prometheus_collector"])
    def test_they_run_without_setup_telemetry(self, alone, snippet):
        alone.setenv("OTEL_HA_SYSTEM_METRICS", "true")
        run(snippet)
        assert "homeassistant_" in running_telemetry().prometheus_text()
