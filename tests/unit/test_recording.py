import gc
import math
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.metrics import CallbackOptions

from otel_ha import (
    Attribute,
    Catalog,
    Counter,
    Gauge,
    Histogram,
    ObservableCounter,
    ObservableGauge,
    ObservableUpDownCounter,
    UpDownCounter,
)
from otel_ha.record.expiring import ExpiringSums
from otel_ha.record.gate import CollectionGate
from otel_ha.record.problems import Problems
from otel_ha.vocabulary import runtime
from tests.hostile import Scalar, np
from tests.recorded import Recorded, in_threads, meanwhile

COLOUR = Attribute("test.colour", "A colour.", values=("red", "green"))
SHAPE = Attribute("test.shape", "A shape.")
FEW = Attribute("test.few", "One of few.", budget=2)
THINGS = Counter("test.things", unit="1", description="Things.", attributes=(COLOUR, SHAPE, FEW), series=4)
PLAIN = Counter("test.plain", unit="1", description="Things.")
LOAD = UpDownCounter("test.load", unit="1", description="Load.")
LEVEL = Gauge("test.level", unit="1", description="Level.")
WAIT = Histogram("test.wait", unit="s", description="Wait.")
KIND = Attribute("test.kind", "A kind.", values=("a value that was declared",))
LONG = Counter("test.long", unit="1", description="Things.", attributes=(KIND, SHAPE))
DEPTH = ObservableGauge("test.depth", unit="m", description="Depth.", attributes=(COLOUR, FEW), series=3)
GROWN = ObservableCounter("test.grown", unit="1", description="Grown.")
ROOM = ObservableUpDownCounter("test.room", unit="1", description="Room.")
EXPIRING = Counter("test.expiring", unit="1", description="Things.", attributes=(SHAPE,), expires=True)

OVERFLOW = frozenset({("otel.metric.overflow", True)})
VERBS = {THINGS: THINGS.add, LOAD: LOAD.add, LEVEL: LEVEL.set, WAIT: WAIT.record}


@pytest.fixture
def recorded():
    with Recorded(THINGS, PLAIN, LOAD, LEVEL, WAIT, DEPTH, GROWN, ROOM, EXPIRING, readers=2) as recorded:
        yield recorded


def warnings(caplog):
    return [record.getMessage() for record in caplog.records if record.name == "otel_ha"]


# Attributes


def test_an_undeclared_attribute_is_left_out(recorded):
    THINGS.add(1, colour="red", size=3)
    assert recorded.value(THINGS, colour="red") == 1


def test_an_undeclared_attribute_is_counted_by_name(recorded):
    for _ in range(3):
        THINGS.add(1, size=3)
    assert recorded.problems() == {("test.things", "undeclared_attribute", "size"): 3}


def test_an_undeclared_attribute_is_warned_of_once_by_name(recorded, caplog):
    for _ in range(3):
        THINGS.add(1, size=3)
    (warning,) = warnings(caplog)
    assert warning.startswith("test.things: has no attribute 'size'")


def test_each_undeclared_attribute_is_warned_of(recorded, caplog):
    THINGS.add(1, size=3, weight=4)
    assert len(warnings(caplog)) == 2


def test_a_value_outside_a_closed_set_becomes_other(recorded):
    THINGS.add(1, colour="blue", shape="round")
    assert recorded.value(THINGS, colour="_OTHER", shape="round") == 1


def test_a_value_outside_a_closed_set_is_counted(recorded):
    THINGS.add(1, colour="blue")
    THINGS.add(1, colour="black")
    assert recorded.problems() == {("test.things", "undeclared_value", "test.colour"): 2}


def test_a_value_outside_a_closed_set_is_warned_of_once_with_the_allowed_values(recorded, caplog):
    THINGS.add(1, colour="blue")
    THINGS.add(1, colour="black")
    (warning,) = warnings(caplog)
    assert "test.colour is 'blue'; allowed: red, green" in warning


@pytest.mark.parametrize("value", [["red"], {"red": 1}, object(), b"red", 1j, math.nan, timedelta(seconds=1)])
def test_a_value_of_another_type_becomes_other_and_is_counted(recorded, value):
    THINGS.add(1, shape=value)
    assert recorded.value(THINGS, shape="_OTHER") == 1
    assert recorded.problems() == {("test.things", "invalid_value", "test.shape"): 1}


