"""Many series: recording and scraping one costs as much as with few, and halts nothing."""

import gc

import pytest
from opentelemetry.sdk.metrics import Histogram as SdkHistogram
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader
from opentelemetry.sdk.metrics.view import View

from otel_ha import Attribute, Catalog, Histogram, TelemetryConfig, setup_telemetry
from otel_ha.record.journal.cells import HistogramCell, Scale
from otel_ha.record.journal.recorder import Cells, JournalRecorder
from otel_ha.record.journal.sdk import CellHistogram

NUMBER = Attribute("test.number", "A number.")
DURATION = Histogram("test.work.duration", unit="s", description="Time.", attributes=(NUMBER,), series=2_000)


@pytest.fixture
def telemetry():
    config = TelemetryConfig(
        environ={},
        metrics_exporters=("prometheus",),
        prometheus_port=0,
        system_metrics=False,
        performance_metrics=False,
        operations_metrics=False,
        history_interval=3600,
    )
    with setup_telemetry("test", config=config, catalog=Catalog(DURATION)) as running:
        running.pipeline.history.collect_and_store()
        yield running


def record(amount: float) -> None:
    for number in range(2_000):
        DURATION.record(amount, number=str(number))


@pytest.mark.parametrize("reader", ["a scrape", "the history"])
def test_a_collection_leaves_no_objects_that_lead_to_a_full_garbage_collection(telemetry, reader):
    """A scrape also settles what the history takes later."""
    collect = telemetry.prometheus_text if reader == "a scrape" else telemetry.pipeline.history.collect_and_store
    for amount in (0.1, 0.2):
        record(amount)
        collect()
    telemetry.pipeline.history.collect_and_store()  # what has grown until now is taken
    gc.collect()
    record(0.3)
    aged: list[int] = []

    def note(phase: str, info: dict) -> None:
        if phase == "stop" and info["generation"] == 1:
            aged.append(len(gc.get_objects(generation=2)))

    before = len(gc.get_objects(generation=2))
    gc.callbacks.append(note)
    try:
        collect()
        gc.collect(1)
    finally:
        gc.callbacks.remove(note)
    assert max(aged) - before < 1_000


def test_an_instrument_looks_up_as_many_attribute_sets_as_it_declares(telemetry, monkeypatch):
    monkeypatch.setattr(Cells, "MOST_KEYS", 10)
    recorder = DURATION.recorder
    assert isinstance(recorder, JournalRecorder)
    record(0.1)
    assert len(recorder.cells.given) == 2_000


@pytest.mark.parametrize("temporality", ["cumulative", "delta"])
def test_single_measurements_and_cells_meet_in_one_histogram(temporality):
    """The SDK counts a single measurement, such as one with an exemplar, in a list; a cell leaves a tuple."""
    bounds = (1.0, 2.0)
    preferred = {SdkHistogram: AggregationTemporality[temporality.upper()]}
    reader = InMemoryMetricReader(preferred_temporality=preferred)
    view = View(instrument_name="test.*", aggregation=CellHistogram(bounds))
    provider = MeterProvider([reader], views=[view], shutdown_on_exit=False)
    histogram = provider.get_meter("test").create_histogram("test.histogram")
    cell = HistogramCell(histogram.record, (), Scale(bounds))
    found = []
    for _ in range(2):
        for _ in range(2):
            cell.take([0.5, 3.0])
            cell.settle(reader, lambda cell, _: cell.look())
            histogram.record(1.5)
        metrics = reader.get_metrics_data().resource_metrics[0].scope_metrics[0].metrics
        found.append([list(point.bucket_counts) for metric in metrics for point in metric.data.data_points])
    provider.shutdown()
    second = [2, 2, 2] if temporality == "delta" else [4, 4, 4]
    assert found == [[[2, 2, 2]], [second]]
