"""Each metric group can be switched off; the accounts hold, and figures that are not measured are null."""

import json

import jsonschema
import pytest
from opentelemetry.sdk.metrics import Histogram as SdkHistogram
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation

from otel_ha import Catalog, CatalogError, Histogram, TelemetryConfig, measured, setup_telemetry
from otel_ha.compat import get_performance_monitor
from otel_ha.export.pipeline import Pipeline
from otel_ha.serve.summary.reference import render_page, render_schema
from otel_ha.vocabulary import ingest
from tests import earlier
from tests.history import run
from tests.recorded import MemoryReader, Recorded, accounts
from tests.unit.conftest import config

DURATION = "homeassistant.event.process.duration"
COUNTS = {"homeassistant.event.received", "homeassistant.event.discarded", "homeassistant.event.in_flight"}
UNKNOWN_AT_FIRST = ("container_", "cpu_percent", "process_cpu")
OF_DURATIONS = {f"{name}_processing_time" for name in ("average", "p50", "p95", "p99")}


@pytest.fixture(params=[False, True], ids=["through the API", "by the journal"])
def journalled(request):
    return request.param


def work():
    """Process two events, one of them in vain, discard one, and leave one in the queue."""
    handle = measured(ingest.EVENT, source="mqtt", domain="light", outcome_of=lambda outcome: outcome)(lambda it: it)
    handle("ok")
    handle("error")
    with measured(ingest.EVENT, source="mqtt") as event:
        event.discard("duplicate")
    ingest.EVENT.receive(source="mqtt")
    ingest.POINTS_WRITTEN.add(1, sink="file", outcome="ok")


def test_without_performance_metrics_durations_have_no_buckets(journalled):
    with Recorded(catalog=ingest.CATALOG, journalled=journalled, performance_metrics=False) as recorded:
        ingest.EVENT.record(0.25, source="mqtt")
        ingest.EVENT.record(0.5, source="mqtt")
        assert recorded.value(ingest.EVENT_DURATION, source="mqtt", outcome="ok") == (2, 0.75, (2,))


def test_without_performance_metrics_the_accounts_hold(journalled):
    with Recorded(catalog=ingest.CATALOG, journalled=journalled, performance_metrics=False) as recorded:
        work()
        assert accounts(recorded.collect()) == {"mqtt": {"received": 4, "processed": 2, "discarded": 1, "in_flight": 1}}


@pytest.mark.parametrize("exemplar_filter", ["trace_based", "always_on"])
def test_without_performance_metrics_exponential_histograms_have_no_buckets_either(exemplar_filter):
    settings = TelemetryConfig(
        metrics_exporters=(),
        performance_metrics=False,
        exemplar_filter=exemplar_filter,
        otlp_histogram_aggregation="base2_exponential_bucket_histogram",
        environ={},
    )
    pipeline = Pipeline(settings, ingest.CATALOG)
    reader = MemoryReader(preferred_aggregation={SdkHistogram: ExponentialBucketHistogramAggregation()})
    reader.gate = pipeline.gate
    pipeline.provider.add_metric_reader(reader)
    pipeline.connect()
    ingest.EVENT.record(0.25, source="mqtt")
    ((found,),) = [of.values() for name, of in reader.collected().items() if name == DURATION]
    pipeline.disconnect()
    pipeline.shutdown(1)
    assert found == (1, 0.25, (1,))


@pytest.mark.parametrize("exemplar_filter", ["trace_based", "always_on"])
def test_without_performance_metrics_a_scrape_has_a_single_bucket(exemplar_filter):
    settings = config(
        performance_metrics=False, metrics_exporters=("prometheus",), prometheus_port=0, exemplar_filter=exemplar_filter
    )
    with setup_telemetry("test", config=settings) as telemetry:
        work()
        lines = telemetry.prometheus_text().splitlines()
    buckets = [line for line in lines if line.startswith("homeassistant_event_process_duration_seconds_bucket{")]
    assert len(buckets) == 2
    assert all('le="+Inf"' in line and line.endswith(" 1.0") for line in buckets)


def test_without_performance_metrics_no_other_histogram_of_theirs_is_recorded(journalled):
    with Recorded(catalog=ingest.CATALOG, journalled=journalled, performance_metrics=False) as recorded:
        ingest.TRANSFORM.record(0.1, transformer="line_protocol")
        ingest.LAG_TO_WRITE.record(0.1, source="mqtt")
        assert recorded.collect() == {}


def test_without_business_metrics_durations_stay(journalled):
    with Recorded(catalog=ingest.CATALOG, journalled=journalled, business_metrics=False) as recorded:
        work()
        points = recorded.collect()
        assert len(points[DURATION]) == 2
        assert {len(each.buckets) for each in points[DURATION].values()} == {len(ingest.PROCESSING) + 1}
        assert points.keys().isdisjoint({*COUNTS, "homeassistant.point.written"})


def test_without_both_no_event_is_measured(journalled):
    switches = {"business_metrics": False, "performance_metrics": False, "entity_metrics": False}
    with Recorded(catalog=ingest.CATALOG, journalled=journalled, **switches) as recorded:
        work()
        assert recorded.collect() == {}


