"""Spans of measured work when traces start or end meanwhile, the process forks, or a finalizer ends the work."""

import contextlib
import os
import signal
import threading

import pytest
from opentelemetry.sdk.trace import SpanProcessor

from otel_ha import measured
from otel_ha.declare.spans import SPANS
from otel_ha.vocabulary import ingest
from tests.recorded import Recorded
from tests.traced import Traced, current
from tests.unit.measure.conftest import OK, WORK, counts


def test_work_that_started_before_traces_has_no_span_and_is_counted(recorded):
    block = measured(WORK)
    with contextlib.ExitStack() as stack:
        stack.enter_context(block)
        traced = stack.enter_context(Traced())
        stack.pop_all().close()
    assert not traced.spans
    assert counts(recorded) == {OK: 1}


def test_work_that_ends_after_traces_is_counted_and_nothing_is_current(recorded):
    with contextlib.ExitStack() as outlives, Traced() as traced:
        outlives.enter_context(measured(WORK))
        assert current()
        SPANS.open_by(None)
        outlives.close()
        assert traced.one.name == "test.work"
    assert current() is None
    assert counts(recorded) == {OK: 1}


def test_a_function_has_spans_exactly_while_traces_are_on(recorded):
    work = measured(ingest.EVENT, source="mqtt")(current)
    handle = ingest.EVENT.bind(source="mqtt")
    for times in (3, 5):
        for _ in range(3):
            assert work() is None
            handle.record(0.1)
        with Traced() as traced:
            for _ in range(times):
                assert work() is not None
                handle.record(0.1)
            assert len(traced.spans) == 2 * times
    assert recorded.value(ingest.RECEIVED, source="mqtt") == 2 * (3 + 3 + 3 + 5)


def test_after_traces_work_is_recorded_by_appending_again():
    with Recorded(WORK, journalled=True) as recorded:
        work = measured(WORK)(lambda: None)
        with Traced():
            for _ in range(3):
                work()
            assert recorded.pipeline.journal.batch_count == 0
        for _ in range(3):
            work()
        assert recorded.pipeline.journal.batch_count == 2
        assert counts(recorded) == {OK: 6}


def test_a_span_that_a_fork_copies_is_ended_by_the_parent_only(recorded, traced):
    with measured(WORK):
        inside = current()
        pid = os.fork()
        if pid:
            _, status = os.waitpid(pid, 0)
        else:
            signal.alarm(20)
    if not pid:
        os._exit(0 if not traced.spans and current() is None else 1)
    assert os.waitstatus_to_exitcode(status) == 0
    assert traced.one.get_span_context().span_id == inside


def test_work_of_a_forked_child_has_a_span_there(recorded, traced):
    pid = os.fork()
    if not pid:
        signal.alarm(20)
        measured(WORK)(lambda: None)()
        os._exit(len(traced.spans))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1
    assert not traced.spans


class Locked(SpanProcessor):
    """Holds a lock while a span ends, as those of the SDK do, and is interrupted in that."""

    def __init__(self, interrupt):
        self.lock = threading.Lock()
        self.interrupt = interrupt
        self.refused = 0

    def on_end(self, _):
        if not self.lock.acquire(blocking=False):
            self.refused += 1
            return
        with contextlib.closing(self):
            self.interrupt()

    def close(self):
        self.lock.release()


@pytest.mark.parametrize("later", ["the next work", "a flush", "the end of traces"])
def test_a_generator_that_is_collected_while_the_sdk_has_a_lock_ends_its_span_later(recorded, later):
    @measured(WORK, shape="generator")
    def generator():
        yield

    half_read = []
    processor = Locked(half_read.clear)
    with Traced() as traced:
        traced.provider.add_span_processor(processor)
        half_read.append(generator())
        next(half_read[0])
        measured(WORK, shape="other")(lambda: None)()
        assert [span.attributes["test.shape"] for span in traced.spans] == ["other"]
        if later == "the next work":
            measured(WORK, shape="next")(lambda: None)()
        elif later == "a flush":
            SPANS.end_late()
        else:
            SPANS.open_by(None)
        shapes = [span.attributes["test.shape"] for span in traced.spans]
    assert shapes == ["other", "generator"] + (["next"] if later == "the next work" else [])
    assert processor.refused == 0


def test_spans_of_many_threads_are_ended_once_each(recorded, traced):
    work = measured(WORK)(lambda: None)
    threads = [threading.Thread(target=lambda: [work() for _ in range(50)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({span.get_span_context().span_id for span in traced.spans}) == 400
    assert counts(recorded) == {OK: 400}
