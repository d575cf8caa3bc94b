"""WebSocketSource: reads Home Assistant's states from its WebSocket API."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from dataclasses import replace
from typing import Any

import aiohttp

from examples.ingestor import counted, frames
from examples.ingestor.connection import BACKOFF, Backoff, Connection, ConnectionEndedError
from examples.ingestor.event import Event, InvalidEventError
from examples.ingestor.intake import Intake
from examples.ingestor.last_seen import LastSeen
from examples.ingestor.urls import SUPERVISOR, Address

HEARTBEAT = 18.0
"""Seconds of silence before a ping. Without an answer within half of that, the connection is lost: after 29 s at most.

(aiohttp rounds times of more than 5 s up to whole seconds.)
"""
ANSWER_TIMEOUT = 10.0
SUBSCRIPTION_TIMEOUT = 30.0  # Home Assistant answers late while it starts
CLOSE_TIMEOUT = 2.0
TOO_SLOW = 0.5
"""Seconds. Home Assistant fires up to 6,000 events a second, so 4,096 pending messages are at least 0.7 s of events."""

logger = logging.getLogger(__name__)


class WebSocketSource:
    """Puts every state_changed event into the intake, and after a reconnect the states that it has missed."""

    def __init__(
        self,
        address: Address,
        token: str,
        intake: Intake,
        *,
        backoff: Backoff = BACKOFF,
        heartbeat: float = HEARTBEAT,
    ) -> None:
        self._url = endpoint(address)
        self._remedy = "check INGESTOR_HOME_ASSISTANT_TOKEN"
        if address.host == SUPERVISOR:
            self._remedy += " if it is set, and that the add-on's config.yaml has homeassistant_api: true"
        self._token = token
        self._intake = intake
        self._heartbeat = heartbeat
        self._connection = Connection("websocket", backoff)
        self._last_seen = LastSeen()
        self._delay = Delay()
        self._patience = asyncio.timeout(None)

    async def run(self, stopping: asyncio.Event) -> None:
        """Take events until `stopping` is set."""
        async with aiohttp.ClientSession() as http:
            await self._connection.keep(lambda: self._session(http, stopping), stopping)

    async def _session(self, http: aiohttp.ClientSession, stopping: asyncio.Event) -> None:
        """Take events over one connection; raise ConnectionEndedError if it ends unexpectedly."""
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT):
                socket = await http.ws_connect(
                    self._url,
                    heartbeat=self._heartbeat,
                    timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_TIMEOUT),
                    # The size of coalesced frames is not limited; Home Assistant closes connections that are too slow.
                    max_msg_size=0,
                )
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            message = f"cannot connect to {self._url} ({error or repr(error)})"
            raise ConnectionEndedError("unreachable", message) from error
        with self._connection.up():
            try:
                await self._converse(socket, stopping)
            except (aiohttp.ClientError, OSError) as error:
                raise ConnectionEndedError("lost", f"connection lost ({error})") from error
            finally:
                await socket.close()

    async def _converse(self, socket: aiohttp.ClientWebSocketResponse, stopping: asyncio.Event) -> None:
        self._delay = Delay()
        stop_requested = asyncio.create_task(self._close_when(stopping, socket))
        try:
            await self._authenticate(socket)
            # Home Assistant answers in order, so no state can change unseen between the subscription and the states.
            for request in (frames.FEATURES, frames.SUBSCRIBE, frames.GET_STATES):
                await socket.send_json(request)
            await self._take_messages(socket)
        except ConnectionEndedError:
            if not stopping.is_set():
                raise
        finally:
            stop_requested.cancel()
        if not stopping.is_set():
            raise closed(socket, self._delay)

    async def _take_messages(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Take messages until the connection ends, or until the subscription is not acknowledged in time."""
        try:
            async with asyncio.timeout(SUBSCRIPTION_TIMEOUT) as self._patience:
                async for message in socket:
                    if message.type is aiohttp.WSMsgType.TEXT:
                        self._take(message.data)
        except TimeoutError as error:
            text = f"no answer to the subscription within {SUBSCRIPTION_TIMEOUT:.0f} s"
            raise ConnectionEndedError("no_answer", text) from error

    async def _close_when(self, stopping: asyncio.Event, socket: aiohttp.ClientWebSocketResponse) -> None:
        await stopping.wait()
        await socket.close()

    async def _authenticate(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        await self._answer(socket, "auth_required")
        await socket.send_json({"type": "auth", "access_token": self._token})
        await self._answer(socket, "auth_ok")

    async def _answer(self, socket: aiohttp.ClientWebSocketResponse, wanted: str) -> None:
        """Wait for a message of the type `wanted`; raise ConnectionEndedError for any other."""
        try:
            message = await socket.receive(ANSWER_TIMEOUT)
        except TimeoutError as error:
            raise ConnectionEndedError("no_answer", f"no {wanted} within {ANSWER_TIMEOUT:.0f} s") from error
        if message.type is not aiohttp.WSMsgType.TEXT:
            raise closed(socket, self._delay)
        self._connection.heard(len(message.data.encode()), "answer")
        try:
            answer: dict[str, Any] = frames.messages(message.data)[0]
        except (InvalidEventError, IndexError):
            answer = {}
        if answer.get("type") == "auth_invalid":
            text = f"Home Assistant refuses the token ({answer.get('message')}); {self._remedy}"
            raise ConnectionEndedError("auth_invalid", text, refused=True)
        if answer.get("type") != wanted:
            raise ConnectionEndedError("protocol", f"{self._url} does not speak Home Assistant's WebSocket API")

    def _take(self, frame: str) -> None:
        """Put the events in a frame into the intake."""
        self._connection.heard(len(frame.encode()), "state")
        try:
            messages = frames.messages(frame)
        except InvalidEventError:
            self._intake.refuse("websocket", "invalid")
            return
        for message in messages:
            try:
                self._take_message(message)
            except ConnectionEndedError:
                raise
            except Exception as error:  # noqa: BLE001 - could_not_take logs it
                self._connection.could_not_take(error)
                self._intake.refuse("websocket", "invalid")

    def _take_message(self, message: dict[str, Any]) -> None:
        match message.get("type"):
            case "event":
                self._take_event(message)
            case "result":
                self._take_result(message)

    def _take_event(self, message: dict[str, Any]) -> None:
        self._connection.took_event()
        try:
            event = frames.parse(message)
        except frames.RemovedError:
            self._intake.refuse("websocket", "removed")
        except InvalidEventError:
            self._intake.refuse("websocket", "invalid")
        else:
            self._last_seen.note(event)
            self._intake.descriptions.describe(event.entity_id, event.attributes)
            self._delay.measure(event)
            self._intake.put(event)

    def _take_result(self, message: dict[str, Any]) -> None:
        request = message.get("id")
        if message.get("success") is False:
            problem = f"Home Assistant refuses a request: {message.get('error')}"
            if request == frames.SUBSCRIBE["id"]:
                raise ConnectionEndedError("refused_request", problem)
            logger.warning("websocket: %s", problem)
        elif request == frames.SUBSCRIBE["id"]:
            self._connection.established()
            self._patience.reschedule(None)
        elif request == frames.GET_STATES["id"]:
            self._take_states(frames.parse_states(message.get("result")))

    def _take_states(self, states: list[Event]) -> None:
        """Learn from all current states, and put the missed ones into the intake."""
        for state in states:
            self._intake.descriptions.describe(state.entity_id, state.attributes)
        self._intake.descriptions.learned.set()
        for event in self._last_seen.missed(states):
            counted.resynchronized("websocket").add(1)
            self._intake.put(event)


class Delay:
    """Measures the seconds by which we are behind Home Assistant's events, on one connection.

    Clocks may differ, so that only the difference from the youngest event counts.
    """

    def __init__(self) -> None:
        self._least_age = math.inf
        self.seconds = 0.0

    def measure(self, event: Event) -> None:
        """Measure the delay of an event that has just been read."""
        if event.timed:
            age = time.time() - event.timestamp / 1e9
            self._least_age = min(self._least_age, age)
            self.seconds = age - self._least_age


def endpoint(address: Address) -> str:
    """Return the URL of the WebSocket API. In an add-on, the Supervisor's proxy has a path of its own."""
    if address.path.endswith("/websocket"):
        return str(address)
    if address.host == SUPERVISOR:
        return f"{replace(address, path='')}/core/websocket"
    return f"{str(address).removesuffix('/api')}/api/websocket"


def closed(socket: aiohttp.ClientWebSocketResponse, delay: Delay) -> ConnectionEndedError:
    """Return the reason that a connection ended.

    Home Assistant closes with code 1000 when it restarts, when the token is revoked, and when we are 4,096 messages
    behind. It gives no reason, so only our own delay tells the last case from the others.
    """
    if isinstance(socket.exception(), aiohttp.ServerTimeoutError):
        return ConnectionEndedError("no_answer", f"Home Assistant does not answer ({socket.exception()})")
    if (code := socket.close_code) is None or code == aiohttp.WSCloseCode.ABNORMAL_CLOSURE:
        return ConnectionEndedError("lost", f"connection lost ({socket.exception() or 'no close frame'})")
    message = f"Home Assistant closed the connection (code {code})"
    if code == aiohttp.WSCloseCode.OK and delay.seconds > TOO_SLOW:
        message += f" while we were {delay.seconds:.1f} s behind"
        message += "; it does so when 4,096 messages are pending, or 1,024 for 10 s"
        return ConnectionEndedError("too_slow", message)
    return ConnectionEndedError(f"code_{code}", message)
