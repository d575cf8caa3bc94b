"""Hooks that InfluxDB's two client libraries share."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import ModuleType
from typing import Any, ClassVar

from otel_ha.instrumentation.influxdb.buffers import WriteBuffers
from otel_ha.instrumentation.influxdb.line_protocol import count_points
from otel_ha.instrumentation.influxdb.writes import WRITES, error_type
from otel_ha.instrumentation.instrumentor import LibraryInstrumentor
from otel_ha.instrumentation.patches import Patches

__all__ = ["InfluxdbInstrumentor"]

_logger = logging.getLogger("otel_ha")

Function = Callable[..., Any]

Arguments = Mapping[str, Any]
"""The arguments of a call by the names of the function's parameters."""

Around = Callable[[Arguments], AbstractContextManager[None]]
"""A function that returns the context to make a call in."""

_PATHS = ("/api/v2/write", "/api/v3/write_lp")


class InfluxdbInstrumentor(LibraryInstrumentor):
    """Instruments a client library of InfluxDB; a subclass says which function does which part of a write.

    A write is measured where its request is made, whichever thread that is: the program's, that of the batches, or one
    of a pool. So a piece of data counts once, and a write that the program does not wait for counts too.
    """

    queue: ClassVar[str]
    """The name of the queue that is the buffer of its batching clients."""

    _retries: ClassVar[Patches] = Patches()
    """The replacement in urllib3, which the libraries share."""
    _counting_retries: ClassVar[set[type]] = set()

    def __init__(self) -> None:
        super().__init__()
        if not hasattr(self, "_buffers"):  # as in LibraryInstrumentor
            self._buffers = WriteBuffers(self.queue)

    def _uninstrument(self, **kwargs: Any) -> None:
        self._buffers.end()
        self._counting_retries.discard(type(self))
        if not self._counting_retries:
            self._retries.is_on = False
            self._retries.undo()
        super()._uninstrument(**kwargs)

    def patch_requests(self, owner: type, name: str, url: Callable[[Any], object], *, is_async: bool = False) -> None:
        """Measure the requests that write points, of a class from whose objects `url` gets the store's URL."""

        def sending(call: Arguments) -> AbstractContextManager[None]:
            if call["resource_path"] not in _PATHS:
                return nullcontext()
            return WRITES.sending(call.get("body"), url(call["self"]))

        self.around(owner, name, sending, is_async=is_async)

    def patch_bodies(self, rest_client: type, *, is_async: bool = False) -> None:
        """Note the bodies of requests as they are sent, maybe compressed."""

        def requested(call: Arguments) -> AbstractContextManager[None]:
            WRITES.requested(call.get("body"))
            return nullcontext()

        self.around(rest_client, "request", requested, is_async=is_async)

    def patch_posts(self, owner: type, name: str, *, is_async: bool = False) -> None:
        """Count the points whose request is never made, of a function that is to make one."""
        self.around(owner, name, lambda call: WRITES.handing_over(call["body"]), is_async=is_async)

    def patch_retries(self, module: ModuleType) -> None:
        """Count retries, of the module that defines the library's own kind of urllib3's."""
        patches = self._retries

        def make(original: Function) -> Function:
            def increment(*args: Any, **kwargs: Any) -> Any:
                retry = original(*args, **kwargs)
                if patches.is_on:
                    WRITES.retried(retry)
                return retry

            return increment

        patches.is_on = True
        self._counting_retries.add(type(self))
        patches.replace(module.Retry, "increment", make)  # urllib3's, which a program may use as it is

    def patch_batching(self, write_api: type) -> None:
        """Follow points through the buffer of a batching client."""
        self._buffers.begin()
        self.patches.replace(write_api, "_write_batching", self._entering)
        self.around(write_api, "_http", self._leaving)
        for name in ("close", "__del__"):  # each version does the work in one of them
            if name in vars(write_api):
                self.around(write_api, name, self._closing)

    def around(self, owner: type, name: str, context: Around, *, is_async: bool = False) -> None:
        """Call a function of the library within a context; warn if this version lacks the function."""
        patches = self.patches

        def make(original: Function) -> Function:
            bind = inspect.signature(original).bind

            def around(args: tuple[Any, ...], kwargs: dict[str, Any]) -> AbstractContextManager[None]:
                try:
                    return context(bind(*args, **kwargs).arguments) if patches.is_on else nullcontext()
                except Exception:  # a wrong call has to fail as it does without us
                    _logger.debug("a call to %s.%s is not measured", owner.__qualname__, name, exc_info=True)
                    return nullcontext()

            def within(*args: Any, **kwargs: Any) -> Any:
                with around(args, kwargs):
                    return original(*args, **kwargs)

            async def within_async(*args: Any, **kwargs: Any) -> Any:
                with around(args, kwargs):
                    return await original(*args, **kwargs)

            return within_async if is_async else within

        if name not in vars(owner):
            _logger.warning(
                "%s does not measure every write: this version of the library has no %s.%s; it supports %s",
                type(self).__name__,
                owner.__qualname__,
                name,
                self.library,
            )
        patches.replace(owner, name, make)

    def _entering(self, original: Function) -> Function:
        """Return a replacement for the function that puts records into the buffer, calling itself until it has bytes.

        Each point passes it several times: it is a plain function.
        """
        patches, buffers = self.patches, self._buffers

        def write_batching(client: Any, bucket: Any, org: Any, data: Any, *args: Any, **kwargs: Any) -> Any:
            if not isinstance(data, bytes) or not patches.is_on:
                return original(client, bucket, org, data, *args, **kwargs)
            points = count_points(data)
            buffers.enter(client, points)
            try:
                return original(client, bucket, org, data, *args, **kwargs)
            except BaseException as error:
                buffers.refused(client, points, error_type(error))
                raise

        return write_batching

    def _leaving(self, call: Arguments) -> AbstractContextManager[None]:
        batch = call["batch_item"]
        self._buffers.leave(call["self"], batch.size)
        return WRITES.handing_over(batch.data)

    @contextmanager
    def _closing(self, call: Arguments) -> Iterator[None]:
        client = call["self"]
        pipeline = getattr(client, "_disposable", None)
        try:
            yield
        finally:
            if getattr(pipeline, "is_disposed", False):  # else it gave up waiting for the last batches
                self._buffers.closed(client)
