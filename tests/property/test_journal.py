"""Measurements recorded by appending are exported as the public API would have exported them."""

import math
from bisect import bisect_left
from contextlib import nullcontext

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.sdk.metrics import Counter as SdkCounter
from opentelemetry.sdk.metrics import Histogram as SdkHistogram
from opentelemetry.sdk.metrics import UpDownCounter as SdkUpDownCounter
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader
from opentelemetry.sdk.metrics.view import (
    DropAggregation,
    ExplicitBucketHistogramAggregation,
    ExponentialBucketHistogramAggregation,
    View,
)

from otel_ha import (
    Attribute,
    Catalog,
    Counter,
    Discarded,
    Histogram,
    Operation,
    TelemetryConfig,
    UpDownCounter,
    measured,
)
from otel_ha.export.pipeline import Pipeline
from otel_ha.record.journal.cells import HistogramCell, Scale
from otel_ha.vocabulary import runtime
from tests.recorded import ended, started
from tests.traced import Traced, in_a_span

DELTA = AggregationTemporality.DELTA
TEMPORALITIES = {
    "cumulative": {},
    "delta": {SdkCounter: DELTA, SdkHistogram: DELTA},
    "all delta": {SdkCounter: DELTA, SdkHistogram: DELTA, SdkUpDownCounter: DELTA},
}

SHAPE = Attribute("test.shape", "Any value.")
STATE = Attribute("test.state", "One of three.", values=("queued", "active", "x"))
ENTITY = Attribute("test.entity", "One of two, and others.", budget=2)
OUTCOME = Attribute("test.outcome", "How it ended.", values=("ok", "error", "cancelled"))
REASON = Attribute("test.reason", "Why it was given up.", budget=2)
ERROR = Attribute("error.type", "What was raised.", keyword="error_type", budget=2)
THREE = (SHAPE, STATE, ENTITY)

COUNTER = Counter("test.things", unit="{thing}", description="Things.", attributes=THREE, series=3)
UPDOWN = UpDownCounter("test.level", unit="{thing}", description="A level.", attributes=THREE, series=4)
HISTOGRAM = Histogram(
    "test.width", unit="m", description="Widths.", attributes=THREE, series=3, buckets=(0.5, 1.0, 2.5)
)
RECEIVED = Counter("test.received", unit="{thing}", description="Came.", attributes=(SHAPE, ENTITY), series=5)
IN_FLIGHT = UpDownCounter("test.in_flight", unit="{thing}", description="There.", attributes=(SHAPE, STATE), series=5)
DISCARDED = Counter("test.discarded", unit="{thing}", description="Given up.", attributes=(SHAPE, REASON), series=5)
DURATION = Histogram(
    "test.duration", unit="s", description="Time.", attributes=(SHAPE, OUTCOME, ERROR), series=5, buckets=(1e6,)
)
WORK = Operation(duration=DURATION, in_flight=IN_FLIGHT, received=RECEIVED, discarded=DISCARDED)
CATALOG = Catalog(COUNTER, UPDOWN, HISTOGRAM, RECEIVED, IN_FLIGHT, DISCARDED, DURATION, runtime.RECORDING_PROBLEMS)
VERBS = {"counter": COUNTER.add, "updowncounter": UPDOWN.add, "histogram": HISTOGRAM.record}
BOUND = {"counter": COUNTER.bind, "updowncounter": UPDOWN.bind, "histogram": HISTOGRAM.bind}
CLOCKED = {DURATION.name}
"""Instruments whose amounts are a clock's: they differ between two runs, their counts do not."""

VIEWS = {
    "none": [],
    "renamed": [View(instrument_name="test.things", name="test.renamed")],
    "dropping attributes": [View(instrument_name="test.*", attribute_keys={"test.shape"})],
    "dropping all attributes": [View(instrument_name="test.width", attribute_keys=set())],
    "other bounds": [
        View(instrument_name="test.width", aggregation=ExplicitBucketHistogramAggregation((0.25, 1.0, 7.0)))
    ],
    "exponential": [View(instrument_name="test.width", aggregation=ExponentialBucketHistogramAggregation())],
    "dropped": [View(instrument_name="test.level", aggregation=DropAggregation())],
    "two": [
        View(instrument_name="test.things", name=f"test.{n}", attribute_keys=k)
        for n, k in (("by_shape", {"test.shape"}), ("by_entity", {"test.entity"}))
    ],
}

