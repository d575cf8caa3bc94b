"""The earlier MetricsCollector: its names, and its figures in the metrics of telemetry."""

import asyncio

import pytest

from otel_ha import measured
from otel_ha.compat import (
    EnhancedMetricsCollector,
    HAIngestorCollector,
    MetricsCollector,
    PerformanceMonitor,
    get_metrics_collector,
)
from otel_ha.compat.built_in import BUILT_IN
from otel_ha.vocabulary import ha_ingestor, ingest
from tests import earlier
from tests.earlier import problems, total, values

SOURCE = "homeassistant_source"
OK = ("homeassistant_outcome", "ok")
BATCH = (0.5, 2.0, 20, 15, 3000, 1000)


@pytest.fixture
def collector(telemetry):
    return MetricsCollector()


def latest(collector: MetricsCollector, name: str) -> float:
    return collector.registry.get_metric(f"ha_ingestor_{name}").values[-1].value


def summed(collector: MetricsCollector, name: str) -> float:
    return sum(value.value for value in collector.registry.get_metric(f"ha_ingestor_{name}").values)


def call_everything(collector: MetricsCollector) -> None:
    """Make each call once; circuit breakers are half open, as the writer spells it."""
    collector.record_event_processed("mqtt")
    collector.record_event_processed("websocket", success=False)
    collector.record_event_deduplicated()
    collector.record_pipeline_queue_size(42)
    collector.record_pipeline_processing_time(0.5)
    collector.record_client_connection_status("mqtt", connected=True)
    collector.record_connection_latency("MQTT", 0.25)
    collector.record_connection_response_time("mqtt", 0.5)
    collector.record_connection_throughput("mqtt", 1e6)
    collector.record_connection_error("mqtt")
    collector.record_connection_reconnect("mqtt")
    collector.record_connection_uptime("mqtt", 60)
    collector.record_influxdb_write(10, success=True, duration_seconds=0.5)
    collector.record_influxdb_write(5, success=False, duration_seconds=0.1)
    collector.record_influxdb_batch_size(15)
    for success in (True, False):
        collector.record_influxdb_batch_processed(success, *BATCH)
    collector.record_influxdb_retry_attempt(1)
    collector.record_influxdb_circuit_breaker_state("HALF_OPEN")
    collector.record_influxdb_circuit_breaker_opened()
    collector.record_influxdb_throughput(100.0, 2.0)
    collector.record_error("connection", "warning", recovered=True)
    collector.record_error("general", "error")
    collector.record_circuit_breaker_open("db")
    collector.record_circuit_breaker_state("db", "open")
    collector.record_retry_attempt("db", "write")
    collector.record_filter_metrics("lights", "domain", 0.001, cache_hit=True, event_filtered=True)
    collector.record_filter_metrics("lights", "domain", 0.001, cache_hit=False, event_filtered=False)
    collector.record_filter_chain_metrics(3, 30, 10, 0.01)
    collector.update_filter_cache_size("lights", "domain", 7)
    collector.update_uptime()


