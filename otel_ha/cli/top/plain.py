"""Plain lines, one for each service and interval: for pipes, logs and --once. With JSON, an object on each line."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from time import monotonic
from typing import Any, NoReturn

from otel_ha.cli.client import Client
from otel_ha.cli.top import states
from otel_ha.cli.top.reading import Reading
from otel_ha.cli.top.text import as_ascii, clean, speaks_unicode
from otel_ha.cli.top.view import View
from otel_ha.cli.top.watch import Service, Watch
from otel_ha.serve.summary import words

__all__ = ["json_line", "print_lines", "print_once", "text_line"]

_GRACE = 1.0
"""Seconds beyond the time limit of a request after which a service that sends very slowly is given up."""

_NO_ANSWER = "no answer yet"
_WORD = re.compile(r"[\w.:/%,@+-]+")


def print_once(clients: Sequence[Client], *, sort: str, as_json: bool, timeout: float) -> int:
    """Print a line for each service, in order; return 1 if one of them does not answer, else 0."""
    watch = Watch(clients)
    watch.ask()
    until = monotonic() + timeout + _GRACE
    while any(service.asked is not None for service in watch.services) and monotonic() < until:
        watch.take(within=until - monotonic())
    for service in watch.services:
        if service.asked is not None:
            service.failed(f"no complete answer within {words.duration(timeout + _GRACE)}", monotonic())
    _print([service for _, service in View(watch.services, sort=sort).ordered()], as_json=as_json)
    return int(any(service.problem for service in watch.services))


def print_lines(clients: Sequence[Client], interval: float, *, as_json: bool) -> NoReturn:
    """Print a line when a service answers, and one at the end of an interval without an answer, forever.

    A service that hangs does not delay the lines of the others.
    """
    watch = Watch(clients)
    due = monotonic()
    while True:
        watch.ask()
        due = max(due + interval, monotonic())
        silent = {id(service): service for service in watch.services}
        while (left := due - monotonic()) > 0:
            for service in watch.take(within=left):
                silent.pop(id(service), None)
                _print([service], as_json=as_json)
        _print(silent.values(), as_json=as_json)


def _print(services: Iterable[Service], *, as_json: bool) -> None:
    taken = datetime.now(UTC)
    lines = [json_line(each, taken) if as_json else text_line(each, taken, monotonic()) for each in services]
    if not speaks_unicode(sys.stdout.encoding):
        lines = [as_ascii(each) for each in lines]
    sys.stdout.write("".join(f"{each}\n" for each in lines))
    sys.stdout.flush()


def text_line(service: Service, taken: datetime, now: float) -> str:
    """Return the line of a service: the time, its URL, and figures as name=value without spaces."""
    reading = None if service.problem else service.reading
    found = {"service": service.name, "status": states.status(service)[0]}
    if reading is None or service.asked is not None:
        found |= {"status": _without_figures(service), "reason": states.uncapitalized(service.problem) or _NO_ANSWER}
    else:
        found |= {name: value.replace(" ", "") for name, value in _figures(reading).items()}
        if said := states.messages(service, now):
            found["reason"] = said[0][0]
    pairs = " ".join(f"{name}={_quoted(value)}" for name, value in found.items())
    return f"{taken:%Y-%m-%dT%H:%M:%SZ} {clean(service.url)} {pairs}"


def _without_figures(service: Service) -> str:
    """Return the state of a service that has no figures to show."""
    return states.status(service)[0] if service.problem else states.NO_DATA


def _figures(reading: Reading) -> dict[str, str]:
    return {
        "rate": words.rate(reading.rate),
        "p50": words.duration(reading.p50),
        "p95": words.duration(reading.p95),
        "p99": words.duration(reading.p99),
        "errors": words.share(reading.errors),
        "discarded": words.rate(reading.discarded_rate),
        "lag": words.duration(reading.lag),
        "queue": words.count(reading.queue),
        "queue_use": words.share(reading.queue_use),
        "in_flight": words.count(reading.in_flight),
        "points": words.rate(reading.points_rate),
        "down": words.count(sum(each.get("up") == 0 for each in reading.connections)),
        "cpu": words.percent(reading.cpu),
        "memory": words.size(reading.memory),
        "up": words.duration(reading.up),
    }


def _quoted(value: str) -> str:
    """Return a value that is one word as it is, and another one in quotes."""
    value = clean(value)
    return value if _WORD.fullmatch(value) else json.dumps(value, ensure_ascii=False)


def json_line(service: Service, taken: datetime) -> str:
    """Return the figures of a service as an object of JSON: times in seconds, sizes in bytes, shares from 0 to 1.

    A service that does not answer has no figures, but an "error".
    """
    found: dict[str, Any] = {"time": taken.timestamp(), "url": service.url, "error": service.problem or None}
    if service.problem or service.reading is None or service.asked is not None:
        name = service.reading.service if service.reading else None
        found |= {"status": _without_figures(service), "service": name, "error": service.problem or _NO_ANSWER}
        return json.dumps(found)
    figures = asdict(service.reading)
    del figures["history"]
    return json.dumps(found | figures)
