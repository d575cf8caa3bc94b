"""received = processed + discarded + in flight, per source, at every collection, in any order of events."""

import functools
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from otel_ha import Discarded, measured
from otel_ha.vocabulary import ingest
from tests.recorded import Recorded, accounts, in_threads, unbalanced

SOURCES = st.sampled_from(["mqtt", "websocket", "rest"])
REASONS = st.sampled_from(["filtered", "duplicate", "overflow"])
OUTCOMES = st.sampled_from(["ok", "error", "cancelled"]) | st.builds(Discarded, REASONS)


class Accounting(RuleBasedStateMachine):
    """Drives events of several sources through every possible step, and keeps its own accounts."""

    bound = False

    def __init__(self):
        super().__init__()
        self.recorded = Recorded(catalog=ingest.CATALOG, readers=2, journalled=self.bound)
        self.recorded.__enter__()
        self.queued: list[str] = []
        self.active: list[tuple[str, object]] = []
        self.expected: dict[str, dict[str, int]] = {}
        self.other = ThreadPoolExecutor(1)  # collects as well
        self.collecting = False
        self.of = functools.cache(lambda source: ingest.EVENT.bind(source=source))

    def count(self, source, role, amount=1):
        account = self.expected.setdefault(
            source, dict.fromkeys(("received", "processed", "discarded", "in_flight"), 0)
        )
        account[role] += amount

    @rule(source=SOURCES, resolved=st.booleans())
    def receive(self, source, resolved):
        if resolved:
            self.of(source).receive()
        else:
            ingest.EVENT.receive(source=source)
        self.queued.append(source)
        self.count(source, "received")
        self.count(source, "in_flight")

    @precondition(lambda self: self.queued)
    @rule(reason=REASONS, resolved=st.booleans())
    def discard_what_waits(self, reason, resolved):
        source = self.queued.pop()
        if resolved:
            self.of(source).discard(reason)
        else:
            ingest.EVENT.discard(reason, source=source)
        self.count(source, "discarded")
        self.count(source, "in_flight", -1)

    @precondition(lambda self: self.queued)
    @rule()
    def start_what_waits(self):
        source = self.queued.pop(0)
        measurement = measured(ingest.QUEUED_EVENT, source=source, outcome_of=lambda outcome: outcome).start((), {})
        self.active.append((source, measurement.__enter__()))

    @rule(source=SOURCES)
    def start_at_once(self, source):
        measurement = measured(ingest.EVENT, source=source, outcome_of=lambda outcome: outcome).start((), {})
        self.active.append((source, measurement.__enter__()))
        self.count(source, "received")
        self.count(source, "in_flight")

    @precondition(lambda self: self.active)
    @rule(outcome=OUTCOMES, data=st.data())
    def end(self, outcome, data):
        source, measurement = self.active.pop(data.draw(st.integers(0, len(self.active) - 1)))
        measurement.returned(outcome)
        measurement.__exit__(None, None, None)
        self.ended(source, outcome)

    @precondition(lambda self: self.active)
    @rule(error=st.sampled_from([ValueError(), KeyboardInterrupt(), GeneratorExit()]), source=SOURCES)
    def end_with_an_exception(self, error, source):
        started, measurement = self.active.pop()
        measurement.set(source=source)  # too late, and therefore without effect
        measurement.__exit__(type(error), error, None)
        self.ended(started, "error")

    def ended(self, source, outcome):
        self.count(source, "discarded" if isinstance(outcome, Discarded) else "processed")
        self.count(source, "in_flight", -1)

    @precondition(lambda self: not self.collecting)
    @rule()
    def a_collection_begins(self):
        self.other.submit(self.recorded.gate.begin, self).result(10)
        self.collecting = True

    @precondition(lambda self: self.collecting)
    @rule()
    def a_collection_ends(self):
        self.other.submit(self.recorded.gate.end).result(10)
        self.collecting = False

    @invariant()
    def the_accounts_add_up(self):
        assert unbalanced(self.recorded.collect(1)) == {}

    @precondition(lambda self: not self.collecting)
    @rule()
    def the_accounts_are_right(self):
        assert accounts(self.recorded.collect()) == self.expected

    def teardown(self):
        if self.collecting:
            self.a_collection_ends()
        self.other.shutdown()
        assert accounts(self.recorded.collect()) == self.expected
        self.recorded.__exit__(None, None, None)