class TestItsNames:
    def test_every_call_is_found_under_its_earlier_name(self, telemetry, collector):
        call_everything(collector)
        assert problems(telemetry) == 0
        assert {name for name in BUILT_IN if not collector.registry.get_metric(name).values} == {
            "ha_ingestor_websocket_connected",
            "ha_ingestor_influxdb_connected",
        }
        expected = {
            "events_processed_total": 2,
            "events_mqtt_total": 1,
            "events_websocket_total": 1,
            "events_failed_total": 1,
            "events_deduplicated_total": 1,
            "pipeline_queue_size": 42,
            "mqtt_connected": 1,
            "influxdb_points_written_total": 10,
            "influxdb_points_failed_total": 5,
            "influxdb_batches_processed_total": 1,
            "influxdb_batches_failed_total": 1,
            "errors_total": 2,
            "errors_by_category_total": 2,
            "errors_by_severity_total": 2,
            "errors_recovered_total": 1,
            "errors_unrecovered_total": 1,
            "filters_events_processed_total": 2,
            "filters_events_filtered_total": 1,
            "filters_cache_hits_total": 1,
        }
        assert {name: summed(collector, name) for name in expected} == expected
        assert latest(collector, "influxdb_batch_optimization_efficiency") == 0.75
        assert latest(collector, "influxdb_batch_compression_ratio") == 3
        assert latest(collector, "filter_chain_filter_rate") == 0.25

    def test_none_of_them_is_in_the_scrape(self, telemetry, collector):
        call_everything(collector)
        assert "ha_ingestor_" not in telemetry.prometheus_text()
        text = collector.export_prometheus()
        assert {name for name in BUILT_IN if f"# TYPE {name} " in text} == BUILT_IN.keys()

    def test_two_increments_are_two_values_whose_sum_is_the_total(self, collector):
        collector.record_event_deduplicated()
        collector.record_event_deduplicated()
        assert [v.value for v in collector.registry.get_metric("ha_ingestor_events_deduplicated_total").values] == [
            1,
            1,
        ]
        assert "ha_ingestor_events_deduplicated_total 2.0" in collector.export_prometheus()

    @pytest.mark.parametrize(("state", "number"), [("closed", 0), ("HALF_OPEN", 1), ("open", 2), (1, 1), (2, 2)])
    def test_both_breakers_have_the_numbers_of_the_other_collector(self, collector, state, number):
        collector.record_circuit_breaker_state("db", state)
        collector.record_influxdb_circuit_breaker_state(state)
        assert latest(collector, "circuit_breaker_state") == number
        assert latest(collector, "influxdb_circuit_breaker_state") == number

    def test_an_unknown_state_leaves_a_breaker_unchanged(self, telemetry, collector):
        collector.record_circuit_breaker_state("db", "open")
        collector.record_circuit_breaker_state("db", "ajar")
        assert latest(collector, "circuit_breaker_state") == 2
        assert problems(telemetry) == 1

    def test_a_component_names_its_own_gauges_which_are_scraped(self, telemetry, collector):
        collector.collect_component_metrics("pool", {"size": 5, "ratio": 0.5, "state": "open", "none": None})
        text = telemetry.prometheus_text()
        assert latest(collector, "pool_size") == 5
        assert "\nha_ingestor_pool_size 5.0\n" in text
        assert "\nha_ingestor_pool_ratio 0.5\n" in text
        assert "ha_ingestor_pool_state" not in text

    @pytest.mark.parametrize("wrong", [None, 5, [1]])
    def test_component_metrics_that_are_no_dict_are_ignored(self, telemetry, collector, wrong):
        collector.collect_component_metrics("pool", wrong)
        assert problems(telemetry) == 1

    def test_component_metrics_that_cannot_be_read_are_ignored(self, telemetry, collector):
        class Unreadable(dict):
            def items(self):
                raise ConnectionError("no")

        collector.collect_component_metrics("pool", Unreadable())
        assert problems(telemetry) == 1

    @pytest.mark.parametrize(("success", "failed"), [(0, 1), (0.0, 1), (1, 0), (1.0, 0)])
    def test_a_success_of_0_or_1_is_a_bool(self, telemetry, collector, success, failed):
        collector.record_event_processed("mqtt", success)
        collector.record_influxdb_write(5, success, 0.1)
        outcome = ("homeassistant_outcome", "error" if failed else "ok")
        assert [outcome in labels for labels in values(telemetry, ha_ingestor.SOURCE_EVENTS)] == [True]
        assert [outcome in labels for labels in values(telemetry, ingest.POINTS_WRITTEN)] == [True]
        assert summed(collector, "events_failed_total") == failed
        assert summed(collector, "influxdb_points_failed_total") == 5 * failed

    async def test_an_operation_is_timed_under_its_own_name(self, telemetry, collector):
        async with collector.timed_operation("backup", {"kind": "full"}):
            await asyncio.sleep(0)
        assert 'ha_ingestor_backup_duration_seconds_count{kind="full"}' in telemetry.prometheus_text()

    async def test_an_operation_that_raises_is_not_timed_and_its_exception_passes(self, telemetry, collector):
        with pytest.raises(KeyError):
            async with collector.timed_operation("backup"):
                raise KeyError("expected")
        assert "backup" not in telemetry.prometheus_text()

    @pytest.mark.parametrize("wrong", [None, 5, object()])
    async def test_an_operation_whose_name_is_not_text_runs_and_is_reported(self, telemetry, collector, wrong):
        async with collector.timed_operation(wrong):
            pass
        assert problems(telemetry) == 1

    def test_another_client_has_a_gauge_of_its_own(self, telemetry, collector):
        collector.record_client_connection_status("Zigbee", connected=True)
        assert latest(collector, "zigbee_connected") == 1
        assert "\nha_ingestor_zigbee_connected 1.0\n" in telemetry.prometheus_text()

    def test_the_three_objects_share_it(self, telemetry):
        collector = get_metrics_collector()
        enhanced, monitor = EnhancedMetricsCollector(), PerformanceMonitor()
        assert enhanced.registry is monitor.metrics_collector is collector
        enhanced.record_event_processing(0.1, "mqtt", success=False)
        enhanced.record_error("timeout", "db", "error")
        enhanced.record_retry_attempt("db", "write")
        enhanced.record_circuit_breaker_state("open", "db")
        assert summed(collector, "events_mqtt_total") == summed(collector, "events_failed_total") == 1
        assert summed(collector, "errors_total") == summed(collector, "retry_attempts_total") == 1
        assert latest(collector, "circuit_breaker_state") == 2
        assert total(telemetry, ingest.EVENT_DURATION) == total(telemetry, ingest.RETRIES) == 1
        assert enhanced.get_comprehensive_metrics()["registry_metrics"]["total_metrics"] == 49


