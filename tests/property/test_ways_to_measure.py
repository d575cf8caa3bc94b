"""Every way to measure work is exported as by the public API, and as a plain model counts it, however it ends."""

import asyncio
import contextlib
import contextvars
import functools
import itertools
import operator
from contextlib import nullcontext
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint

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
from otel_ha.declare import fastpath
from otel_ha.declare import operation as operations
from otel_ha.declare.plain import is_same
from otel_ha.export.pipeline import Pipeline
from otel_ha.record.journal.journal import Journal
from otel_ha.vocabulary import runtime
from tests.modelled import GIVEN, OTHER, Model, Piece
from tests.property.test_journal import TEMPORALITIES
from tests.recorded import MemoryReader
from tests.traced import Traced, in_a_span

SOURCE = Attribute("test.source", "Known at the start.", keyword="source", budget=4)
DOMAIN = Attribute("test.domain", "Known later, perhaps.", keyword="domain", budget=4)
ENTITY = Attribute("test.entity", "Known later, without a budget.", keyword="entity")
STATE = Attribute("test.state", "Where it is.", values=("queued", "active"))
OUTCOME = Attribute("test.outcome", "How it ended.", values=("ok", "error", "cancelled"))
REASON = Attribute("test.reason", "Why it was given up.", budget=3)
ERROR = Attribute("error.type", "What was raised.", keyword="error_type", budget=5)
MANY = 10_000

RECEIVED = Counter("test.received", unit="{thing}", description="Came.", attributes=(SOURCE,), series=MANY)
IN_FLIGHT = UpDownCounter(
    "test.in_flight", unit="{thing}", description="There.", attributes=(SOURCE, STATE), series=MANY
)
GIVEN_UP = Counter("test.discarded", unit="{thing}", description="Left.", attributes=(SOURCE, REASON), series=MANY)
DURATION = Histogram(
    "test.duration",
    unit="s",
    description="Time.",
    attributes=(SOURCE, DOMAIN, OUTCOME, ERROR),
    series=MANY,
    buckets=(1e3, 3e3),
    group="performance",
)
OCCURRENCES = Counter(
    "test.occurrences", unit="{thing}", description="By entity.", attributes=(ENTITY, DOMAIN), series=MANY,
    group="entity", expires=True,
)  # fmt: skip
ALONE = Histogram(
    "test.alone",
    unit="s",
    description="Time.",
    attributes=(SOURCE, DOMAIN, OUTCOME, ERROR),
    series=MANY,
    buckets=(1e3, 3e3),
)
PARTS = {"duration": DURATION, "in_flight": IN_FLIGHT, "received": RECEIVED, "discarded": GIVEN_UP}
OPERATIONS = {
    "at once": Operation(**PARTS, occurrences=OCCURRENCES),
    "from a queue": Operation(**PARTS, occurrences=OCCURRENCES, queued=True),
    "a duration": ALONE,
}
MODELLED = {**OPERATIONS, "a duration": Operation(duration=ALONE)}
CATALOG = Catalog(RECEIVED, IN_FLIGHT, GIVEN_UP, DURATION, OCCURRENCES, ALONE, runtime.RECORDING_PROBLEMS)
ENDED = {DURATION.name, ALONE.name, GIVEN_UP.name}
LOWER_BOUNDS = {(fastpath, "MOST_RESOLVED"): 2, (operations, "MOST_RESOLVED"): 2, (Journal, "MOST_BATCHES"): 5}


_NUMBERS = itertools.count()


def _of_a_type_made_for_it(message):
    """An exception whose type no other one has; some share its name."""
    return type(f"Made{next(_NUMBERS) % 3}", (Exception,), {"__module__": "test"})(message)


class _Unnamable(type):
    __hash__ = __eq__ = None

    def __getattribute__(cls, name):
        if name == "__qualname__":
            raise ZeroDivisionError
        return super().__getattribute__(name)


class UnnamableError(Exception, metaclass=_Unnamable):
    """Its type can neither be named, nor hashed, nor compared."""


class Fatal(BaseException):
    """An end that is not an error."""