def test_a_histogram_of_ones_own_may_be_counted_by_another_group(journalled):
    wait = Histogram(
        "test.wait", unit="s", description="Waits.", group="operations", count_group="system", buckets=(1.5,)
    )
    for switches, buckets in (({}, (1, 0)), ({"operations_metrics": False}, (1,))):
        with Recorded(wait, journalled=journalled, **switches) as recorded:
            wait.record(1)
            assert recorded.value(wait).buckets == buckets
    with Recorded(wait, journalled=journalled, operations_metrics=False, system_metrics=False) as recorded:
        wait.record(1)
        assert recorded.collect() == {}


@pytest.mark.parametrize("wrong", ["other", "performance", None])
def test_a_wrong_group_of_the_count_is_refused(wrong):
    with pytest.raises(CatalogError, match=r"count_group is .*; allowed: .*business"):
        Histogram("test.wait", unit="s", description="Waits.", group="performance", count_group=wrong)


def current(**switches):
    """Return the current figures of a summary after some work, having validated all of it by its schema."""
    with setup_telemetry("test", config=config(history_interval=0.1, **switches)) as telemetry:
        work()
        ingest.LAG_TO_WRITE.record(0.5, source="mqtt", sink="file")
        ingest.QUEUE_SIZE.observe(lambda: 1, queue="ingest")
        ingest.QUEUE_CAPACITY.observe(lambda: 10, queue="ingest")
        summary = json.loads(json.dumps(telemetry.summary()))
    jsonschema.Draft202012Validator(json.loads(render_schema())).validate(summary)
    listed = [summary["history"], *({k: [v] for k, v in each.items()} for each in summary["roll_ups"]["1h"])]
    for figures in listed:
        for part in ("system", "performance", "business"):
            assert all(nulls(each) == nulls(summary["current"][part]) for each in figures[part])
    return summary["current"]


def nulls(figures):
    return {name for name, value in figures.items() if value is None and not name.startswith(UNKNOWN_AT_FIRST)}


def test_without_performance_metrics_quantiles_and_mean_are_null():
    found = current(performance_metrics=False)
    assert nulls(found["performance"]) == {*OF_DURATIONS, "p95_lag", "queue_depth", "queue_use"}
    assert found["performance"]["event_processing_rate"] > 0
    assert found["performance"]["error_rate"] == 0.5
    assert nulls(found["business"]) == {"transformation_success_rate", "events_by_entity"}
    assert found["business"]["total_events_processed"] == 2
    assert found["business"]["deduplication_rate"] == 0.25


def test_without_business_metrics_figures_of_counts_are_null():
    found = current(business_metrics=False)
    assert nulls(found["performance"]) == {
        "bytes_received_per_second",
        "bytes_sent_per_second",
        "discarded_rate",
        "events_in_flight",
        "received_rate",
        "throughput_points_per_second",
    }
    assert found["performance"]["event_processing_rate"] > 0
    assert found["performance"]["p95_processing_time"] > 0
    assert found["performance"]["error_rate"] == 0.5
    assert nulls(found["business"]) == {
        "data_points_written",
        "data_volume_mb",
        "deduplication_rate",
        "events_by_entity",
        "filter_efficiency",
    }
    assert found["business"]["events_by_source"] == {"mqtt": 2}


def test_without_both_no_figure_of_events_is_known():
    found = current(business_metrics=False, performance_metrics=False)
    assert found["performance"].keys() - nulls(found["performance"]) == {"active_connections", "timestamp"}
    assert found["business"].keys() - nulls(found["business"]) == {"timestamp"}


def test_with_all_groups_no_figure_is_null():
    found = current(system_metrics=True, entity_metrics=True)
    assert [nulls(part) for part in (found["system"], found["performance"], found["business"])] == [set()] * 3
    assert found["business"]["events_by_entity"] == {}


def test_figures_of_other_groups_that_are_off_are_null():
    found = current(system_metrics=False, operations_metrics=False)
    assert nulls(found["performance"]) == {"active_connections"}
    assert found["system"].keys() - nulls(found["system"]) == {
        "timestamp",
        "container_cpu_limit",
        "container_memory_limit_mb",
        "container_memory_used_mb",
        "cpu_percent",
        "process_cpu_percent",
    }


def test_the_page_names_the_groups_of_a_figure():
    page = render_page()
    assert "| `error_rate` | share of processed events that ended in an error, from 0 to 1 | `performance` or" in page
    assert "| `p95_processing_time` | time within which 95 % of the events were processed, accurate to 3 %" in page
    assert "accurate to 3 %, in milliseconds | `performance` |" in page


@pytest.mark.parametrize("filtered", ["trace_based", "always_on"])
def test_the_history_keeps_counts_and_sums_of_durations_without_buckets(filtered):
    with run(catalog=Catalog(*ingest.CATALOG), performance_metrics=False, exemplar_filter=filtered) as recorded:
        for _ in range(2):
            ingest.EVENT.record(0.25, source="mqtt")
            recorded.collect(100)
        assert recorded.history.totals(ingest.EVENT_DURATION) == {"": 2}
        assert recorded.history.mean(ingest.EVENT_DURATION) == 0.25
        assert recorded.history.performance().p95_processing_time == 0.0


@pytest.mark.parametrize("switch", ["performance_metrics", "business_metrics"])
def test_the_earlier_api_keeps_numbers(switch):
    with earlier.telemetry(**{switch: False}):
        monitor = get_performance_monitor()
        monitor.record_processing_time(5)
        summary = monitor.get_metrics_summary()["current_metrics"]
        assert all(isinstance(value, int | float) for part in summary.values() for value in part.values())
        assert summary["business"]["deduplication_rate"] == 0.0
        assert summary["business"]["total_events_processed"] == 1
