"""New series in the journal: their aggregations are those that the SDK would make, whoever makes them."""

import itertools
import threading
from importlib.metadata import version

import pytest
from opentelemetry.sdk.metrics import Counter as SdkCounter
from opentelemetry.sdk.metrics import Histogram as SdkHistogram
from opentelemetry.sdk.metrics.export import AggregationTemporality
from opentelemetry.sdk.trace import TracerProvider

from otel_ha import Attribute, Counter, Histogram, Operation, UpDownCounter, measured
from otel_ha.record.journal import sdk
from otel_ha.record.journal.cells import Cell
from otel_ha.record.journal.sdk import CellSum, Joining
from tests.recorded import MemoryReader, Recorded, in_threads

SHAPE = Attribute("test.shape", "A shape.")
SIZE = Attribute("test.size", "A size.")
THINGS = Counter("test.things", unit="{thing}", description="Things.", attributes=(SHAPE, SIZE), series=20)
LEVEL = UpDownCounter("test.level", unit="{thing}", description="A level.", attributes=(SHAPE, SIZE))
WIDTH = Histogram("test.width", unit="m", description="Widths.", attributes=(SHAPE, SIZE), buckets=(0.5, 2.5))
TOOK = Histogram("test.took", unit="s", description="Time.", attributes=(SHAPE,))
INSTRUMENTS = (THINGS, LEVEL, WIDTH)
VALUES = (None, "a", "b", "é", "", "1", 1, 1.0, True, 0.5, -3)
DELTA = dict.fromkeys((SdkCounter, SdkHistogram), AggregationTemporality.DELTA)


class Stop(BaseException):
    """Raised by a handler."""


@pytest.fixture
def recorded():
    with Recorded(*INSTRUMENTS, TOOK, readers=2, journalled=True) as recorded:
        yield recorded


@pytest.fixture
def looked(monkeypatch):
    """Return the names of the instruments of which a series asked the SDK for its aggregations."""
    names, look = [], Cell.look
    monkeypatch.setattr(Cell, "look", lambda cell: names.append(cell.instrument) or look(cell))
    return names


def join(recorded, temporality):
    reader = MemoryReader(preferred_temporality=temporality)
    reader.gate = recorded.gate
    recorded.readers.append(reader)
    recorded.provider.add_metric_reader(reader)


def record(shape, size, amount=1):
    THINGS.add(amount, shape=shape, size=size)
    LEVEL.add(-amount, shape=shape, size=size)
    WIDTH.record(amount, shape=shape, size=size)


def exported(temporality, *, journalled):
    """Return the exports of two readers, of whom the second one joins later, after each of several bursts."""
    found = []
    with Recorded(*INSTRUMENTS, readers=1, journalled=journalled) as recorded:
        for burst, shape in enumerate(("a", "b", "c")):
            for size in VALUES:
                record(shape, size)
            found += [recorded.collect(reader) for reader in range(len(recorded.readers))]
            if burst == 0:
                join(recorded, temporality)
    return found


@pytest.mark.parametrize("temporality", [{}, DELTA], ids=["cumulative", "delta"])
@pytest.mark.parametrize("direct", [True, False])
def test_new_series_of_any_values_are_exported_as_by_the_api(monkeypatch, temporality, direct):
    expected = exported(temporality, journalled=False)
    if not direct:
        monkeypatch.setattr(sdk, "_places", lambda *_: ())
    assert exported(temporality, journalled=True) == expected


@pytest.mark.skipif(version("opentelemetry-sdk") == "1.45.0", reason="it does not say whether it replaces aggregations")
def test_the_sdk_makes_the_aggregations_of_the_first_series_only(recorded, looked):
    for size in range(10):
        record("a", str(size))
    assert len(recorded.series(THINGS)) == 10
    assert sorted(looked) == ["test.level", "test.things", "test.width"]


def test_an_sdk_that_lacks_a_private_name_makes_the_aggregations_of_each_series(recorded, looked, monkeypatch):
    monkeypatch.setattr(sdk, "_places", lambda *_: ())
    for size in range(10):
        THINGS.add(1, shape="a", size=str(size))
    assert [len(recorded.collect(reader)["test.things"]) for reader in (0, 1)] == [10, 10]
    assert looked == ["test.things"] * 10


def test_a_reader_that_replaces_its_aggregations_has_the_sdk_make_them(recorded, looked):
    join(recorded, DELTA)
    for size in range(10):
        THINGS.add(1, shape="a", size=str(size))
    assert set(recorded.collect(2)["test.things"].values()) == {1}
    assert looked == ["test.things"] * 10


