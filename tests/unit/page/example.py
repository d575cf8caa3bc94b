"""A summary as the status page takes it, written by hand: something of everything."""

from __future__ import annotations

import copy
from typing import Any

TAKEN = 1_790_000_100.25

_ACCOUNT = {
    "received": 100,
    "discarded": {"duplicate": 10},
    "processed": {"ok": 80, "error": 5},
    "queued": 3,
    "active": 2,
    "in_flight": 5,
    "difference": 0,
}

_SYSTEM = {
    "cpu_percent": 12.5,
    "memory_percent": 40.25,
    "memory_used_mb": 2048.0,
    "memory_available_mb": 4096.0,
    "process_cpu_percent": 7.75,
    "process_memory_mb": 64.5,
    "timestamp": TAKEN,
}

_PERFORMANCE = {
    "event_processing_rate": 12.3456,
    "average_processing_time": 4.0,
    "p50_processing_time": 3.5,
    "p95_processing_time": 10.125,
    "p99_processing_time": 25.0,
    "queue_depth": 7,
    "active_connections": 1,
    "error_rate": 0.0625,
    "throughput_points_per_second": 24.5,
    "events_in_flight": 5,
    "received_rate": 13.5,
    "discarded_rate": 1.25,
    "rates_by_outcome": {"ok": 11.5, "error": 0.75},
    "p95_lag": 350.0,
    "queue_use": 0.14,
    "bytes_received_per_second": 3000.0,
    "bytes_sent_per_second": 1500.0,
    "timestamp": TAKEN,
}

_BUSINESS = {"total_events_processed": 85, "data_points_written": 170, "timestamp": TAKEN}

_SUMMARY: dict[str, Any] = {
    "schema_version": "2.1",
    "timestamp": TAKEN,
    "started": TAKEN - 3725.5,
    "service": "ha-ingestor",
    "service_version": "4.2.1",
    "groups": ["business", "operations", "performance", "system"],
    "system_info": {
        "hostname": "attic",
        "platform": "Linux-6.1",
        "python_version": "3.11.7",
        "process_id": 4321,
        "cpu_count": 4,
        "otel_ha_version": "0.1.0",
    },
    "health": {
        "about": "This is the state of telemetry, not of the service; probes use /health and /ready.",
        "status": "degraded",
        "reasons": ["otlp: http://collector:4318/v1/metrics: connection refused"],
        "remedies": ["Start the Collector, or set OTEL_EXPORTER_OTLP_ENDPOINT to its address."],
        "notes": ["The connection websocket is down."],
        "service": "ha-ingestor",
        "endpoint": {"status": "listening", "url": "http://127.0.0.1:9464/metrics", "problem": None},
        "readers": [
            {
                "reader": "otlp",
                "target": "http://collector:4318/v1/metrics",
                "status": "failing",
                "last_success": TAKEN - 95.0,
                "consecutive_failures": 3,
                "rejected_points": 0,
                "dropped": 0,
                "last_error": "connection refused",
            },
            {
                "reader": "prometheus",
                "target": "scrapers",
                "status": "waiting",
                "last_success": None,
                "consecutive_failures": 0,
                "rejected_points": 0,
                "dropped": 0,
                "last_error": None,
            },
        ],
    },
    "current": {"window": 300.0, "system": _SYSTEM, "performance": _PERFORMANCE, "business": _BUSINESS},
    "history": {
        "length": 100,
        "interval": 30.0,
        "system": [{**_SYSTEM, "timestamp": TAKEN - 30.0 * back} for back in (2, 1, 0)],
        "performance": [{**_PERFORMANCE, "timestamp": TAKEN - 30.0 * back} for back in (2, 1, 0)],
        "business": [{**_BUSINESS, "timestamp": TAKEN - 30.0 * back} for back in (2, 1, 0)],
    },
    "roll_ups": {"1min": [], "5min": [], "1h": []},
    "accounts": {"total": _ACCOUNT, "by_source": {"mqtt": _ACCOUNT}},
    "tables": {
        "sources": [
            {
                "name": "mqtt",
                "received": 100,
                "processed": 85,
                "errors": 5,
                "discarded": 10,
                "in_flight": 5,
                "rate": 12.3456,
            }
        ],
        "domains": [{"name": "light", "processed": 85, "errors": 5, "rate": 12.3456}],
        "reasons": [{"name": "duplicate", "discarded": 10, "rate": 1.25}],
        "sinks": [{"name": "influxdb", "ok": 168, "lost": 2, "rate": 24.5, "errors": None, "p95_write_ms": 8.5}],
        "errors": [
            {"name": "TimeoutError", "component": "writer", "count": 4, "rate": 0.25},
            {"name": "TimeoutError", "component": "reader", "count": 1, "rate": 0.125},
            {"name": "ValueError", "component": "reader", "count": 1, "rate": 0.0},
        ],
    },
    "connections": [
        {"name": "mqtt", "up": 1, "message_age": 0.75, "reconnects": 0, "closed": {}},
        {"name": "websocket", "up": 0, "message_age": None, "reconnects": 2, "closed": {"error": 3}},
    ],
    "metrics": [
        {
            "name": "homeassistant.event.process.duration",
            "prometheus_name": "homeassistant_event_duration_seconds",
            "kind": "histogram",
            "unit": "s",
            "description": "Time to process an event.",
            "group": "performance",
            "on": True,
            "series": 2,
            "limit": 1000,
            "values": [
                {
                    "attributes": {"source": "mqtt", "outcome": "ok"},
                    "value": {"count": 80, "sum": 0.5, "p50": 0.0035, "p95": 0.01, "p99": None},
                },
            ],
            "omitted": 1,
            "budgets": [{"attribute": "source", "used": 1, "budget": 8}],
            "objectives": [
                {"description": "Events take 0.1 s.", "bound": 0.1, "target": 0.99, "share": 0.875, "met": False},
                {"description": "Events take 1 s.", "bound": 1.0, "target": 0.99, "share": None, "met": None},
            ],
        },
        {
            "name": "homeassistant.entity.events",
            "prometheus_name": "homeassistant_entity_events_total",
            "kind": "counter",
            "unit": "{event}",
            "description": "Events of an entity.",
            "group": "entity",
            "on": False,
            "series": 0,
            "limit": 2000,
            "values": [],
            "omitted": 0,
            "budgets": [],
            "objectives": [],
        },
        {
            "name": "otel_ha.memory",
            "prometheus_name": "otel_ha_memory_bytes",
            "kind": "observable_gauge",
            "unit": "By",
            "description": "Memory of this process.",
            "group": "system",
            "on": True,
            "series": 1,
            "limit": None,
            "values": [{"attributes": {}, "value": 67_633_152}],
            "omitted": 0,
            "budgets": [],
            "objectives": [],
        },
    ],
}


def example(**changed: Any) -> dict[str, Any]:
    """Return a summary of its own, in which these parts are changed."""
    return copy.deepcopy(_SUMMARY) | changed
