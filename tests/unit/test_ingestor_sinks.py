import asyncio
import errno
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from examples.ingestor import sink as sink_module
from examples.ingestor.accounting import accounting, samples
from examples.ingestor.connection import Backoff
from examples.ingestor.event import Event
from examples.ingestor.file_sink import FileWriter
from examples.ingestor.http_sink import HttpWriter, judge
from examples.ingestor.line_protocol import Point, to_point
from examples.ingestor.outage import UnavailableError
from examples.ingestor.sink import Answer, BatchSink, Writer
from examples.ingestor.urls import Address
from otel_ha import Telemetry

CONFLICT = (
    '{"error":"partial write: field type conflict: input field \\"value\\" on measurement \\"sensor\\" is type float,'
    ' already exists as type string dropped=1"}'
)
UNREADABLE = (
    "{\"error\":\"partial write: unable to parse 'a': missing fields\\nunable to parse 'b': missing fields dropped=0\"}"
)
QUICK = Backoff(0.001, 0.001)
GONE = UnavailableError("OSError", "gone")


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


class Limited(Store):
    """A writer that takes at most this many points at once."""

    def __init__(self, most: int, *answers: Answer | Exception) -> None:
        super().__init__(*answers)
        self.most = most

    async def write(self, points: Sequence[Point]) -> Answer:
        answer = await super().write(points)
        return Answer(len(points), "413", "too large", too_large=True) if len(points) > self.most else answer


async def write(store: Writer, count: int, size: int = 100, domains: tuple[str, ...] = ("sensor",)) -> None:
    sink = BatchSink(store, size, 0.05, backoff=QUICK)
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


def refusal(status: int, text: str = "", location: str = "") -> UnavailableError:
    with pytest.raises(UnavailableError) as raised:
        judge(status, text, 5, location)
    return raised.value


def test_a_missing_database_is_named_with_a_remedy_and_its_points_wait_for_it():
    error = refusal(404, '{"error":"database not found: \\"home\\""}')
    assert (error.error_type, error.refused) == ("404", True)
    assert 'database not found: "home"; create it' in str(error)


@pytest.mark.parametrize("status", [401, 403])
def test_a_wrong_password_is_named_with_a_remedy(status):
    assert "password" in str(refusal(status, '{"error":"authorization failed"}'))


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_store_is_worth_another_attempt(status):
    assert str(refusal(status, "busy")) == f"HTTP {status} busy"
    assert not refusal(status, "busy").refused


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308])
def test_a_redirect_is_an_error_that_names_its_location(status):
    error = refusal(status, "<html>Moved</html>", "https://proxy/write")
    assert (error.error_type, error.refused) == (str(status), True)
    target = "it redirects to https://proxy/write, which is not followed"
    assert str(error) == f"HTTP {status}; {target}; give the address of the store itself"


def test_the_location_of_a_redirect_is_shown_without_user_and_query():
    assert "secret" not in str(refusal(302, "", "https://me:secret@proxy/login?token=secret#secret"))


@pytest.mark.parametrize("status", [200, 201, 202, 203, 206])
def test_a_success_other_than_204_is_no_acknowledgement(status):
    assert "a store answers 204" in str(refusal(status, "<html>Welcome</html>"))


LINE = 'cannot process influx line protocol data: incorrect influx line "a": cannot find Whitespace I in "a"'
PAGE = "<html>\n<head><title>400 The plain HTTP request\nwas sent to HTTPS port</title></head></html>"


@pytest.mark.parametrize("status", [400, 422])
@pytest.mark.parametrize("text", ['{"error":"unable to parse \'a\': missing fields"}', LINE])
def test_points_that_would_be_rejected_again_are_not_sent_again(status, text):
    assert judge(status, text, 5).rejected == 5


@pytest.mark.parametrize("status", [400, 422])
@pytest.mark.parametrize(
    ("text", "explained"),
    [
        (PAGE, "400 The plain HTTP request was sent to HTTPS port"),
        ('remoteAddr: "[::1]:1"; missing route for "/write"', 'missing route for "/write"'),
        ('unsupported path requested: "/wrtte"', 'unsupported path requested: "/wrtte"'),
        ('{"error":"database is required"}', "database is required; choose one with --influxdb-database"),
        ('{"message":"bad request"}', "bad request"),
        ("[" * 100_000, "[["),
        ("", "check that the address is the store's"),
    ],
)
def test_points_wait_if_an_error_is_about_the_request(status, text, explained):
    error = refusal(status, text)
    assert error.refused
    assert explained in str(error)


@pytest.mark.parametrize(
    ("status", "text"), [(413, "<title>413</title>"), (413, '{"error":"big"}'), (400, "too big data size exceeding 1")]
)
def test_a_request_that_is_too_large_names_the_remedy(status, text):
    answer = judge(status, text, 5)
    assert answer.too_large
    assert "write smaller batches with --batch-size" in answer.message


