"""Alerts on services and servers that are away, by each way in."""

from __future__ import annotations

from typing import Final

from otel_ha.render.alerts.alert import Alert
from otel_ha.render.alerts.expressions import UPTIME, services
from otel_ha.vocabulary import ingest, runtime

__all__ = ["SERVERS", "SERVICES"]

_HERE: Final = services("<absent>")
_SCRAPED: Final = 'via="scrape"'
_PUSHED: Final = 'via!="scrape"'


def _collected(window: str) -> str:
    """Return the Collectors whose own metrics arrived within a window."""
    return f"last_over_time(otelcol_process_uptime_seconds_total[{window}])"


def _collectors(up: int) -> str:
    """Return one series if the `up` of some Collector, or of its exporter, has this value."""
    return f'group (up{{via="collector"}} == {up} or up == {up} and on (job) {_collected("<memory>")})'


# Behind a Collector that is down, nothing is known of a service that pushes. Another one that answers may be its own.
_COLLECTOR_DOWN: Final = f"({_collectors(0)} unless {_collectors(1)})"
# One metric of each server of the monitoring; other targets of the same Prometheus are not ours.
_SERVER_METRICS: Final = (
    "otelcol_process_uptime_seconds_total",
    "prometheus_build_info",
    "alertmanager_build_info",
    "thanos_build_info",
    "vm_app_version",
)
_SERVERS: Final = f'group by (job) (last_over_time({{__name__=~"{"|".join(_SERVER_METRICS)}"}}[<server_memory>]))'
# A Collector that is down takes its exporter along.
_COLLECTOR_ITSELF_DOWN: Final = f'up{{via!="collector"}} == 0 and on (job) {_collected("<server_memory>")}'
_EXPORTER_DOWN: Final = f'up{{via="collector"}} == 0 unless on () ({_COLLECTOR_ITSELF_DOWN})'
# Collectors of a fleet push their own metrics. Names of machines and instances may change with every container, so a
# job is missed when none of its Collectors is left.
_PUSHING_COLLECTORS_GONE: Final = (
    f"group by (job) ({_collected('<memory>')}) unless on (job) last_over_time(up[<memory>])"
    f" unless on (job) {_collected('<absent>')}"
)

SERVICES: Final = (
    Alert(
        name="ServiceDown",
        severity="page",
        cause="down",
        # A scraped one may never have answered; others were there and are gone. One that answers runs, whatever it
        # shows: the first event of a quiet home may take an hour.
        expr=f"({services('<memory>', _SCRAPED)} or group by (job) (up{{{_SCRAPED}}} == 0)"
        f" or {services('<memory>', _PUSHED)} unless on () {_COLLECTOR_DOWN})"
        f" unless on (job) ({_HERE} or group by (job) (up{{{_SCRAPED}}} == 1))",
        hold="2m",
        summary="{{ $labels.job }} is down",
        description="No metrics of {{ $labels.job }} have arrived for <absent>, by any way in. It has ended or hangs, "
        "its machine is off, or nothing can reach it.",
        needs=(runtime.PROCESS_UPTIME,),
    ),
    Alert(
        name="ScrapeFails",
        severity="ticket",
        cause="scrape",
        expr=f"count by (job) (up == 0) and on (job) {_HERE}",
        # Longer than ServiceDown takes, which is the one alert when all ways stop.
        hold="10m",
        summary="{{ $labels.job }} cannot be scraped",
        description="Endpoints of {{ $labels.job }} that do not answer: {{ $value }}. Its metrics arrive by another "
        "way in or from another instance.",
        needs=(runtime.PROCESS_UPTIME,),
    ),
    Alert(
        name="PushStopped",
        severity="ticket",
        cause="push",
        expr="count by (job) ("
        f"{services('<recent>', _PUSHED, by='job, via')} unless {services('<absent>', _PUSHED, by='job, via')}"
        f" unless on () {_COLLECTOR_DOWN}) and on (job) {_HERE}",
        # Longer than ServiceDown takes, which is the one alert when all ways stop.
        hold="10m",
        summary="Pushed metrics of {{ $labels.job }} have stopped",
        description="{{ $labels.job }} runs, but metrics that it pushed within <recent> no longer arrive. Ways in "
        "that have stopped: {{ $value }}.",
        needs=(runtime.PROCESS_UPTIME,),
    ),
    Alert(
        name="ServiceRestarts",
        severity="ticket",
        cause="restart",
        # A scraped instance keeps its name and its uptime falls; a pushed one has a new name after each start. While
        # none is there, the last one has not been followed by another.
        expr=f"max by (job) (max by (job, via) (resets({UPTIME}[<recent>]))"
        f" + count by (job, via) (last_over_time({UPTIME}[<recent>]))"
        f" - (count by (job, via) (last_over_time({UPTIME}[<absent>]))"
        f" or group by (job, via) (last_over_time({UPTIME}[<recent>])))) >= <restarts>"
        f" and on (job) {services('<recent>')}",
        hold="0s",
        summary="{{ $labels.job }} restarts again and again",
        description="Restarts of {{ $labels.job }} within <recent>: {{ $value }}.",
        needs=(runtime.PROCESS_UPTIME,),
    ),
)

SERVERS: Final = (
    Alert(
        name="ServerDown",
        severity="page",
        cause="down",
        expr=f"count by (job) (up == 0 and on (job) {_SERVERS} or {_EXPORTER_DOWN})\n  or {_PUSHING_COLLECTORS_GONE}",
        summary="{{ $labels.job }} does not answer",
        description="Servers of {{ $labels.job }} that do not answer: {{ $value }}. Until they are back, metrics are "
        "not collected, or alerts are not delivered.",
        needs=(ingest.RECEIVED,),
    ),
)
