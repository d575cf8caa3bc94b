"""Exceptions that were seen before: nothing of them is kept, and they are counted in the telemetry that saw them."""

import asyncio
import gc
import os
import subprocess
import sys
import weakref
from contextlib import contextmanager, suppress

import pytest

from otel_ha import measured
from otel_ha.vocabulary import ingest
from tests.recorded import Recorded, accounts
from tests.traced import in_a_span
from tests.unit.measure.conftest import VALUE_ERROR, WORK, counts, frames
from tests.unit.measure.failing import (
    MANY,
    OWN_ERROR,
    OwnError,
    await_coroutine,
    call,
    decorating,
    end,
    every_kind,
    leave_block,
)


@contextmanager
def without_collector():
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


class Held:
    """A local variable of a frame that raises."""


def fail(kept):
    local = Held()
    kept.append(weakref.ref(local))
    raise ValueError("no")


async def fail_in_coroutine(kept):
    fail(kept)


def fail_in_generator(kept):
    yield fail(kept)


def fail_in_block(kept):
    with measured(WORK):
        fail(kept)


@pytest.mark.parametrize(
    "work",
    [
        measured(WORK)(fail),
        measured(WORK, expected=ValueError)(fail),
        lambda kept: measured(WORK)(fail_in_coroutine)(kept).send(None),
        lambda kept: list(measured(WORK)(fail_in_generator)(kept)),
        fail_in_block,
    ],
)
def test_the_frames_of_an_exception_end_with_it(recorded, work):
    kept = []
    for _ in range(3):
        with without_collector():
            with suppress(ValueError):
                work(kept)
            assert kept[-1]() is None


@pytest.mark.parametrize("kind", [call, await_coroutine, leave_block])
def test_the_traceback_of_an_exception_is_the_same_however_often_it_was_seen(recorded, kind):
    depths = [frames(end(kind, ValueError("no"))) for _ in range(4)]
    assert depths[1:] == depths[:1] * 3


def test_an_exception_has_one_frame_of_ours_however_often_it_was_seen(recorded):
    for _ in range(3):
        assert frames(end(call, ValueError("no"))) == ["end", "call", "wrapper", "raising"]


@every_kind
def test_an_exception_gets_no_context_however_often_it_was_seen(recorded, kind):
    for _ in range(3):
        error = end(kind, ValueError("no"))
        assert (error.__context__, error.__cause__) == (None, None)


@every_kind
def test_errors_are_counted_in_each_telemetry_that_saw_them(kind):
    work = decorating()
    for _ in range(3):
        with Recorded(WORK, journalled=True) as recorded:
            for _ in range(3):
                end(kind, ValueError("no"), work)
            assert counts(recorded) == {VALUE_ERROR: 3}
    assert isinstance(end(kind, ValueError("no"), work), ValueError)


@pytest.mark.parametrize("error", [ValueError, asyncio.CancelledError, GeneratorExit])
def test_a_coroutine_that_is_closed_or_fails_is_counted_each_time(recorded, error):
    @measured(ingest.EVENT, source="mqtt")
    async def work():
        await pause

    class Pause:
        def __await__(self):
            yield

    pause = Pause()
    for _ in range(MANY):
        running = work()
        running.send(None)
        if error is GeneratorExit:
            running.close()
        else:
            with suppress(error):
                running.throw(error)
    account = {"received": MANY, "processed": MANY, "discarded": 0, "in_flight": 0}
    assert accounts(recorded.collect()) == {"mqtt": account}
    outcomes = {dict(attributes)["outcome"] for attributes in counts(recorded, ingest.EVENT_DURATION)}
    assert outcomes == {"error" if error is ValueError else "cancelled"}


FORKED = """
import os, re
from otel_ha import TelemetryConfig, measured, setup_telemetry
from otel_ha.vocabulary import ingest

settings = TelemetryConfig(metrics_exporters=("prometheus",), endpoint_server=False, system_metrics=False, environ={})

def show(process):
    text = telemetry.prometheus_text()
    names = ("event_received_total", "duration_seconds_count", "in_flight")
    print(process, *(number for name in names for number in re.findall(name + "{.* (.*)", text)), flush=True)

@measured(ingest.EVENT, source="mqtt")
def work(fork):
    raise ValueError(fork())

def child_of(fork):
    try:
        work(fork)
    except ValueError as error:
        return error.args[0]

with setup_telemetry("test", config=settings) as telemetry:
    for _ in range(3):
        child_of(int)
    if (child := child_of(os.fork)) == 0:
        for _ in range(2):
            child_of(int)
        show("child")
        os._exit(0)
    os.waitpid(child, 0)
    show("parent")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_work_that_a_forked_child_ends_by_an_exception_is_not_counted_in_it():
    done = subprocess.run([sys.executable, "-c", FORKED], capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout.splitlines() == ["child 2.0 2.0 0.0", "parent 4.0 4.0 0.0"], done.stderr


@every_kind
def test_an_error_in_a_sampled_span_is_counted_each_time(recorded, kind):
    for _ in range(MANY):
        with in_a_span():
            end(kind, ValueError("no"))
        end(kind, ValueError("no"))
    assert counts(recorded) == {VALUE_ERROR: 2 * MANY}


@every_kind
def test_each_error_has_its_type_in_its_span(recorded, traced, kind):
    for _ in range(3):
        end(kind, ValueError("no"))
        end(kind, OwnError("no"))
    types = [span.attributes["error.type"] for span in traced.spans]
    assert types == ["ValueError", f"{OwnError.__module__}.OwnError"] * 3
    assert counts(recorded) == {VALUE_ERROR: 3, OWN_ERROR: 3}
