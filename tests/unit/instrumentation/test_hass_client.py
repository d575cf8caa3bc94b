"""hass-client, with callbacks of every kind."""

import asyncio
import functools
import gc
import inspect

import pytest
from hass_client.client import HomeAssistantClient

from otel_ha.instrumentation.hass_client import HassClientInstrumentor, _waiting
from otel_ha.instrumentation.over_aiohttp import HomeAssistantOverAiohttpInstrumentor
from tests.home_assistant import TOKEN, home_server, state_changed
from tests.instrumented import eventually, instrumented, running

LIGHT, SENSOR = state_changed("light.kitchen"), state_changed("sensor.door")


class Handler:
    """Callbacks that note an event; those of the domain `fails` raise."""

    def __init__(self, fails: str = "nothing") -> None:
        self.handled: list[dict] = []
        self.fails = fails

    def note(self, event: dict) -> None:
        self.handled.append(event)
        if event["data"]["entity_id"].startswith(self.fails):
            raise KeyError(self.fails)

    async def note_later(self, event: dict) -> None:
        await asyncio.sleep(0)
        self.note(event)

    def with_more(self, _: str, event: dict) -> None:
        self.note(event)

    async def with_more_later(self, _: str, event: dict) -> None:
        self.note(event)

    def __call__(self, event: dict) -> None:
        self.note(event)


CALLBACKS = {
    "function": lambda handler: lambda event: handler.note(event) or None,
    "method": lambda handler: handler.note,
    "callable object": lambda handler: handler,
    "coroutine function": lambda handler: handler.note_later,
    "partial": lambda handler: functools.partial(handler.with_more, "more"),
    "partial of a coroutine function": lambda handler: functools.partial(handler.with_more_later, "more"),
}


@pytest.fixture
async def home():
    async with home_server() as home:
        yield home


@pytest.fixture(params=["hass-client alone", "with aiohttp"])
def instrumentors(request):
    """The instrumentors; one of aiohttp must not count what hass-client takes."""
    others = [] if request.param == "hass-client alone" else [HomeAssistantOverAiohttpInstrumentor()]
    return [*others, HassClientInstrumentor()]


@pytest.fixture
def seen(instrumentors):
    with instrumented(*instrumentors) as seen:
        yield seen


@pytest.fixture
async def client(seen, home):
    async with HomeAssistantClient(home.url, TOKEN) as client:
        yield client


@pytest.fixture(params=CALLBACKS)
def callback_of(request):
    return CALLBACKS[request.param]


@pytest.fixture
async def quiet_loop():
    """The loop does not report exceptions of callbacks while a test expects them."""
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)


async def test_each_kind_of_callback_is_called_and_counted(seen, client, home, callback_of):
    handler = Handler()
    await client.subscribe_events(callback_of(handler), "state_changed")
    await home.events(LIGHT, SENSOR, SENSOR)
    await seen.until(lambda: seen.outcomes() == {"ok": 3})
    assert (seen.received(), seen.domains()) == (3, {"light": 1, "sensor": 2})
    assert handler.handled == [LIGHT, SENSOR, SENSOR]
    assert seen.problems() == {}


async def test_an_error_of_each_kind_of_callback_is_counted(seen, client, home, callback_of, quiet_loop):
    await client.subscribe_events(callback_of(Handler(fails="sensor")))
    await home.events(LIGHT, SENSOR)
    await seen.until(lambda: seen.errors() == {None: 1, "KeyError": 1})
    assert seen.outcomes() == {"ok": 1, "error": 1}


async def test_an_error_reaches_the_loop_as_without_instrumentation(client, home):
    reported = asyncio.get_running_loop().create_future()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: reported.done() or reported.set_result(context["exception"]))
    await client.subscribe_events(Handler(fails="sensor").note)
    await home.events(SENSOR)
    async with asyncio.timeout(30):
        assert isinstance(await reported, KeyError)


