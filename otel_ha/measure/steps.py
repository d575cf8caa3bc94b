"""Steps: a measured generator is in its span while it takes a step, and its caller is not."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Generator
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from otel_ha.declare.work_span import WorkSpan


def steps(generator: Generator[Any, Any, Any], span: WorkSpan | None) -> Generator[Any, Any, Any]:
    """Return a generator whose steps are in this span, if there is one."""
    return generator if span is None or _is_of_a_with(sys._getframe(1)) else _Steps(generator, span)


def async_steps(generator: AsyncGenerator[Any, Any], span: WorkSpan | None) -> AsyncGenerator[Any, Any]:
    """Return an asynchronous generator whose steps are in this span, if there is one."""
    return generator if span is None or _is_of_a_with(sys._getframe(1)) else _AsyncSteps(generator, span)


def _is_of_a_with(frame: FrameType) -> bool:
    """Whether a generator is a context manager: the body of its `with` is part of the work, and so in the span."""
    caller = frame.f_back
    return caller is not None and caller.f_globals.get("__name__") == "contextlib"


# A step that ends the generator leaves the span current: there the end of the work is recorded.


class _Steps(Generator[Any, Any, Any]):
    def __init__(self, generator: Generator[Any, Any, Any], span: WorkSpan) -> None:
        self._generator = generator
        self._span = span

    def send(self, value: Any, /) -> Any:
        self._span.resume()
        result = self._generator.send(value)
        self._span.pause()
        return result

    def throw(self, kind: Any, value: Any = None, tb: TracebackType | None = None, /) -> Any:
        self._span.resume()
        result = self._generator.throw(_one(kind, value, tb))
        self._span.pause()
        return result

    def close(self) -> None:
        self._span.resume()
        self._generator.close()


class _AsyncSteps(AsyncGenerator[Any, Any]):
    def __init__(self, generator: AsyncGenerator[Any, Any], span: WorkSpan) -> None:
        self._generator = generator
        self._span = span

    async def asend(self, value: Any, /) -> Any:
        self._span.resume()
        result = await self._generator.asend(value)
        self._span.pause()
        return result

    async def athrow(self, kind: Any, value: Any = None, tb: TracebackType | None = None, /) -> Any:
        self._span.resume()
        result = await self._generator.athrow(_one(kind, value, tb))
        self._span.pause()
        return result

    async def aclose(self) -> None:
        self._span.resume()
        await self._generator.aclose()


def _one(kind: Any, value: Any, tb: TracebackType | None) -> BaseException:
    """Return an exception that is thrown in the old form of three arguments as one: Python 3.12 warns of the form."""
    error: BaseException = value if isinstance(value, BaseException) else kind
    return error if tb is None else error.with_traceback(tb)
