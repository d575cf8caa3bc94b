"""Writes of influxdb-client's asyncio client to a scripted store."""

import asyncio
import contextvars
import gzip
from contextlib import asynccontextmanager, nullcontext

import pytest

from otel_ha.instrumentation.influxdb.writes import WRITES
from otel_ha.instrumentation.influxdb_client import InfluxdbClientInstrumentor
from otel_ha.vocabulary import ingest
from tests.receivers import answer, receiving, silent
from tests.servers.running import eventually
from tests.traced import Traced
from tests.unit.instrumentation.watched_writes import watching

OK = answer("204 No Content")


@pytest.fixture
def writes():
    with watching(InfluxdbClientInstrumentor()) as writes:
        yield writes


@asynccontextmanager
async def client(url, **settings):
    from influxdb_client.client.influxdb_client_async import InfluxDBClientAsync  # noqa: PLC0415 - imported when used

    async with InfluxDBClientAsync(url=url, token="secret", org="home", **settings) as made:
        yield made.write_api()


@pytest.mark.parametrize("compressed", [False, True])
async def test_points_and_bytes_count_once(writes, compressed):
    with receiving(OK) as server:
        async with client(server.url, enable_gzip=compressed) as api:
            assert await api.write("events", record=["state value=1", "state value=2"])
    assert (writes.points, writes.requests) == ({("ok", None): 2}, {("ok", None): 1})
    [sent] = server.requests
    assert writes.sent == len(sent.body)
    assert (gzip.decompress(sent.body) if compressed else sent.body) == b"state value=1\nstate value=2"


async def test_a_write_that_is_rejected_raises_and_is_an_error(writes):
    with receiving(answer("401 Unauthorized", b'{"code":"unauthorized","message":"no"}')) as server:
        async with client(server.url) as api:
            with pytest.raises(Exception, match="401"):
                await api.write("events", record="state value=1")
    assert writes.points == writes.requests == {("error", "401"): 1}
    assert writes.errors == {"401": 1}


async def test_points_that_a_partial_write_has_stored_are_ok(writes):
    with receiving(answer("422 Unprocessable Entity", b'{"message":"partial write: no dropped=1"}')) as server:
        async with client(server.url) as api:
            with pytest.raises(Exception, match="422"):
                await api.write("events", record=["state value=1", "state value=2"])
    assert writes.points == {("ok", None): 1, ("error", "422"): 1}


async def test_a_write_that_is_cancelled_is_not_an_error(writes):
    with receiving(silent) as server:
        async with client(server.url) as api:
            writing = asyncio.create_task(api.write("events", record=["state value=1", "state value=2"]))
            await asyncio.to_thread(eventually, lambda: server.requests)
            writing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await writing
    assert (writes.points, writes.requests) == ({("cancelled", None): 2}, {("cancelled", None): 1})
    assert writes.errors == {}


async def test_a_timeout_is_an_error(writes):
    with receiving(silent) as server:
        async with client(server.url, timeout=200) as api:
            with pytest.raises(TimeoutError):
                await api.write("events", record="state value=1")
    [(outcome, error_type)] = writes.points
    assert (outcome, "Timeout" in error_type) == ("error", True)


async def test_a_store_that_is_down_is_an_error(writes):
    async with client("http://127.0.0.1:1") as api:
        with pytest.raises(OSError, match=r"127\.0\.0\.1"):
            await api.write("events", record="state value=1")
    [(outcome, error_type)] = writes.points
    assert (outcome, error_type.startswith("aiohttp.")) == ("error", True)


async def test_writes_at_once_count_apart(writes):
    with receiving(OK) as server:
        async with client(server.url) as api:
            await asyncio.gather(*(api.write("events", record=f"state value={value}") for value in range(20)))
    assert writes.points == {("ok", None): 20}
    writes.metrics.assert_recorded(ingest.BATCH_SIZE, 20)


async def test_points_whose_request_is_never_made_are_lost(writes):
    async with client("http://127.0.0.1:1") as api:
        with pytest.raises(ValueError, match="org"):
            await api._write_service.post_write_async(org=None, bucket="events", body=b"state value=1")
    assert writes.points == {("error", "ValueError"): 1}
    assert writes.requests == {}


@pytest.mark.parametrize("tracing", [Traced, nullcontext])
def test_a_write_that_nobody_awaits_any_more_is_cancelled(writes, tracing, caplog):
    """A coroutine that is garbage is closed in another context than it ran in."""
    instrumentor = InfluxdbClientInstrumentor()

    class Service:
        async def post(self, body):
            with WRITES.sending(body, "http://127.0.0.1:1"):
                await asyncio.sleep(0)  # which needs no loop

    instrumentor.patch_posts(Service, "post", is_async=True)
    writing = Service().post(b"state value=1")
    with tracing():
        contextvars.copy_context().run(writing.send, None)
        writing.close()
    assert caplog.messages == []
    assert (writes.points, writes.requests) == ({("cancelled", None): 1}, {("cancelled", None): 1})
