import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest
from aiohttp import web

from examples.ingestor import connection, websocket
from examples.ingestor.accounting import accounting, samples
from examples.ingestor.connection import BACKOFF, Backoff
from examples.ingestor.intake import Intake
from examples.ingestor.urls import Address
from examples.ingestor.websocket import HEARTBEAT, WebSocketSource, endpoint
from otel_ha import Telemetry
from tests.home_assistant import TOKEN, HomeAssistant, Talk, changed, listen, sending, serving, state_of

QUICK = Backoff(first=0.02, limit=0.02)


class Noted(Backoff):
    """Notes the number of failures in a row, and retries quickly."""

    noted: list[int]

    def __init__(self) -> None:
        super().__init__(first=0.01, limit=0.01)
        object.__setattr__(self, "noted", [])

    def delay(self, failures: int) -> float:
        self.noted.append(failures)
        return 0.01


@asynccontextmanager
async def source_of(
    home: HomeAssistant, token: str = TOKEN, backoff: Backoff = BACKOFF, heartbeat: float = HEARTBEAT
) -> AsyncIterator[tuple[Intake, asyncio.Event]]:
    """Yield the intake that a source fills from `home`. At the end the source is stopped, and must end in time."""
    intake, stopping = Intake(100), asyncio.Event()
    async with serving(home) as address:
        source = WebSocketSource(address, token, intake, backoff=backoff, heartbeat=heartbeat)
        running = asyncio.create_task(source.run(stopping))
        try:
            yield intake, stopping
        finally:
            stopping.set()
            async with asyncio.timeout(5):
                await running


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - metrics cannot be awaited
            await asyncio.sleep(0.01)


def received(telemetry: Telemetry) -> int:
    return accounting(telemetry.prometheus_text()).received


def counted(telemetry: Telemetry, name: str, label: str) -> dict[str, float]:
    return {s.labels[label]: s.value for s in samples(telemetry.prometheus_text()) if s.name == name}


def closes(telemetry: Telemetry) -> dict[str, float]:
    return counted(telemetry, "homeassistant_connection_closed_total", "homeassistant_connection_close_reason")


def age(telemetry: Telemetry) -> float:
    return counted(telemetry, "homeassistant_message_age_seconds", "homeassistant_source")["websocket"]


def active(telemetry: Telemetry) -> dict[str, float]:
    return counted(telemetry, "homeassistant_connection_active", "homeassistant_connection_kind")


async def test_the_source_subscribes_to_coalesced_events(telemetry):
    home = HomeAssistant(listen)
    async with source_of(home):
        await until(lambda: len(home.requests) == 3)
    assert [request["type"] for request in home.requests] == ["supported_features", "subscribe_events", "get_states"]
    assert home.requests[0]["features"] == {"coalesce_messages": 1}


async def test_each_event_in_a_frame_is_received(telemetry):
    home = HomeAssistant(sending([changed("light.a"), changed("light.b")], changed("light.c")))
    async with source_of(home) as (intake, _):
        await until(lambda: received(telemetry) == 3)
        intake.close()
        assert [event.entity_id async for _, event in intake.events()] == ["light.a", "light.b", "light.c"]


async def test_results_are_not_events(telemetry):
    home = HomeAssistant(sending(changed("light.a")))
    home.states = [state_of("light.b")]
    async with source_of(home):
        await until(lambda: received(telemetry) == 1)


async def test_a_removed_entity_and_a_broken_event_are_discarded(telemetry):
    home = HomeAssistant(sending([changed("light.a", None), {"type": "event"}]))
    async with source_of(home):
        await until(lambda: received(telemetry) == 2)
    assert dict(accounting(telemetry.prometheus_text()).discarded) == {"removed": 1, "invalid": 1}


async def test_a_stopped_source_disconnects_and_counts_the_reason(telemetry):
    home = HomeAssistant(listen)
    async with source_of(home):
        await until(lambda: active(telemetry) == {"websocket": 1})
    assert (active(telemetry), closes(telemetry)) == ({"websocket": 0}, {"stopped": 1})