ERRORS = {
    "ValueError": (ValueError, "ValueError"),
    "KeyError": (KeyError, "KeyError"),
    "OSError": (FileNotFoundError, "FileNotFoundError"),
    "decoding": (lambda message: UnicodeDecodeError(message, b"", 0, 1, ""), "UnicodeDecodeError"),
    "made": (_of_a_type_made_for_it, ...),
    "unnamable": (UnnamableError, OTHER),
    **{
        kind.__name__: (kind, None)
        for kind in (KeyboardInterrupt, SystemExit, GeneratorExit, asyncio.CancelledError, Fatal)
    },
}
"""Exceptions: how to make one with a message, and as which type of error it counts; None as none, ... as its own."""


def by_message(error):
    """Expect an exception for what it says, not for what it is."""
    return "expected" in error.args


def fails(*_):
    raise ZeroDivisionError


SWAPPED = {"a": "b", "b": "a", "one": "true", "true": "one", "expected": "unexpected", "unexpected": "expected"}
EXPECTED = {"nothing": (), "types": (LookupError, Fatal), "some messages": by_message, "it fails": fails}
OUTCOMES = {"ok": None, "error": "error", "cancelled": "cancelled", "odd": "odd", "fails": fails}


def outcome_of(result):
    """Judge the result of a call by its name."""
    if result == "fails":
        fails()
    return OUTCOMES[result] if result in OUTCOMES else Discarded(result)


# ---- The ways to measure: each is a generator that yields once the work has begun, and takes the end of the work


def block(measure):
    """A `with` block."""
    with measure() as event:
        yield event


class _Pause:
    def __await__(self):
        return (yield)


async def coroutine(_):
    return await _Pause()


def generator(_):
    return (yield)


async def async_generator(_):
    yield


def driven(asynchronous):
    """Drive an asynchronous generator from outside of an event loop."""
    run(anext(asynchronous))
    try:
        yield
    except BaseException as error:  # noqa: BLE001 - the generator decides how it ends
        run(asynchronous.athrow(error))
    else:
        run(anext(asynchronous, None))


def run(awaitable):
    """Run something awaitable that waits for nothing."""
    with contextlib.suppress(StopIteration):
        awaitable.__await__().send(None)


BLOCKS = ["built each time", "reused", "bound"]
CALLS = {
    "function": lambda _, body: body(),
    "coroutine": coroutine,
    "generator": generator,
    "async generator": async_generator,
}
JUDGING = {"function", "coroutine", "generator"}
"""The ways that look at the result of a call."""


