"""Chromium without a window, driven by its DevTools protocol."""

from __future__ import annotations

import asyncio
import base64
import itertools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from tests.servers.running import HOST, Server, free_ports, get_json

LOADED = "document.readyState === 'complete'"
_POLL = 0.1
_LONGEST_ANSWER = 64 * 2**20  # a screenshot


@dataclass(frozen=True)
class Visit:
    """A page as it was seen: the picture (PNG), the document, the console's errors, and the value of `until`."""

    picture: bytes
    document: str
    errors: list[str]
    found: Any


class Chromium(Server):
    """A browser with a new profile. `visit()` opens a page of its own each time."""

    name = "chromium"

    def __init__(self, program: Path, directory: Path) -> None:
        super().__init__(program, directory)
        [self.port] = free_ports(1)
        self.url = f"http://{HOST}:{self.port}"

    def visit(
        self, url: str, *, width: int = 1280, height: int = 800, until: str = LOADED, timeout: float = 30.0
    ) -> Visit:
        """Open the URL in a window of this size, and look at it once the JavaScript expression `until` is true.

        Only what the window shows is in the picture, so choose a height that shows the whole page. Raises
        AssertionError with the last value of `until` and the console's errors if it does not become true in time.
        """
        return asyncio.run(self._visit(url, (width, height), until, timeout))

    def command(self) -> Sequence[str | Path]:
        """With no sandbox, because tests may run as root, and no traffic of its own."""
        return [
            self.program,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            f"--user-data-dir={self.directory / 'profile'}",
            f"--remote-debugging-port={self.port}",
            "about:blank",
        ]

    def ready(self) -> bool:
        """It accepts commands."""
        return bool(get_json(f"{self.url}/json/version"))

    async def _visit(self, url: str, size: tuple[int, int], until: str, patience: float) -> Visit:
        async with aiohttp.ClientSession(trust_env=False) as session:
            async with session.put(f"{self.url}/json/new?about:blank") as answer:
                target = await answer.json()
            async with session.ws_connect(target["webSocketDebuggerUrl"], max_msg_size=_LONGEST_ANSWER) as socket:
                tab = _Tab(socket)
                await tab.open(url, size)
                found = await tab.wait(until, patience)
                document = await tab.evaluate("document.documentElement.outerHTML")
                picture = await tab.send("Page.captureScreenshot", format="png")
            async with session.get(f"{self.url}/json/close/{target['id']}"):
                pass
        return Visit(base64.b64decode(picture["data"]), document, tab.errors, found)


class _FailedError(AssertionError):
    """A command or an expression failed."""


class _Tab:
    """One page, by its web socket: commands have answers, and what comes in between are events."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.errors: list[str] = []
        self._socket = socket
        self._numbers = itertools.count(1)

    async def open(self, url: str, size: tuple[int, int]) -> None:
        """Go to the URL in a window of this size."""
        for domain in ("Page", "Runtime", "Log"):
            await self.send(f"{domain}.enable")
        width, height = size
        window = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        await self.send("Emulation.setDeviceMetricsOverride", **window)
        answer = await self.send("Page.navigate", url=url)
        if "errorText" in answer:
            raise AssertionError(f"{url} cannot be opened: {answer['errorText']}")

    async def wait(self, until: str, patience: float) -> Any:
        """Wait until an expression is true, and return its value. While the page loads, the expression may fail."""
        deadline = time.monotonic() + patience
        while True:
            found: Any
            try:
                found = await self.evaluate(until)
            except _FailedError as error:
                found = error
            else:
                if found:
                    return found
            if time.monotonic() > deadline:
                raise AssertionError(f"{until} is still {found!r} after {patience:.0f} s; errors: {self.errors}")
            await asyncio.sleep(_POLL)

    async def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression; a promise is awaited."""
        answer = await self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise _FailedError(f"{expression} failed: {_text_of(answer['exceptionDetails'])}")
        return answer["result"].get("value")

    async def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and return its result."""
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        while True:
            message = await self._socket.receive_json()
            if message.get("id") != number:
                self._note(message)
            elif "error" in message:
                raise _FailedError(f"{method} failed: {message['error']['message']}")
            else:
                result: dict[str, Any] = message["result"]
                return result

    def _note(self, event: Mapping[str, Any]) -> None:
        """Keep the errors of the console."""
        match event.get("method"), event.get("params", {}):
            case "Runtime.exceptionThrown", {"exceptionDetails": details}:
                self.errors.append(_text_of(details))
            case "Runtime.consoleAPICalled", {"type": "error", "args": arguments}:
                self.errors.append(" ".join(str(each.get("value", each.get("description"))) for each in arguments))
            case "Log.entryAdded", {"entry": {"level": "error", **entry}}:
                self.errors.append(f"{entry['text']} ({entry.get('url', '')})")


def _text_of(details: Mapping[str, Any]) -> str:
    return str(details.get("exception", {}).get("description", details["text"]))
