"""Observables on our own provider: a source's values go straight to the aggregation of the collecting reader."""

import pytest
from opentelemetry.metrics import CallbackOptions
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

import otel_ha.export.pipeline
from otel_ha import Attribute, Catalog, Counter, ObservableCounter, ObservableGauge
from otel_ha.record.expiring import ExpiringSums
from otel_ha.record.observers import Observers
from otel_ha.vocabulary import runtime
from tests.unit.test_journal import Running

SHAPE = Attribute("test.shape", "A shape.")
DEPTH = ObservableGauge("test.depth", unit="m", description="Depth.", attributes=(SHAPE,))
GROWN = ObservableCounter("test.grown", unit="1", description="Grown.", attributes=(SHAPE,))
EXPIRING = Counter("test.expiring", unit="1", description="Things.", attributes=(SHAPE,), expires=True)
CATALOG = Catalog(DEPTH, GROWN, EXPIRING, runtime.RECORDING_PROBLEMS)


class Observing(Running):
    """A pipeline with two readers in memory, connected until the block ends."""

    def __init__(self, **settings):
        super().__init__({}, {}, catalog=CATALOG, **settings)

    def points_of(self, instrument, reader=None):
        """Return the SDK's own points of an instrument."""
        data = (reader or self.readers[0]).get_metrics_data()
        metrics = data.resource_metrics[0].scope_metrics[0].metrics if data else []
        return [point for metric in metrics if metric.name == instrument.name for point in metric.data.data_points]

    def values(self, instrument, reader=None):
        return [point.value for point in self.points_of(instrument, reader)]

    def left_to_the_sdk(self, instrument, reader=None):
        """Return how many values of an instrument the SDK sees in a collection by a reader."""
        observed = self.pipeline.recorders.observed[instrument]
        callback = observed.observe if isinstance(observed, ExpiringSums) else observed.callback
        gate = self.pipeline.gate
        gate.begin(reader or self.readers[0])
        try:
            return len(list(callback(CallbackOptions())))
        finally:
            gate.end()


@pytest.fixture
def running():
    with Observing() as running:
        yield running


@pytest.fixture
def in_a_span():
    provider = TracerProvider(sampler=ALWAYS_ON, shutdown_on_exit=False)
    yield lambda: provider.get_tracer("test").start_as_current_span("work")
    provider.shutdown()


@pytest.mark.parametrize("said", [4, [(4, {"shape": "round"})], [(4, {"shape": 1})], [(4, {"shape": None})]])
def test_the_sdk_sees_an_observed_value_once_for_each_reader(running, said):
    DEPTH.observe(lambda: said)
    for reader in running.readers:
        before = running.left_to_the_sdk(DEPTH, reader)
        running.values(DEPTH, reader)
        assert (before, running.left_to_the_sdk(DEPTH, reader)) == (1, 0)


def test_the_sdk_sees_a_sum_that_may_expire_once(running):
    EXPIRING.add(1, shape="round")
    seen = [running.left_to_the_sdk(EXPIRING), running.values(EXPIRING), running.left_to_the_sdk(EXPIRING)]
    assert seen == [1, [1], 0]


def test_the_sdk_sees_everything_in_collections_of_readers_that_are_not_ours(running):
    DEPTH.observe(lambda: 4)
    theirs = [InMemoryMetricReader(), InMemoryMetricReader()]
    for reader in theirs:
        running.pipeline.provider.add_metric_reader(reader)
    assert [running.values(DEPTH, reader) for reader in (None, *theirs) * 2] == [[4]] * 6


def test_a_collection_in_a_sampled_span_has_exemplars(running, in_a_span):
    DEPTH.observe(lambda: 4)
    GROWN.observe(lambda: 3)
    EXPIRING.add(2)
    running.readers[0].collect()
    for instrument, value in ((DEPTH, 4), (GROWN, 3), (EXPIRING, 2)):
        with in_a_span() as span:
            [point] = running.points_of(instrument)
        [exemplar] = point.exemplars
        assert (exemplar.trace_id, exemplar.value) == (span.get_span_context().trace_id, value)


def test_a_collection_outside_of_spans_has_no_exemplars(running):
    DEPTH.observe(lambda: 4)
    assert [list(point.exemplars) for _ in range(2) for point in running.points_of(DEPTH)] == [[], []]


def test_a_source_that_stops_reporting_is_no_longer_exported(running):
    said = [4, None, 5]
    DEPTH.observe(lambda: said.pop(0))
    assert [running.values(DEPTH) for _ in range(3)] == [[4], [], [5]]


def test_equal_attributes_of_different_types_are_kept_apart(running):
    DEPTH.observe(lambda: [(1, {"shape": 1}), (2, {"shape": 1.0}), (3, {"shape": True})])
    for _ in range(2):
        found = {repr(point.attributes["test.shape"]): point.value for point in running.points_of(DEPTH)}
        assert found == {"1": 1, "1.0": 2, "True": 3}


@pytest.mark.parametrize("wrong", [{"size": 1}, {"shape": []}, {"shape": b"x"}, {"shape": 2**63}])
def test_a_problem_of_attributes_is_counted_at_every_collection(running, wrong):
    DEPTH.observe(lambda: [(1, wrong)])
    counts = [running.values(runtime.RECORDING_PROBLEMS) for _ in range(4)]
    assert counts[-2:] == [[2], [3]]


def test_a_reader_that_left_is_forgotten_at_the_next_collection(running):
    DEPTH.observe(lambda: 4)
    for reader in running.readers:
        reader.collect()
    left = running.readers.pop()
    running.pipeline.provider.remove_metric_reader(left)
    running.readers[0].collect()
    assert left not in running.pipeline.recorders.observed[DEPTH].direct.known


def test_a_forked_child_keeps_the_sources_but_not_the_parents_aggregations(running):
    DEPTH.observe(lambda: 4)
    assert running.values(DEPTH) == [4]
    child = Observing()
    child.pipeline.connect()
    child.pipeline.adopt(running.pipeline)
    try:
        assert child.values(DEPTH) + child.values(DEPTH) == [4, 4]
        assert running.pipeline.recorders.observed[DEPTH].direct.known.keys() == {running.readers[0]}
    finally:
        child.pipeline.disconnect()
        child.pipeline.shutdown(1)


@pytest.mark.parametrize("settings", [{"exemplar_filter": "always_on"}, {}])
def test_observables_are_not_bound_if_the_sdk_has_to_see_everything(monkeypatch, settings):
    monkeypatch.setattr(otel_ha.export.pipeline, "is_supported", lambda: bool(settings))
    with Observing(**settings) as running:
        assert {type(each) for each in running.pipeline.recorders.observed.values()} == {Observers, ExpiringSums}