async def test_subscribe_hands_over_whole_messages(seen, client, home):
    messages = []
    await client.subscribe(messages.append, "subscribe_trigger", trigger={})
    await home.events({"variables": {"trigger": {"entity_id": "binary_sensor.door"}}})
    await seen.until(lambda: seen.domains() == {"binary_sensor": 1})
    assert messages[0]["type"] == "event"


async def test_compressed_states_tell_their_domain(seen, client, home):
    events = []
    await client.subscribe_entities(events.append, ["light.kitchen"])
    await home.events({"c": {"light.kitchen": {"+": {"s": "on"}}}})
    await seen.until(lambda: seen.domains() == {"light": 1})
    assert seen.received() == len(events) == 1


async def test_a_callback_that_waits_is_active(seen, client, home):
    go_on, started = asyncio.Event(), asyncio.Event()

    async def wait(_: dict) -> None:
        started.set()
        await go_on.wait()

    await client.subscribe_events(wait)
    await home.events(LIGHT, LIGHT)
    await seen.until(lambda: seen.states().get("active") == 2)
    go_on.set()
    await seen.until(lambda: seen.account()["in_flight"] == 0)


async def test_a_callback_whose_task_is_cancelled_is_cancelled(seen, client, home):
    tasks = []

    async def wait(_: dict) -> None:
        tasks.append(asyncio.current_task())
        await asyncio.sleep(3600)

    await client.subscribe_events(wait)
    await home.events(LIGHT)
    await seen.until(lambda: seen.states().get("active") == 1)
    tasks[0].cancel()
    await seen.until(lambda: seen.outcomes() == {"cancelled": 1})
    assert seen.account()["in_flight"] == 0


async def test_a_task_that_is_cancelled_before_its_first_step_is_cancelled(seen, client, home):
    handler = Handler()
    await client.subscribe_events(handler.note_later)
    await home.until(lambda: home.subscriptions)
    before = asyncio.all_tasks()
    subscription = next(iter(client._subscriptions))
    client._handle_incoming_message({"id": subscription, "type": "event", "event": LIGHT})
    asyncio.get_running_loop().call_soon(lambda: [task.cancel() for task in asyncio.all_tasks() - before])
    await seen.until(lambda: seen.account()["in_flight"] == 0 and seen.received() == 1)
    assert seen.outcomes() == {"cancelled": 1}
    assert handler.handled == []


async def test_a_coroutine_function_stays_one(seen, client, home):
    await client.subscribe(Handler().note_later, "subscribe_events")
    assert [inspect.iscoroutinefunction(handler) for _, handler in client._subscriptions.values()] == [True]


async def test_a_subscription_from_before_is_neither_received_nor_processed(instrumentors, home):
    handler, later = Handler(), Handler()
    async with HomeAssistantClient(home.url, TOKEN) as client:
        await client.subscribe_events(handler.note)
        with instrumented(*instrumentors) as seen:
            await home.events(LIGHT)
            await home.events(LIGHT)
            await eventually(lambda: len(handler.handled) == 2)
            assert seen.received() == 0
            assert await client.subscribe_events(later.note)
            await home.until(lambda: len(home.subscriptions[home.sockets[-1]]) == 2)
            home.subscriptions[home.sockets[-1]].reverse()
            await home.events(SENSOR)
            await seen.until(lambda: seen.outcomes() == {"ok": 1})
            assert (seen.received(), seen.up()) == (1, 1)


async def test_after_unsubscribing_nothing_is_received(seen, client, home):
    handler = Handler()
    unsubscribe = await client.subscribe_events(handler.note)
    await home.events(LIGHT)
    await seen.until(lambda: seen.outcomes() == {"ok": 1})
    unsubscribe()
    await home.events(LIGHT, LIGHT)
    await seen.until(lambda: seen.bytes() == home.sent)
    assert seen.received() == len(handler.handled) == 1


