"""Summaries of services for the tests of `otel-ha top`, in the shape of schema 2.1, and services that answer them."""

from __future__ import annotations

import math
from typing import Any

from otel_ha.cli.top.reading import read
from otel_ha.cli.top.watch import Service

STARTED = 1_000_000.0
TAKEN = 1_012_000.0
KEPT = 100

HOSTILE = {
    "markup": "[bold red]name[/] [link=http://evil]x[/link] [/]",
    "escape sequences": "\x1b[2J\x1b[H\x1b]0;title\x07name\x9b31m\x90q\x9c",
    "line breaks": "a\r\nb\x0bc\x0cd\x85e\u2028f\u2029g\th",
    "right to left": "abc\u202efed\u202c \u2066x\u2069 \u200f\u061c",
    "invisible": "a\u200bb\u200dc\u2060d\ufeffe\u00adf\U000e0041",
    "wide": "温度センサー居間の湿度計" * 20,
    "emoji": "👩‍👩‍👧‍👦🏳️‍🌈❤️1️⃣🇩🇪" * 10,
    "accents": "e\u0301" + "z\u0335\u0321\u0322" * 200,
    "half characters": "\ud800 \udfff",
    "private and unassigned": "\ue000\U0010ffff\u0378",
    "ten thousand": "x" * 10_000,
    "nothing": "",
}
"""Names that services may have, or that somebody gives them."""


def summary(name: str = "ha-ingestor", rate: float = 12.34, **changes: Any) -> dict[str, Any]:
    """A busy service's summary; `changes` replace sections."""
    return {
        "schema_version": "2.1",
        "timestamp": TAKEN,
        "started": STARTED,
        "service": name,
        "groups": ["business", "operations", "performance", "system"],
        "system_info": {"hostname": "pi", "process_id": 4711, "otel_ha_version": "0.1.0"},
        "health": health(),
        "current": {"window": 300.0, **figures(rate), "business": {"total_events_processed": 140_000}},
        "history": {"length": KEPT, "interval": 30.0, **past(rate), "business": []},
        "roll_ups": {},
        "accounts": {"total": accounts(), "by_source": {}},
        "tables": tables(rate),
        "connections": [
            {"name": "mqtt", "up": 1, "message_age": 0.4, "reconnects": 0, "closed": {}},
            {"name": "hass", "up": 0, "message_age": 312.0, "reconnects": 3, "closed": {"1000": 3}},
        ],
        "metrics": [],
        **changes,
    }


def health(status: str = "ok", **changes: Any) -> dict[str, Any]:
    push = {"reader": "push", "target": "http://127.0.0.1:4318", "status": "ok", "last_success": TAKEN - 12}
    scrape = {"reader": "scrape", "target": ":9464", "status": "ok", "last_success": None}
    rest = {"consecutive_failures": 0, "rejected_points": 0, "dropped": 0, "last_error": None}
    return {
        "status": status,
        "reasons": [],
        "remedies": [],
        "notes": [],
        "readers": [push | rest, scrape | rest],
    } | changes


def figures(rate: float) -> dict[str, Any]:
    performance = {
        "event_processing_rate": rate,
        "p50_processing_time": 0.82,
        "p95_processing_time": 4.21,
        "p99_processing_time": 12.9,
        "queue_depth": 17,
        "error_rate": 0.0123,
        "throughput_points_per_second": 20.1,
        "events_in_flight": 19,
        "received_rate": rate + 1,
        "discarded_rate": 1.0,
        "rates_by_outcome": {"ok": rate - 0.2, "error": 0.15, "cancelled": 0.05},
        "p95_lag": 123.0,
        "queue_use": 0.017,
        "bytes_received_per_second": 2_048.0,
        "bytes_sent_per_second": 1_024.0,
    }
    system = {"cpu_percent": 21.0, "memory_percent": 45.0, "process_cpu_percent": 3.4, "process_memory_mb": 81.5}
    return {"performance": performance, "system": system}


def past(rate: float) -> dict[str, Any]:
    waves = [rate * (1 + math.sin(number / 6)) for number in range(KEPT)]
    each = [figures(wave) for wave in waves]
    for number, found in enumerate(each):
        found["performance"] |= {
            "p95_processing_time": 4 + number % 5,
            "p95_lag": None if number < 40 else 100 + number,
        }
        found["performance"]["queue_depth"] = number % 20
        found["system"]["process_cpu_percent"] = 2 + number % 3
    return {part: [found[part] for found in each] for part in ("performance", "system")}


def accounts(difference: int = 0) -> dict[str, Any]:
    return {
        "received": 150_020,
        "discarded": {"duplicate": 8_000, "filtered": 2_001},
        "processed": {"ok": 139_000, "error": 900, "cancelled": 100},
        "queued": 17,
        "active": 2,
        "in_flight": 19,
        "difference": difference,
    }


def tables(rate: float) -> dict[str, Any]:
    def source(name: str, share: float) -> dict[str, Any]:
        counts = {"received": 100, "processed": 90, "errors": 1, "discarded": 5, "in_flight": 5}
        return {"name": name, **counts, "rate": rate * share}

    domains = ["sensor", "binary_sensor", "light", "switch", "climate", "cover", "weather", "person"]
    return {
        "sources": [source("mqtt", 0.8), source("websocket", 0.2)],
        "domains": [
            {"name": name, "processed": 90 - number, "errors": number, "rate": rate / (number + 2)}
            for number, name in enumerate(domains)
        ],
        "reasons": [
            {"name": "duplicate", "discarded": 8_000, "rate": 0.8},
            {"name": "filtered", "discarded": 2_001, "rate": 0.2},
        ],
        "sinks": [{"name": "influxdb", "ok": 10_000, "lost": 3, "rate": 20.1, "errors": 2, "p95_write_ms": 34.0}],
        "errors": [{"name": "TimeoutError", "component": "sink", "count": 2, "rate": 0.01}],
    }


def service(url: str = "http://127.0.0.1:9464", **changes: Any) -> Service:
    """A service that has answered with a summary."""
    found = Service(url)
    found.answered(read(summary(**changes)), now=0.0)
    return found