@pytest.mark.parametrize("value", ["round", 3, 2.5, True])
def test_text_numbers_and_bools_are_values(recorded, value):
    THINGS.add(1, shape=value)
    assert recorded.value(THINGS, shape=value) == 1


def test_values_beyond_a_budget_become_other(recorded):
    for few in ("a", "b", "c", "d", "a"):
        THINGS.add(1, few=few)
    assert [recorded.value(THINGS, few=few) for few in ("a", "b", "_OTHER")] == [2, 1, 2]


def test_values_beyond_a_budget_leave_the_other_attributes_alone(recorded):
    for few in ("a", "b", "c"):
        THINGS.add(1, few=few, colour="red")
    assert recorded.value(THINGS, few="_OTHER", colour="red") == 1


def test_values_beyond_a_budget_are_warned_of_once_with_attribute_and_value(recorded, caplog):
    for few in ("a", "b", "c", "d"):
        THINGS.add(1, few=few)
    (warning,) = warnings(caplog)
    assert "test.few has more than 2 values; 'c' is recorded as _OTHER" in warning


def test_beyond_the_series_the_attribute_with_most_values_is_folded(recorded):
    for i in range(7):
        THINGS.add(1, shape=str(i))
    assert recorded.value(THINGS, shape="_OTHER") == 3
    assert len(recorded.series(THINGS)) == 5


WIDE = Counter(
    "test.wide",
    unit="{thing}",
    description="Two attributes.",
    attributes=(Attribute("test.kind", "A few."), Attribute("test.part", "Many.")),
    series=8,
)


def test_the_other_attributes_survive_a_fold():
    with Recorded(WIDE) as recorded:
        for i in range(20):
            WIDE.add(1, kind=f"kind {i % 2}", part=str(i))
        folded = {kind: recorded.value(WIDE, kind=kind, part="_OTHER") for kind in ("kind 0", "kind 1")}
        assert folded == {"kind 0": 6, "kind 1": 6}


def test_attribute_sets_that_are_too_many_even_when_folded_overflow():
    with Recorded(WIDE) as recorded:
        for i in range(20):
            WIDE.add(1, kind=str(i), part=str(i))
        assert recorded.series(WIDE)[OVERFLOW] >= 1
        assert len(recorded.series(WIDE)) <= 8 + WIDE.reserve + 1
        assert sum(recorded.series(WIDE).values()) == 20


def test_attribute_sets_within_the_series_are_kept_apart_after_an_overflow(recorded):
    for i in range(7):
        THINGS.add(1, shape=str(i))
    THINGS.add(1, shape="0")
    assert recorded.value(THINGS, shape="0") == 2


def test_an_overflow_is_warned_of_once(recorded, caplog):
    for i in range(7):
        THINGS.add(1, shape=str(i))
    (warning,) = warnings(caplog)
    assert "more than 4 attribute sets" in warning


def test_an_overflow_is_counted(recorded):
    for i in range(7):
        THINGS.add(1, shape=str(i))
    assert recorded.problems() == {("test.things", "series_exceeded", None): 3}


# Amounts

WRONG = [math.nan, math.inf, -math.inf, None, "1", [1], 1j, Decimal("NaN"), object(), 10**400, 2**63, -(2**63) - 2**11]


@pytest.mark.parametrize("instrument", VERBS, ids=lambda i: i.name)
@pytest.mark.parametrize("amount", WRONG, ids=lambda amount: f"{amount!s:.12}")
def test_a_wrong_amount_is_left_out_and_counted(recorded, instrument, amount):
    VERBS[instrument](amount)
    assert recorded.problems() == {(instrument.name, "invalid_amount", None): 1}
    assert recorded.series(instrument) == {}


@pytest.mark.parametrize("instrument", [THINGS, WAIT], ids=lambda i: i.name)
def test_a_negative_amount_is_wrong_if_a_sum_only_grows(recorded, instrument):
    VERBS[instrument](-1)
    assert recorded.problems() == {(instrument.name, "invalid_amount", None): 1}
    assert recorded.series(instrument) == {}


@pytest.mark.parametrize("amount", [0, -0.0, 0.5, True, 2**62])
def test_a_right_amount_is_recorded(recorded, amount):
    THINGS.add(amount)
    assert recorded.value(THINGS) == amount


