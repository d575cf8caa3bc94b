"""Instrumented clients of a real Home Assistant: what they report equals what the program was given."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from hass_client.client import HomeAssistantClient

from otel_ha.instrumentation.hass_client import HassClientInstrumentor
from otel_ha.instrumentation.over_aiohttp import HomeAssistantOverAiohttpInstrumentor
from tests.instrumented import Seen, instrumented, running
from tests.servers.fixtures import needed
from tests.servers.home_assistant import HomeAssistant
from tests.unit.instrumentation.programs import PROGRAMS

pytestmark = [pytest.mark.servers, pytest.mark.homeassistant, pytest.mark.timeout(120)]

NUMBER = 30


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HomeAssistant]:
    """A Home Assistant with one user."""
    home = HomeAssistant(needed("hass"), tmp_path_factory.mktemp("home-assistant")).start()
    try:
        home.create_user()
        yield home
    finally:
        home.stop()


async def set_states(home: HomeAssistant, entity_id: str) -> None:
    """Let an entity change its state; several changes fit into one frame."""
    for number in range(NUMBER):
        await asyncio.to_thread(home.request, f"/api/states/{entity_id}", {"state": str(number)})


def url(home: HomeAssistant) -> str:
    return f"{home.url.replace('http', 'ws', 1)}/api/websocket"


async def compare(seen: Seen, home: HomeAssistant, handled: list[str]) -> None:
    """Let an entity change until the program hears of it, then compare all that it was given with its account."""
    await seen.until(lambda: seen.up() == 1)
    while not handled:  # it may not have subscribed yet
        await asyncio.to_thread(home.request, "/api/states/sensor.first", {"state": str(len(handled))})
        await asyncio.to_thread(home.request, "/api/states/sensor.first", {"state": "other"})
        await asyncio.sleep(0.05)
    await set_states(home, "light.kitchen")
    await seen.until(lambda: handled.count("light.kitchen") == NUMBER)
    await seen.until(lambda: seen.outcomes() == {"ok": len(handled)})
    assert seen.domains()["light"] == NUMBER
    assert seen.account()["received"] == len(handled)


@pytest.mark.parametrize("library", PROGRAMS)
async def test_a_program_that_receives_frames(home, library):
    instrumentor, program = PROGRAMS[library]
    handled: list[str] = []

    def handle(events: list[dict]) -> None:
        handled.extend(event["data"]["entity_id"] for event in events)
        if handled[-1] == "sensor.last":
            raise LookupError

    with instrumented(instrumentor()) as seen:
        async with running(program(url(home), handle, home.token)) as task:
            await compare(seen, home, handled)
            await asyncio.to_thread(home.request, "/api/states/sensor.last", {"state": library})
            with pytest.raises(LookupError):
                await task
        assert seen.errors()["LookupError"] == 1
        assert (seen.up(), seen.closed()) == (0, {"stopped": 1})
        assert seen.account()["in_flight"] == 0


async def test_a_program_with_hass_client(home):
    handled: list[str] = []
    with instrumented(HassClientInstrumentor(), HomeAssistantOverAiohttpInstrumentor()) as seen:
        async with HomeAssistantClient(url(home), home.token) as client:
            await client.subscribe_events(lambda event: handled.append(event["data"]["entity_id"]), "state_changed")
            await compare(seen, home, handled)
        assert (seen.up(), seen.closed()) == (0, {"stopped": 1})


async def test_a_refused_token(home):
    with instrumented(HassClientInstrumentor()) as seen:
        client = HomeAssistantClient(url(home), "wrong")
        with pytest.raises(Exception, match="Invalid access token"):
            await client.connect()
        assert (seen.up(), seen.closed()) == (0, {"auth_invalid": 1})
        await client.disconnect()