class TestTheVocabulary:
    def test_each_figure_is_recorded_there(self, telemetry, collector):
        call_everything(collector)
        assert total(telemetry, ingest.RECEIVED) == 2
        assert total(telemetry, ingest.EVENT_DURATION) == total(telemetry, ingest.DISCARDED) == 1
        assert total(telemetry, ingest.IN_FLIGHT) == 0
        assert total(telemetry, ingest.QUEUE_SIZE) == 42
        assert values(telemetry, ingest.CONNECTIONS) == {frozenset({("homeassistant_connection_kind", "mqtt")}): 1}
        influxdb = ("homeassistant_sink", "influxdb")
        assert values(telemetry, ingest.POINTS_WRITTEN) == {
            frozenset({influxdb, OK}): 10,
            frozenset({influxdb, ("homeassistant_outcome", "error")}): 5,
        }
        assert total(telemetry, ingest.WRITE_DURATION) == total(telemetry, ingest.BATCH_SIZE) == 2
        assert total(telemetry, ingest.RECONNECTS) == 1
        assert total(telemetry, ingest.ERRORS) == total(telemetry, ingest.RETRIES) == 2
        assert total(telemetry, ha_ingestor.CONNECTION_ERRORS) == 1

    def test_the_accounts_of_events_hold(self, telemetry, collector):
        for number in range(10):
            if number % 5:
                collector.record_event_processed("mqtt")
                collector.record_pipeline_processing_time(0.1)
            else:
                collector.record_event_deduplicated()
        business = PerformanceMonitor().calculate_business_metrics()
        assert (business.total_events_processed, business.events_by_source) == (8, {"mqtt": 8})
        assert business.deduplication_rate == telemetry.summary()["current"]["business"]["deduplication_rate"] == 0.2

    def test_events_count_without_their_processing_times(self, telemetry, collector):
        for _ in range(3):
            collector.record_event_processed("MQTT")
        assert PerformanceMonitor().calculate_business_metrics().events_by_source == {"mqtt": 3}

    def test_a_failed_event_shows_in_the_error_rate(self, telemetry, collector):
        for number in range(4):
            collector.record_event_processed("mqtt", success=number > 0)
        assert PerformanceMonitor().calculate_performance_metrics().error_rate == 0.25

    def test_a_client_that_disconnects_is_0(self, telemetry, collector):
        for connected in (True, True, False):
            collector.record_client_connection_status("mqtt", connected)
        assert total(telemetry, ingest.CONNECTIONS) == 0
        assert len(values(telemetry, ingest.CONNECTIONS)) == 1

    def test_the_last_push_has_the_last_call(self):
        with earlier.telemetry() as running:
            MetricsCollector().record_influxdb_write(10, success=True, duration_seconds=0.5)
            running.pipeline.disconnect()
            assert total(running, ingest.POINTS_WRITTEN) == 10