OTHER_NUMBERS = [(Decimal("1.5"), 1.5), (Decimal(3), 3.0), (Fraction(1, 4), 0.25), (Scalar(7), 7)]
if np is not None:
    OTHER_NUMBERS += [(np.int64(7), 7), (np.uint8(7), 7), (np.float32(0.5), 0.5), (np.longdouble(2), 2.0)]


@pytest.mark.parametrize("journalled", [True, False])
@pytest.mark.parametrize(("amount", "number"), OTHER_NUMBERS, ids=lambda each: f"{each!r:.30}")
def test_numbers_of_other_libraries_are_recorded_as_pythons_own(journalled, amount, number):
    with Recorded(THINGS, LOAD, LEVEL, WAIT, DEPTH, EXPIRING, journalled=journalled) as recorded:
        for verb in (*VERBS.values(), EXPIRING.add):
            verb(amount)
        DEPTH.observe(lambda: amount, colour="red")
        DEPTH.observe(lambda: [(amount, {"colour": "green"})])
        for instrument in (THINGS, LOAD, LEVEL, EXPIRING):
            assert recorded.value(instrument) == number
            assert type(recorded.value(instrument)) is type(number)
        assert recorded.value(WAIT).total == number
        assert recorded.value(DEPTH, colour="red") == recorded.value(DEPTH, colour="green") == number
        assert recorded.problems() == {}


@pytest.mark.parametrize(("amount", "number"), OTHER_NUMBERS, ids=lambda each: f"{each!r:.30}")
def test_numbers_of_other_libraries_are_values_of_attributes(recorded, amount, number):
    THINGS.add(1, shape=amount)
    THINGS.add(1, shape=number)
    assert recorded.value(THINGS, shape=number) == 2
    assert recorded.problems() == {}


# The length of values


@pytest.mark.parametrize("journalled", [True, False])
def test_a_long_value_is_cut_and_counted_each_time_and_warned_of_once(journalled, caplog):
    with Recorded(THINGS, WAIT, DEPTH, journalled=journalled) as recorded:
        for _ in range(3):
            THINGS.add(1, shape="x" * 1_000_000)
        assert recorded.value(THINGS, shape="x" * 255) == 3
        assert recorded.problems() == {("test.things", "value_too_long", "test.shape"): 3}
    (warning,) = warnings(caplog)
    assert len(warning) < 300
    assert "test.shape has 1000000 characters; the first 255 are recorded" in warning
    assert "OTEL_HA_ATTRIBUTE_VALUE_LENGTH_LIMIT" in warning


@pytest.mark.parametrize("value", ["x" * 255, "é" * 255, "💡" * 255])
def test_a_value_of_just_the_limit_is_recorded_as_it_is(recorded, value):
    THINGS.add(1, shape=value)
    assert recorded.value(THINGS, shape=value) == 1
    assert recorded.problems() == {}


def test_long_values_that_begin_alike_are_one_value_of_a_budget(recorded):
    for i in range(5):
        THINGS.add(1, few="x" * 255 + str(i))
    assert recorded.value(THINGS, few="x" * 255) == 5
    assert {reason for _, reason, _ in recorded.problems()} == {"value_too_long"}


def test_a_long_value_of_a_handle_and_of_a_source_is_cut(recorded):
    handle = THINGS.bind(shape="x" * 300)
    for _ in range(3):
        handle.add(1)
    DEPTH.observe(lambda: 1, few="y" * 300)
    assert recorded.value(THINGS, shape="x" * 255) == 3
    assert recorded.value(DEPTH, few="y" * 255) == 1
    assert recorded.problems()["test.depth", "value_too_long", "test.few"] >= 1


def test_the_length_limit_does_not_cut_values_of_a_closed_set():
    with Recorded(LONG, attribute_value_length_limit=16) as recorded:
        LONG.add(1, kind="a value that was declared", shape="a shape that is too long")
        assert recorded.value(LONG, kind="a value that was declared", shape="a shape that is ") == 1


def test_a_long_name_of_an_undeclared_attribute_does_not_fill_the_log(recorded, caplog):
    THINGS.add(1, **{"x" * 1_000_000: 1})
    assert warnings(caplog)
    assert max(map(len, warnings(caplog))) < 500


