"""The end of an event that a program receives itself, in ways of receiving and leaving that programs have."""

import asyncio
import contextlib
import gc

import aiohttp
import pytest

from otel_ha.instrumentation.hass_client import HassClientInstrumentor
from otel_ha.instrumentation.over_aiohttp import HomeAssistantOverAiohttpInstrumentor
from tests.home_assistant import TOKEN, home_server, state_changed
from tests.instrumented import eventually, instrumented, running
from tests.unit.instrumentation.programs import SUBSCRIBE, auth

LIGHT = state_changed("light.kitchen")


@pytest.fixture
async def home():
    async with home_server() as home:
        yield home


@pytest.fixture
def seen():
    with instrumented(HomeAssistantOverAiohttpInstrumentor()) as seen:
        yield seen


@pytest.fixture
async def session():
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
def connect(seen, session, home):
    """A function that connects and subscribes, and lets events be sent."""

    async def connect(*events):
        socket = await session.ws_connect(home.url)
        await socket.receive_json()
        await socket.send_json(auth(TOKEN))
        await socket.receive_json()
        await socket.send_json(SUBSCRIBE)
        await socket.receive_json()
        await home.events(*events)
        return socket

    return connect


async def test_a_task_that_fails_without_closing_says_which_error_and_is_still_logged(seen, connect):
    logged = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: logged.append(context["message"]))
    socket = await connect(LIGHT)

    async def read():
        await socket.receive()
        raise KeyError

    task = asyncio.create_task(read())
    await asyncio.wait({task})
    await eventually(lambda: seen.errors() == {"KeyError": 1})
    del task
    gc.collect()
    assert logged == ["Task exception was never retrieved"]
    await socket.close()


async def test_a_task_that_is_cancelled_cancels_its_event(seen, connect):
    socket = await connect(LIGHT)
    received = asyncio.Event()

    async def read():
        await socket.receive()
        received.set()
        await asyncio.sleep(3600)

    async with running(read()):
        await received.wait()
    await eventually(lambda: seen.outcomes() == {"cancelled": 1})
    await socket.close()


async def test_a_task_that_returns_has_handled_its_event(seen, connect):
    socket = await connect(LIGHT)

    async def read():
        await socket.receive()

    await asyncio.create_task(read())
    await eventually(lambda: seen.outcomes() == {"ok": 1})
    await socket.close()


@pytest.mark.parametrize("way", ["receive", "receive_str", "receive_json", "__anext__"])
@pytest.mark.parametrize("around", [asyncio.create_task, lambda receiving: asyncio.wait_for(receiving, 30)])
async def test_a_task_that_only_receives_hands_the_event_over(seen, connect, way, around):
    socket = await connect(LIGHT)
    await around(getattr(socket, way)())
    await asyncio.sleep(0.01)
    assert seen.states() == {"active": 1}
    with contextlib.suppress(KeyError):
        try:
            raise KeyError
        finally:
            await socket.close()
    assert seen.errors() == {"KeyError": 1}


async def test_a_receive_that_times_out_changes_nothing(seen, connect):
    socket = await connect(LIGHT)
    await socket.receive()
    with pytest.raises(TimeoutError):
        await socket.receive(0.001)
    assert (seen.outcomes(), seen.up()) == ({"ok": 1}, 1)
    await socket.close()
    assert (seen.closed(), seen.up()) == ({"stopped": 1}, 0)


async def test_another_task_that_closes_does_not_end_the_event(seen, connect):
    socket = await connect(LIGHT)
    received, go_on = asyncio.Event(), asyncio.Event()

    async def read():
        await socket.receive()
        received.set()
        await go_on.wait()

    async with running(read()) as task:
        await received.wait()
        await socket.close()
        assert seen.states() == {"active": 1}
        go_on.set()
        await task
    await eventually(lambda: seen.outcomes() == {"ok": 1})


async def test_an_exception_from_before_is_not_the_event_s(seen, connect):
    socket = await connect(LIGHT)
    try:
        raise KeyError  # noqa: TRY301 - where it is raised matters
    except KeyError:
        await socket.receive()
        await socket.close()
    assert seen.outcomes() == {"ok": 1}


async def test_an_event_whose_connection_is_dropped_is_cancelled_when_its_task_goes_on(seen, connect):
    socket = await connect(LIGHT)
    await socket.receive()
    del socket
    gc.collect()
    other = await connect()
    await asyncio.sleep(0)
    assert seen.outcomes() == {"cancelled": 1}
    await other.close()


async def test_a_foreign_connection_stays_as_it_is(seen, session, home):
    socket = await session.ws_connect(f"http://127.0.0.1:{home.port}/")
    await socket.receive_json()
    receiving = socket.receive()
    assert receiving.__qualname__ == "ClientWebSocketResponse.receive"
    receiving.close()
    await socket.close()
    assert (seen.bytes(), seen.up(), seen.closed()) == (0, 0, {})


async def test_a_connection_that_was_seen_between_two_instrumentations_counts_again(seen, connect, home):
    socket, over_aiohttp = await connect(LIGHT), HomeAssistantOverAiohttpInstrumentor()
    await socket.receive()
    other = HassClientInstrumentor()
    other.instrument()
    try:
        over_aiohttp.uninstrument()
        await home.events(LIGHT)
        await socket.receive()
        over_aiohttp.instrument()
        await home.events(LIGHT)
        await socket.receive()
        assert (seen.account()["received"], seen.up()) == (2, 1)
        await socket.close()
    finally:
        other.uninstrument()
