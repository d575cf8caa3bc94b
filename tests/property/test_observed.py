"""Values that go from a source directly to an aggregation are exported as the public API would have exported them."""

from contextlib import nullcontext
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.sdk.metrics import Counter as SdkCounter
from opentelemetry.sdk.metrics import ObservableCounter as SdkObservableCounter
from opentelemetry.sdk.metrics import ObservableUpDownCounter as SdkObservableUpDownCounter
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.metrics.view import DropAggregation, LastValueAggregation, View

from otel_ha import (
    Attribute,
    Catalog,
    Counter,
    ObservableCounter,
    ObservableGauge,
    ObservableUpDownCounter,
    TelemetryConfig,
)
from otel_ha.export.pipeline import Pipeline
from otel_ha.record.journal.observed import DirectObservers, DirectSums
from otel_ha.vocabulary import runtime
from tests.property.test_journal import AMOUNTS, DELTA, SHAPE, STATE, VALUES, alike, in_a_span
from tests.recorded import MemoryReader

TEMPORALITIES = {
    "cumulative": {},
    "delta": {SdkCounter: DELTA, SdkObservableCounter: DELTA},
    "all delta": {SdkCounter: DELTA, SdkObservableCounter: DELTA, SdkObservableUpDownCounter: DELTA},
}

FEW = Attribute("test.few", "One of two, and others.", budget=2)
THREE = (SHAPE, STATE, FEW)
GROWN = ObservableCounter("test.grown", unit="1", description="Grown.", attributes=THREE, series=4)
ROOM = ObservableUpDownCounter("test.room", unit="1", description="Room.", attributes=THREE, series=4)
DEPTH = ObservableGauge("test.depth", unit="m", description="Depth.", attributes=THREE, series=4)
EXPIRING = Counter("test.expiring", unit="1", description="Things.", attributes=(SHAPE, FEW), series=4, expires=True)
PROBLEMS = runtime.RECORDING_PROBLEMS.name
OBSERVED = (GROWN, ROOM, DEPTH)
CATALOG = Catalog(*OBSERVED, EXPIRING, runtime.RECORDING_PROBLEMS)

VIEWS = {
    "none": [],
    "renamed": [View(instrument_name="test.grown", name="test.renamed")],
    "dropping attributes": [View(instrument_name="test.*", attribute_keys={"test.shape"})],
    "dropping all attributes": [View(instrument_name="test.room", attribute_keys=set())],
    "the last value of a sum": [View(instrument_name="test.room", aggregation=LastValueAggregation())],
    "dropped": [View(instrument_name="test.depth", aggregation=DropAggregation())],
    "two": [
        View(instrument_name="test.depth", name=f"test.{n}", attribute_keys=k)
        for n, k in (("by_shape", {"test.shape"}), ("by_few", {"test.few"}))
    ],
}

# The steps for both paths. Few attribute sets, so that they recur; and arbitrary ones, so that some are wrong.
# One set can be given in several ways: "shape" may be None or left out; a set with "undeclared" is never kept resolved.
SHAPES = st.sampled_from(["a", 1, True, None])
ENTITIES = st.fixed_dictionaries({}, optional={"shape": SHAPES})
FEW_SETS = (
    ENTITIES
    | ENTITIES
    | st.fixed_dictionaries({"undeclared": st.just("c")}, optional={"shape": SHAPES, "few": st.just("b")})
)
ANY_SETS = st.dictionaries(st.sampled_from(["shape", "state", "few", "undeclared"]), VALUES, max_size=3)
RIGHT = st.integers(0, 1000) | st.lists(st.tuples(st.integers(0, 1000), FEW_SETS), max_size=4)
ANY = st.one_of(
    AMOUNTS, st.lists(st.tuples(AMOUNTS, ANY_SETS), max_size=4), st.just([(1, None)]), st.just(OSError("gone"))
)
SAID = st.one_of(RIGHT, RIGHT, ANY)
WATCH = st.tuples(st.just("watch"), st.sampled_from((*OBSERVED, DEPTH)), st.one_of(FEW_SETS, FEW_SETS, ANY_SETS), SAID)
WATCHED = st.lists(WATCH, max_size=3)
READERS = st.one_of(
    st.tuples(st.just("join"), st.sampled_from(list(TEMPORALITIES)), st.booleans()),
    st.tuples(st.just("leave"), st.integers(0, 3)),
    st.tuples(st.just("come_back")),
    st.tuples(st.just("enable"), st.sampled_from([True, True, False])),
).map(tuple)  # one alternative, not four: a change of readers makes the pipeline forget what it learnt
CHANGE = st.one_of(
    WATCH,
    st.tuples(st.just("say"), st.integers(0, 3), SAID),
    st.tuples(st.just("say"), st.integers(0, 3), SAID),
    st.tuples(st.just("stop"), st.integers(0, 3)),
    READERS,
)
ADD = st.tuples(st.just("add"), st.integers(0, 1000), st.sampled_from([{"shape": "a"}, {"shape": 1}, {}]))
ENTITY_CHANGE = st.one_of(
    *(ADD.map(tuple) for _ in range(4)), st.tuples(st.just("forget"), st.sampled_from([{}, {"shape": "a"}])), READERS
)
COLLECT = st.tuples(st.just("collect"), st.integers(0, 2), st.sampled_from([False, False, True]))


def rounds_of(change):
    rounds = st.lists(st.tuples(st.lists(change, max_size=3), COLLECT), min_size=2, max_size=10)
    return rounds.map(lambda drawn: [step for changes, collect in drawn for step in (*changes, collect)])


STEPS = st.tuples(WATCHED, rounds_of(CHANGE)).map(lambda drawn: [*drawn[0], *drawn[1]])