def test_a_wrong_amount_is_warned_of_once_with_its_value(recorded, caplog):
    for amount in (math.nan, -1, "2"):
        THINGS.add(amount)
    (warning,) = warnings(caplog)
    assert warning.startswith("test.things: cannot record nan on a Counter")


class Unprintable:
    def __repr__(self):
        raise ValueError("no repr")


def test_a_value_that_cannot_be_shown_is_counted_like_any_other(recorded):
    THINGS.add(Unprintable(), shape="round")
    THINGS.add(1, shape=Unprintable())
    assert set(recorded.problems()) == {
        ("test.things", "invalid_amount", None),
        ("test.things", "invalid_value", "test.shape"),
    }


@given(
    st.one_of(st.integers(), st.floats(), st.text(), st.none(), st.lists(st.integers())),
    st.dictionaries(
        st.one_of(st.sampled_from(["colour", "shape", "few"]), st.text()),
        st.one_of(st.text(), st.none(), st.integers(), st.floats(), st.booleans(), st.binary(), st.lists(st.text())),
    ),
)
def test_recording_never_raises(amount, attributes):
    with Recorded(THINGS, LOAD) as recorded:
        THINGS.add(amount, **attributes)
        LOAD.add(amount, **attributes)
        recorded.collect()


# Problems


def test_problems_of_the_problem_counter_do_not_recurses():
    with Recorded(THINGS) as recorded:
        for i in range(runtime.RECORDING_PROBLEMS.series + 5):
            THINGS.add(1, **{f"undeclared_{i}": 1})
        assert sum(recorded.series(runtime.RECORDING_PROBLEMS).values()) >= runtime.RECORDING_PROBLEMS.series + 5


def test_the_kinds_that_are_warned_of_are_bounded(recorded, caplog):
    for i in range(Problems.MOST_WARNINGS + 5):
        THINGS.add(1, **{f"undeclared_{i}": 1})
    assert len(warnings(caplog)) <= Problems.MOST_WARNINGS


def test_only_one_of_several_threads_warns(recorded, caplog):
    in_threads(8, lambda _: [THINGS.add(1, size=3) for _ in range(100)])
    assert len(warnings(caplog)) == 1


def test_problems_are_warned_of_again_when_telemetry_is_set_up_again(caplog):
    for _ in range(2):
        with Recorded(THINGS):
            THINGS.add(1, size=3)
    assert len(warnings(caplog)) == 2


# Batches


def changes(*amounts):
    return [(instrument, amount, {}) for instrument, amount in zip((PLAIN, LOAD), amounts, strict=True)]


def together(recorded):
    """Return the values of PLAIN and of LOAD, to which every batch adds the same."""
    points = recorded.collect()
    return tuple(points.get(i.name, {}).get(frozenset(), 0) for i in (PLAIN, LOAD))


def test_a_batch_is_recorded_at_once(recorded):
    recorded.gate.apply(changes(1, 1))
    assert together(recorded) == (1, 1)


def test_a_batch_waits_while_a_collection_reads(recorded):
    seen = []

    def source():
        if not seen:
            seen.append(None)
            recorded.gate.apply(changes(1, 1))

    DEPTH.observe(source)
    assert [together(recorded) for _ in range(2)] == [(0, 0), (1, 1)]


def test_batches_during_a_collection_are_seen_whole_or_not_at_all(recorded):
    with meanwhile(lambda: recorded.gate.apply(changes(1, 1))):
        seen = [together(recorded) for _ in range(50)]
    assert [pair for pair in seen if pair[0] != pair[1]] == []
    assert seen[-1][0] > 0


def test_a_batch_waits_for_the_last_of_two_overlapping_collections(recorded):
    gate, first_is_in, first_may_end = recorded.gate, threading.Event(), threading.Event()

    def first():
        gate.begin("a reader")
        first_is_in.set()
        first_may_end.wait(10)
        gate.end()

    thread = threading.Thread(target=first)
    thread.start()
    first_is_in.wait(10)
    gate.begin("a reader")
    gate.apply(changes(1, 1))
    first_may_end.set()
    thread.join()
    during = recorded.readers[0]._metrics_data, gate.waiting
    gate.end()
    assert during == (None, 1)
    assert together(recorded) == (1, 1)


