"""Unmodified programs that listen to Home Assistant: what they report equals what was sent."""

import asyncio

import pytest

from tests.home_assistant import TOKEN, home_server, state_changed

ACTIVE = "homeassistant_connection_active"
CLOSED = "homeassistant_connection_closed_total"
RECONNECTS = "homeassistant_connection_reconnects_total"
PROCESSED = "homeassistant_event_process_duration_seconds_count"
BYTES = "homeassistant_data_received_bytes_total"
LIGHT, SENSOR, BAD = (state_changed(each) for each in ("light.kitchen", "sensor.door", "sensor.bad"))
PROGRAMS = ["aiohttp_listener.py", "websockets_listener.py", "websockets_thread.py", "hass_client_listener.py"]


@pytest.fixture
async def home():
    async with home_server() as home:
        yield home


async def follow(program, home, *, by_library: bool) -> None:
    """Send events, lose the connection in two ways, and compare; hass-client does not read coalesced frames."""

    async def wait_for(condition):
        return await asyncio.to_thread(program.wait_for, condition)

    await home.events(*[LIGHT] * 5, coalesced=not by_library)
    await home.events(SENSOR, LIGHT)
    await wait_for(lambda seen: seen.account("websocket") == {"received": 7, "processed ok": 7})
    await home.close(1000)
    await home.events(SENSOR)
    await wait_for(lambda seen: seen.account("websocket").get("processed ok") == 8)
    await home.close(1006)
    await home.events(SENSOR, SENSOR)
    await wait_for(lambda seen: seen.account("websocket").get("processed ok") == 10)
    await home.events(BAD)
    await wait_for(lambda seen: seen.account("websocket").get("processed error") == 1)
    await home.until(lambda: home.sockets)
    seen = await wait_for(lambda seen: seen.total(ACTIVE, connection_kind="websocket") == 1)
    assert seen.account("websocket") == {"received": 11, "processed ok": 10, "processed error": 1}
    assert (seen.total(PROCESSED, domain="light"), seen.total(PROCESSED, domain="sensor")) == (6, 5)
    assert seen.total(PROCESSED, error_type="ValueError") == 1
    assert [seen.total(CLOSED, connection_close_reason=code) for code in ("1000", "1006")] == [1, 1]
    assert seen.total(RECONNECTS) == 2
    await wait_for(lambda seen: seen.total(BYTES) == home.sent)
    await asyncio.to_thread(program.stop)


@pytest.mark.parametrize("name", PROGRAMS)
async def test_a_program_with_the_newest_library(environment, command, home, name):
    program = environment.start(command, name, home.url, TOKEN)
    await follow(program, home, by_library=name == "hass_client_listener.py")


@pytest.mark.parametrize("name", PROGRAMS)
async def test_a_program_with_the_oldest_library(oldest, home, name):
    program = oldest.start("otel-ha run", name, home.url, TOKEN)
    await follow(program, home, by_library=name == "hass_client_listener.py")