async def test_a_batch_that_is_too_large_is_written_in_halves_and_loses_no_point(telemetry, caplog):
    store = Limited(3)
    await write(store, 22, size=10)
    assert store.batches == [10, 5, 2, 2, 2, 2, 2, 10, 5, 2, 2, 2, 2, 2, 2]
    assert written(telemetry) == {"ok": 22}
    assert logged(caplog) == ["store: too large; writing 10 points in halves"]


async def test_a_point_that_is_too_large_is_lost_alone(telemetry, caplog):
    await write(Limited(0), 3)
    assert written(telemetry) == {"error": 3}
    assert logged(caplog)[1:] == ["store: the store rejected 1 of 1 points: too large"]


async def test_an_outage_between_two_halves_writes_each_point_once(telemetry):
    store = Limited(2, Answer(4, "413", "too large", too_large=True), Answer(), GONE)
    await write(store, 4)
    assert store.batches == [4, 2, 2, 2]
    assert written(telemetry) == {"ok": 4}


def test_a_long_answer_is_cut():
    assert len(str(refusal(500, "x" * 10_000))) < 400


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


async def test_a_batch_that_the_store_cannot_take_is_written_before_later_ones(telemetry):
    store = Store(*[GONE] * 20)
    await write(store, 25, size=10)
    assert store.batches == [10] * 21 + [10, 5]
    assert written(telemetry) == {"ok": 25}