@pytest.mark.parametrize("earlier_call_first", [True, False])
@pytest.mark.parametrize("scrapes", [True, False])
class TestBothWays:
    """When the service also uses otel-ha's own API, with or without a collection in between."""

    def _both(self, one, other, earlier_call_first, in_between):
        first, second = (one, other) if earlier_call_first else (other, one)
        first()
        in_between()
        second()

    def test_an_event_of_a_source_is_counted_once(self, telemetry, collector, earlier_call_first, scrapes):
        def new() -> None:
            with measured(ingest.EVENT, source="mqtt", domain="light"):
                pass

        for _ in range(3):
            self._both(
                lambda: collector.record_event_processed("mqtt"),
                new,
                earlier_call_first,
                telemetry.prometheus_text if scrapes else lambda: None,
            )
        assert total(telemetry, ingest.RECEIVED) == total(telemetry, ingest.EVENT_DURATION) == 3
        business = PerformanceMonitor().calculate_business_metrics()
        assert (business.total_events_processed, business.events_by_source) == (3, {"mqtt": 3})
        rows = [line for line in HAIngestorCollector().export_metrics().splitlines() if line.startswith(EVENTS)]
        assert rows == [f'{EVENTS}{{source="mqtt",domain="light",status="success"}} 3.0']

    def test_a_queue_is_the_observed_one(self, telemetry, collector, earlier_call_first, scrapes):
        collector.record_pipeline_queue_size(5)
        self._both(
            lambda: collector.record_pipeline_queue_size(5),
            lambda: ingest.QUEUE_SIZE.observe(lambda: 5, queue="ingest"),
            earlier_call_first,
            telemetry.prometheus_text if scrapes else lambda: None,
        )
        collector.record_pipeline_queue_size(5)
        assert values(telemetry, ingest.QUEUE_SIZE) == {frozenset({("homeassistant_queue", "ingest")}): 5}

    def test_no_write_silences_another_one(self, telemetry, collector, earlier_call_first, scrapes):
        """A call that the service makes once, at its start, leaves all later ones of the other way."""

        def new() -> None:
            with measured(ingest.WRITE, system="influxdb", operation="write"):
                ingest.POINTS_WRITTEN.add(1, sink="influxdb", measurement="state", outcome="ok")

        def old() -> None:
            for _ in range(10):
                collector.record_influxdb_write(100, success=True, duration_seconds=0.5)

        self._both(old, new, earlier_call_first, telemetry.prometheus_text if scrapes else lambda: None)
        assert total(telemetry, ingest.POINTS_WRITTEN) == 1001
        assert total(telemetry, ingest.WRITE_DURATION) == 11


@pytest.mark.parametrize("scrapes", [True, False])
class TestNoCallSilencesAnother:
    """One call of another object of the earlier API, then many of the metrics collector for the like."""

    @pytest.fixture(autouse=True)
    def _scrape_after_the_other(self, telemetry, scrapes):
        self.then = telemetry.prometheus_text if scrapes else lambda: None

    async def test_an_operation_and_processing_times(self, telemetry, collector, scrapes):
        async with PerformanceMonitor().monitor_operation("startup"):
            pass
        self.then()
        for _ in range(50):
            collector.record_pipeline_processing_time(0.1)
        assert total(telemetry, ingest.EVENT_DURATION) == 51

    def test_errors(self, telemetry, collector, scrapes):
        PerformanceMonitor().record_error("connection")
        self.then()
        for _ in range(10):
            collector.record_error("connection", "critical")
        error = ("error_type", "connection")
        assert values(telemetry, ingest.ERRORS) == {
            frozenset({error}): 1,
            frozenset({error, ("homeassistant_error_severity", "critical")}): 10,
        }

    def test_retries(self, telemetry, collector, scrapes):
        EnhancedMetricsCollector().record_retry_attempt("influxdb", "write")
        self.then()
        for _ in range(10):
            collector.record_influxdb_retry_attempt(1)
        assert total(telemetry, ingest.RETRIES) == 11

    def test_points(self, telemetry, collector, scrapes):
        HAIngestorCollector().increment_data_points_written(1, "weather", "success")
        self.then()
        for _ in range(10):
            collector.record_influxdb_write(100, success=True, duration_seconds=0.1)
        assert total(telemetry, ingest.POINTS_WRITTEN) == 1001


EVENTS = "ha_ingestor_events_processed_total"