# The steps for both paths.
VALUES = st.sampled_from(["a", "b", "c", "x", "queued", 1, 1.0, True, 0, 0.0, False, None, "", "é", [1], b"x", 10**30])
ATTRIBUTES = st.dictionaries(st.sampled_from(["shape", "state", "entity", "undeclared"]), VALUES, max_size=3)
AMOUNTS = st.one_of(
    st.sampled_from(
        [0, 0.0, 1, 1.0, 0.5, 2.5, True, 10**18, -1, -0.5, math.nan, math.inf, -math.inf, 2**63, "1", None]
    ),
    st.integers(0, 1000),
    st.floats(0, 1e6),
)
READER = st.integers(0, 3)
KINDS = st.sampled_from(list(VERBS))
RECORD = st.tuples(st.just("record"), KINDS, AMOUNTS, ATTRIBUTES, st.booleans())
BIND = st.tuples(st.just("bind"), KINDS, st.lists(AMOUNTS, max_size=3), ATTRIBUTES)
SHAPES = st.fixed_dictionaries({}, optional={"shape": VALUES, "entity": VALUES, "undeclared": VALUES})
OUTCOMES = st.sampled_from(["ok", "error", "cancelled", Discarded("full"), Discarded("late"), Discarded("old")])
GROUP = st.tuples(
    st.sampled_from(["receive", "discard", "start", "end"]), SHAPES, OUTCOMES, st.sampled_from([0.5, 3]), st.booleans()
)
CALL = st.tuples(
    st.just("call"),
    st.fixed_dictionaries({}, optional={"shape": VALUES}),
    st.sampled_from([None, ValueError, KeyError, OSError]),
    st.none() | READER,
    st.booleans(),
)
COLLECT = st.tuples(st.just("collect"), READER)
JOIN = st.tuples(st.just("join"), st.sampled_from(list(TEMPORALITIES)))
LEAVE = st.tuples(st.just("leave"), READER)
STEPS = st.lists(st.one_of(RECORD, RECORD, BIND, GROUP, CALL, COLLECT, COLLECT, JOIN, LEAVE), max_size=30)


class Driven:
    """A separate pipeline, on one of the two paths, that takes the steps."""

    def __init__(self, temporalities, views=(), *, bound, **settings):
        self.bound = bound
        sampled = "trace_based" if bound else "always_on"  # where the SDK has to see every measurement
        config = TelemetryConfig(**{"metrics_exporters": (), "exemplar_filter": sampled, "environ": {}} | settings)
        self.pipeline = Pipeline(config, CATALOG, views=views)
        self.readers = []
        for temporality in temporalities:
            self.join(temporality)

    def __enter__(self):
        self.pipeline.connect()
        assert (self.pipeline.provider.journal is not None) is self.bound
        self.calls = measured(WORK, shape=lambda attributes, _: attributes.get("shape"))(self.run)
        return self

    def __exit__(self, *_):
        self.pipeline.disconnect()
        self.pipeline.shutdown(1)

    def do(self, verb, *arguments):
        return getattr(self, verb)(*arguments)

    def record(self, kind, amount, attributes, sampled):
        with in_a_span() if sampled else nullcontext():
            VERBS[kind](amount, **attributes)

    def bind(self, kind, amounts, attributes):
        handle = BOUND[kind](**attributes)
        for amount in amounts:
            (handle.record if kind == "histogram" else handle.add)(amount)

    def receive(self, attributes, *_):
        WORK.receive(**attributes)

    def discard(self, attributes, outcome, *_):
        WORK.discard(getattr(outcome, "reason", "other"), **attributes)

    def start(self, attributes, _, __, sampled):
        with in_a_span() if sampled else nullcontext():
            started(WORK, attributes)

    def end(self, attributes, outcome, duration, sampled):
        with in_a_span() if sampled else nullcontext():
            ended(WORK, outcome, duration, at_start=attributes, at_end={**attributes, "error_type": None})

    def call(self, attributes, error, reader, sampled):
        collected = []
        with in_a_span() if sampled else nullcontext(), pytest.raises(error) if error else nullcontext():
            self.calls(attributes, lambda: (collected.append(self.collect(reader)), raised(error)))
        return collected

    @staticmethod
    def run(_, body):
        body()

    def join(self, temporality):
        self.readers.append(InMemoryMetricReader(preferred_temporality=TEMPORALITIES[temporality]))
        self.pipeline.provider.add_metric_reader(self.readers[-1])

    def leave(self, number):
        if self.readers:
            self.pipeline.provider.remove_metric_reader(self.readers.pop(number % len(self.readers)))

    def collect(self, number):
        if number is None or not self.readers:
            return None
        return exported(self.readers[number % len(self.readers)].get_metrics_data())