def test_overlapping_collections_of_two_readers_see_batches_whole(recorded):
    torn = []

    def read(reader):
        for _ in range(40):
            points = recorded.collect(reader)
            pair = [points.get(i.name, {}).get(frozenset(), 0) for i in (PLAIN, LOAD)]
            if pair[0] != pair[1]:
                torn.append(pair)

    with meanwhile(lambda: recorded.gate.apply(changes(1, 1))):
        in_threads(2, read)
    assert torn == []


def test_ending_a_collection_twice_ends_it_once(recorded):
    gate = recorded.gate
    gate.begin("a reader")
    gate.end()
    gate.end()
    gate.begin("a reader")
    gate.apply(changes(1, 1))
    assert gate.waiting == 1
    gate.end()
    assert gate.waiting == 0


def test_an_end_without_a_beginning_in_this_thread_has_no_effect(recorded):
    recorded.gate.begin("a reader")
    thread = threading.Thread(target=recorded.gate.end)
    thread.start()
    thread.join()
    recorded.gate.apply(changes(1, 1))
    assert recorded.gate.waiting == 1
    recorded.gate.end()


def test_a_deferred_batch_is_seen_by_the_next_collection(recorded):
    recorded.gate.defer(changes(1, 1))
    assert together(recorded) == (1, 1)


def test_deferring_takes_no_lock(recorded):
    holding, done = threading.Event(), threading.Event()

    def hold():
        with recorded.gate.held():
            holding.set()
            done.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    holding.wait(10)
    recorded.gate.defer(changes(1, 1))
    done.set()
    thread.join()
    assert together(recorded) == (1, 1)


def test_batches_deferred_by_finalizers_do_not_pile_up_without_collections(recorded):
    for _ in range(100):
        recorded.gate.apply([])
        recorded.gate.defer(changes(1, 1))
    assert recorded.gate.waiting <= 1


def test_a_finalizer_may_defer_while_its_thread_records_a_batch(recorded):
    class Cyclic:
        def __init__(self):
            self.me = self

        def __del__(self):
            recorded.gate.defer(changes(1, 1))

    gc.disable()
    try:
        for _ in range(10):
            Cyclic()
        with recorded.gate.held():
            gc.collect()
    finally:
        gc.enable()
    assert together(recorded) == (10, 10)


def test_a_finalizer_may_record_a_batch_while_its_thread_records_one(recorded):
    with recorded.gate.held():
        recorded.gate.apply(changes(1, 1))
    assert together(recorded) == (1, 1)


def test_a_collection_that_hangs_costs_neither_memory_nor_counts(recorded, monkeypatch):
    monkeypatch.setattr(CollectionGate, "MOST_DEFERRED", 10)
    with ThreadPoolExecutor(1) as other:
        other.submit(recorded.gate.begin, "a reader").result(10)
        for _ in range(25):
            recorded.gate.apply(changes(1, 1))
            recorded.gate.defer(changes(1, 1))
        assert recorded.gate.waiting <= 11
        other.submit(recorded.gate.end).result(10)
    assert together(recorded) == (50, 50)


def test_a_batch_that_waits_when_telemetry_ends_is_in_the_last_collection():
    with Recorded(PLAIN, LOAD) as recorded:
        recorded.gate.defer(changes(1, 1))
        recorded.pipeline.disconnect()
        assert together(recorded) == (1, 1)


def test_a_batch_on_inert_instruments_has_no_effect(recorded):
    recorded.pipeline.disconnect()
    recorded.gate.apply(changes(1, 1))
    assert together(recorded) == (0, 0)


def test_a_wrong_measurement_leaves_the_others_of_its_batch(recorded):
    recorded.gate.apply(changes(-1, 1))
    assert together(recorded) == (0, 1)


def test_eight_threads_and_two_readers_lose_nothing(recorded):
    stop = threading.Event()

    def read(reader):
        while not stop.is_set():
            recorded.collect(reader)

    readers = [threading.Thread(target=read, args=(i,)) for i in range(2)]
    for thread in readers:
        thread.start()

    def record(_):
        for _ in range(500):
            recorded.gate.apply(changes(1, 1))
            WAIT.record(0.1)
            THINGS.add(1, colour="red")

    in_threads(8, record)
    stop.set()
    for thread in readers:
        thread.join()
    for reader in range(2):
        points = recorded.collect(reader)
        assert [points[i.name][frozenset()] for i in (PLAIN, LOAD)] == [4000, 4000]
        assert points["test.wait"][frozenset()].count == 4000
        assert points["test.things"][frozenset({("test.colour", "red")})] == 4000


