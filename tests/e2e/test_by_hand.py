"""The ingestor's telemetry by hand, with which the benchmarks compare ours: it measures the same."""

from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from prometheus_client.parser import text_string_to_metric_families

from benchmarks import children, service
from benchmarks.ingestor import DEFAULT, settings_of
from benchmarks.service import CLIENT, NONE, OTEL, OURS
from tests.receivers import answer, receiving

pytestmark = pytest.mark.xdist_group("telemetry by hand")

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]

# Readings of file systems may be late on a slow machine. By hand, only control groups of version 2 are read.
NOT_ALWAYS = ("system_filesystem_", "container_")
# The host and the process go on, and times differ.
CHANGING = ("system_", "process_", "cpython_", "asyncio_")
TIMES = ("_seconds", "_seconds_sum", "_seconds_bucket")


@dataclass
class Seen:
    """The series of a scrape and the names of pushed metrics, after the same messages in every mode."""

    series: Series
    pushed: set[str]


@pytest.fixture(scope="module")
def seen():
    """The scrape and the pushes of each mode; the processes work at the same time."""
    with ExitStack() as stack:
        receivers = {mode: stack.enter_context(receiving(answer())) for mode in service.MODES}
        processes = {
            mode: children.start("service", mode, **settings_of(receiver.url, DEFAULT))
            for mode, receiver in receivers.items()
        }
        texts = {mode: children.finish(process) for mode, process in processes.items()}
    return {mode: Seen(series_of(texts[mode]), pushed(receivers[mode])) for mode in service.MODES}


def series_of(text):
    samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
    # An empty label is the same as none. The resource differs: ours says more about the host.
    return {
        (named(sample.name), frozenset((key, value) for key, value in sample.labels.items() if value)): sample.value
        for sample in samples
        if sample.name != "target_info" and not sample.name.startswith(NOT_ALWAYS)
    }


def named(name):
    """The name that the specification asks for; OpenTelemetry's exporter leaves the unit of a ratio out."""
    return f"{name}_ratio" if name.endswith("_utilization") else name


def pushed(receiver):
    requests = map(ExportMetricsServiceRequest.FromString, receiver.bodies("/v1/metrics"))
    return {
        metric.name
        for request in requests
        for resource in request.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }


def counts(series):
    return {
        key: value for key, value in series.items() if not key[0].startswith(CHANGING) and not key[0].endswith(TIMES)
    }


@pytest.mark.parametrize("peer", [OTEL, CLIENT])
def test_a_peer_has_the_series_of_ours(seen, peer):
    assert seen[peer].series.keys() ^ seen[OURS].series.keys() == set()


@pytest.mark.parametrize("peer", [OTEL, CLIENT])
def test_a_peer_counts_the_same_as_we_do(seen, peer):
    assert counts(seen[peer].series) == counts(seen[OURS].series)


def test_opentelemetry_by_hand_pushes_the_metrics_of_ours(seen):
    ours = {name for name in seen[OURS].pushed if not name.startswith(("container.", "system.filesystem."))}
    theirs = {name for name in seen[OTEL].pushed if not name.startswith(("container.", "system.filesystem."))}
    assert theirs ^ ours == set()
    assert "homeassistant.event.received" in ours


def test_the_other_modes_push_nothing(seen):
    assert seen[CLIENT].pushed == seen[NONE].pushed == set()
    assert seen[NONE].series == {}


def test_the_messages_come_to_every_end(seen):
    by_name = Counter()
    reasons = set()
    for (name, labels), value in seen[OURS].series.items():
        by_name[name] += value
        reasons |= {text for key, text in labels if key == "homeassistant_discard_reason"}
    assert by_name["homeassistant_event_received_total"] == (
        by_name["homeassistant_event_process_duration_seconds_count"]
        + by_name["homeassistant_event_discarded_total"]
        + by_name["homeassistant_event_in_flight"]
    )
    assert reasons == {"duplicate", "filtered", "invalid", "overflow"}
    for name in ("event_in_flight", "queue_size", "point_written_total", "event_lag_seconds_count"):
        assert by_name[f"homeassistant_{name}"] > 0, name
    for name in ("batch_size_count", "data_sent_bytes_total", "transform_duration_seconds_count"):
        assert by_name[f"homeassistant_{name}"] > 0, name
