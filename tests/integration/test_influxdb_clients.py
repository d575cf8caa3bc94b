"""Writes of both client libraries of InfluxDB to a real store: the counts are those of what it holds."""

import time

import pytest

from otel_ha.instrumentation.influxdb.line_protocol import count_points
from otel_ha.instrumentation.influxdb_client import InfluxdbClientInstrumentor
from tests.servers.running import eventually, post
from tests.unit.instrumentation.influxdb_clients import LIBRARIES, MODES
from tests.unit.instrumentation.watched_writes import watching

pytestmark = [pytest.mark.servers, pytest.mark.timeout(120)]

NOW = time.time_ns() // 10**9 * 10**9


@pytest.fixture(params=LIBRARIES, ids=lambda library: library.name)
def library(request):
    return request.param


@pytest.fixture
def writes(library):
    with watching(library.instrumentor()) as writes:
        yield writes


def lines(number, *, of="a", field="value"):
    return [f"state,of={of} {field}={value} {NOW - (number - value) * 10**6}" for value in range(number)]


def stored(store):
    return sum(len(samples) for _, samples in store.export('{__name__=~"state.*"}'))


@pytest.mark.parametrize("mode", MODES)
def test_the_store_has_the_points_that_are_ok(library, mode, writes, victoria_metrics):
    with library.client(victoria_metrics.url, mode, options={"batch_size": 40}) as client:
        for number in range(5):
            client.write(lines(20, of=f"sensor.{number}"))
        client.write("\n".join(lines(10, of="text")).encode())
        client.close()
    assert writes.points == {("ok", None): 110}
    assert stored(victoria_metrics) == 110


@pytest.mark.parametrize("mode", MODES)
def test_the_store_has_none_of_a_batch_that_it_rejects(library, mode, writes, victoria_metrics):
    with library.client(victoria_metrics.url, mode) as client:
        client.write(lines(5, of="good"))
        if mode == "batching":
            client.write([*lines(4, of="bad"), "no fields"])
        else:
            with pytest.raises(Exception, match="400"):
                client.write([*lines(4, of="bad"), "no fields"])
        client.close()
    assert writes.points == {("ok", None): 5, ("error", "400"): 5}
    assert stored(victoria_metrics) == 5


def test_a_line_break_within_quotes_is_no_point_to_the_store_either(library, writes, victoria_metrics):
    with library.client(victoria_metrics.url) as client:
        client.write(lines(3))
        with pytest.raises(Exception, match="missing closing quote"):  # it supports none, and takes nothing
            client.write([f'state,of={value} text="on\noff",value={value} {NOW}' for value in range(4)])
    assert writes.points == {("ok", None): 3, ("error", "400"): 4}
    assert stored(victoria_metrics) == 3


@pytest.mark.parametrize(
    "body",
    [
        'm v="a\nb" 1\nm v="c\n\n#d" 2\nm v="3" 3',
        'm v="say \\"\n\\"" 1\nm v="2" 2',
        'm v="a\\\\" 1\nm v="2" 2',
        'm v="",w="\n" 1\nm v="2" 2',
        'm,room=5" v="1"\nm,room=6" v="2"',
        'm,a=b\\ "c v="1"\nm,a="b v="\n"',
        '# one\n\n  m v="1" 1\n \t\n# two\nm v="2" 2\n',
        'm\\,x,a\\=b=c\\ d v="=\\"\n,=" 1\nm\\,x v="2" 2',
    ],
)
def test_points_are_counted_as_influxdb_reads_them(body, influxdb):
    influxdb.create_database("home")
    post(f"{influxdb.url}/write?db=home", body.encode())
    measurement = r'"m,x"' if "m\\,x" in body else "m"
    assert len(influxdb.query(f"SELECT v FROM {measurement}", "home")) == count_points(body)


def test_comments_and_empty_lines_are_no_points_to_the_store_either(library, writes, victoria_metrics):
    with library.client(victoria_metrics.url) as client:
        client.write("\n".join(["# states", "", *lines(3), "", "#", *lines(2, of="b"), ""]))
    assert writes.points == {("ok", None): 5}
    assert stored(victoria_metrics) == 5


def test_compressed_points_arrive(library, writes, victoria_metrics):
    with library.client(victoria_metrics.url, enable_gzip=True) as client:
        client.write(lines(50))
    assert writes.points == {("ok", None): 50}
    assert stored(victoria_metrics) == 50
    assert 0 < writes.sent < len("\n".join(lines(50)))


def test_batches_outlive_a_restart_of_the_store(library, writes, victoria_metrics):
    options = {"batch_size": 10, "retry_interval": 200, "max_retry_delay": 500, "max_retries": 100}
    with library.client(victoria_metrics.url, "batching", options=options) as client:
        client.write(lines(10, of="before"))
        victoria_metrics.stop()
        client.write(lines(30, of="meanwhile"))
        eventually(lambda: writes.retries)
        victoria_metrics.start()
        client.write(lines(10, of="after"))
        client.close()
    assert writes.points == {("ok", None): 50}
    assert writes.retries > 0
    held = {labels["of"]: {value for _, value in samples} for labels, samples in victoria_metrics.export("state_value")}
    assert {of: len(values) for of, values in held.items()} == {"before": 10, "meanwhile": 30, "after": 10}


async def test_the_asyncio_client_of_influxdb_2_writes_what_it_counts(victoria_metrics):
    from influxdb_client.client.influxdb_client_async import InfluxDBClientAsync  # noqa: PLC0415 - imported when used

    with watching(InfluxdbClientInstrumentor()) as writes:
        async with InfluxDBClientAsync(victoria_metrics.url, token="secret", org="home") as client:
            api = client.write_api()
            for number in range(3):
                assert await api.write("events", record=lines(10, of=str(number)))
            with pytest.raises(Exception, match="400"):
                await api.write("events", record=[*lines(2, of="bad"), "no fields"])
        assert writes.points == {("ok", None): 30, ("error", "400"): 3}
    assert stored(victoria_metrics) == 30
