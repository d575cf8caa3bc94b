"""Instrumentation of programs that talk to Home Assistant's WebSocket API over aiohttp, without another library.

Only connections to /api/websocket or /core/websocket count. See otel_ha.instrumentation.home_assistant.feeds for when
an event begins and ends.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from otel_ha.instrumentation.home_assistant.feeds import Feeds
from otel_ha.instrumentation.home_assistant.sockets import ANY, SOCKETS
from otel_ha.instrumentation.instrumentor import LibraryInstrumentor

__all__ = ["HomeAssistantOverAiohttpInstrumentor"]


class HomeAssistantOverAiohttpInstrumentor(LibraryInstrumentor):
    """Instruments connections to Home Assistant over aiohttp."""

    library = "aiohttp >= 3.9, < 4"

    def hooks(self) -> Mapping[str, Callable[[ModuleType], None]]:
        """Return the modules to patch."""
        return {"aiohttp.client": SOCKETS.patch_connecting, "aiohttp.client_ws": SOCKETS.patch_reading}

    def _instrument(self, **kwargs: Any) -> None:
        super()._instrument(**kwargs)
        SOCKETS.begin(ANY, Feeds())

    def _uninstrument(self, **kwargs: Any) -> None:
        SOCKETS.end(ANY)
        super()._uninstrument(**kwargs)