# Sums that expire


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def observed(sums):
    return {observation.attributes["shape"]: observation.value for observation in sums.observe(CallbackOptions())}


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def sums(clock):
    return ExpiringSums(10, clock)


def test_an_expiring_sum_adds_up(sums):
    sums.add(1, {"shape": "round"}, None)
    sums.add(2.5, {"shape": "round"}, None)
    assert observed(sums) == {"round": 3.5}


def test_a_sum_in_use_stays(sums, clock):
    sums.add(1, {"shape": "round"}, None)
    clock.now = 10
    assert observed(sums) == {"round": 1}


def test_an_unused_sum_expires(sums, clock):
    sums.add(1, {"shape": "round"}, None)
    clock.now = 10.1
    assert observed(sums) == {}


def test_using_a_sum_keeps_it(sums, clock):
    sums.add(1, {"shape": "round"}, None)
    clock.now = 8
    sums.add(1, {"shape": "round"}, None)
    clock.now = 18
    assert observed(sums) == {"round": 2}


def test_reading_a_sum_does_not_count_as_use(sums, clock):
    sums.add(1, {"shape": "round"}, None)
    clock.now = 8
    observed(sums)
    clock.now = 10.1
    assert observed(sums) == {}


def test_one_sum_expires_without_the_others(sums, clock):
    sums.add(1, {"shape": "round"}, None)
    clock.now = 8
    sums.add(1, {"shape": "square"}, None)
    clock.now = 12
    assert observed(sums) == {"square": 1}


def test_an_expired_sum_starts_again(sums, clock):
    sums.add(5, {"shape": "round"}, None)
    clock.now = 11
    observed(sums)
    sums.add(1, {"shape": "round"}, None)
    assert observed(sums) == {"round": 1}


def test_an_expired_sum_frees_its_place(sums, clock):
    released = []
    sums.release = lambda *gone_and_unused: released.append(gone_and_unused)
    sums.add(1, {"shape": "round"}, None)
    clock.now = 11
    observed(sums)
    assert released == [([("shape", "round")], [("shape", "round")])]


def test_an_expired_sum_in_use_again_starts_again_and_keeps_its_place(sums):
    released = []
    sums.release = lambda *gone_and_unused: released.append(gone_and_unused)
    sums.add(5, {"shape": "round"}, None)
    sums.forget({"shape": "round"})
    sums.add(1, {"shape": "round"}, None)
    assert observed(sums) == {"round": 1}
    assert released == [([("shape", "round")], [])]


def test_sums_of_equal_values_of_different_types_are_kept_apart(sums):
    for value in (1, True, 1.0):
        sums.add(1, {"shape": value}, None)
    sums.forget({"shape": 1})
    assert [type(each.attributes["shape"]) for each in sums.observe(CallbackOptions())] == [bool, float]


def test_cleared_sums_start_again(sums):
    sums.add(5, {"shape": "round"}, None)
    sums.clear()
    sums.add(1, {"shape": "round"}, None)
    assert observed(sums) == {"round": 1}


def test_an_expiring_counter_is_recorded_like_any_other(recorded):
    EXPIRING.add(1, shape="round")
    EXPIRING.add(2, shape="round")
    assert recorded.value(EXPIRING, shape="round") == 3


# Observers


def test_a_source_may_have_several_points_with_their_own_attributes(recorded):
    DEPTH.observe(lambda: [(1, {"colour": "red"}), (2.5, {"colour": "green"})], few="a")
    assert recorded.value(DEPTH, colour="red", few="a") == 1
    assert recorded.value(DEPTH, colour="green", few="a") == 2.5


def test_a_source_may_be_a_generator_function(recorded):
    def source():
        yield 1, {"colour": "red"}

    DEPTH.observe(source)
    assert [recorded.value(DEPTH, colour="red") for _ in range(2)] == [1, 1]


def test_a_source_may_have_nothing_to_report(recorded):
    DEPTH.observe(lambda: None)
    assert recorded.series(DEPTH) == {}


def test_several_sources_are_read(recorded):
    DEPTH.observe(lambda: 1, colour="red")
    DEPTH.observe(lambda: 2, colour="green")
    assert recorded.value(DEPTH, colour="red") + recorded.value(DEPTH, colour="green") == 3


