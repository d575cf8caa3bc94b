"""The earlier public metric objects of HAIngestorCollector."""

import pytest

from otel_ha.compat import HAIngestorCollector, PerformanceMonitor
from otel_ha.compat.objects import metric_objects
from otel_ha.vocabulary import ha_ingestor, ingest
from tests.earlier import problems, total, values
from tests.recorded import in_threads, switching_often
from tests.unit.compat.conftest import MQTT, SERVER


@pytest.fixture
def collector(telemetry):
    return HAIngestorCollector()


def test_a_gauge_can_be_set_by_its_labels(telemetry, collector):
    collector.system_cpu_percent.labels(hostname="server-01").set(25.5)
    collector.system_disk_usage_percent.labels("server-01", "/").set(45.0)
    assert values(telemetry, ha_ingestor.CPU) == {frozenset({SERVER}): 25.5}
    assert values(telemetry, ha_ingestor.FILESYSTEM) == {
        frozenset({SERVER, ("system_filesystem_mountpoint", "/")}): 45.0
    }
    assert problems(telemetry) == 0


def test_a_gauge_can_be_counted_up_and_down(telemetry, collector):
    queue = collector.queue_depth
    queue.labels(queue_name="ingest").set(5)
    queue.labels(queue_name="ingest").inc(2)
    queue.labels("ingest").dec()
    collector.active_connections.labels("mqtt").inc()
    assert total(telemetry, ingest.QUEUE_SIZE) == 6
    assert total(telemetry, ingest.CONNECTIONS) == 1


PUSHES = {
    "queue_depth": lambda collector: collector.update_queue_depth(5, "x"),
    "active_connections": lambda collector: collector.update_active_connections(5, "x"),
    "event_processing_rate": lambda collector: collector.update_event_processing_rate(5, "x"),
    "system_cpu_percent": lambda collector: collector.update_system_metrics("x", *[5] * 8),
    "system_disk_io_read_bytes": lambda collector: collector.update_system_metrics("x", *[5] * 8),
}


@pytest.mark.parametrize("name", PUSHES)
def test_a_value_that_a_call_sets_can_be_counted_up(telemetry, collector, name):
    PUSHES[name](collector)
    getattr(collector, name).labels("x").inc()
    on = {
        "queue_depth": ingest.QUEUE_SIZE,
        "active_connections": ingest.CONNECTIONS,
        "event_processing_rate": ha_ingestor.EVENT_RATE,
        "system_cpu_percent": ha_ingestor.CPU,
        "system_disk_io_read_bytes": ha_ingestor.DISK_IO,
    }[name]
    assert 6 in values(telemetry, on).values()


def test_threads_lose_no_step_of_a_gauge(telemetry, collector):
    series = collector.queue_depth.labels("ingest")
    with switching_often():
        in_threads(8, lambda _: [series.inc() for _ in range(200)])
    assert total(telemetry, ingest.QUEUE_SIZE) == 1600


def test_a_counter_adds(telemetry, collector):
    collector.events_processed_total.labels(
        source="mqtt", domain="light", entity_id="light.hall", status="success"
    ).inc()
    collector.events_processed_total.labels("mqtt", "light", "light.hall", "success").inc(2)
    collector.data_points_written_total.labels("state", "success").inc(7)
    collector.errors_total.labels("timeout", "db", "error").inc(3)
    assert values(telemetry, ha_ingestor.COUNTED_EVENTS) == {MQTT: 3}
    assert total(telemetry, ingest.POINTS_WRITTEN) == 7
    assert total(telemetry, ingest.ERRORS) == 3


def test_a_total_of_the_machine_adds_up_what_is_added(telemetry, collector):
    for _ in range(2):
        collector.system_disk_io_read_bytes.labels(hostname="server-01").inc(100)
    assert set(values(telemetry, ha_ingestor.DISK_IO).values()) == {200}


def test_a_histogram_observes(telemetry, collector):
    collector.event_processing_duration.labels("mqtt", "light", "light.hall").observe(0.5)
    assert total(telemetry, ingest.EVENT_DURATION) == 1
    assert PerformanceMonitor().calculate_business_metrics().events_by_domain == {"light": 1}


@pytest.mark.parametrize("name", metric_objects())
def test_every_object_records_without_a_problem(telemetry, collector, name):
    found = getattr(collector, name)
    series = found.labels(**dict.fromkeys(found.label_names, "unknown"))
    (series.observe if "duration" in name else series.inc)(1)
    assert problems(telemetry) == 0
    assert sum(total(telemetry, each) for each in (*ingest.CATALOG, *ha_ingestor.CATALOG)) >= 1


@pytest.mark.parametrize("labels", [(("a", "b", "c"), {}), ((), {"other": "a"}), ((), {})])
def test_wrong_labels_are_reported_and_do_not_raise(telemetry, collector, labels):
    values_given, named = labels
    collector.queue_depth.labels(*values_given, **named).set(3)
    assert total(telemetry, ingest.QUEUE_SIZE) == 3
    assert problems(telemetry) == 1


@pytest.mark.parametrize("wrong", ["1", None, float("nan"), [], 10**400])
def test_a_wrong_amount_is_reported_and_does_not_raise(telemetry, collector, wrong):
    collector.queue_depth.labels("ingest").set(2.5)
    for verb in ("inc", "dec", "set"):
        getattr(collector.queue_depth.labels("ingest"), verb)(wrong)
    collector.queue_depth.labels("ingest").dec(2.5)
    collector.errors_total.labels("timeout", "db", "error").inc(wrong)
    assert total(telemetry, ingest.QUEUE_SIZE) == total(telemetry, ingest.ERRORS) == 0
    assert problems(telemetry) == 4


def test_another_attribute_is_an_attribute_error(collector):
    with pytest.raises(AttributeError, match="HAIngestorCollector has no attribute 'queue_width'"):
        collector.queue_width  # noqa: B018 - the access is the test
