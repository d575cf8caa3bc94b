"""Instrumented libraries that record into memory, for tests in one process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider

from otel_ha import TelemetryConfig, setup_telemetry
from otel_ha.instrumentation.instrumentor import LibraryInstrumentor
from otel_ha.telemetry import running_telemetry
from tests.recorded import Distribution, MemoryReader, accounts

SILENT = TelemetryConfig(metrics_exporters=(), system_metrics=False, endpoint_server=False, environ={})


class Seen:
    """The figures of the metrics, by short names."""

    def __init__(self, reader: MemoryReader) -> None:
        self.reader = reader

    def by(self, name: str, *attributes: str) -> dict[Any, Any]:
        """Return {values of the attributes: number} of a metric; one attribute makes plain keys."""
        found: dict[Any, Any] = {}
        for point, value in self.reader.collected().get(name, {}).items():
            values = tuple(dict(point).get(each) for each in attributes)
            key = values[0] if len(values) == 1 else values
            found[key] = found.get(key, 0) + (value.count if isinstance(value, Distribution) else value)
        return found

    def outcomes(self) -> dict[str, int]:
        return self.by("homeassistant.event.process.duration", "homeassistant.outcome")

    def errors(self) -> dict[str | None, int]:
        return self.by("homeassistant.event.process.duration", "error.type")

    def domains(self) -> dict[str | None, int]:
        return self.by("homeassistant.event.process.duration", "homeassistant.domain")

    def states(self) -> dict[str, int]:
        return self.by("homeassistant.event.in_flight", "homeassistant.event.state")

    def discarded(self) -> dict[str, int]:
        return self.by("homeassistant.event.discarded", "homeassistant.discard.reason")

    def received(self) -> int:
        return sum(self.by("homeassistant.event.received").values())

    def bytes(self) -> int:
        return sum(self.by("homeassistant.data.received").values())

    def up(self) -> int:
        return sum(self.by("homeassistant.connection.active").values())

    def reconnects(self) -> int:
        return sum(self.by("homeassistant.connection.reconnects").values())

    def closed(self) -> dict[str, int]:
        return self.by("homeassistant.connection.closed", "homeassistant.connection.close.reason")

    def ages(self) -> list[float]:
        return list(self.by("homeassistant.message.age").values())

    def problems(self) -> dict[str, int]:
        return self.by("otel_ha.recording.problems", "otel_ha.problem.reason")

    def account(self, source: str = "websocket") -> dict[str, int]:
        """Return the account of a source; it must add up."""
        account = accounts(self.reader.collected()).get(
            source, dict.fromkeys(("received", "processed", "discarded", "in_flight"), 0)
        )
        assert account["received"] == account["processed"] + account["discarded"] + account["in_flight"], account
        assert account["in_flight"] >= 0
        return account

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until the metrics say so; the account has to add up all the time."""
        async with asyncio.timeout(30):
            while not condition():
                self.account()
                await asyncio.sleep(0.005)


async def eventually(condition: Callable[[], object]) -> None:
    """Wait until the test's own part says so."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - any condition will do
            await asyncio.sleep(0.001)


@contextmanager
def instrumented(*instrumentors: LibraryInstrumentor, journalled: bool = False) -> Iterator[Seen]:
    """Instrument libraries on a MeterProvider with a reader in memory; with `journalled`, on telemetry of our own."""
    reader = MemoryReader()
    telemetry = setup_telemetry("test", config=SILENT) if journalled else None
    provider = telemetry.pipeline.provider if telemetry else MeterProvider([reader], shutdown_on_exit=False)
    arguments = {} if telemetry else {"meter_provider": provider}
    try:
        for instrumentor in instrumentors:
            instrumentor.instrument(**arguments)
        reader.gate = running_telemetry().pipeline.gate
        if telemetry:
            provider.add_metric_reader(reader)
        yield Seen(reader)
    finally:
        for instrumentor in instrumentors:
            if instrumentor.is_instrumented_by_opentelemetry:
                instrumentor.uninstrument()
        if telemetry:
            telemetry.shutdown()
        provider.shutdown()


@asynccontextmanager
async def running(coroutine: Any) -> AsyncIterator[asyncio.Task]:
    """Run a program as a task, and cancel it at the end if it still runs."""
    task = asyncio.create_task(coroutine)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task})
