"""Requests of OTLP: one value that cannot be written does not cost the others."""

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from otel_ha import Counter, UpDownCounter
from otel_ha.export.otlp.encoding import encoded_metrics
from tests.recorded import Recorded

LARGE = 2**62
THINGS = Counter("test.things", unit="1", description="Things.")
LOAD = UpDownCounter("test.load", unit="1", description="Load.")


def points(request: bytes) -> dict:
    """Return the values of sums by name."""
    scopes = ExportMetricsServiceRequest.FromString(request).resource_metrics[0].scope_metrics
    return {
        metric.name: getattr(point, point.WhichOneof("value"))
        for scope in scopes
        for metric in scope.metrics
        for point in metric.sum.data_points
    }


@pytest.mark.parametrize("journalled", [True, False])
def test_a_sum_that_outgrows_64_bits_is_pushed_as_a_float_and_the_others_as_they_are(journalled):
    with Recorded(THINGS, LOAD, journalled=journalled) as recorded:
        for _ in range(3):
            LOAD.add(LARGE)
        THINGS.add(7)
        found = points(encoded_metrics(recorded.readers[0].get_metrics_data()))
    assert found[LOAD.name] == float(3 * LARGE)
    assert found[THINGS.name] == 7
    assert isinstance(found[THINGS.name], int)


def test_a_large_number_of_other_code_is_pushed_as_a_float():
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    meter = provider.get_meter("test")
    meter.create_counter("large", description="Half a pair: \udc80.").add(2**70)
    meter.create_counter("small").add(1)
    found = points(encoded_metrics(reader.get_metrics_data()))
    provider.shutdown()
    assert found == {"large": float(2**70), "small": 1}


@pytest.mark.parametrize("argument", ["name", "version", "schema_url"])
def test_half_of_a_surrogate_pair_in_what_other_code_says_of_itself_costs_no_push(argument):
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    said = {"name": "other", "version": "1", "attributes": {"kind": "x"}, argument: "of \ud800"}
    provider.get_meter(**said).create_counter("theirs").add(2)
    provider.get_meter("ours").create_counter("ours").add(1)
    request = encoded_metrics(reader.get_metrics_data())
    provider.shutdown()
    assert points(request) == {"theirs": 2, "ours": 1}
    [theirs, ours] = ExportMetricsServiceRequest.FromString(request).resource_metrics[0].scope_metrics
    assert "of ?" in {theirs.scope.name, theirs.scope.version, theirs.schema_url}
    assert [each.key for each in theirs.scope.attributes] == ["kind"]
    assert ours.scope.name == "ours"


def test_without_metrics_the_request_is_empty():
    assert encoded_metrics(None) == b""