class Driven:
    """Takes the steps of a program, by the journal or by the public API, with the model beside it."""

    def __init__(self, temporalities, *, journalled):
        self.temporalities = temporalities
        self.journalled = journalled
        self.values = {name: make() for name, (make, _) in GIVEN.items()}
        self.kept = {}
        self.open = []
        self.exemplars = []
        self.swaps = False
        """Whether two late values change places: the same keywords then have other values than before."""
        self.pipeline = self.model = self.traced = None
        self.start(frozenset())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.trace(on=False)
        self._end_telemetry()

    # ---- Telemetry

    def start(self, off):
        """End telemetry, and start it again without some groups of metrics; return the last collections."""
        last = self.stop()
        self.readers = [MemoryReader(preferred_temporality=TEMPORALITIES[each]) for each in self.temporalities]
        config = TelemetryConfig(
            metrics_exporters=(), environ={}, **{"entity_metrics": True} | dict.fromkeys(off, False)
        )
        foreign = None if self.journalled else MeterProvider(self.readers, shutdown_on_exit=False)
        self.pipeline = Pipeline(config, CATALOG, foreign=foreign)
        for reader in self.readers:
            reader.gate = self.pipeline.gate
            if self.journalled:
                self.pipeline.provider.add_metric_reader(reader)
        self.pipeline.connect()
        self.model = Model(each for each in CATALOG if each.is_on(config.groups))
        return last

    def stop(self):
        """End telemetry; return the last collections."""
        last = [self.collect(number) for number in range(len(self.temporalities)) if self.pipeline is not None]
        self._end_telemetry()
        return last

    def _end_telemetry(self):
        if self.pipeline is None:
            return
        self.pipeline.disconnect()
        self.pipeline.shutdown(1)
        if not self.journalled:
            self.pipeline.provider.shutdown()
        self.pipeline = self.model = None

    def collect(self, number):
        """Return the points of one reader, which are those of the model if they have added up since the start."""
        if self.pipeline is None:
            return None
        self.model.collected()
        number %= len(self.readers)
        found, exemplars = points_of(self.readers[number].get_metrics_data())
        self.exemplars.append(exemplars)
        if self.temporalities[number] == "cumulative":
            expected = {name: points for name, points in self.model.points.items() if points}
            assert found == expected
        return found

    def trace(self, on):
        """Turn traces on or off."""
        if self.traced is not None:
            self.traced.__exit__(None, None, None)
        self.traced = Traced() if on else None
        if on:
            self.traced.__enter__()

    # ---- Work that was received, or is measured elsewhere

    def receive(self, kind, given, bound):
        given = bindable(OPERATIONS[kind], given) if bound else given
        if self.model is not None:
            self.model.received(OPERATIONS[kind], given)
        if bound:
            self.bound(kind, given).receive()
        else:
            OPERATIONS[kind].receive(**self.made(given))

    def drop(self, kind, given, reason, bound):
        given = bindable(OPERATIONS[kind], given) if bound else given
        if self.model is not None:
            self.model.dropped(OPERATIONS[kind], reason, given)
        if bound:
            self.bound(kind, given).discard(self.of(reason))
        else:
            OPERATIONS[kind].discard(self.of(reason), **self.made(given))

    def record(self, kind, given, result, seconds, bound):
        given = bindable(OPERATIONS[kind], given) if bound else given
        outcome = result if result in OUTCOMES else Discarded(result)
        if self.model is not None:
            self.model.passed(OPERATIONS[kind], Piece({}, given, outcome, seconds))
        if bound:
            self.bound(kind, given).record(seconds, outcome)
        else:
            OPERATIONS[kind].record(seconds, outcome, **self.made(given))

    # ---- Measured work

    def begin(self, way, kind, given, judge, computed, sampled):
        """Begin a piece of work that ends later."""
        computed = computed and way in CALLS
        given = bindable(MODELLED[kind], given) if way == "bound" else given
        with in_a_span() if sampled else nullcontext():
            begun = Begun(self, way, kind, given, judge, computed=computed)
            begun.work = self.work(begun, given, computed=computed)
            begun.event = begun.work.send(None)
        self.open.append(begun)

    def act(self, number, verb, argument):
        """Say something about work in a block."""
        blocks = [each for each in self.open if each.way in BLOCKS]
        if not blocks:
            return
        begun = blocks[number % len(blocks)]
        if not begun.is_current:  # its problems are of no telemetry
            argument = {"set": {}, "returned": "ok"}.get(verb, argument)
        if verb == "set" and self.swaps:
            argument = {keyword: SWAPPED.get(name, name) for keyword, name in argument.items()}
        begun.say(verb, argument)
        if verb == "set":
            begun.event.set(**self.made(argument))
        else:
            getattr(begun.event, verb)(*() if verb == "cancel" else (self.of(argument),))

    def end(self, number, how, argument, sampled):
        """End a piece of work, perhaps not the last one that began."""
        if not self.open:
            return
        begun = self.open.pop(number % len(self.open))
        if not begun.is_current:
            how, argument = "return", "ok"
        with in_a_span() if sampled else nullcontext():
            if how == "raise":
                error = ERRORS[argument[0]][0](SWAPPED[argument[1]] if self.swaps else argument[1])
                begun.raised(error, ERRORS[argument[0]][1])
                with passing([error]):
                    begun.work.throw(error)
            elif how == "drop":
                begun.raised(GeneratorExit(), None)
                begun.work.close()
            else:
                begun.returned(argument)
                with contextlib.suppress(StopIteration):
                    begun.work.send(argument)
            self.catch_up()

    def at_once(self, begin, said, end):
        """Begin a piece of work, and end it."""
        self.do(*begin)
        for each in said:
            self.do(*each)
        self.do(*end)

    def call(self, kind, given, judge, computed, sampled, inside, how, argument):
        """Call a function that takes a step itself, and ends."""
        got, raised = [], []

        def body():
            got.append(self.do(*inside))
            if not begun.is_current:
                return "ok"
            if how == "return":
                begun.returned(argument)
                return argument
            raised.append(ERRORS[argument[0]][0](SWAPPED[argument[1]] if self.swaps else argument[1]))
            begun.raised(raised[0], ERRORS[argument[0]][1])
            raise raised[0]

        with in_a_span() if sampled else nullcontext():
            begun = Begun(self, "function", kind, given, judge, computed=computed)
            with passing(raised):
                self.work(begun, given, computed=computed, body=body)
            self.catch_up()
        return got

    def work(self, begun, given, *, computed, body=None):
        """Return a piece of work, which is not begun unless it is a function."""
        operation, made = OPERATIONS[begun.kind], self.made(given)
        how = {"expected": EXPECTED[begun.judge], "outcome_of": outcome_of}
        if begun.way == "bound":
            return block(functools.partial(self.bound(begun.kind, given).measured, how["expected"]))
        if begun.way == "built each time":
            return block(lambda: measured(operation, **how, **made))
        attributes = (
            {each: functools.partial(taken, each) for each in computable(begun.operation)} if computed else made
        )
        key = begun.way, begun.kind, begun.judge, computed or tuple(given.items())
        measure = self.keep(key, lambda: measured(operation, **how, **attributes))
        if begun.way == "reused":
            return block(lambda: measure)
        function = self.keep((*key, "decorated"), lambda: measure(CALLS[begun.way]))
        work = function(made) if body is None else function(made, body)
        return driven(work) if begun.way == "async generator" else work

    # ---- Parts

    def catch_up(self):
        """Let the public API record what a finalizer deferred, before the context is another one."""
        if self.pipeline is not None:
            self.pipeline.gate.catch_up()

    def do(self, verb, *arguments):
        return getattr(self, verb)(*arguments)

    def of(self, name):
        """Return the value that has a name."""
        return self.values.get(name, name) if isinstance(name, str) else name

    def made(self, given):
        return {keyword: self.of(name) for keyword, name in given.items()}

    def bound(self, kind, given):
        return self.keep(("bind", kind, *given.items()), lambda: MODELLED[kind].bind(**self.made(given)))

    def keep(self, key, make):
        """Return an object that is made once."""
        if key not in self.kept:
            self.kept[key] = make()
        return self.kept[key]


