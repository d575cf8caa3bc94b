"""Lines that random events become: InfluxDB takes each of them, and reads what the independent reader reads."""

from __future__ import annotations

import urllib.request
from collections import Counter
from functools import partial
from itertools import count
from urllib.error import HTTPError

import pytest
from hypothesis import strategies as st

from examples.ingestor.event import Event
from examples.ingestor.line_protocol import to_point
from tests.fuzz.budget import Fuzz
from tests.fuzz.line_protocol import read_line
from tests.fuzz.test_messages import valid_events
from tests.servers.influxdb import InfluxDB

pytestmark = [pytest.mark.servers, pytest.mark.timeout(180)]


def write(url: str, body: str) -> str:
    """Write lines; return what the store says, which is nothing if it takes all of them."""
    request = urllib.request.Request(url, body.encode(), method="POST")
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.read().decode()
    except HTTPError as error:
        return error.read().decode()


databases = (f"fuzz{number}" for number in count())


def check(influxdb: InfluxDB, events: list[Event | None]) -> None:
    points = [to_point(event, list(event.attributes), list(event.attributes)) for event in events if event is not None]
    lines = [point.line for point in points if point is not None]
    database = next(databases)
    assert write(influxdb.create_database(database), "\n".join(lines)) == ""
    reads = [read_line(line) for line in lines]
    at_once = Counter((read.measurement, read.timestamp) for read in reads)
    for line, read in list(zip(lines, reads, strict=True))[:5]:
        name = read.measurement.replace("\\", "\\\\").replace('"', '\\"')
        found = influxdb.query(f'SELECT * FROM "{name}" WHERE time = {read.timestamp}', database)
        assert found, line
        if at_once[read.measurement, read.timestamp] == 1:  # the store keeps one of two that are the same series
            assert len(found) == 1, line
            written = {key: found[0].get(key) for key in read.fields.keys() - read.tags.keys()}
            # JSON has a number without a fraction as a whole one.
            found_values = {k: float(v) if isinstance(v, int) else v for k, v in written.items()}
            assert found_values == {key: read.fields[key] for key in written}, line


def test_influxdb_takes_and_reads_every_line(influxdb: InfluxDB, fuzz: Fuzz) -> None:
    fuzz(partial(check, influxdb), st.lists(valid_events(), min_size=5, max_size=40), most=15)
