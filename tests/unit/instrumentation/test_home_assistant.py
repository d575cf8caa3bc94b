"""Programs that talk to Home Assistant themselves, by aiohttp and by each client of websockets."""

import asyncio
import contextlib

import pytest

from tests.home_assistant import home_server, state_changed
from tests.instrumented import eventually, instrumented, running
from tests.unit.instrumentation.programs import PROGRAMS

LIGHT, SENSOR = state_changed("light.kitchen"), state_changed("sensor.door")


class Handler:
    """Handles events, and fails for those of the domain `fails`."""

    def __init__(self, fails: str = "nothing") -> None:
        self.handled: list[str] = []
        self.fails = fails

    def __call__(self, events: list) -> None:
        for event in events:
            self.handled.append(event["data"]["entity_id"])
            if self.handled[-1].startswith(self.fails):
                raise KeyError(self.fails)


@pytest.fixture
async def home():
    async with home_server() as home:
        yield home


@pytest.fixture(params=PROGRAMS)
def library(request):
    """The instrumentor and the program of a library, by name."""
    return PROGRAMS[request.param]


@pytest.fixture
def seen(library):
    with instrumented(library[0]()) as seen:
        yield seen


@pytest.fixture
def program(library, home):
    return lambda handle: library[1](home.url, handle)


async def test_each_event_is_received_and_ends_when_the_program_asks_for_the_next(seen, program, home):
    async with running(program(Handler())):
        await home.events(LIGHT, SENSOR, SENSOR)
        await seen.until(lambda: seen.outcomes() == {"ok": 3})
        assert seen.received() == 3
        assert seen.domains() == {"light": 1, "sensor": 2}
        await home.close(1000)


async def test_events_of_a_coalesced_frame_count_one_by_one(seen, program, home):
    async with running(program(Handler())):
        await home.events(LIGHT, SENSOR, SENSOR, coalesced=True)
        await seen.until(lambda: seen.outcomes() == {"ok": 3})
        await home.close(1000)


async def test_an_event_is_active_while_the_program_handles_it(seen, program, home):
    go_on, started = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        started.set()
        await go_on.wait()

    async with running(program(lambda _: wait())):
        await home.events(LIGHT, SENSOR, coalesced=True)
        await started.wait()
        assert seen.states() == {"active": 2}
        go_on.set()
        await seen.until(lambda: seen.account()["in_flight"] == 0)
        await home.close(1000)


async def test_an_exception_of_the_program_is_the_event_s_error_and_passes_through(seen, program, home):
    async with running(program(Handler(fails="sensor"))) as task:
        await home.events(LIGHT, SENSOR)
        with pytest.raises(KeyError):
            await task
    assert seen.errors() == {None: 1, "KeyError": 1}
    assert seen.account() == {"received": 2, "processed": 2, "discarded": 0, "in_flight": 0}


async def test_an_exception_that_the_program_catches_is_its_own_affair(seen, program, home):
    handler = Handler(fails="sensor")

    def suppressing(events: list) -> None:
        with contextlib.suppress(KeyError):
            handler(events)

    async with running(program(suppressing)):
        await home.events(SENSOR)
        await seen.until(lambda: seen.outcomes() == {"ok": 1})
        await home.close(1000)


async def test_the_last_event_before_a_close_is_processed(seen, program, home):
    handler = Handler()
    async with running(program(handler)) as task:
        await home.events(LIGHT)
        await eventually(lambda: handler.handled)  # some drop what they have not handed over when the connection ends
        await home.close(1000)
        await task
    assert seen.account() == {"received": 1, "processed": 1, "discarded": 0, "in_flight": 0}
    assert seen.outcomes() == {"ok": 1}


@pytest.mark.parametrize("code", [1000, 1012, 1006])
async def test_a_close_is_counted_with_its_code(seen, program, home, code):
    async with running(program(Handler())) as task:
        await home.events(LIGHT)
        await seen.until(lambda: seen.up() == 1)
        await home.close(code)
        await asyncio.wait({task})
    await seen.until(lambda: seen.closed() == {str(code): 1})
    assert seen.up() == 0


