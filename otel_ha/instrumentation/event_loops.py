"""Event loops of a program that does not know of telemetry: each one is watched while it runs, in any thread."""

from __future__ import annotations

from functools import wraps
from types import ModuleType
from typing import Any

from otel_ha.instrumentation.patches import when_imported
from otel_ha.sources.event_loop import watched_run

__all__ = ["watch_event_loops"]


def watch_event_loops() -> None:
    """Measure the delay of each event loop from now on."""
    when_imported("asyncio.base_events", _hook_asyncio)
    when_imported("uvloop", _hook_uvloop)


def _hook_asyncio(module: ModuleType) -> None:
    _hook(module.BaseEventLoop)


def _hook_uvloop(module: ModuleType) -> None:
    # The class that its loops have is written in Python; the one below it, which runs them, is compiled.
    _hook(module.Loop)


def _hook(loops: Any) -> None:
    original = loops.run_forever

    @wraps(original)
    def run_forever(self: Any) -> Any:
        with watched_run(self):
            return original(self)

    loops.run_forever = run_forever