def raised(error):
    if error is not None:
        raise error


def exported(data):
    """Return everything that an exporter is given, except times and exemplars."""
    scopes = [scope for resource in data.resource_metrics for scope in resource.scope_metrics] if data else []
    return {
        metric.name: {
            "kind": (type(metric.data).__name__, metric.unit, metric.description),
            "temporality": getattr(metric.data, "aggregation_temporality", None),
            "monotonic": getattr(metric.data, "is_monotonic", None),
            "points": {
                key_of(point): point_of(point, clocked=metric.name in CLOCKED) for point in metric.data.data_points
            },
            "number": len(metric.data.data_points),
        }
        for scope in scopes
        for metric in scope.metrics
    }


def key_of(point):
    return frozenset((name, type(value).__name__, value) for name, value in (point.attributes or {}).items())


def point_of(point, *, clocked):
    assert point.start_time_unix_nano <= point.time_unix_nano
    names = {"count", "bucket_counts", "explicit_bounds", "scale", "zero_count", "positive", "negative"}
    names |= set() if clocked else {"value", "sum", "min", "max"}
    return {name: getattr(point, name) for name in names if hasattr(point, name)}


def alike(one, other):
    """Whether two values are equal, except for the rounding of sums of floats."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(alike(one[key], other[key]) for key in one)
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-6)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(alike, one, other))
    return type(one) is type(other) and one == other


def run(steps, temporalities, views=(), *, bound):
    with Driven(temporalities, views, bound=bound) as driven:
        got = [driven.do(*step) for step in steps]
        return got + [driven.collect(number) for number in range(len(driven.readers))]


def assert_both_paths_export_the_same(steps, temporalities, views=()):
    ours, theirs = (run(steps, temporalities, views, bound=bound) for bound in (True, False))
    for one, other in zip(ours, theirs, strict=True):
        assert one == other or alike(one, other)


@settings(max_examples=300)
@given(STEPS, st.lists(st.sampled_from(list(TEMPORALITIES)), min_size=1, max_size=3))
def test_measurements_recorded_by_appending_are_exported_as_by_the_public_api(steps, temporalities):
    assert_both_paths_export_the_same(steps, temporalities)


@settings(max_examples=100)
@given(STEPS, st.sampled_from(list(VIEWS)))
def test_with_the_users_views_the_export_is_that_of_the_public_api(steps, views):
    assert_both_paths_export_the_same(steps, ["cumulative", "delta"], VIEWS[views])


@settings(max_examples=100)
@given(STEPS, st.lists(st.sampled_from(list(TEMPORALITIES)), min_size=1, max_size=2), st.booleans())
def test_measurements_are_exported_the_same_while_traces_are_on(steps, temporalities, bound):
    without = run(steps, temporalities, bound=bound)
    with Traced():
        with_spans = run(steps, temporalities, bound=bound)
    for one, other in zip(without, with_spans, strict=True):
        assert one == other or alike(one, other)


BUCKETS = st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=20, unique=True).map(sorted).map(tuple)


@given(BUCKETS, st.lists(st.floats(0, 1), min_size=1, max_size=50), st.data())
def test_a_quantile_of_the_inner_buckets_is_within_three_per_cent(buckets, places, data):
    scale = Scale(buckets)
    low, high = math.log(buckets[0] / 1e3 * 1.0001), math.log(buckets[-1] * 1e3 / 1.0001)
    amounts = [math.exp(low + place * (high - low)) for place in places]
    cell = HistogramCell(lambda *_: None, (), scale)
    cell.take(amounts)
    rank = data.draw(st.integers(1, len(amounts)))
    seen = 0
    for index in sorted(cell.counts):
        seen += cell.counts[index]
        if seen >= rank:
            break
    estimate = math.sqrt(scale.bounds[index - 1] * scale.bounds[index])
    assert math.isclose(estimate, sorted(amounts)[rank - 1], rel_tol=0.03)


@given(BUCKETS, st.lists(st.floats(0, 1e12) | st.integers(0, 2**62), max_size=50), st.data())
def test_the_inner_buckets_add_up_to_the_exported_ones(buckets, amounts, data):
    amounts += data.draw(st.lists(st.sampled_from(buckets), max_size=5))
    scale = Scale(buckets)
    cell = HistogramCell(lambda *_: None, (), scale)
    if amounts:
        cell.take(amounts)
    counts = [0] * (len(buckets) + 1)
    for index, count in cell.counts.items():
        counts[scale.bucket_of[index]] += count
    assert counts == [sum(bisect_left(buckets, a) == i for a in amounts) for i in range(len(buckets) + 1)]
