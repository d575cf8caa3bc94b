"""Answers from outside: those of a receiver, and the summaries of services that otel-ha top shows."""

from __future__ import annotations

import json
import math
import re
from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse

from otel_ha import TelemetryError
from otel_ha.cli.client import Access
from otel_ha.cli.top.plain import json_line, text_line
from otel_ha.cli.top.reading import read
from otel_ha.cli.top.view import View
from otel_ha.cli.top.watch import Service
from otel_ha.declare.naming import (
    is_attribute_key,
    is_name,
    is_unit,
    prometheus_label,
    prometheus_name,
    prometheus_unit,
)
from otel_ha.export.otlp.answer import accepted, excerpt, seconds_to_wait
from otel_ha.scrub import scrub
from tests.fuzz.budget import Fuzz
from tests.unit.top.drawn import lines
from tests.watched import summary

WORDS = [
    *(
        "schema_version",
        "service",
        "system_info",
        "hostname",
        "current",
        "performance",
        "system",
        "business",
        "history",
        "health",
    ),
    *(
        "status",
        "reasons",
        "notes",
        "readers",
        "reader",
        "accounts",
        "total",
        "received",
        "discarded",
        "processed",
        "in_flight",
    ),
    *(
        "tables",
        "sources",
        "domains",
        "errors",
        "name",
        "component",
        "connections",
        "up",
        "rate",
        "timestamp",
        "started",
        "window",
    ),
    *(
        "event_processing_rate",
        "p95_processing_time",
        "queue_depth",
        "interval",
        "rates_by_outcome",
        "ok",
        "process_id",
        "limit",
    ),
]
TEXTS = [
    *WORDS,
    "2",
    "2.0",
    "degraded",
    "",
    "\x1b[2J",
    "\ud800",
    "\u202e",
    "é" * 50,
    "[red]x[/red]",
    "\n",
    "x" * 2000,
    "http://u:hunter2@h",
]
scalars = st.one_of(
    *(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=10), st.sampled_from(TEXTS)),
    st.sampled_from([10**400, 2**63, -1, 1e308, -1e308, 5e-324, 1e18]),
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(WORDS) | st.text(max_size=5), inner, max_size=5)
    ),
    max_leaves=20,
)


