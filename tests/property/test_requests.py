"""Requests of pushes are those of OpenTelemetry's encoder to the byte, whether they are made or filled in."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import AlwaysOnExemplarFilter, Counter, Histogram, MeterProvider
from opentelemetry.sdk.metrics import TraceBasedExemplarFilter as InSpans
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View

from otel_ha.export.otlp.encoding import MetricsEncoder
from tests.traced import in_a_span

DELTA = {Counter: AggregationTemporality.DELTA, Histogram: AggregationTemporality.DELTA}
EXPONENTIAL = [View(instrument_name="duration", aggregation=ExponentialBucketHistogramAggregation())]
KINDS = ("counter", "up_down_counter", "histogram", "gauge", "observed")

values = st.text(max_size=3) | st.booleans() | st.integers(-2, 2) | st.floats(allow_nan=False) | st.just([1, 2])
attributes = st.dictionaries(st.sampled_from(["a", "b.c"]), values, max_size=2)
amounts = st.integers(0, 2**70) | st.floats(0, 1e300) | st.sampled_from([0, 1, 0.5])
measurements = st.tuples(st.sampled_from(["ours", "theirs"]), st.sampled_from(KINDS), attributes, amounts)
steps = st.lists(st.tuples(st.lists(measurements, max_size=4), st.booleans()), min_size=2, max_size=5)
"""The measurements before each collection, and whether they are in a sampled span."""


class Meters:
    """The instruments of two meters, each of every kind, and a reader."""

    def __init__(self, exemplar_filter: Any, temporality: dict[type, Any], views: list[View]) -> None:
        self.reader = InMemoryMetricReader(preferred_temporality=temporality)
        self.provider = MeterProvider(
            [self.reader], exemplar_filter=exemplar_filter, views=views, shutdown_on_exit=False
        )
        self.observed: dict[str, list[Observation]] = {"ours": [], "theirs": []}
        self._of = {scope: self._instruments(scope) for scope in self.observed}

    def _instruments(self, scope: str) -> dict[str, Any]:
        def observe(_: CallbackOptions) -> list[Observation]:
            return self.observed[scope]

        meter = self.provider.get_meter(scope, "1", attributes={"of": scope})
        meter.create_observable_up_down_counter("observed", [observe], unit="1")
        return {
            "counter": meter.create_counter("count", description="Things.").add,
            "up_down_counter": meter.create_up_down_counter("number", "1").add,
            "histogram": meter.create_histogram("duration", "s").record,
            "gauge": meter.create_gauge("level").set,
            "observed": lambda amount, of: self.observed[scope].append(Observation(amount, of)),
        }

    def forget_observed(self) -> None:
        for observations in self.observed.values():
            observations.clear()

    def record(self, scope: str, kind: str, of: dict[str, Any], amount: float) -> None:
        self._of[scope][kind](amount, of)


@given(
    steps,
    st.sampled_from([AlwaysOnExemplarFilter, InSpans]),
    st.sampled_from([{}, DELTA]),
    st.sampled_from([[], EXPONENTIAL]),
)
def test_each_request_is_that_of_the_encoder(steps, exemplar_filter, temporality, views):
    meters, encode = Meters(exemplar_filter(), temporality, views), MetricsEncoder()
    # The same measurements twice: the second time, no series is new.
    for step, is_traced in [each for each in steps for _ in range(2)]:
        meters.forget_observed()
        with in_a_span() if is_traced else nullcontext():
            for measurement in step:
                meters.record(*measurement)
        data = meters.reader.get_metrics_data()
        if data is None:
            continue
        try:
            expected = encode_metrics(data).SerializeToString()
        except Exception:  # noqa: BLE001 - a number that OTLP has no way to write; see tests/unit/test_encoding.py
            encode(data)
        else:
            assert encode(data) == expected
    meters.provider.shutdown()
