"""The end of telemetry in an event loop: in a thread, so that the loop goes on; and that of uvicorn's servers."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any

_MARK = "_otel_ha_flushes"


async def in_thread(function: Callable[[], object]) -> None:
    """Call `function` in a thread of its own, or in this one if the process can start none.

    The loop's own executor would not do: once it is used, asyncio starts a thread at the end of the loop.
    """
    import asyncio  # noqa: PLC0415 - a service without a loop need not load these
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415

    executor = ThreadPoolExecutor(1, "otel-ha-end")
    try:
        ending = executor.submit(function)
    except RuntimeError:
        function()
    else:
        await asyncio.wrap_future(ending)
        executor.shutdown()  # the thread has nothing left to do: it ends now, before the caller goes on
    finally:
        executor.shutdown(wait=False)


def is_of_uvicorn(handler: object) -> bool:
    """Whether a handler of signals is that of a server of uvicorn, which restores the one before at its end."""
    server = _server()
    return server is not None and isinstance(getattr(handler, "__self__", None), server)


def flush_when_uvicorn_ends(flush: Callable[[], object]) -> None:
    """Let servers of uvicorn, if the program has imported it, call `flush` at their end.

    A server restores the handlers that it found when it began, and raises the signal again. This is for processes where
    telemetry's handler is not among these: telemetry was set up later, as by an application that a worker imports, or a
    worker has taken the handler away, as gunicorn's do after a fork. The default action then ends the process at once,
    and the server's shutdown is the last step before that. A server that ends by itself, as after so many requests,
    flushes as well: the signal may come before the last push.
    """
    server = _server()
    shutdown: Any = getattr(server, "shutdown", None)
    if shutdown is None or hasattr(shutdown, _MARK):
        return

    @functools.wraps(shutdown)
    async def flushing(self: Any, *arguments: Any, **named: Any) -> Any:
        try:
            return await shutdown(self, *arguments, **named)
        finally:
            await in_thread(flush)

    setattr(flushing, _MARK, True)
    setattr(server, "shutdown", flushing)  # noqa: B010 - the type of the class is not known


def _server() -> Any:
    """Return uvicorn's class of servers, or None if the program has not imported it."""
    return getattr(sys.modules.get("uvicorn.server"), "Server", None)