class Begun:
    """A piece of work that has begun, in the program and in the model."""

    def __init__(self, driven, way, kind, given, judge, *, computed):
        self.way, self.kind, self.judge = way, kind, judge
        self.operation = MODELLED[kind]
        self.piece = Piece(given)
        self.model = driven.model
        self._driven = driven
        if self.model is not None:
            if computed:
                on = self.operation.instruments if driven.traced else self.model.on & {*self.operation.instruments}
                recorded = {attribute.keyword for each in on for attribute in each.attributes}
                for _ in (computable(self.operation) & recorded) - given.keys():
                    self.problem("function_failed")
            self.model.started(self.operation, given)

    @property
    def is_current(self):
        """Whether the telemetry that saw it begin still runs."""
        return self.model is not None and self.model is self._driven.model

    def problem(self, reason, attribute=None):
        self.model.problem(self.model.reporting(self.operation), reason, attribute)

    def say(self, verb, argument):
        """Take what the program says of the work."""
        if verb == "set":
            self._set(argument)
        elif verb == "returned":
            self._judge(argument)
        elif verb == "lasted":
            self.piece.seconds = argument
        elif verb == "fail":
            self._fail(argument)
        else:
            self.piece.outcome = Discarded(argument) if verb == "discard" else "cancelled"

    def _fail(self, error_type):
        self.piece.outcome, self.piece.at_end["error_type"] = "error", error_type

    def _set(self, given):
        own = given.keys() & {"outcome", "reason", "error_type"}
        if given:
            self.model.check(self.operation, given.keys() - own)
        for keyword, name in given.items():
            if keyword in own:
                self.problem("late_attribute", keyword)
            elif keyword == "source" and self.operation.in_flight is not None:
                of = self._driven.of
                if not is_same(of(name), of(self.piece.at_start.get(keyword))):
                    self.problem("late_attribute", keyword)
            else:
                self.piece.at_end[keyword] = name

    def _judge(self, result):
        if self.way == "bound":
            result = "ok"
        if result == "fails":
            self.problem("function_failed")
            result = "ok"
        self.piece.outcome = result if result in OUTCOMES else Discarded(result)

    def returned(self, result):
        """End by a result."""
        if self.way in JUDGING:
            self._judge(result)
        self._end()

    def raised(self, error, error_type):
        """End by an exception; `error_type` is None if it is not an error."""
        if self.is_current:
            if self.judge == "it fails":
                self.problem("function_failed")
            expected = EXPECTED[self.judge]
            if expected is fails or not (expected(error) if expected is by_message else isinstance(error, expected)):
                if error_type is None:
                    self.piece.outcome = "cancelled"
                else:
                    self._fail(f"test.{type(error).__name__}" if error_type is ... else error_type)
        self._end()

    def _end(self):
        if self.is_current:
            self.model.ended(self.operation, self.piece)