def test_a_reader_that_joins_sees_old_and_new_series(recorded):
    for size in "ab":
        THINGS.add(1, size=size)
    recorded.collect()
    join(recorded, {})
    for size in "abc":
        THINGS.add(2, size=size)
    assert sorted(recorded.collect(2)["test.things"].values()) == [2, 2, 2]
    assert sorted(recorded.collect(0)["test.things"].values()) == [2, 3, 3]


def test_a_new_series_starts_before_its_first_measurement_is_collected(recorded):
    for size in "ab":
        THINGS.add(1, size=size)
    created = [cell.created for cell in recorded.pipeline.journal._cells]
    [metric] = recorded.readers[0].get_metrics_data().resource_metrics[0].scope_metrics[0].metrics
    assert [point.start_time_unix_nano for point in metric.data.data_points] == created


def test_measurements_of_a_new_series_in_and_outside_of_spans_are_one_point(recorded):
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("test")
    for size in "ab":
        THINGS.add(1, size=size)
    recorded.collect()
    for size in "bcd":
        THINGS.add(1, size=size)
        with tracer.start_as_current_span("work"):
            THINGS.add(1, size=size)
    assert sorted(recorded.series(THINGS).values()) == [1, 2, 2, 3]


@pytest.mark.parametrize("call", range(8))
def test_a_new_series_survives_an_exception_while_its_aggregations_are_made(recorded, monkeypatch, call):
    THINGS.add(1, size="first")
    recorded.collect()
    for size in "abcd":
        THINGS.add(2, size=size)
    make, calls = CellSum.of, itertools.count()

    def interrupted(self, *arguments):
        if next(calls) == call:
            raise Stop
        return make(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(CellSum, "of", interrupted)
        with pytest.raises(Stop):
            recorded.pipeline.journal.settle()
    for reader in (0, 1):
        assert sorted(recorded.collect(reader)["test.things"].values()) == [1, 2, 2, 2, 2]


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_new_series_survives_an_exception_while_it_joins(recorded, monkeypatch, moment):
    THINGS.add(1, size="first")
    recorded.collect()
    THINGS.add(2, size="a")
    join_all = Joining.join

    def interrupted(self, cell, readers):
        if moment == "after":
            join_all(self, cell, readers)
        raise Stop

    journal = recorded.pipeline.journal
    with monkeypatch.context() as patch:
        patch.setattr(journal, "join", interrupted.__get__(journal.join.__self__))
        with pytest.raises(Stop):
            journal.settle()
    for reader in (0, 1):
        assert sorted(recorded.collect(reader)["test.things"].values()) == [1, 2]


def test_threads_that_record_a_new_set_at_once_record_to_one_series(recorded):
    for number in range(20):
        in_threads(4, lambda _, number=number: record("a", str(number)))
    assert set(recorded.series(THINGS).values()) == {4}
    assert {value.count for value in recorded.series(WIDTH).values()} == {4}
    assert recorded.problems() == {}


def test_a_thread_that_is_interrupted_while_it_makes_a_series_loses_nothing(recorded, monkeypatch):
    new, making, may_go_on = recorded.pipeline.journal.add, threading.Event(), threading.Event()

    def slow(cell):
        new(cell)
        if threading.current_thread() is thread:
            making.set()
            assert may_go_on.wait(30)

    monkeypatch.setattr(recorded.pipeline.journal, "add", slow)
    thread = threading.Thread(target=THINGS.add, args=(1,), kwargs={"size": "a"})
    thread.start()
    assert making.wait(30)
    THINGS.add(1, size="a")
    assert list(recorded.series(THINGS).values()) == [1]
    may_go_on.set()
    thread.join()
    assert list(recorded.series(THINGS).values()) == [2]


def test_sets_beyond_the_series_fold_and_are_counted_each_time(recorded):
    for number in range(30):
        THINGS.add(1, shape="a", size=str(number))
        THINGS.add(1, shape="a", size=str(number))
    series = recorded.series(THINGS)
    assert (len(series), series[frozenset({("test.shape", "a"), ("test.size", "_OTHER")})]) == (21, 20)
    assert recorded.problems() == {("test.things", "series_exceeded", None): 20}


def test_measured_work_is_resolved_when_its_attributes_are_used_again(recorded):
    @measured(Operation(duration=TOOK), shape=lambda shape: shape)
    def work(shape):
        """Stand in for the work."""

    for number in range(5):
        work(str(number))
    assert recorded.pipeline.journal.batch_count == 0
    work("1")
    assert recorded.pipeline.journal.batch_count == 2
    assert [value.count for value in recorded.series(TOOK).values()] == [1, 2, 1, 1, 1]
