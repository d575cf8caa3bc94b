"""WebSocketSource: reads Home Assistant's states from its WebSocket API."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp

from examples.ingestor import frames
from examples.ingestor.connection import BACKOFF, Backoff, Connection, ConnectionEndedError
from examples.ingestor.event import InvalidEventError
from examples.ingestor.intake import Intake
from examples.ingestor.urls import Address

HEARTBEAT = 30.0
ANSWER_TIMEOUT = 10.0


class WebSocketSource:
    """Puts every state_changed event into the intake."""

    def __init__(self, address: Address, token: str, intake: Intake, *, backoff: Backoff = BACKOFF) -> None:
        self._address = address
        self._token = token
        self._intake = intake
        self._connection = Connection("websocket", backoff)

    async def run(self, stopping: asyncio.Event) -> None:
        """Take events until `stopping` is set."""
        async with aiohttp.ClientSession() as http:
            await self._connection.keep(lambda: self._session(http, stopping), stopping)

    async def _session(self, http: aiohttp.ClientSession, stopping: asyncio.Event) -> None:
        """Take events over one connection; raise ConnectionEndedError if it ends unexpectedly."""
        url = f"{self._address}/api/websocket"
        try:
            # The size of coalesced frames is not limited; Home Assistant closes connections that are too slow.
            socket = await http.ws_connect(url, heartbeat=HEARTBEAT, max_msg_size=0)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise ConnectionEndedError("unreachable", f"cannot connect to {url} ({error or repr(error)})") from error
        with self._connection.up():
            try:
                await self._converse(socket, stopping)
            except (aiohttp.ClientError, OSError) as error:
                raise ConnectionEndedError("lost", f"connection lost ({error})") from error
            finally:
                await socket.close()

    async def _converse(self, socket: aiohttp.ClientWebSocketResponse, stopping: asyncio.Event) -> None:
        stop_requested = asyncio.create_task(self._close_when(stopping, socket))
        try:
            await self._authenticate(socket)
            await socket.send_json(frames.FEATURES)
            await socket.send_json(frames.SUBSCRIBE)
            self._connection.established()
            async for message in socket:
                if message.type is aiohttp.WSMsgType.TEXT:
                    self._take(message.data)
        except ConnectionEndedError:
            if not stopping.is_set():
                raise
        finally:
            stop_requested.cancel()
        if not stopping.is_set():
            raise closed(socket)

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
            raise closed(socket)
        self._connection.heard(len(message.data.encode()), "answer")
        try:
            answer: dict[str, Any] = frames.messages(message.data)[0]
        except (InvalidEventError, IndexError):
            answer = {}
        if answer.get("type") == "auth_invalid":
            text = f"Home Assistant refuses the token in INGESTOR_HOME_ASSISTANT_TOKEN ({answer.get('message')})"
            raise ConnectionEndedError("auth_invalid", text, refused=True)
        if answer.get("type") != wanted:
            raise ConnectionEndedError("protocol", f"{self._address} does not speak Home Assistant's WebSocket API")

    def _take(self, frame: str) -> None:
        """Put the events in a frame into the intake."""
        self._connection.heard(len(frame.encode()), "state")
        try:
            messages = frames.messages(frame)
        except InvalidEventError:
            self._intake.refuse("websocket", "invalid")
            return
        for message in messages:
            self._take_message(message)

    def _take_message(self, message: dict[str, Any]) -> None:
        if message.get("type") == "result" and message.get("success") is False:
            raise ConnectionEndedError("refused_request", f"Home Assistant refuses a request: {message.get('error')}")
        if message.get("type") != "event":
            return
        try:
            event = frames.parse(message)
        except frames.RemovedError:
            self._intake.refuse("websocket", "removed")
        except InvalidEventError:
            self._intake.refuse("websocket", "invalid")
        else:
            self._intake.put(event)


def closed(socket: aiohttp.ClientWebSocketResponse) -> ConnectionEndedError:
    """Return the reason that a connection ended.

    Home Assistant closes with code 1000 when it restarts, and also when we are too slow (4,096 messages behind).
    """
    if (code := socket.close_code) is None or code == aiohttp.WSCloseCode.ABNORMAL_CLOSURE:
        return ConnectionEndedError("lost", f"connection lost ({socket.exception() or 'no close frame'})")
    return ConnectionEndedError(f"code_{code}", f"Home Assistant closed the connection (code {code})")