async def test_the_source_reconnects_after_each_close_and_counts_it(telemetry):
    async def close(socket: web.WebSocketResponse) -> None:
        if home.connections < 3:
            await socket.close()
        else:
            await listen(socket)

    home = HomeAssistant(close)
    async with source_of(home, backoff=QUICK):
        await until(lambda: home.connections == 3 and len(home.requests) == 9)
        assert closes(telemetry) == {"code_1000": 2}
    reconnects = counted(telemetry, "homeassistant_connection_reconnects_total", "homeassistant_connection_kind")
    assert reconnects == {"websocket": 2}


async def test_a_broken_connection_counts_as_lost(telemetry):
    async def breaks(socket: web.WebSocketResponse) -> None:
        home.last_request.transport.abort()

    home = HomeAssistant(breaks)
    async with source_of(home, backoff=QUICK):
        await until(lambda: home.connections > 1)
        home.talk = listen
    assert set(closes(telemetry)) - {"stopped"} == {"lost"}


async def test_a_wrong_token_is_reported_and_retried_slowly(telemetry, caplog):
    home = HomeAssistant(listen)
    async with source_of(home, token="wrong"):
        await until(lambda: bool(caplog.records))
        await asyncio.sleep(0.1)
    assert "INGESTOR_HOME_ASSISTANT_TOKEN" in caplog.text
    assert "trying again in 60 s" in caplog.text
    assert (home.connections, closes(telemetry)) == (1, {"auth_invalid": 1})


async def test_a_wrong_token_is_logged_once_however_often_it_is_refused(telemetry, caplog, monkeypatch):
    monkeypatch.setattr(connection, "REFUSED_DELAY", 0.01)
    home = HomeAssistant(listen)
    async with source_of(home, token="wrong"):
        await until(lambda: home.connections == 4)
    assert [record.levelname for record in caplog.records] == ["ERROR"]


async def test_a_wrong_token_is_logged_after_an_outage_too(telemetry, caplog, monkeypatch):
    monkeypatch.setattr(connection, "REFUSED_DELAY", 0.01)
    home = HomeAssistant(listen)
    home.failures = 1
    async with source_of(home, token="wrong", backoff=QUICK):
        await until(lambda: home.connections == 3)
    assert [record.levelname for record in caplog.records] == ["WARNING", "ERROR"]


@pytest.fixture
def clock(monkeypatch):
    """A clock for the ages of events, which stands still."""
    clock = SimpleNamespace(now=0.0, monotonic=lambda: clock.now)
    monkeypatch.setattr(connection, "time", clock)
    return clock


async def test_answers_do_not_reset_the_age_of_the_last_event(telemetry, monkeypatch, clock):
    monkeypatch.setattr(connection, "REFUSED_DELAY", 0.01)
    home = HomeAssistant(listen)
    async with source_of(home, token="wrong"):
        clock.now = 100.0
        await until(lambda: home.connections == 3)
        assert age(telemetry) == 100.0


async def test_missed_states_do_not_reset_the_age_of_the_last_event(telemetry, clock):
    async def leave(socket: web.WebSocketResponse) -> None:
        home.states = [state_of("light.a", at=time.time())]

    home = HomeAssistant(leave)
    async with source_of(home, backoff=QUICK):
        clock.now = 100.0
        await until(lambda: received(telemetry) >= 1)
        assert age(telemetry) == 100.0


async def test_an_event_resets_the_age_of_the_last_event(telemetry, clock):
    home = HomeAssistant(sending(changed("light.a")))
    async with source_of(home):
        clock.now = 100.0
        await until(lambda: received(telemetry) == 1)
        assert age(telemetry) == 0.0


async def test_a_connection_is_active_once_the_subscription_is_acknowledged(telemetry):
    home = HomeAssistant(listen, answers=False)
    async with source_of(home):
        await until(lambda: len(home.requests) == 3)
        assert active(telemetry) == {"websocket": 0}