def bindable(operation, given):
    """Return those attributes that bind() accepts."""
    return {keyword: name for keyword, name in given.items() if keyword in operation.attributes}


def computable(operation):
    """Return the attributes that are computed from the arguments of a call."""
    return {"source", "domain", "entity"} & operation.attributes.keys()


def taken(keyword, given, *_):
    """Compute an attribute; fails if it is not given."""
    return given[keyword]


@contextlib.contextmanager
def passing(errors):
    """Expect that just these exceptions pass, the very objects."""
    got = []
    try:
        yield
    except BaseException as error:  # noqa: BLE001 - it is compared
        got.append(error)
    assert len(got) == len(errors)
    assert all(map(operator.is_, got, errors))


def points_of(data):
    """Return the points of each metric; and those at the end of work that have exemplars."""
    scopes = [scope for resource in data.resource_metrics for scope in resource.scope_metrics] if data else []
    found, exemplars = {}, set()
    for metric in (metric for scope in scopes for metric in scope.metrics):
        points = found.setdefault(metric.name, {})
        for point in metric.data.data_points:
            key = frozenset((name, type(value).__name__, value) for name, value in (point.attributes or {}).items())
            assert key not in points
            points[key] = list(point.bucket_counts) if isinstance(point, HistogramDataPoint) else point.value
            if point.exemplars and metric.name in ENDED:
                exemplars.add((metric.name, key))
    return found, exemplars


# ---- The programs

# Few values are frequent, so that what was resolved for one piece of work is found for another.
NAMES = st.sampled_from([*"ab" * 10, *"cdefg", *GIVEN])
TEXTS = st.sampled_from(["full", "late", "old", "odd one", *GIVEN])
KINDS = st.sampled_from(list(OPERATIONS))
QUEUES = st.sampled_from(["at once", "from a queue"])
RESULTS = st.sampled_from([*OUTCOMES, "full", "late"])
START = st.sampled_from([{}, {}, {"source": "a"}]) | st.fixed_dictionaries(
    {}, optional={"source": NAMES, "domain": NAMES}
)
RECEIPT = START | st.fixed_dictionaries(
    {}, optional={"source": NAMES, "domain": NAMES, "entity": NAMES, "undeclared": NAMES}
)
LATE = st.dictionaries(
    st.sampled_from(["source", "domain", "entity", "error_type", "undeclared", "reason", "outcome"]), NAMES, max_size=3
)
SECONDS = st.sampled_from([0.5, 2e3, 5e3])
NUMBER = st.integers(0, 5)
WAYS = ["built each time", "reused", "coroutine", "generator", "async generator"]
JUDGES = st.sampled_from(["nothing", "nothing", *EXPECTED])
SAMPLED = st.sampled_from([False, False, False, True])
RAISED = st.tuples(st.sampled_from(list(ERRORS)), st.sampled_from(["expected", "unexpected"]))