def test_sums_of_one_attribute_set_are_added_up(recorded):
    ROOM.observe(lambda: 1)
    ROOM.observe(lambda: 2)
    assert recorded.value(ROOM) == 3


def test_a_source_that_is_stopped_is_not_read(recorded):
    DEPTH.observe(lambda: 1).stop()
    assert recorded.series(DEPTH) == {}


def test_a_source_may_be_stopped_twice(recorded):
    observing = DEPTH.observe(lambda: 1)
    observing.stop()
    observing.stop()
    assert recorded.series(DEPTH) == {}


def test_a_source_is_read_until_its_block_ends(recorded):
    with DEPTH.observe(lambda: 1):
        assert recorded.value(DEPTH) == 1
    assert recorded.series(DEPTH) == {}


def test_a_source_may_stop_itself_and_others(recorded):
    observing = []

    def source():
        for each in observing:
            each.stop()
        return 1

    observing += [DEPTH.observe(source, colour="red"), DEPTH.observe(lambda: 1, colour="green")]
    assert len(recorded.series(DEPTH)) == 1


def failing():
    raise OSError("gone")


def test_a_source_that_fails_is_left_out_and_counted(recorded):
    DEPTH.observe(failing)
    assert recorded.series(DEPTH) == {}
    assert recorded.problems()["test.depth", "source_failed", None] >= 1


def test_a_source_that_fails_does_not_affect_the_others(recorded):
    DEPTH.observe(failing)
    DEPTH.observe(lambda: 1)
    assert recorded.value(DEPTH) == 1


def test_a_source_that_fails_is_warned_of_once(recorded, caplog):
    DEPTH.observe(failing)
    for _ in range(3):
        recorded.collect()
    assert [w for w in warnings(caplog) if "OSError('gone')" in w] == warnings(caplog)
    assert len(warnings(caplog)) == 1


def test_a_source_that_recovers_is_read_again(recorded):
    values = iter((None, 3))
    DEPTH.observe(lambda: next(values) or failing())
    assert [recorded.series(DEPTH), recorded.value(DEPTH)] == [{}, 3]


@pytest.mark.parametrize("value", [math.nan, math.inf, "1", [(math.nan, {})], [("1", {})], [(2**63, {})]])
def test_a_wrong_value_of_a_source_is_left_out_and_warned_of_once(recorded, caplog, value):
    DEPTH.observe(lambda: value)
    for _ in range(3):
        assert recorded.series(DEPTH) == {}
    assert len(caplog.records) == 1


def test_a_wrong_point_does_not_affect_the_others_of_its_source(recorded):
    DEPTH.observe(lambda: [(math.nan, {"colour": "red"}), (1, {"colour": "green"})])
    assert recorded.series(DEPTH) == {frozenset({("test.colour", "green")}): 1}


def test_an_observed_counter_is_not_negative(recorded):
    GROWN.observe(lambda: -1)
    assert recorded.series(GROWN) == {}


def test_other_observed_values_may_be_negative(recorded):
    ROOM.observe(lambda: -1)
    assert recorded.value(ROOM) == -1


def test_observed_attributes_keep_to_their_limits(recorded):
    DEPTH.observe(lambda: [(i, {"few": str(i)}) for i in range(3)], colour="blue", size=1)
    assert recorded.value(DEPTH, colour="_OTHER", few="1") == 1
    assert recorded.value(DEPTH, colour="_OTHER", few="_OTHER") == 2


def test_a_source_may_record(recorded):
    def source():
        PLAIN.add(1)
        return 1

    DEPTH.observe(source)
    recorded.collect()
    assert recorded.value(PLAIN) >= 1


def test_a_base_exception_of_a_source_reaches_the_collector(recorded):
    def stop():
        raise KeyboardInterrupt

    with DEPTH.observe(stop), pytest.raises(KeyboardInterrupt):
        recorded.collect()


def test_observers_can_take_over_the_sources_of_others():
    alone = Catalog(DEPTH)
    with Recorded(catalog=alone) as parent:
        DEPTH.observe(lambda: 4)
        with Recorded(catalog=alone) as child:
            child.pipeline.adopt(parent.pipeline)
            assert child.value(DEPTH) == 4