async def test_a_subscription_without_an_answer_ends_the_connection(telemetry, monkeypatch):
    monkeypatch.setattr(websocket, "SUBSCRIPTION_TIMEOUT", 0.05)
    async with source_of(HomeAssistant(listen, answers=False)):
        await until(lambda: closes(telemetry) == {"no_answer": 1})


async def test_an_acknowledged_subscription_may_be_silent(telemetry, monkeypatch):
    monkeypatch.setattr(websocket, "SUBSCRIPTION_TIMEOUT", 0.5)
    async with source_of(HomeAssistant(listen)):
        await asyncio.sleep(0.7)
        assert (active(telemetry), closes(telemetry)) == ({"websocket": 1}, {})


async def test_the_delay_grows_until_the_subscription_is_acknowledged(telemetry):
    async def leave(socket: web.WebSocketResponse) -> None:
        home.answers = home.connections == 3

    home, backoff = HomeAssistant(leave, answers=False), Noted()
    async with source_of(home, backoff=backoff):
        await until(lambda: home.connections == 6)
    assert backoff.noted[:5] == [1, 2, 3, 1, 2]


async def test_a_refused_subscription_ends_the_connection(telemetry):
    home = HomeAssistant(listen)
    home.refuses = {"subscribe_events"}
    async with source_of(home):
        await until(lambda: closes(telemetry) == {"refused_request": 1})


async def test_a_refused_request_for_the_states_is_logged_and_events_continue(telemetry, caplog):
    home = HomeAssistant(sending(changed("light.a")))
    home.refuses = {"get_states"}
    async with source_of(home):
        await until(lambda: received(telemetry) == 1)
    assert [record.levelname for record in caplog.records] == ["WARNING"]


async def test_a_home_assistant_that_does_not_answer_pings_is_lost(telemetry):
    home = HomeAssistant(listen, autoping=False)
    async with source_of(home, heartbeat=0.1):
        await until(lambda: closes(telemetry) == {"no_answer": 1})
        assert active(telemetry) == {"websocket": 0}


def test_a_silent_home_assistant_is_noticed_within_30_seconds():
    answer = HEARTBEAT / 2
    rounded = 2.0  # aiohttp rounds both times up to whole seconds
    assert HEARTBEAT + answer + rounded <= 30


