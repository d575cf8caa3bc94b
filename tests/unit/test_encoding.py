"""Requests of OTLP: one value that cannot be written does not cost the others, and the last request is used again."""

from dataclasses import replace
from functools import partial

import pytest
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.sdk.metrics import AlwaysOnExemplarFilter, Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader, Metric
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation

from otel_ha import Counter, UpDownCounter
from otel_ha.export.otlp.encoding import MetricsEncoder
from otel_ha.export.otlp.template import MOST_POINTS, NotCoveredError, Template
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
        found = points(MetricsEncoder()(recorded.readers[0].get_metrics_data()))
    assert found[LOAD.name] == float(3 * LARGE)
    assert found[THINGS.name] == 7
    assert isinstance(found[THINGS.name], int)


def test_a_large_number_of_other_code_is_pushed_as_a_float():
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    meter = provider.get_meter("test")
    meter.create_counter("large", description="Half a pair: \udc80.").add(2**70)
    meter.create_counter("small").add(1)
    found = points(MetricsEncoder()(reader.get_metrics_data()))
    provider.shutdown()
    assert found == {"large": float(2**70), "small": 1}


@pytest.mark.parametrize("argument", ["name", "version", "schema_url"])
def test_half_of_a_surrogate_pair_in_what_other_code_says_of_itself_costs_no_push(argument):
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    said = {"name": "other", "version": "1", "attributes": {"kind": "x"}, argument: "of \ud800"}
    provider.get_meter(**said).create_counter("theirs").add(2)
    provider.get_meter("ours").create_counter("ours").add(1)
    request = MetricsEncoder()(reader.get_metrics_data())
    provider.shutdown()
    assert points(request) == {"theirs": 2, "ours": 1}
    [theirs, ours] = ExportMetricsServiceRequest.FromString(request).resource_metrics[0].scope_metrics
    assert "of ?" in {theirs.scope.name, theirs.scope.version, theirs.schema_url}
    assert [each.key for each in theirs.scope.attributes] == ["kind"]
    assert ours.scope.name == "ours"


def test_without_metrics_the_request_is_empty():
    assert MetricsEncoder()(None) == b""


def test_a_large_exemplar_of_other_code_costs_no_push():
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], exemplar_filter=AlwaysOnExemplarFilter(), shutdown_on_exit=False)
    provider.get_meter("test").create_histogram("large").record(2**70)
    request = ExportMetricsServiceRequest.FromString(MetricsEncoder()(reader.get_metrics_data()))
    provider.shutdown()
    (point,) = request.resource_metrics[0].scope_metrics[0].metrics[0].histogram.data_points
    assert [exemplar.as_double for exemplar in point.exemplars] == [float(2**70)]


# Templates


class Metered:
    """A counter, a gauge and a histogram of the SDK, and their reader."""

    def __init__(self, **reader) -> None:
        self.reader = InMemoryMetricReader(**reader)
        self._provider = MeterProvider([self.reader], shutdown_on_exit=False)
        meter = self._provider.get_meter("test")
        self._of = [meter.create_counter("c").add, meter.create_gauge("g").set, meter.create_histogram("h").record]

    def record(self, amount: float, **attributes: object) -> None:
        for record in self._of:
            record(amount, attributes)

    def __enter__(self):
        return self

    def __exit__(self, *_: object) -> None:
        self._provider.shutdown()


def template_of(metered: Metered) -> Template:
    data = metered.reader.get_metrics_data()
    return Template(data, encode_metrics(data))


def test_times_and_values_are_filled_into_the_last_request():
    with Metered() as metered:
        metered.record(1, source="mqtt")
        template = template_of(metered)
        for amount in (2, 2.5, 0, 1e9):
            metered.record(amount, source="mqtt")
            data = metered.reader.get_metrics_data()
            assert template.filled(data) == encode_metrics(data).SerializeToString()


def test_the_start_of_a_series_is_filled_in():
    with Metered() as metered:
        metered.record(1)
        template = template_of(metered)
        data = metered.reader.get_metrics_data()
        for metric in data.resource_metrics[0].scope_metrics[0].metrics:
            (point,) = metric.data.data_points
            metric.data.data_points[:] = [replace(point, start_time_unix_nano=1)]
        assert template.filled(data) == encode_metrics(data).SerializeToString()


def with_points(metric: Metric, **changes: object) -> Metric:
    points = [replace(point, **changes) for point in metric.data.data_points]
    return replace(metric, data=replace(metric.data, data_points=points))


@pytest.mark.parametrize(
    "change",
    [
        partial(replace, name="other"),
        partial(replace, description="Other."),
        partial(replace, unit="s"),
        partial(with_points, attributes={"source": "websocket"}),
        lambda metric: metric if metric.name != "h" else with_points(metric, explicit_bounds=[1.0] * 15),
        lambda metric: metric if metric.name != "c" else replace(metric, data=replace(metric.data, is_monotonic=False)),
    ],
)
def test_the_last_request_is_not_used_again_if_more_than_numbers_differ(change):
    with Metered() as metered:
        metered.record(1, source="mqtt")
        template = template_of(metered)
        data = metered.reader.get_metrics_data()
        assert template.filled(data) == encode_metrics(data).SerializeToString()
        metrics = data.resource_metrics[0].scope_metrics[0].metrics
        metrics[:] = map(change, metrics)
        with pytest.raises(NotCoveredError):
            template.filled(data)


@pytest.mark.parametrize("new", [{"source": "websocket"}, {"source": "mqtt", "of": 1}, {}])
def test_the_last_request_is_not_used_again_for_a_new_series(new):
    with Metered() as metered:
        metered.record(1, source="mqtt")
        template = template_of(metered)
        metered.record(1, **new)
        with pytest.raises((NotCoveredError, ValueError)):
            template.filled(metered.reader.get_metrics_data())


def test_a_mapping_among_the_attributes_may_change_so_its_request_is_not_kept():
    with Metered() as metered:
        metered.record(1, of={"number": 1})
        with pytest.raises(NotCoveredError):
            template_of(metered)


@pytest.mark.parametrize(
    "reader",
    [
        {"preferred_aggregation": {Histogram: ExponentialBucketHistogramAggregation()}},
        {"preferred_temporality": {Histogram: AggregationTemporality.DELTA}},
    ],
)
def test_a_request_that_differs_in_more_than_numbers_is_not_kept(reader):
    with Metered(**reader) as metered:
        metered.record(1)
        with pytest.raises(NotCoveredError):
            template_of(metered)


def test_a_request_with_many_points_is_not_kept_in_memory():
    with Metered() as metered:
        for number in range(MOST_POINTS // 3 + 1):
            metered.record(1, number=number)
        with pytest.raises(NotCoveredError):
            template_of(metered)
