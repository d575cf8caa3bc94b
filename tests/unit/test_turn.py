"""Turns, and recording that is interrupted in them: by exceptions, by other threads, by signal handlers."""

import ast
import logging
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from opentelemetry import metrics
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from otel_ha import Attribute, Catalog, Counter, Histogram, Operation, UpDownCounter, measured
from otel_ha.export.otlp.transport import Connections
from otel_ha.export.pipeline import Pipeline
from otel_ha.record import expiring
from otel_ha.record.expiring import ExpiringSums
from otel_ha.record.gate import CollectionGate
from otel_ha.record.journal.cells import HistogramCell, SumCell
from otel_ha.record.journal.increases import Increases
from otel_ha.record.journal.journal import Journal
from otel_ha.record.journal.sdk import _SettlingHistogram, _SettlingSum
from otel_ha.scrub import protect, scrub
from otel_ha.turn import Turn, after_own_work, as_own_work, is_working, working
from tests.history import run
from tests.recorded import Recorded
from tests.unit.conftest import config
from tests.unit.test_layers import MODULES, PACKAGE

SHAPE = Attribute("test.shape", "A shape.")
SIZE = Attribute("test.size", "A size.")
THINGS = Counter("test.things", unit="1", description="Things.", attributes=(SHAPE,), series=5000)
LOAD = UpDownCounter("test.load", unit="1", description="Load.")
WAIT = Histogram("test.wait", unit="s", description="Wait.")
SEEN = Counter("test.seen", unit="1", description="Things.", attributes=(SHAPE, SIZE), series=100, expires=True)


class Stop(BaseException):
    """Raised by a handler."""


def stop(*_, **__):
    raise Stop


@pytest.fixture
def recorded():
    with Recorded(THINGS, LOAD, WAIT, SEEN) as recorded:
        yield recorded


@pytest.fixture
def journalled():
    with Recorded(THINGS, LOAD, WAIT, SEEN, journalled=True) as recorded:
        yield recorded


# Turns


def test_a_turn_ends_by_an_exception():
    turn = Turn()
    with pytest.raises(Stop):
        turn.run(stop, -1, None)
    with pytest.raises(Stop), turn.taken():
        raise Stop
    assert not is_working()
    with ThreadPoolExecutor(1) as other:
        assert other.submit(turn.take, 0).result(10)


def test_a_turn_is_refused_to_the_thread_that_has_it():
    turn = Turn()
    with turn.taken() as is_mine:
        assert (is_mine, turn.take(0), turn.run(lambda: 1, 0, 2)) == (True, False, 2)
    assert turn.run(lambda: 1, 0, 2) == 1


def within(block, work):
    with block:
        work()


ENDINGS = {
    "run": lambda work: Turn().run(work, -1, None),
    "taken": lambda work: within(Turn().taken(), work),
    "own work": as_own_work,
    "working": lambda work: within(working(), work),
}


@pytest.mark.parametrize("way", ENDINGS)
def test_an_action_follows_own_work_that_an_exception_ends(way):
    done = []

    def work():
        after_own_work(lambda: done.append(is_working()))
        raise Stop

    with pytest.raises(Stop):
        ENDINGS[way](work)
    assert done == [False]


def test_own_work_within_own_work_is_own_work_until_the_end():
    with working():
        as_own_work(lambda: None)
        Turn().run(lambda: None, -1, None)
        assert is_working()
    assert not is_working()


# Amounts that are being added up


@contextmanager
def interrupting(monkeypatch, *methods):
    """Let a handler raise in these methods (class and name), and see that it does."""
    with monkeypatch.context() as patch:
        for owner, name in methods:
            patch.setattr(owner, name, stop)
        with pytest.raises(Stop):
            yield


@pytest.mark.parametrize("way", ["shorten", "settle"])
@pytest.mark.parametrize("record", [lambda: WAIT.record(1), lambda: THINGS.add(1, shape="a")])
def test_amounts_survive_an_exception_while_they_are_added_up(journalled, monkeypatch, record, way):
    record()
    journalled.collect()
    for _ in range(3):
        record()
    journal = journalled.provider.journal
    with interrupting(monkeypatch, (HistogramCell, "take"), (SumCell, "take")):
        if way == "settle":
            journal.settle()
        for cell in journal._cells:
            journal.shorten(cell)
    record()
    (value,) = (value for each in journalled.collect().values() for value in each.values())
    assert getattr(value, "count", value) == 5