def places(whole: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths of the parts of JSON, of lists only to the first part."""
    inner = whole.items() if isinstance(whole, dict) else enumerate(whole[:1]) if isinstance(whole, list) else ()
    return [path, *(each for name, part in inner for each in places(part, (*path, name)))]


PLACES = places(summary())[1:]


@st.composite
def summaries(draw: st.DrawFn) -> dict[str, Any]:
    """Return a summary some parts of which are wrong."""
    found: Any = summary()
    for path in draw(st.lists(st.sampled_from(PLACES), max_size=5)):
        at = found
        for name in path[:-1]:
            at = (
                at[name]
                if isinstance(at, dict | list) and name in (at if isinstance(at, dict) else range(len(at)))
                else {}
            )
        if isinstance(at, dict) or (isinstance(at, list) and at and isinstance(path[-1], int)):
            at[path[-1]] = draw(values)
    return {**found, **draw(st.dictionaries(st.sampled_from(WORDS), values, max_size=2))}


def test_summaries_that_top_shows(fuzz: Fuzz) -> None:
    def check(given: list[dict[str, Any]]) -> None:
        watched = [Service(f"http://10.0.0.{number}:9464") for number in range(2)]
        for number, each in enumerate(given):
            watched[number % 2].answered(read(each), float(number))
        now = datetime.now(UTC)
        for service in watched:
            line = text_line(service, now, 10.0)
            assert line.isprintable(), ascii(line)
            json.loads(json_line(service, now))
        for view in (
            View(watched),
            View(watched, sort="rate", is_open=True),
            View(watched[:1], row_sort="name", reverse=True),
        ):
            for width, height in ((80, 24), (120, 40), (40, 10)):
                assert all("\x1b" not in each for each in lines(view, width, height))

    fuzz(check, st.lists(summaries(), min_size=1, max_size=3), most=3)


BODIES = st.one_of(
    st.binary(max_size=60),
    values.map(lambda value: json.dumps(value).encode()),
    st.fixed_dictionaries(
        {
            "partialSuccess": st.fixed_dictionaries(
                {"rejectedDataPoints": scalars | st.just("5"), "errorMessage": scalars}
            )
            | values
        }
    ).map(lambda value: json.dumps(value).encode()),
    st.builds(
        lambda rejected, message, cut: _response(rejected, message)[cut:],
        st.integers(-(2**63), 2**63 - 1),
        st.text(max_size=500),
        st.integers(0, 3),
    ),
    st.sampled_from([b"", b"{}", b"[" * 100_000, b"\xff" * 1000, b"9" * 5000, b'{"partialSuccess":' * 2000]),
)


def _response(rejected: int, message: str) -> bytes:
    response = ExportMetricsServiceResponse()
    response.partial_success.rejected_data_points = rejected
    response.partial_success.error_message = message
    return response.SerializeToString()


def test_answers_of_a_receiver(fuzz: Fuzz) -> None:
    def check(body: bytes) -> None:
        answer = accepted(body)
        if answer is not None:
            assert isinstance(answer.rejected, int)
            assert answer.rejected >= 0
            assert answer.remark.isprintable() or not answer.remark
        text = excerpt(body)
        assert len(text) <= 301
        assert text.isprintable()
        assert isinstance(scrub(body.decode(errors="replace")), str)

    fuzz(check, BODIES, most=50)


def test_retry_after(fuzz: Fuzz) -> None:
    times = [
        "Wed, 21 Oct 2015 07:28:00 GMT",
        "Wed, 21 Oct 9999 07:28:00 -2400",
        "1e400",
        "nan",
        "-5",
        "0x10",
        "1_0",
        "٣",
        "99" * 500,
    ]

    def check(text: str) -> None:
        pause = seconds_to_wait(text)
        assert pause is None or pause >= 0
        assert pause is None or not math.isnan(pause)

    pieces = st.lists(st.sampled_from([*times, "Oct", "21", ":", " ", "+9999", "GMT", "-"]), max_size=6).map(" ".join)
    fuzz(check, st.sampled_from(times) | st.text(max_size=30) | pieces, most=50)


def test_urls_of_endpoints(fuzz: Fuzz) -> None:
    parts = [
        "http",
        "https",
        "://",
        ":/",
        "127.0.0.1",
        "[::1]",
        "[",
        "]",
        ":",
        "9464",
        "99999",
        "@",
        "user:hunter2",
        "/metrics",
    ]
    parts += [
        "%",
        "%zz",
        "?token=hunter2",
        "#",
        "é",
        "\u2028",
        " ",
        "\x00",
        "\\",
        "xn--",
        ".",
        "-",
        "\u0661",
        "\u2100",
        "\udc80",
    ]

    def check(text: str) -> None:
        try:
            client = Access().client(text)
        except TelemetryError as error:
            shown = str(error)
        else:
            shown = client.shown
        if text.count("hunter2") == text.count("user:hunter2@") + text.count("?token=hunter2"):
            assert "hunter2" not in shown

    fuzz(check, st.lists(st.sampled_from(parts), max_size=8).map("".join) | st.text(max_size=20), most=50)


def test_names_in_prometheus(fuzz: Fuzz) -> None:
    def check(given: tuple[str, str]) -> None:
        name, unit = given
        if is_name(name) and is_unit(unit):
            for kind in ({"counter": True}, {"gauge": True}, {}):
                assert re.fullmatch(r"[a-zA-Z_:][a-zA-Z0-9_:]*", prometheus_name(name, unit, **kind))
        if is_attribute_key(name):
            assert re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", prometheus_label(name))
        assert isinstance(prometheus_unit(unit), str)

    units = st.lists(
        st.sampled_from(["s", "By", "/", ".", "{", "}", "1", "%", "[degF]", "k", "2", "-1", "é", "\n"])
    ).map("".join)
    names = st.from_regex(r"[a-z][a-z0-9_./-]{0,12}", fullmatch=True) | st.text(max_size=8)
    fuzz(check, st.tuples(names, units), most=50)
