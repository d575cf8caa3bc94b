"""State: the steps about the state that a service reports of itself, and about its connections."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, Final

from otel_ha.cli.client import Client
from otel_ha.cli.doctor.agreement import target_of
from otel_ha.cli.doctor.step import Result, Step
from otel_ha.config.telemetry_config import TelemetryConfig
from otel_ha.config.urls import receiver_of
from otel_ha.scrub import scrub

__all__ = ["connection_steps", "health_step", "is_of_push"]

_MOST_ERRORS: Final = 3


def health_step(client: Client, health: Mapping[str, Any]) -> Step:
    """Return the step about the state that the service reports, with the remedies it gives."""
    status = str(health.get("status"))
    reasons = [scrub(str(each)) for each in health.get("reasons") or ()]
    remedies = [_without_doctor(scrub(str(each))) for each in health.get("remedies") or ()]
    is_ok = status == "ok"
    return Step(
        id="endpoint.health",
        title="The service reports that its telemetry works",
        result=Result.OK if is_ok else Result.FINDING,
        tried=f"GET {client.shown}/healthz",
        found="\n".join([f"status {status}", *reasons]),
        cause="" if is_ok else f"telemetry_{status}",
        remedy="" if is_ok else "\n".join(dict.fromkeys(remedies)) or "see docs/troubleshooting.md",
        facts={"status": status, "reasons": reasons, "readers": health.get("readers")},
    )


def is_of_push(config: TelemetryConfig, health: Mapping[str, Any]) -> bool:
    """Whether all that a service reports is about pushes to the receiver of these settings."""
    reasons, target = health.get("reasons") or (), target_of(config)
    if not reasons or target is None:
        return False
    others = rf"otlp (traces|logs): {re.escape(receiver_of(target))}(/\S*)?: "  # they fail for the same cause
    return all(f"otlp: {target}: " in str(each) or re.match(others, str(each)) for each in reasons)


def _without_doctor(remedy: str) -> str:
    """Return a remedy of the service without its advice to run this command."""
    kept = [part for part in remedy.split("; ") if "`otel-ha doctor`" not in part]
    return "; ".join(kept) or "see the steps below"


def connection_steps(client: Client, health: Mapping[str, Any], summary: Mapping[str, Any]) -> Iterator[Step]:
    """Yield the step about connections that are down and sources that are silent."""
    step = partial(
        Step, id="endpoint.sources", title="The service's connections are up", tried=f"GET {client.shown}/healthz"
    )
    connections = summary.get("connections") or []
    down = [str(each["name"]) for each in connections if each.get("up") == 0]
    notes = [scrub(str(each)) for each in health.get("notes") or ()]
    if down or notes:
        found = notes or [f"the connection {scrub(name)!r} is down" for name in down]
        found += [*_ends(connections, down), *_errors(summary)]
        yield step(
            result=Result.FINDING,
            found="\n".join(found),
            cause="connection_down" if down else "source_silent",
            remedy="look at the other end, such as the broker or Home Assistant, and at the service's log",
            facts={"down": down, "notes": notes},
        )
    elif connections:
        yield step(result=Result.OK, found=f"{len(connections)} connections, all up")


def _ends(connections: Iterable[Mapping[str, Any]], down: Collection[str]) -> Iterator[str]:
    """Yield a line about how often each connection that is down has ended, and why, if that is known."""
    for each in connections:
        if (name := str(each["name"])) not in down:
            continue
        ends = [f"{reason} ({count})" for reason, count in (each.get("closed") or {}).items()]
        said = [f"ended by {', '.join(ends)}"] if ends else []
        if reconnects := each.get("reconnects"):
            said.append(f"attempts to reconnect: {reconnects}")
        if said:
            yield scrub(f"{name}: {'; '.join(said)}")


def _errors(summary: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line with the most frequent errors that the service has recorded since it started."""
    rows = (summary.get("tables") or {}).get("errors") or []
    if rows:
        shown = [f"{each['name']} in {each['component']} ({each['count']})" for each in rows[:_MOST_ERRORS]]
        yield scrub(f"errors since the start: {', '.join(shown)}")