COLLECT = st.tuples(st.just("collect"), NUMBER)
START_AGAIN = st.tuples(st.just("start"), st.frozensets(st.sampled_from(["entity_metrics", "performance_metrics"])))
STOP = st.just(("stop",))
TRACE = st.tuples(st.just("trace"), st.booleans())
BEGIN = st.one_of(
    st.tuples(st.just("begin"), st.just("bound"), KINDS, RECEIPT, JUDGES, st.booleans(), SAMPLED),
    st.tuples(st.just("begin"), st.sampled_from(WAYS), KINDS, START, JUDGES, st.booleans(), SAMPLED),
)
SAID = st.one_of(
    st.tuples(st.just("set"), st.fixed_dictionaries({"domain": NAMES}) | LATE),
    st.tuples(st.sampled_from(["discard", "fail"]), TEXTS),
    st.tuples(st.just("cancel"), st.none()),
    st.tuples(st.just("returned"), RESULTS),
    st.tuples(st.just("lasted"), SECONDS),
)
ENDED_BY = st.one_of(
    st.tuples(st.just("return"), RESULTS), st.tuples(st.just("raise"), RAISED), st.just(("drop", None))
)
ACT = st.builds(lambda number, said: ("act", number, *said), NUMBER, SAID)
END = st.builds(lambda number, how, sampled: ("end", number, *how, sampled), NUMBER, ENDED_BY, SAMPLED)
AT_ONCE = st.builds(
    lambda begin, said, how: ("at_once", begin, [("act", -1, *each) for each in said], ("end", -1, *how, False)),
    BEGIN, st.lists(SAID, max_size=3), ENDED_BY,
)  # fmt: skip
QUEUE = st.one_of(
    st.tuples(st.just("receive"), QUEUES, RECEIPT, st.booleans()),
    st.tuples(st.just("drop"), QUEUES, RECEIPT, TEXTS, st.booleans()),
    st.tuples(
        st.just("record"), QUEUES, RECEIPT, RESULTS.filter(lambda result: result != "fails"), SECONDS, st.booleans()
    ),
)
CALL = st.builds(
    lambda *given: ("call", *given[:-1], *given[-1]),
    KINDS, START, JUDGES, st.booleans(), SAMPLED, st.one_of(COLLECT, BEGIN, END, START_AGAIN, STOP),
    st.one_of(st.tuples(st.just("return"), RESULTS), st.tuples(st.just("raise"), RAISED)),
)  # fmt: skip
CHANGE = st.one_of(START_AGAIN, STOP, TRACE)  # rare, as nothing is resolved for a while after one
# one_of() would ignore that some are there several times.
STEP = st.sampled_from([BEGIN, BEGIN, ACT, END, END, *[AT_ONCE] * 10, CALL, CALL, QUEUE, COLLECT, CHANGE])
STEPS = st.lists(STEP.flatmap(lambda step: step), min_size=6, max_size=20)


def outcome(steps, temporalities, *, journalled):
    """Return the points, and the exemplars, that readers have collected while a program ran, three times over."""
    driven, got = Driven(temporalities, journalled=journalled), []
    with driven:
        for driven.swaps in (False, True, False):
            got += [driven.do(*step) for step in steps]
            while driven.open:
                driven.end(0, "return", "ok", sampled=False)
            driven.trace(on=False)
            got.append(driven.start(frozenset()) if driven.pipeline is None else driven.collect(0))
        got.append(driven.stop())
    return got, driven.exemplars


@pytest.mark.parametrize("bounds", [{}, LOWER_BOUNDS], ids=["", "beyond the bounds"])
@settings(max_examples=70, report_multiple_bugs=False)
@given(STEPS, st.lists(st.sampled_from(list(TEMPORALITIES)), max_size=2))
def test_measured_work_is_exported_as_by_the_public_api_and_as_the_model_counts_it(bounds, steps, temporalities):
    with contextlib.ExitStack() as lower:
        for (where, name), value in bounds.items():
            lower.enter_context(patch.object(where, name, value))
        (ours, our_exemplars), (theirs, their_exemplars) = (
            contextvars.copy_context().run(outcome, steps, ["cumulative", *temporalities], journalled=journalled)
            for journalled in (True, False)
        )
    assert ours == theirs
    # An end in a sampled span whose start was outside of it is an append.
    assert all(map(operator.le, our_exemplars, their_exemplars))