async def test_every_failed_attempt_counts_as_an_error_and_every_further_one_as_a_retry(telemetry):
    await write(Store(GONE, GONE, UnavailableError("503", "busy")), 1)
    counts = {(s.name, s.labels.get("error_type")): s.value for s in samples(telemetry.prometheus_text())}
    assert counts["homeassistant_errors_total", "OSError"] == 2
    assert counts["homeassistant_errors_total", "503"] == 1
    assert counts["homeassistant_retry_attempts_total", None] == 3


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


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The logged lines, with digits that depend on the clock replaced."""
    return [re.sub(r"\d+\.\d s", "N s", record.getMessage()) for record in caplog.records]


async def test_an_outage_costs_one_line_at_its_first_failure_and_one_when_it_is_over(caplog):
    caplog.set_level("INFO")
    await write(Store(GONE, UnavailableError("503", "busy"), GONE), 5, size=1)
    assert logged(caplog) == [
        "store: cannot write: gone; points wait until it can",
        "store: writes succeed again after N s and 3 failed attempts; 0 events were lost meanwhile",
    ]


async def test_each_outage_is_logged(caplog):
    caplog.set_level("INFO")
    await write(Store(GONE, Answer(), GONE), 2, size=1)
    assert ["cannot write" in line for line in logged(caplog)] == [True, False, True, False]


async def test_a_refusal_during_an_outage_is_logged_once_because_waiting_does_not_end_it(caplog):
    refused = UnavailableError("401", "who are you", refused=True)
    await write(Store(GONE, refused, GONE, refused), 1)
    assert logged(caplog) == [
        "store: cannot write: gone; points wait until it can",
        "store: cannot write: who are you; points wait until it can",
    ]


async def test_the_end_of_an_outage_names_the_events_that_were_lost_in_it(caplog):
    caplog.set_level("INFO")
    lost = iter([7, 12])
    sink = BatchSink(Store(GONE), 1, 0.05, backoff=QUICK, overflowed=lambda: next(lost))
    await sink.put(point())
    await sink.close()
    await sink.run()
    assert logged(caplog)[-1].endswith("; 5 events were lost meanwhile")


async def test_rejected_points_are_logged_once(caplog):
    caplog.set_level("INFO")
    conflict = Answer(1, "partial_write", "conflict")
    await write(Store(conflict, conflict), 5, size=1)
    assert logged(caplog) == ["store: the store rejected 1 of 1 points: conflict"]


async def test_rejected_points_in_every_second_batch_cost_one_line(caplog):
    caplog.set_level("INFO")
    conflict, unreadable = Answer(1, "partial_write", "conflict"), Answer(1, "400", "unreadable")
    await write(Store(*[conflict, Answer(), unreadable, Answer()] * 10), 40, size=1)
    assert logged(caplog) == [
        "store: the store rejected 1 of 1 points: conflict",
        "store: the store rejected 1 of 1 points: unreadable",
    ]


async def test_rejected_points_are_over_after_some_minutes_without_them(caplog, monkeypatch):
    caplog.set_level("INFO")
    monkeypatch.setattr(sink_module, "QUIET", 0.0)
    conflict = Answer(1, "partial_write", "conflict")
    await write(Store(conflict, Answer(), conflict), 4, size=1)
    assert logged(caplog) == [
        "store: the store rejected 1 of 1 points: conflict",
        "store: the store accepts all points again",
        "store: the store rejected 1 of 1 points: conflict",
        "store: the store accepts all points again",
    ]


async def test_points_that_an_outage_leaves_at_the_end_are_reported_in_one_line(telemetry, caplog):
    sink = BatchSink(Store(*[GONE] * 1000), 2, 0.05, backoff=Backoff(60, 60))
    running = asyncio.create_task(sink.run())
    for number in range(5):
        await sink.put(point(number))
    await asyncio.sleep(0.05)
    running.cancel()
    await asyncio.wait({running})
    sink.abandon()
    assert logged(caplog)[1:] == ["store: lost 5 points that could not be written before the end"]
    assert written(telemetry) == {"error": 5}


async def test_a_file_holds_a_line_for_each_point(tmp_path):
    writer = FileWriter(tmp_path / "points")
    await writer.write([point(1), point(2)])
    await writer.write([point(3)])
    await writer.close()
    assert len((tmp_path / "points").read_text().splitlines()) == 3


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is a Linux device")
async def test_a_full_disk_fails_with_its_error_name():
    writer = FileWriter(Path("/dev/full"))
    with pytest.raises(UnavailableError) as failed:
        await writer.write([point()])
    await writer.close()
    assert failed.value.error_type == errno.errorcode[errno.ENOSPC]


async def test_a_file_takes_the_points_once_its_disk_has_room(tmp_path, monkeypatch):
    writer = FileWriter(tmp_path / "points")
    room = iter([False, False, True])
    append = writer._append

    def on_a_small_disk(data: bytes) -> None:
        if not next(room):
            raise OSError(errno.ENOSPC, "No space left on device")
        append(data)

    monkeypatch.setattr(writer, "_append", on_a_small_disk)
    await write(writer, 3)
    assert len((tmp_path / "points").read_text().splitlines()) == 3


@asynccontextmanager
async def store_at(*statuses: int) -> AsyncIterator[tuple[HttpWriter, list[str]]]:
    """Yield a writer to an HTTP server that answers with `statuses`, then 204, and the requests of the server.

    A redirect leads to a page that answers 204 to everything, as a proxy that changes http to https does.
    """
    requests: list[str] = []
    left = list(statuses)

    async def answer(request: web.Request) -> web.Response:
        requests.append(f"{request.method} {request.path} {await request.text()}")
        status = left.pop(0) if left and request.path == "/write" else 204
        return web.Response(status=status, headers={"Location": "/elsewhere"})

    async with served(answer) as address:
        writer = HttpWriter("influxdb", address, "home", timeout=5)
        yield writer, requests
        await writer.close()


@asynccontextmanager
async def served(answer: Callable[[web.Request], Awaitable[web.Response]]) -> AsyncIterator[Address]:
    """Yield the address of an HTTP server that answers every request so."""
    application = web.Application()
    application.router.add_route("*", "/{path}", answer)
    runner = web.AppRunner(application, shutdown_timeout=0.01)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0]
    try:
        yield Address("http", host, port)
    finally:
        await runner.cleanup()


async def test_a_batch_is_sent_again_until_the_store_accepts_it():
    async with store_at(503, 500) as (writer, requests):
        await write(writer, 2)
    assert requests == ["POST /write sensor,entity_id=a value=0.0 0\nsensor,entity_id=a value=1.0 1"] * 3


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed_and_its_points_do_not_count_as_written(telemetry, status):
    async with store_at(status) as (writer, requests):
        with pytest.raises(UnavailableError, match=f"HTTP {status}; it redirects to /elsewhere"):
            await writer.write([point()] * 5)
    assert [request.split()[:2] for request in requests] == [["POST", "/write"]]
    assert written(telemetry) == {}


async def test_an_unreachable_store_fails_with_its_error_name():
    writer = HttpWriter("influxdb", Address("http", "127.0.0.1", 1), "home", timeout=5)
    with pytest.raises(UnavailableError) as failed:
        await writer.write([point()])
    await writer.close()
    assert failed.value.error_type == "ClientConnectorError"


async def test_a_store_that_does_not_answer_in_time_fails_with_a_reason():
    async def hang(_: web.Request) -> web.Response:
        await asyncio.sleep(60)
        return web.Response()

    async with served(hang) as address:
        writer = HttpWriter("influxdb", address, "home", timeout=0.05)
        with pytest.raises(UnavailableError, match=r"no answer from http://.* \(.*Timeout"):
            await writer.write([point()])
        await writer.close()


def attempts(telemetry: Telemetry) -> dict[str, float]:
    """The number of measured write attempts, by error type."""
    name = "db_client_operation_duration_seconds_count"
    return {s.labels["error_type"]: s.value for s in samples(telemetry.prometheus_text()) if s.name == name}


async def test_each_attempt_is_measured_with_its_status(telemetry):
    async with store_at(503, 301) as (writer, _):
        await write(writer, 1)
    assert attempts(telemetry) == {"503": 1, "301": 1, "": 1}


async def test_an_unanswered_attempt_is_measured_with_its_cause(telemetry):
    writer = HttpWriter("influxdb", Address("http", "127.0.0.1", 1), "home", timeout=5)
    with pytest.raises(UnavailableError):
        await writer.write([point()])
    await writer.close()
    assert attempts(telemetry) == {"ClientConnectorError": 1}
