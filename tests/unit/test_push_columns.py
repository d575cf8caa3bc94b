"""Points in columns: the same as the SDK's, without an object for each."""

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from otel_ha.export.otlp import columns
from otel_ha.export.otlp.columns import Columns, gathered


@pytest.fixture
def points(monkeypatch):
    monkeypatch.setattr(columns, "MOST_POINTS", 10)
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    meter = provider.get_meter("test")
    histogram, counter = meter.create_histogram("histogram"), meter.create_counter("counter")
    for number in range(12):
        histogram.record(number, {"number": number})
        counter.add(number, {"number": number})
    found = reader.get_metrics_data().resource_metrics[0].scope_metrics[0].metrics
    provider.shutdown()
    return {metric.name: metric.data.data_points for metric in found}


def spelled(points) -> list[str]:
    return [point.to_json() for point in points]


@pytest.mark.parametrize("kind", ["histogram", "counter"])
def test_columns_have_the_points_again(points, kind):
    found = gathered(iter(points[kind]))
    assert isinstance(found, Columns)
    assert len(found) == 12
    assert spelled(found) == spelled(points[kind])
    assert spelled(found[3:7]) == spelled(points[kind][3:7])
    assert found[-1].to_json() == points[kind][-1].to_json()


def test_few_points_stay_as_they_are(points):
    assert gathered(iter(points["counter"][:10])) == points["counter"][:10]


def test_points_of_two_kinds_are_a_list(points):
    both = [*points["counter"], *points["histogram"]]
    found = gathered(iter(both))
    assert isinstance(found, list)
    assert spelled(found) == spelled(both)


def test_no_points_are_none():
    assert not gathered(iter(()))