async def test_states_that_changed_while_disconnected_are_taken_and_counted(telemetry):
    async def change_unseen(socket: web.WebSocketResponse) -> None:
        if home.connections == 1:
            await socket.send_json(changed("light.a", "on", at=10))
            home.states = [state_of("light.a", "off", at=11), state_of("light.b", at=2), state_of("light.new", at=12)]
        else:
            await listen(socket)

    home = HomeAssistant(change_unseen)
    home.states = [state_of("light.a", "off", at=1), state_of("light.b", at=2)]
    async with source_of(home, backoff=QUICK) as (intake, _):
        await until(lambda: received(telemetry) == 3)
        intake.close()
        found = [(event.entity_id, event.state, event.timestamp // 10**9) async for _, event in intake.events()]
    assert found == [("light.a", "on", 10), ("light.a", "off", 11), ("light.new", "on", 12)]
    name = "homeassistant_event_resynchronized_total"
    assert counted(telemetry, name, "homeassistant_source") == {"websocket": 2}


async def test_a_malformed_state_hides_no_other_state(telemetry):
    async def change_unseen(socket: web.WebSocketResponse) -> None:
        if home.connections == 1:
            home.states = [None, {"state": 1}, state_of("light.a", "\ud800"), state_of("light.b", "off")]
        else:
            await listen(socket)

    home = HomeAssistant(change_unseen)
    home.states = [state_of("light.b", "on")]
    async with source_of(home, backoff=QUICK) as (intake, _):
        await until(lambda: received(telemetry) == 1)
        intake.close()
        assert [event.entity_id async for _, event in intake.events()] == ["light.b"]


def sending_then_leaving(*ages: float) -> Talk:
    async def talk(socket: web.WebSocketResponse) -> None:
        for number, seconds in enumerate(ages):
            await socket.send_json(changed("light.a", str(number), at=time.time() - seconds))

    return talk


async def test_a_close_while_we_are_behind_counts_as_too_slow(telemetry, caplog):
    async with source_of(HomeAssistant(sending_then_leaving(0.0, 20.0))):
        await until(lambda: closes(telemetry) == {"too_slow": 1})
        await until(lambda: bool(caplog.records))
    assert "4,096 messages are pending" in caplog.text


@pytest.mark.parametrize("ages", [(), (0.0, 0.0), (3600.0, 3600.0), (-3600.0, -3600.0), (20.0, 0.0)], ids=str)
async def test_a_restart_is_not_taken_for_a_slow_reader_even_if_clocks_differ(telemetry, ages):
    async with source_of(HomeAssistant(sending_then_leaving(*ages))):
        await until(lambda: closes(telemetry) == {"code_1000": 1})


async def test_a_connection_that_was_never_up_is_reported_as_0(telemetry):
    WebSocketSource(Address("http", "127.0.0.1", 1), TOKEN, Intake(1))
    assert active(telemetry) == {"websocket": 0}


@pytest.mark.parametrize(
    ("address", "url"),
    [
        (Address("http", "ha", 8123), "http://ha:8123/api/websocket"),
        (Address("https", "ha", 443, "/proxied"), "https://ha:443/proxied/api/websocket"),
        (Address("http", "ha", 8123, "/api"), "http://ha:8123/api/websocket"),
        (Address("ws", "ha", 8123, "/api/websocket"), "ws://ha:8123/api/websocket"),
        (Address("http", "supervisor", 80, "/core"), "http://supervisor:80/core/websocket"),
        (Address("http", "supervisor", 80, "/core/api"), "http://supervisor:80/core/websocket"),
        (Address("http", "supervisor", 80), "http://supervisor:80/core/websocket"),
        (Address("ws", "supervisor", 80, "/core/websocket"), "ws://supervisor:80/core/websocket"),
    ],
)
def test_the_url_of_the_api_follows_from_the_address(address, url):
    assert endpoint(address) == url


async def test_an_unreachable_home_assistant_is_logged_once(caplog):
    stopping = asyncio.Event()
    source = WebSocketSource(Address("http", "127.0.0.1", 1), TOKEN, Intake(1), backoff=QUICK)
    running = asyncio.create_task(source.run(stopping))
    await asyncio.sleep(0.3)
    stopping.set()
    await running
    assert len(caplog.records) == 1
    assert "cannot connect to http://127.0.0.1:1/api/websocket" in caplog.text


async def test_a_server_that_is_not_home_assistant_is_reported(telemetry, caplog):
    async def other(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_json({"hello": "world"})
        return socket

    home = HomeAssistant(listen)
    home.connect = other
    async with source_of(home):
        await until(lambda: bool(caplog.records))
    assert "does not speak Home Assistant's WebSocket API" in caplog.text


def test_a_dead_home_assistant_is_noticed_within_30_seconds():
    # aiohttp pings after the heartbeat, waits half as long for the answer, and rounds both up.
    assert 0 < HEARTBEAT * 1.5 + 2 <= 30


async def test_a_message_that_raises_is_invalid_and_logged_once(telemetry, caplog, monkeypatch):
    def fail(*_: object) -> None:
        raise TypeError("unhashable")

    monkeypatch.setattr(websocket.Delay, "measure", fail)
    home = HomeAssistant(sending([changed("light.a"), changed("light.b")], changed("light.c")))
    async with source_of(home):
        await until(lambda: received(telemetry) == 3)
    assert dict(accounting(telemetry.prometheus_text()).discarded) == {"invalid": 3}
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == [
        "websocket: a message could not be taken; it counts as invalid, and later ones too"
    ]
