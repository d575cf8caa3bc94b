"""Chromium without a window, driven by playwright: Debian's program, not a browser that playwright downloads.

While playwright's synchronous interface is in use, its thread counts as one with a running event loop: asyncio.run()
fails there. A module of tests has either a browser or coroutines.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the package is an extra of its own: tests that need no browser run without it
    from playwright.sync_api import Browser, ConsoleMessage, Page

WIDTH, HEIGHT = 1280, 800
# /dev/shm of a container is small. The rest is traffic of its own, and the proxy of the environment.
FLAGS = (
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-quic",
    "--no-proxy-server",
)


@contextmanager
def launched(program: Path) -> Iterator[Browser]:
    """Run the browser. It has no sandbox, because tests may run as root."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, chromium_sandbox=False, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


class Sight:
    """A page, with the errors of its console and scripts, and the URLs of its requests, in turn."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.errors: list[str] = []
        self.requests: list[str] = []
        page.on("console", self._note)
        page.on("pageerror", lambda error: self.errors.append(f"{error.name}: {error.message}"))
        page.on("request", lambda request: self.requests.append(request.url))

    def _note(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.errors.append(f"{message.text} ({message.location.get('url', '')})")


@contextmanager
def opened(browser: Browser, url: str, *, width: int = WIDTH, height: int = HEIGHT, **settings: Any) -> Iterator[Sight]:
    """Open the URL in a new profile with a window of this size; `settings` are those of playwright's new_context().

    Raises playwright's Error if the server does not answer.
    """
    context = browser.new_context(viewport={"width": width, "height": height}, **settings)
    try:
        sight = Sight(context.new_page())
        sight.page.goto(url)
        yield sight
    finally:
        context.close()