@pytest.mark.parametrize("part", ["take", "take_alike"])
def test_an_event_survives_an_exception_while_its_parts_are_added_up(journalled, monkeypatch, part):
    job = Operation(duration=WAIT, occurrences=THINGS)
    for _ in range(3):
        job.record(0.1)
    with interrupting(monkeypatch, (HistogramCell if part == "take" else SumCell, part)):
        journalled.provider.journal.settle()
    points = journalled.collect()
    assert [each.count for each in points["test.wait"].values()] == list(points["test.things"].values()) == [3]


def test_settled_amounts_reach_each_reader_once_after_an_exception(monkeypatch):
    with Recorded(THINGS, readers=2, journalled=True) as recorded:
        for shape in ("a", "b", "c"):
            THINGS.add(1, shape=shape)
        recorded.collect()
        for shape in ("a", "b", "c"):
            THINGS.add(1, shape=shape)
        absorb, calls = _SettlingSum.absorb, []

        def interrupted(self, cell):
            calls.append(cell)
            if len(calls) == 4:
                raise Stop
            absorb(self, cell)

        with monkeypatch.context() as patch:
            patch.setattr(_SettlingSum, "absorb", interrupted)
            with pytest.raises(Stop):
                recorded.provider.journal.settle()
        values = [sorted(recorded.collect(reader)["test.things"].values()) for reader in (0, 1)]
    assert values == [[2, 2, 2], [2, 2, 2]]


@pytest.mark.parametrize("taker", [_SettlingSum, _SettlingHistogram, Increases])
def test_growth_reaches_the_history_once_after_an_exception(monkeypatch, taker):
    with Recorded(THINGS, WAIT, journalled=True) as recorded:
        journal = recorded.provider.journal
        journal.increases = Increases()
        for _ in range(2):
            THINGS.add(1, shape="a")
            WAIT.record(0.1)
        with interrupting(monkeypatch, (taker, "absorb")):
            journal.settle()
        recorded.collect()
        found = {each.instrument: each for each in journal.take_increases()}
    assert (found["test.things"].total, found["test.wait"].total) == (2, 0.2)
    assert sum(found["test.wait"].counts.values()) == 2


def test_sums_that_expire_survive_an_exception_while_they_are_added_up():
    class Stopping(float):
        __radd__ = stop

    sums = ExpiringSums(60)
    for shape in ("a", "b", "c"):
        sums.add(1, {"shape": shape}, None)
    sums.add(Stopping(1), {"shape": "b"}, None)
    sums.add(1, {"shape": "c"}, None)
    with pytest.raises(Stop):
        sums.observe(None)
    Stopping.__radd__ = float.__radd__
    assert {o.attributes["shape"]: o.value for o in sums.observe(None)} == {"a": 1, "b": 2, "c": 2}


def test_giving_up_one_series_looks_at_no_other(recorded, monkeypatch):
    for size in range(50):
        SEEN.add(1, shape="a", size=str(size))
    recorded.collect()
    looked = []
    pairs = expiring._pairs
    monkeypatch.setattr(expiring, "_pairs", lambda same: looked.append(same) or pairs(same))
    for size in range(40):
        SEEN.forget(shape="a", size=str(size))
    assert (len(recorded.series(SEEN)), looked) == (10, [])


def test_giving_up_many_series_does_not_wait_for_the_thread_that_adds(recorded, monkeypatch):
    for size in range(10):
        SEEN.add(1, shape="a", size=str(size))
    SEEN.forget(size="3")
    SEEN.forget(shape="b")
    monkeypatch.setattr(expiring, "_pairs", stop)
    assert len(recorded.series(SEEN)) == 9


# Threads that are interrupted for long


