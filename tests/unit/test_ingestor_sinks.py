import asyncio
import errno
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from examples.ingestor.accounting import accounting, samples
from examples.ingestor.connection import Backoff
from examples.ingestor.event import Event
from examples.ingestor.file_sink import FileWriter
from examples.ingestor.http_sink import HttpWriter, TryAgainError, judge
from examples.ingestor.line_protocol import Point, to_point
from examples.ingestor.sink import Answer, BatchSink, WriteFailedError
from examples.ingestor.urls import Address
from otel_ha import Telemetry

CONFLICT = (
    '{"error":"partial write: field type conflict: input field \\"value\\" on measurement \\"sensor\\" is type float,'
    ' already exists as type string dropped=1"}'
)
UNREADABLE = (
    "{\"error\":\"partial write: unable to parse 'a': missing fields\\nunable to parse 'b': missing fields dropped=0\"}"
)


def point(number: int = 0, domain: str = "sensor") -> Point:
    return to_point(Event("mqtt", f"{domain}.a", str(number), number))


def written(telemetry: Telemetry) -> dict[str, int]:
    return dict(accounting(telemetry.prometheus_text()).points)


class Store:
    """A writer that gives, or raises, these answers in turn, then accepts every batch."""

    name = "store"

    def __init__(self, *answers: Answer | Exception) -> None:
        self.answers = list(answers)
        self.batches: list[int] = []

    async def write(self, points: Sequence[Point]) -> Answer:
        self.batches.append(len(points))
        answer = self.answers.pop(0) if self.answers else Answer()
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def close(self) -> None:
        pass


async def write(store: Store, count: int, size: int = 100, domains: tuple[str, ...] = ("sensor",)) -> None:
    sink = BatchSink(store, size, 0.05)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(sink.run())
        for number in range(count):
            await sink.put(point(number, domains[number % len(domains)]))
        await sink.close()


def test_204_is_an_acknowledgement():
    assert judge(204, "", 5) == Answer()


def test_a_partial_write_reports_the_number_of_dropped_points():
    assert judge(400, CONFLICT, 5).rejected == 1


def test_a_partial_write_with_unreadable_lines_rejects_those_lines():
    assert judge(400, UNREADABLE, 5).rejected == 2


def test_a_partial_write_without_a_number_rejects_at_least_one_point():
    assert judge(400, '{"error":"partial write: timeout"}', 5).rejected == 1


def test_any_other_400_rejects_the_whole_batch():
    assert judge(400, '{"error":"unable to parse \'a\': missing fields"}', 5).rejected == 5


def test_a_missing_database_is_named_with_a_remedy():
    answer = judge(404, '{"error":"database not found: \\"home\\""}', 5)
    assert (answer.rejected, answer.error_type) == (5, "404")
    assert 'database not found: "home"; create it' in answer.message


def test_a_wrong_password_is_named_with_a_remedy():
    assert "password" in judge(401, '{"error":"authorization failed"}', 5).message


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_store_is_worth_another_attempt(status):
    with pytest.raises(TryAgainError, match=str(status)):
        judge(status, "busy", 5)


async def test_points_are_written_in_full_batches():
    store = Store()
    await write(store, 25, size=10)
    assert store.batches == [10, 10, 5]


async def test_an_incomplete_batch_is_written_after_its_time():
    store = Store()
    sink = BatchSink(store, 100, 0.05)
    running = asyncio.create_task(sink.run())
    await sink.put(point())
    await asyncio.sleep(0.2)
    assert store.batches == [1]
    await sink.close()
    await running


async def test_acknowledged_points_count_as_ok(telemetry):
    await write(Store(), 25, size=10)
    assert written(telemetry) == {"ok": 25}


async def test_a_failed_write_counts_each_of_its_points_as_an_error(telemetry):
    await write(Store(WriteFailedError("OSError", "gone")), 25, size=10)
    assert written(telemetry) == {"ok": 15, "error": 10}


async def test_any_exception_of_a_writer_loses_one_batch_and_the_sink_continues(telemetry, caplog):
    await write(Store(ValueError("odd")), 25, size=10)
    assert written(telemetry) == {"ok": 15, "error": 10}
    assert "store: lost 10 points: ValueError('odd')" in caplog.messages


async def test_rejected_points_count_as_errors(telemetry):
    await write(Store(Answer(3, "partial_write", "dropped")), 10)
    assert written(telemetry) == {"ok": 7, "error": 3}


