"""The Collector: data accepted, refused, sent and failed, and the queue."""

from __future__ import annotations

from typing import Final

from otel_ha.render.dashboards.limits import limit
from otel_ha.render.dashboards.panels import COLLECTOR_CHOICES, Dashboard, Panel, Query, Row
from otel_ha.render.dashboards.queries import by_server
from otel_ha.vocabulary.ingest import RECEIVED


def _rate(name: str, *labels: str) -> Query:
    return by_server(lambda selection: f"rate({selection.named(name)}[{selection.window}])", *labels)


_NONE: Final = "Empty without a Collector."
_NEVER: Final = "Empty without a Collector, and until it happens."

COLLECTOR: Final = Dashboard(
    uid="otel-ha-collector",
    title="Collector",
    description="An OpenTelemetry Collector: data accepted, refused, sent and failed, and its queue.",
    place=5,
    needs=(RECEIVED,),
    choices=COLLECTOR_CHOICES,
    series="otelcol_process_uptime_seconds_total",
    rows=(
        Row(
            "Data points",
            (
                Panel(
                    title="Accepted",
                    description="Points that services have pushed, per second.",
                    unit="{point}/s",
                    queries=(_rate("otelcol_receiver_accepted_metric_points_total", "receiver", "transport"),),
                    empty=_NONE,
                ),
                Panel(
                    title="Refused",
                    description="Points per second that the Collector did not take, for example for lack of memory. "
                    "The sender tries again.",
                    unit="{point}/s",
                    queries=(_rate("otelcol_receiver_refused_metric_points_total", "receiver", "transport"),),
                    empty=_NEVER,
                ),
                Panel(
                    title="Sent",
                    description="Points that an exporter has handed on, per second.",
                    unit="{point}/s",
                    queries=(_rate("otelcol_exporter_sent_metric_points_total", "exporter"),),
                    empty=_NONE,
                ),
            ),
        ),
        Row(
            "Queue",
            (
                Panel(
                    title="Queue use",
                    description="Points that wait to be sent, as a share of the queue's capacity.",
                    unit="1",
                    queries=(
                        by_server(
                            lambda selection: (
                                f"{selection.named('otelcol_exporter_queue_size')} "
                                f"/ {selection.named('otelcol_exporter_queue_capacity')}"
                            ),
                            "exporter",
                            function="max",
                        ),
                    ),
                    limit=limit("collector_queue_share"),
                    top=1,
                    empty=_NONE,
                ),
                Panel(
                    title="Failed to send",
                    description="Points per second that an exporter has given up. They are lost.",
                    unit="{point}/s",
                    queries=(_rate("otelcol_exporter_send_failed_metric_points_total", "exporter"),),
                    empty=_NEVER,
                ),
                Panel(
                    title="Failed to queue",
                    description="Points per second that found the queue full.",
                    unit="{point}/s",
                    queries=(_rate("otelcol_exporter_enqueue_failed_metric_points_total", "exporter"),),
                    empty=_NEVER,
                ),
            ),
        ),
        Row(
            "Process",
            (
                Panel(
                    title="Memory",
                    description="Physical memory that the Collector uses.",
                    unit="By",
                    queries=(by_server(lambda s: s.named("otelcol_process_memory_rss_bytes")),),
                    empty=_NONE,
                ),
                Panel(
                    title="CPU",
                    description="CPUs that the Collector uses: 1 is one whole CPU.",
                    unit="{cpu}",
                    queries=(_rate("otelcol_process_cpu_seconds_total"),),
                    empty=_NONE,
                ),
                Panel(
                    title="Uptime",
                    description="Time since the Collector started.",
                    unit="s",
                    large=True,
                    queries=(by_server(lambda s: s.named("otelcol_process_uptime_seconds_total"), function="min"),),
                    empty=_NONE,
                ),
            ),
        ),
    ),
)
