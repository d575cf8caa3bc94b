"""The end in an event loop: in a thread, and before uvicorn raises the signal that ended it."""

import asyncio
import inspect
import signal
import threading

import pytest
import uvicorn

from otel_ha import setup_telemetry
from otel_ha.async_end import flush_when_uvicorn_ends, in_thread
from tests.servers.running import HOST
from tests.unit.conftest import config


@pytest.fixture
def unchanged(monkeypatch):
    """The shutdown of uvicorn's servers without telemetry, which an earlier test in this process may have set up."""
    original = inspect.unwrap(uvicorn.Server.shutdown)
    monkeypatch.setattr(uvicorn.Server, "shutdown", original)
    return original


@pytest.fixture
def flushed(unchanged):
    """The threads in which the servers of uvicorn flushed."""
    threads = []
    for _ in range(2):  # it is done once however often telemetry is set up
        flush_when_uvicorn_ends(lambda: threads.append(threading.current_thread()))
    return threads


async def answer(scope, receive, send):
    """An application that is never asked."""


def served_until(end) -> None:
    server = uvicorn.Server(uvicorn.Config(answer, host=HOST, port=0, lifespan="off", log_level="error"))

    async def serve() -> None:
        serving = asyncio.create_task(server.serve())
        while not server.started:  # noqa: ASYNC110 - it has no event for that
            await asyncio.sleep(0.01)
        end(server)
        await serving

    previous = signal.signal(signal.SIGTERM, lambda *_: None)  # uvicorn restores it, and raises the signal
    try:
        asyncio.run(serve())
    finally:
        signal.signal(signal.SIGTERM, previous)


def test_a_server_that_a_signal_ends_flushes_once_in_a_thread(flushed):
    served_until(lambda _: signal.raise_signal(signal.SIGTERM))
    [thread] = flushed
    assert thread is not threading.main_thread()


def test_a_server_that_ends_by_itself_flushes_as_well_because_a_signal_may_follow(flushed):
    def end(server) -> None:
        server.should_exit = True

    served_until(end)
    assert len(flushed) == 1


@pytest.mark.parametrize("is_first", [True, False], ids=["before a server", "by the application of a server"])
def test_uvicorn_is_changed_only_where_telemetry_is_set_up_by_the_application(unchanged, is_first):
    server = uvicorn.Server(uvicorn.Config(answer))
    previous = signal.signal(signal.SIGTERM, signal.SIG_DFL if is_first else server.handle_exit)
    try:
        with setup_telemetry(config=config(handle_sigterm=True)):
            assert (uvicorn.Server.shutdown is unchanged) == is_first
    finally:
        signal.signal(signal.SIGTERM, previous)


async def test_the_loop_goes_on_while_the_end_runs_in_its_thread():
    goes_on = threading.Event()
    asyncio.get_running_loop().call_soon(goes_on.set)
    await in_thread(lambda: goes_on.wait(60))
    assert goes_on.is_set()


async def test_the_end_takes_place_in_this_thread_if_none_can_be_started(monkeypatch):
    threads = []

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    await in_thread(lambda: threads.append(threading.current_thread()))
    assert threads == [threading.main_thread()]


async def test_an_error_at_the_end_is_raised():
    with pytest.raises(ZeroDivisionError):
        await in_thread(lambda: 1 / 0)


async def test_the_thread_has_ended_when_the_end_has_come():
    before = set(threading.enumerate())
    for _ in range(100):
        await in_thread(lambda: None)
        assert not set(threading.enumerate()) - before