async def test_bytes_and_connections_are_counted_once(seen, client, home):
    await client.subscribe_events(Handler().note)
    await home.events(LIGHT, state_changed("sensor.tür"))
    await seen.until(lambda: seen.outcomes() == {"ok": 2})
    await seen.until(lambda: seen.bytes() == home.sent)
    assert (seen.up(), len(seen.ages())) == (1, 1)
    await client.disconnect()
    assert (seen.up(), seen.closed()) == (0, {"stopped": 1})


@pytest.mark.parametrize("code", [1000, 1012, 1006])
async def test_a_close_is_counted_and_the_next_connection_is_a_reconnect(seen, home, code):
    client = HomeAssistantClient(home.url, TOKEN)
    await client.connect()
    async with running(client.start_listening()) as listening:
        await seen.until(lambda: seen.up() == 1)
        await home.close(code)
        await asyncio.wait({listening})
    assert (seen.up(), seen.closed()) == (0, {str(code): 1})
    await client.connect()
    assert (seen.up(), seen.reconnects()) == (1, 1)
    await client.disconnect()


async def test_a_refused_token_and_a_refused_connection_make_reconnects(seen, home):
    client = HomeAssistantClient(home.url, "wrong")
    for _ in range(2):
        with pytest.raises(Exception, match="Invalid access token"):
            await client.connect()
    assert (seen.up(), seen.closed(), seen.reconnects()) == (0, {"auth_invalid": 2}, 1)
    home.refuses = True
    with pytest.raises(Exception, match="502"):
        await client.connect()
    assert seen.reconnects() == 2
    await client._http_session.close()


async def test_uninstrumented_and_instrumented_again_counts_once(home, instrumentors):
    handler = Handler()
    for number in (1, 2):
        with instrumented(*instrumentors) as seen:
            async with HomeAssistantClient(home.url, TOKEN) as client:
                await client.subscribe_events(handler.note)
                await home.events(LIGHT)
                await seen.until(lambda seen=seen: seen.outcomes() == {"ok": 1})
        assert len(handler.handled) == number
    async with HomeAssistantClient(home.url, TOKEN) as client:
        await client.subscribe_events(handler.note)
        await home.events(LIGHT)
        await eventually(lambda: len(handler.handled) == 3)
        assert "_otel_ha_waiting" not in vars(client)


async def test_events_in_a_queue_of_uninstrumented_hass_client_are_still_processed(home):
    instrumentor = HassClientInstrumentor()
    with instrumented(instrumentor, journalled=True) as seen:
        async with HomeAssistantClient(home.url, TOKEN) as client:
            handler = Handler()
            await client.subscribe_events(handler.note_later)
            subscription = next(iter(client._subscriptions))
            client._handle_incoming_message({"id": subscription, "type": "event", "event": LIGHT})
            assert seen.states() == {"queued": 1}
            instrumentor.uninstrument()
            await seen.until(lambda: seen.outcomes() == {"ok": 1})
            assert seen.account()["in_flight"] == 0


async def test_events_in_a_queue_are_discarded_when_the_recording_ends(home):
    instrumentor, handler = HassClientInstrumentor(), Handler()
    with instrumented(instrumentor) as seen:
        async with HomeAssistantClient(home.url, TOKEN) as client:
            await client.subscribe_events(handler.note_later)
            subscription = next(iter(client._subscriptions))
            client._handle_incoming_message({"id": subscription, "type": "event", "event": LIGHT})
            assert seen.states() == {"queued": 1}
            instrumentor.uninstrument()
            assert (seen.account()["in_flight"], seen.discarded()) == (0, {"shutdown": 1})
            await eventually(lambda: handler.handled == [LIGHT])
            assert seen.outcomes() == {}


async def test_a_client_that_goes_away_takes_its_queue_along(seen, home):
    client = HomeAssistantClient(home.url, TOKEN)
    await client.connect()
    _waiting(client).receive()
    assert seen.states() == {"queued": 1}
    await client.disconnect()
    del client
    gc.collect()
    assert (seen.discarded(), seen.account()["in_flight"]) == ({"shutdown": 1}, 0)