def test_a_series_is_recorded_while_a_thread_that_makes_it_is_interrupted(journalled, monkeypatch):
    add, making, may_go_on = Journal.add, threading.Event(), threading.Event()

    def interrupted(self, cell):
        if not making.is_set():
            making.set()
            assert may_go_on.wait(10)
        add(self, cell)

    monkeypatch.setattr(Journal, "add", interrupted)
    thread = threading.Thread(target=THINGS.add, args=(1,), kwargs={"shape": "a"})
    thread.start()
    making.wait(10)
    with ThreadPoolExecutor(1) as other:
        try:
            other.submit(THINGS.add, 1, shape="a").result(5)
        finally:
            may_go_on.set()
    thread.join()
    THINGS.add(1, shape="a")
    assert journalled.value(THINGS, shape="a") == 3


def holding(gate, released, seconds=None):
    """Return a thread that has the turn of a gate until `released`, at most for some seconds."""
    has_it = threading.Event()

    def hold():
        with gate._turn.taken():
            has_it.set()
            released.wait(10 if seconds is None else seconds)

    thread = threading.Thread(target=hold)
    thread.start()
    has_it.wait(10)
    return thread


def test_measurements_that_wait_for_a_thread_that_hangs_are_bounded_and_the_others_counted(
    recorded, monkeypatch, caplog
):
    monkeypatch.setattr(CollectionGate, "MOST_WAITING", 10)
    released = threading.Event()
    thread = holding(recorded.gate, released)
    for _ in range(20):
        THINGS.add(1, shape="a")
        recorded.gate.catch_up()
    measured(Operation(duration=WAIT))(lambda: None)()
    assert recorded.gate.waiting == 10
    released.set()
    thread.join()
    assert recorded.value(THINGS, shape="a") == 10
    assert "10 measurements wait for a thread that hangs; later ones are dropped" in caplog.text


def test_only_the_first_of_many_measurements_waits_for_a_thread_that_hangs(recorded, monkeypatch):
    released, waits = threading.Event(), []
    thread = holding(recorded.gate, released)
    take = Turn.take
    monkeypatch.setattr(Turn, "take", lambda self, timeout=-1: waits.append(timeout) or take(self, timeout))
    for _ in range(5):
        THINGS.add(1, shape="a")
    released.set()
    thread.join()
    assert [wait for wait in waits if wait] == waits[:1]
    assert recorded.value(THINGS, shape="a") == 5


@pytest.fixture
def few_deferred(monkeypatch):
    """Let few measurements wait at a gate, where a thread that has the turn is slow for a minute before it hangs."""
    monkeypatch.setattr(CollectionGate, "MOST_DEFERRED", 10)
    monkeypatch.setattr(CollectionGate, "MOST_WAITING", 1000)
    monkeypatch.setattr("otel_ha.record.gate._SLOW", 60)


def test_measurements_beyond_many_wait_for_a_thread_that_is_slow(recorded, few_deferred, caplog):
    thread = holding(recorded.gate, threading.Event(), 0.3)
    for _ in range(2000):
        THINGS.add(1, shape="a")
    thread.join()
    assert recorded.value(THINGS, shape="a") == 2000
    assert caplog.text == ""


def test_measurements_beyond_many_do_not_wait_for_a_thread_that_hangs(recorded, few_deferred, monkeypatch):
    monkeypatch.setattr("otel_ha.record.gate._SLOW", 0)
    released, waits = threading.Event(), []
    thread = holding(recorded.gate, released)
    take = Turn.take
    monkeypatch.setattr(Turn, "take", lambda self, timeout=-1: waits.append(timeout) or take(self, timeout))
    for _ in range(20):
        THINGS.add(1, shape="a")
    released.set()
    thread.join()
    assert [wait for wait in waits if wait] == waits[:1]
    assert recorded.value(THINGS, shape="a") == 20


def test_a_collection_waits_for_a_batch_before_it_records_what_waits(recorded):
    THINGS.add(1, shape="a")
    thread = holding(recorded.gate, threading.Event(), 0.3)
    recorded.gate.defer([(THINGS, 1, {"shape": "a"})])
    recorded.gate.begin("a reader")
    waiting = recorded.gate.waiting
    recorded.gate.end()
    thread.join()
    assert waiting == 0


# Errors of another provider