async def test_the_measurement_is_omitted_if_the_rejected_points_are_unknown(telemetry):
    await write(Store(Answer(3, "partial_write", "dropped")), 10, domains=("sensor", "light"))
    lines = [s for s in samples(telemetry.prometheus_text()) if s.name == "homeassistant_point_written_total"]
    assert {line.labels.get("homeassistant_measurement", "") for line in lines} == {""}


async def test_points_that_cannot_be_written_in_time_count_as_lost(telemetry):
    class Stuck(Store):
        async def write(self, points: Sequence[Point]) -> Answer:
            await asyncio.sleep(60)
            return await super().write(points)

    sink = BatchSink(Stuck(), 2, 0.05)
    running = asyncio.create_task(sink.run())
    for number in range(5):
        await sink.put(point(number))
    await asyncio.sleep(0.05)
    running.cancel()
    await asyncio.wait({running})
    sink.abandon()
    assert written(telemetry) == {"error": 5}


async def test_errors_are_logged_when_they_begin_and_when_they_end(caplog):
    gone = WriteFailedError("OSError", "gone")
    caplog.set_level("INFO")
    await write(Store(gone, gone, gone), 5, size=1)
    assert [record.getMessage() for record in caplog.records] == [
        "store: lost 1 points: gone",
        "store: writes succeed again",
    ]


async def test_a_file_holds_a_line_for_each_point(tmp_path):
    writer = FileWriter(tmp_path / "points")
    await writer.write([point(1), point(2)])
    await writer.write([point(3)])
    await writer.close()
    assert len((tmp_path / "points").read_text().splitlines()) == 3


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is a Linux device")
async def test_a_full_disk_fails_with_its_error_name():
    writer = FileWriter(Path("/dev/full"))
    with pytest.raises(WriteFailedError) as failed:
        await writer.write([point()])
    await writer.close()
    assert failed.value.error_type == errno.errorcode[errno.ENOSPC]


@asynccontextmanager
async def store_at(*statuses: int) -> AsyncIterator[tuple[HttpWriter, list[str]]]:
    """Yield a writer to an HTTP server that answers with `statuses`, then 204, and the request bodies of the server."""
    bodies: list[str] = []
    left = list(statuses)

    async def answer(request: web.Request) -> web.Response:
        bodies.append(await request.text())
        return web.Response(status=left.pop(0) if left else 204)

    application = web.Application()
    application.router.add_post("/write", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0]
    backoff = Backoff(0.001, 0.001)
    writer = HttpWriter("influxdb", Address("http", host, port), "home", retries=2, timeout=5, backoff=backoff)
    yield writer, bodies
    await writer.close()
    await runner.cleanup()


async def test_a_batch_is_retried_until_the_store_accepts_it():
    async with store_at(503, 500) as (writer, bodies):
        answer = await writer.write([point(1), point(2)])
    assert (answer, len(bodies)) == (Answer(), 3)
    assert len(bodies[0].splitlines()) == 2


async def test_a_batch_is_lost_after_the_last_retry():
    async with store_at(503, 503, 503) as (writer, bodies):
        with pytest.raises(WriteFailedError) as failed:
            await writer.write([point()])
    assert (failed.value.error_type, len(bodies)) == ("503", 3)


async def test_an_unreachable_store_fails_with_its_error_name():
    writer = HttpWriter("influxdb", Address("http", "127.0.0.1", 1), "home", retries=0, timeout=5)
    with pytest.raises(WriteFailedError) as failed:
        await writer.write([point()])
    await writer.close()
    assert failed.value.error_type == "ClientConnectorError"


def attempts(telemetry: Telemetry) -> dict[str, float]:
    """The number of measured write attempts, by error type."""
    name = "db_client_operation_duration_seconds_count"
    return {s.labels["error_type"]: s.value for s in samples(telemetry.prometheus_text()) if s.name == name}


async def test_each_attempt_is_measured_with_its_status(telemetry):
    async with store_at(503) as (writer, _):
        await writer.write([point()])
    assert attempts(telemetry) == {"503": 1, "": 1}


async def test_an_unanswered_attempt_is_measured_with_its_cause(telemetry):
    writer = HttpWriter("influxdb", Address("http", "127.0.0.1", 1), "home", retries=0, timeout=5)
    with pytest.raises(WriteFailedError):
        await writer.write([point()])
    await writer.close()
    assert attempts(telemetry) == {"ClientConnectorError": 1}
