"""Health: the state of telemetry, with reasons."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from otel_ha.delivery import Delivery
from otel_ha.serve.remedies import of_endpoint, of_reader

DISABLED, OK, DEGRADED, FAILED = "disabled", "ok", "degraded", "failed"

ABOUT = (
    "This is the state of telemetry, not of the service; a probe asks /health whether the process answers, and /ready "
    "whether telemetry is set up."
)


def health(
    service: str | None,
    *,
    enabled: bool,
    running: bool,
    endpoint: dict[str, Any],
    deliveries: Iterable[Delivery],
    notes: Iterable[str] = (),
) -> dict[str, Any]:
    """Return the state of telemetry as /healthz shows it.

    "status" is ok; degraded, for problems in the environment (an unreachable receiver, rejected data points, no push
    for three intervals, a port in use) that "reasons" lists; failed, if telemetry is enabled but not running; or
    disabled. "remedies" has the thing to do about each reason. "notes" are about the service's surroundings and change
    nothing. "readers" has one entry for each reader: last_success (seconds since the epoch), consecutive_failures,
    rejected_points (of the last push), dropped (spans or log records), last_error.
    """
    readers = list(deliveries)
    if not enabled:
        status, found = DISABLED, [_DISABLED]
    elif not running:
        status, found = FAILED, [_SHUT_DOWN]
    else:
        found = list(_reasons(endpoint, readers))
        status = DEGRADED if found else OK
    return {
        "about": ABOUT,
        "status": status,
        "reasons": [reason for reason, _ in found],
        "remedies": [remedy for _, remedy in found],
        "notes": list(notes) if status in {OK, DEGRADED} else [],
        "service": service,
        "endpoint": endpoint,
        "readers": [delivery.state() for delivery in readers],
    }


_DISABLED = (
    "OTEL_SDK_DISABLED turns telemetry off",
    "remove OTEL_SDK_DISABLED, or TelemetryConfig(enabled=False), and restart the service",
)
_SHUT_DOWN = (
    "telemetry is not running: it was shut down",
    "call setup_telemetry() again, or restart the service if it should not have ended",
)


def endpoint_state(*, url: str | None, problem: str, scrapes: bool) -> dict[str, Any]:
    """Return the state of the endpoint: listening, failed, or, without the built-in server, mounted or off.

    `scrapes` is whether there is anything to scrape.
    """
    state = "failed" if problem else "listening" if url else "mounted" if scrapes else "off"
    return {"status": state, "url": url, "problem": problem or None}


def _reasons(endpoint: dict[str, Any], readers: Sequence[Delivery]) -> Iterable[tuple[str, str]]:
    """Yield each reason with its remedy."""
    if endpoint["problem"]:
        yield f"endpoint: {endpoint['problem']}", of_endpoint(endpoint["problem"])
    for delivery in readers:
        if problem := delivery.problem:
            yield f"{delivery.reader}: {delivery.target}: {problem}", of_reader(delivery.reader, problem)