async def test_a_connection_that_was_lost_is_made_again_as_a_reconnect(seen, program, home):
    for _ in range(2):
        async with running(program(Handler())) as task:
            await home.events(LIGHT)
            await home.close(1006)
            await asyncio.wait({task})
    assert seen.reconnects() == 1


async def test_an_attempt_that_fails_makes_the_next_a_reconnect(seen, program, home):
    home.refuses = True
    async with running(program(Handler())) as task:
        await asyncio.wait({task})
    assert (seen.reconnects(), seen.closed()) == (0, {})
    home.refuses = False
    async with running(program(Handler())):
        await home.events(LIGHT)
        await seen.until(lambda: seen.up() == 1)
        assert seen.reconnects() == 1
        await home.close(1000)


async def test_a_refused_token_is_the_reason_of_a_close(seen, program, home, monkeypatch):
    monkeypatch.setattr("tests.home_assistant.TOKEN", "another")
    async with running(program(Handler())) as task:
        await asyncio.wait({task})
    await seen.until(lambda: seen.closed() == {"auth_invalid": 1})
    assert seen.up() == 0


async def test_bytes_are_those_of_all_frames(seen, program, home):
    async with running(program(Handler())):
        await home.events(LIGHT, state_changed("sensor.tür", "20 °C"))
        await seen.until(lambda: seen.outcomes() == {"ok": 2})
        assert seen.bytes() == home.sent
        await home.close(1000)


async def test_the_age_of_the_last_event_is_known_from_the_first_attempt_on(seen, program, home):
    assert seen.ages() == []
    async with running(program(Handler())):
        await home.events(LIGHT)
        await seen.until(lambda: seen.outcomes() == {"ok": 1})
        assert len(seen.ages()) == 1
        await home.close(1000)


async def test_a_server_that_is_not_home_assistant_does_not_count(seen, library, home):
    async with running(library[1](f"ws://127.0.0.1:{home.port}/", Handler())):
        await home.events(LIGHT, SENSOR)
        await home.close(1000)
    assert (seen.received(), seen.bytes(), seen.closed(), seen.ages()) == (0, 0, {}, [])


async def test_the_path_of_the_supervisor_s_proxy_counts(seen, library, home):
    async with running(library[1](f"ws://127.0.0.1:{home.port}/core/websocket", Handler())):
        await home.events(LIGHT)
        await seen.until(lambda: seen.outcomes() == {"ok": 1})
        await home.close(1000)


async def test_a_connection_from_before_counts_from_its_next_frame_on(library, home):
    handler = Handler()
    async with running(library[1](home.url, handler)):
        await home.events(LIGHT)
        await eventually(lambda: handler.handled)
        with instrumented(library[0]()) as seen:
            # The program already waits for this one.
            await home.events(LIGHT)
            await eventually(lambda: len(handler.handled) == 2)
            await home.events(SENSOR, SENSOR)
            await seen.until(lambda: seen.outcomes() == {"ok": 2})
            assert (seen.up(), seen.received()) == (1, 2)
        await home.close(1000)


async def test_uninstrumented_and_instrumented_again_counts_once(library, home):
    handler = Handler()
    async with running(library[1](home.url, handler)):
        for _ in range(2):
            with instrumented(library[0]()) as seen:
                await home.events(LIGHT)  # the program may wait for it already
                await home.events(SENSOR)
                await seen.until(lambda seen=seen: seen.domains().get("sensor") == 1)
                assert seen.up() == 1
            assert seen.account()["in_flight"] == 0
        await home.close(1000)


async def test_uninstrumenting_gives_up_the_event_under_way(library, home):
    go_on, started = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        started.set()
        await go_on.wait()

    instrumentor = library[0]()
    with instrumented(instrumentor, journalled=True) as seen:
        async with running(library[1](home.url, lambda _: wait())):
            await home.events(LIGHT)
            await started.wait()
            instrumentor.uninstrument()
            assert (seen.account()["in_flight"], seen.discarded(), seen.up()) == (0, {"uninstrumented": 1}, 0)
            go_on.set()
            await home.close(1000)