class Driven:
    """A separate pipeline, on one of the two paths, that takes the steps."""

    def __init__(self, temporalities, views=(), *, bound):
        sampled = "trace_based" if bound else "always_on"  # where the SDK has to see every value
        config = TelemetryConfig(metrics_exporters=(), exemplar_filter=sampled, environ={})
        self.pipeline = Pipeline(config, CATALOG, views=views)
        self.kinds = {DirectObservers, DirectSums} if bound and not views else None
        self.sources = []
        self.readers = []
        self.left = []
        for temporality in temporalities:
            self.join(temporality, ours=True)
        self.witness = InMemoryMetricReader()
        self.pipeline.provider.add_metric_reader(self.witness)

    def __enter__(self):
        self.pipeline.connect()
        assert self.kinds in (None, {type(each) for each in self.pipeline.recorders.observed.values()})
        return self

    def __exit__(self, *_):
        self.pipeline.disconnect()
        self.pipeline.shutdown(1)

    def do(self, verb, *arguments):
        return getattr(self, verb)(*arguments)

    def watch(self, instrument, attributes, said):
        source = SimpleNamespace(said=said)

        def read():
            if isinstance(source.said, Exception):
                raise source.said
            return source.said

        source.observing = instrument.observe(read, **attributes)
        self.sources.append(source)

    def say(self, number, said):
        if self.sources:
            self.sources[number % len(self.sources)].said = said

    def stop(self, number):
        if self.sources:
            self.sources.pop(number % len(self.sources)).observing.stop()

    @staticmethod
    def add(amount, attributes):
        EXPIRING.add(amount, **attributes)

    @staticmethod
    def forget(attributes):
        EXPIRING.forget(**attributes)

    def join(self, temporality, ours):
        kind = MemoryReader if ours else InMemoryMetricReader
        reader = kind(preferred_temporality=TEMPORALITIES[temporality])
        reader.gate = self.pipeline.gate
        reader.before = {}
        self.readers.append(reader)
        self.pipeline.provider.add_metric_reader(reader)

    def leave(self, number):
        if self.readers:
            self.left.append(self.readers.pop(number % len(self.readers)))
            self.pipeline.provider.remove_metric_reader(self.left[-1])

    def come_back(self):
        if self.left:
            self.readers.append(self.left.pop())
            self.pipeline.provider.add_metric_reader(self.readers[-1])

    def enable(self, enabled):
        configured = SimpleNamespace(is_enabled=enabled)
        self.pipeline.provider._set_meter_configurator(meter_configurator=lambda _: configured)

    def collect(self, number, sampled):
        if not self.readers:
            return None
        reader = self.readers[number % len(self.readers)]
        with in_a_span() if sampled else nullcontext():
            # Problems are counted; when bound, the collection after the one that found a problem shows it.
            return [e for e in exported(reader.get_metrics_data(), reader.before) if e[0][0] != PROBLEMS]

    def problems(self):
        for source in self.sources:
            source.observing.stop()
        found = [points for name, _, points in exported(self.witness.get_metrics_data(), {}) if name[0] == PROBLEMS]
        return sorted(point[:2] for points in found for point in points)


def exported(data, before):
    """Return everything that an exporter is given, in order; times as offsets from the previous export."""
    scopes = [scope for resource in data.resource_metrics for scope in resource.scope_metrics] if data else []
    return [
        (
            (metric.name, metric.unit, metric.description, type(metric.data).__name__),
            (getattr(metric.data, "aggregation_temporality", None), getattr(metric.data, "is_monotonic", None)),
            [exported_point(metric.name, point, before) for point in metric.data.data_points],
        )
        for scope in scopes
        for metric in scope.metrics
    ]


def exported_point(name, point, before):
    attributes = [(key, type(value).__name__, value) for key, value in sorted((point.attributes or {}).items())]
    series = (name, *attributes)
    start, end = point.start_time_unix_nano, point.time_unix_nano
    started, ended = before.get(series, (None, None))
    before[series] = (start, end)
    return attributes, point.value, start is None, start == started, start == ended


def run(steps, temporalities, views=(), *, bound):
    with Driven(temporalities, views, bound=bound) as driven:
        got = [driven.do(*step) for step in steps]
        # Twice: the first collection learns, and the second uses it.
        got += [driven.collect(number, sampled=False) for _ in range(2) for number in range(len(driven.readers))]
        return [*got, driven.problems()]


def assert_both_paths_export_the_same(steps, temporalities, views=()):
    ours, theirs = (run(steps, temporalities, views, bound=bound) for bound in (True, False))
    for one, other in zip(ours, theirs, strict=True):
        assert one == other or alike(one, other)


@settings(max_examples=300)
@given(STEPS, st.lists(st.sampled_from(list(TEMPORALITIES)), min_size=1, max_size=3))
def test_observed_values_are_exported_as_by_the_public_api(steps, temporalities):
    assert_both_paths_export_the_same(steps, temporalities)


@settings(max_examples=100)
@given(rounds_of(ENTITY_CHANGE), st.lists(st.sampled_from(list(TEMPORALITIES)), min_size=1, max_size=2))
def test_sums_that_come_and_go_are_exported_as_by_the_public_api(steps, temporalities):
    assert_both_paths_export_the_same(steps, temporalities)


@settings(max_examples=100)
@given(STEPS, st.sampled_from(list(VIEWS)))
@pytest.mark.filterwarnings("ignore")
def test_with_the_users_views_the_export_is_that_of_the_public_api(steps, views):
    assert_both_paths_export_the_same(steps, ["cumulative", "delta"], VIEWS[views])