class BoundAccounting(Accounting):
    """The same where recording is an append."""

    bound = True


TestAccounting, TestBoundAccounting = Accounting.TestCase, BoundAccounting.TestCase
for case in (TestAccounting, TestBoundAccounting):
    case.settings = settings(max_examples=60, stateful_step_count=40)


def act(action, source):
    """Do one thing to an event, from receipt to end."""
    if action == "at once":
        with measured(ingest.EVENT, source=source):
            pass
    elif action == "discarded":
        with measured(ingest.EVENT, source=source) as measurement:
            measurement.discard("filtered")
    else:
        ingest.EVENT.receive(source=source)
        take_from_queue(action, source)


def take_from_queue(action, source):
    """Let an event leave the queue, if it does not wait."""
    if action == "dropped":
        ingest.EVENT.discard("overflow", source=source)
    elif action == "queued":
        with measured(ingest.QUEUED_EVENT, source=source):
            pass


ACTIONS = st.lists(
    st.tuples(st.sampled_from(["at once", "discarded", "waits", "dropped", "queued"]), SOURCES), min_size=1
)


@pytest.mark.parametrize("bound", [False, True])
@settings(max_examples=30)
@given(work=st.lists(ACTIONS, min_size=1, max_size=4))
def test_the_accounts_add_up_in_concurrent_collections(bound, work):
    with Recorded(catalog=ingest.CATALOG, readers=2, journalled=bound) as recorded:
        stop, torn = threading.Event(), []

        def read(reader):
            while not stop.is_set():
                torn.append(unbalanced(recorded.collect(reader)))

        readers = [threading.Thread(target=read, args=(i,)) for i in range(2)]
        for thread in readers:
            thread.start()
        in_threads(len(work), lambda i: [act(*each) for each in work[i]])
        stop.set()
        for thread in readers:
            thread.join()
        assert [each for each in torn if each] == []
        final = accounts(recorded.collect())
    done = [each for actions in work for each in actions]
    for source, account in final.items():
        assert account["received"] == sum(s == source for _, s in done)
        assert account["in_flight"] == sum(s == source and a == "waits" for a, s in done)


@pytest.mark.parametrize("bound", [False, True])
def test_the_accounts_add_up_under_load(bound):
    with Recorded(catalog=ingest.CATALOG, readers=2, journalled=bound) as recorded:
        stop, torn = threading.Event(), []

        def read(reader):
            while not stop.is_set():
                torn.append(unbalanced(recorded.collect(reader)))

        readers = [threading.Thread(target=read, args=(i,)) for i in range(2)]
        for thread in readers:
            thread.start()
        every = [(a, s) for a in ("at once", "discarded", "waits", "dropped", "queued") for s in ("mqtt", "websocket")]
        in_threads(8, lambda _: [act(*each) for _ in range(20) for each in every])
        stop.set()
        for thread in readers:
            thread.join()
        assert [each for each in torn if each] == []
        assert accounts(recorded.collect()) == {
            source: {"received": 800, "processed": 320, "discarded": 320, "in_flight": 160}
            for source in ("mqtt", "websocket")
        }


@pytest.mark.parametrize("bound", [False, True])
@settings(max_examples=30)
@given(work=st.lists(ACTIONS, min_size=2, max_size=4))
def test_the_accounts_add_up_if_events_were_not_received(bound, work):
    with Recorded(catalog=ingest.CATALOG, readers=2, journalled=bound) as recorded:
        seen = []

        def run(i):
            for action, source in work[i]:
                # Every other thread forgets to receive what it takes from the queue.
                (act if i % 2 else take_from_queue)(action, source)
                seen.append(recorded.collect(i % 2))

        in_threads(len(work), run)
        last = recorded.collect()
        problems = recorded.problems()
    for points in [*seen, last]:
        assert unbalanced(points) == {}
        assert all(account["in_flight"] >= 0 for account in accounts(points).values())
    received = sum(len(actions) for actions in work[1::2])
    counted = sum(account["received"] for account in accounts(last).values())
    assert counted == received + sum(problems.values())