class _Theirs(metrics.NoOpMeterProvider):
    """Another provider, whose counters raise."""

    def get_meter(self, name, *_, **__):
        class Raising(metrics.NoOpCounter):
            def add(self, *_, **__):
                raise RuntimeError("theirs")

        meter = metrics.NoOpMeter(name)
        meter.create_counter = lambda name, **_: Raising(name)
        return meter


def test_a_measurement_that_waits_and_fails_is_reported_and_raises_into_nothing(caplog):
    catalog = Catalog(THINGS, WAIT)
    pipeline = Pipeline(config(metrics_exporters=()), catalog, foreign=_Theirs())
    pipeline.connect()
    try:
        pipeline.gate.begin("a reader")
        THINGS.add(1)
        measured(Operation(duration=WAIT, received=THINGS))(lambda: None)()
        pipeline.gate.end()
        assert pipeline.gate.waiting == 0
    finally:
        pipeline.disconnect()
    assert "test.things: recording failed: RuntimeError('theirs')" in caplog.text


def test_the_count_of_problems_may_fail_itself():
    with Recorded(catalog=Catalog()) as recorded:
        other = Pipeline(config(metrics_exporters=()), recorded.pipeline._catalog | Catalog(THINGS), foreign=_Theirs())
        other.connect()
        THINGS.add(1)
        other.gate.catch_up()
        assert other.gate.waiting == 0
        other.disconnect()


# Readers that join, histories, and texts that are scrubbed


@pytest.mark.parametrize("step", ["add_metric_reader", "remove_metric_reader"])
def test_a_handler_may_not_collect_while_a_reader_joins_or_leaves(journalled, step):
    seen = []

    class Reader(InMemoryMetricReader):
        def _set_collect_callback(self, *args):
            seen.append(is_working())
            super()._set_collect_callback(*args)

    reader = Reader()
    journalled.provider.add_metric_reader(reader)
    if step == "remove_metric_reader":
        seen.clear()
        journalled.provider.remove_metric_reader(reader)
    assert seen == [True]


def test_a_collection_for_the_history_that_fails_is_logged_after_it():
    seen = []

    class Handler(logging.Handler):
        def emit(self, record):
            if "a collection for the history failed" in record.getMessage():
                seen.append(is_working())

    handler = Handler()
    logging.getLogger("otel_ha").addHandler(handler)
    try:
        with run() as recorded:
            recorded.reader._increases = lambda: 1 / 0
            recorded.reader.collect_and_store()
    finally:
        logging.getLogger("otel_ha").removeHandler(handler)
    assert seen == [False]


def in_the_background(action):
    """Call `action` in a thread until the returned function is called, with as many changes of threads as possible."""
    stopping, before = threading.Event(), sys.getswitchinterval()

    def repeat():
        while not stopping.is_set():
            action()

    thread = threading.Thread(target=repeat)
    sys.setswitchinterval(1e-6)
    thread.start()

    def end():
        stopping.set()
        thread.join()
        sys.setswitchinterval(before)

    return end


class _Holder:
    def secrets(self):
        return ()


def test_a_text_is_scrubbed_while_other_threads_make_secrets():
    holders = [_Holder() for _ in range(50)]
    for holder in holders:
        protect(holder)
    end = in_the_background(lambda: protect(_Holder()))
    try:
        for _ in range(300):
            assert scrub("a text") == "a text"
    finally:
        end()


def test_connections_are_cut_off_while_others_are_made():
    class Pool:
        class ConnectionCls:
            def connect(self):
                pass

    connections = Connections()
    kind = connections._remembering(Pool).ConnectionCls
    kept = [kind() for _ in range(50)]
    for connection in kept:
        connection.connect()
    end = in_the_background(lambda: kind().connect())
    try:
        for _ in range(300):
            connections.cut_off()
    finally:
        end()


@pytest.mark.parametrize("module", [each for each in MODULES if each.parts[0] != "compat"], ids=str)
def test_no_property_takes_a_lock_that_a_forked_child_could_find_held(module):
    # Until Python 3.12, functools.cached_property has a lock for all objects of the class.
    names = ast.walk(ast.parse((PACKAGE / module).read_text()))
    assert not [each for each in names if "cached_property" in (getattr(each, "attr", ""), getattr(each, "id", ""))]
