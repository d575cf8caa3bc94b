"""AiomqttInstrumentor: an account of the messages in aiomqtt's queues and in the loops that read them."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import Any, ClassVar

from otel_ha.instrumentation.instrumentor import LibraryInstrumentor
from otel_ha.instrumentation.mqtt.account import Account
from otel_ha.instrumentation.mqtt.client import WIRE
from otel_ha.instrumentation.mqtt.receiving import Handle
from otel_ha.instrumentation.patches import quietly
from otel_ha.instrumentation.watching import observe
from otel_ha.telemetry import when_started
from otel_ha.vocabulary import ingest

__all__ = ["AiomqttInstrumentor"]

_QUEUE = "aiomqtt"


class AiomqttInstrumentor(LibraryInstrumentor):
    """Instruments aiomqtt: an event waits in the client's queue, and is processed in the body of an `async for`.

    It is processed until the next message is asked for, or the loop is left. Its connections and the messages that it
    sends are those of the paho-mqtt client inside.
    """

    library: ClassVar[str] = "aiomqtt >= 2.3, < 3"

    def __init__(self) -> None:
        super().__init__()
        if not hasattr(self, "_accounts"):
            self._accounts: weakref.WeakKeyDictionary[Any, Account] = weakref.WeakKeyDictionary()
            self._observed: list[Callable[[], None]] = []

    def hooks(self) -> Mapping[str, Callable[[ModuleType], None]]:
        """Return the function that patches aiomqtt's client, and the paho-mqtt client that it has imported."""
        return {"aiomqtt.client": self._patch}

    def _patch(self, module: ModuleType) -> None:
        paho, client = sys.modules["paho.mqtt.client"], module.Client
        # Version 2.3 has the iterator's class inside the client's.
        iterator = getattr(module, "MessagesIterator", None) or client.MessagesIterator
        replace = self.patches.replace
        replace(iterator, "__anext__", self._anext)
        replace(client, "__aexit__", lambda original: self._aexit(original, module.MqttError))
        WIRE.use(self, paho)
        WIRE.receiving.leave_to(client, self._receive)
        self._observed = [
            observe(ingest.QUEUE_SIZE, self._size, queue=_QUEUE),
            observe(ingest.QUEUE_CAPACITY, self._capacity, queue=_QUEUE),
            when_started(self._recount),
        ]

    def _uninstrument(self, **kwargs: Any) -> None:
        self.patches.is_on = False
        WIRE.receiving.leave_to(None)
        WIRE.leave(self)
        for stop in self._observed:
            stop()
        self._observed = []
        accounts, self._accounts = self._accounts, weakref.WeakKeyDictionary()
        for account in list(accounts.values()):
            account.close("uninstrumented")
        super()._uninstrument(**kwargs)

    def _recount(self) -> None:
        """Count what waits as received by telemetry that starts now: it will see how that ends."""
        for account in list(self._accounts.values()):
            account.recount()

    def _account(self, client: Any) -> Account:
        """Return the account of a client, which it gets at its first message or the first iteration."""
        account = self._accounts.get(client)
        if account is None:
            account = self._accounts.setdefault(client, Account(client._queue))
            # Messages that are left in its queue go with it.
            weakref.finalize(client, account.close, "shutdown").atexit = False
        return account

    def _receive(self, client: Any, original: Handle) -> Handle:
        """Return the function that handles a message: the client's callback puts it into the queue, or drops it."""
        before = client._queue.qsize()

        def receive(paho: Any, message: Any) -> Any:
            try:
                return original(paho, message)
            finally:
                quietly(self._received, client, before)

        return receive

    def _received(self, client: Any, before: int) -> None:
        queue = client._queue
        # A queue of the program's own may make room by dropping others.
        lost = before + 1 - queue.qsize()
        self._account(client).received(lost, "overflow" if queue.full() else "unhandled")

    def _anext(self, original: Callable[..., Any]) -> Callable[..., Any]:
        async def anext_(iterator: Any) -> Any:
            if not self.patches.is_on:
                return await original(iterator)
            account = quietly(self._asks, iterator) or Account()
            try:
                message = await original(iterator)
            except BaseException:
                quietly(account.got_none)
                raise
            quietly(account.got, iterator, message)
            return message

        return anext_

    def _asks(self, iterator: Any) -> Account:
        account = self._account(iterator._client)
        account.asks(iterator)
        return account

    def _aexit(self, original: Callable[..., Any], lost: type[Exception]) -> Callable[..., Any]:
        async def aexit(client: Any, kind: Any = None, error: Any = None, *args: Any) -> Any:
            account = self._accounts.get(client) if self.patches.is_on else None
            if account is None:
                return await original(client, kind, error, *args)
            quietly(account.leaves, error)
            try:
                return await original(client, kind, error, *args)
            finally:
                # A program that has lost the connection usually enters the client again, and reads on.
                if not _contains(error, lost):
                    quietly(account.shut_down)

        return aexit

    def _queues(self) -> Iterator[Any]:
        """Yield the queues of clients whose block the program has not left."""
        for reference in self._accounts.keyrefs():
            client = reference()
            if client is not None and (account := self._accounts.get(client)) is not None and account.is_in_use:
                yield client._queue

    def _size(self) -> int:
        return sum(queue.qsize() for queue in self._queues())

    def _capacity(self) -> int | None:
        """Return how many messages the queues can hold; None if one of them is not limited."""
        capacities = [queue.maxsize for queue in self._queues()]
        return sum(capacities) if capacities and min(capacities) > 0 else None


def _contains(error: object, kind: type[Exception]) -> bool:
    """Whether an exception is of a kind, or a group, as a TaskGroup of workers raises it, with one of this kind."""
    return isinstance(error, kind) or (isinstance(error, BaseExceptionGroup) and error.subgroup(kind) is not None)
