"""Health: the state of telemetry, with reasons."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from otel_ha.delivery import Delivery

DISABLED, OK, DEGRADED, FAILED = "disabled", "ok", "degraded", "failed"


def health(
    service: str | None, *, enabled: bool, running: bool, endpoint: dict[str, Any], deliveries: Iterable[Delivery]
) -> dict[str, Any]:
    """Return the state of telemetry as /healthz shows it.

    "status" is ok; degraded, for problems in the environment (an unreachable receiver, rejected data points, no push
    for three intervals, a port in use) that "reasons" lists; failed, if telemetry is enabled but not running; or
    disabled. "readers" has one entry for each reader: last_success (seconds since the epoch), consecutive_failures,
    rejected_points (of the last push), last_error.
    """
    readers = list(deliveries)
    reasons = list(_reasons(endpoint, readers)) if running else []
    if not enabled:
        status, reasons = DISABLED, ["OTEL_SDK_DISABLED turns telemetry off"]
    elif not running:
        status, reasons = FAILED, ["telemetry is not running: it was shut down"]
    else:
        status = DEGRADED if reasons else OK
    return {
        "status": status,
        "reasons": reasons,
        "service": service,
        "endpoint": endpoint,
        "readers": [delivery.state() for delivery in readers],
    }


def endpoint_state(*, url: str | None, problem: str, scrapes: bool) -> dict[str, Any]:
    """Return the state of the endpoint: listening, failed, or, without the built-in server, mounted or off.

    `scrapes` is whether there is anything to scrape.
    """
    state = "failed" if problem else "listening" if url else "mounted" if scrapes else "off"
    return {"status": state, "url": url, "problem": problem or None}


def _reasons(endpoint: dict[str, Any], readers: Sequence[Delivery]) -> Iterable[str]:
    if endpoint["problem"]:
        yield f"endpoint: {endpoint['problem']}"
    for delivery in readers:
        if problem := delivery.problem:
            yield f"{delivery.reader}: {delivery.target}: {problem}"
