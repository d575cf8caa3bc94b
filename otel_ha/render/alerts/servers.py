"""Alerts on the servers: Collector, Prometheus, Alertmanager, vmalert and VictoriaMetrics, by their own metrics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from otel_ha.render.alerts.alert import Alert
from otel_ha.render.alerts.expressions import server_grown
from otel_ha.vocabulary import ingest

__all__ = ["COLLECTOR", "STORES", "WATCHDOG"]

_INGEST: Final = (ingest.RECEIVED,)
_QUEUE: Final = "max by (job, exporter) (otelcol_exporter_queue_size / (otelcol_exporter_queue_capacity > 0))"
# How the Collector's queues and its counters name each kind of data.
_DATA: Final = {"metrics": "metric_points", "traces": "spans", "logs": "log_records"}


def _each(expression: Callable[[str], str]) -> str:
    """Return the first of these that holds, for each kind of data."""
    return "\n  or ".join(expression(kind) for kind in _DATA)


def _failed(counter: str) -> str:
    """Return the data that an exporter has failed with, if there is any."""
    grown = {kind: server_grown(f"otelcol_exporter_{counter}_failed_{data}_total") for kind, data in _DATA.items()}
    return _each(lambda kind: f"sum by (job, exporter) ({grown[kind]}) > 0")


def _waiting(kind: str) -> str:
    """Return the data of this kind that waits for an exporter which sends none."""
    queue = f'otelcol_exporter_queue_size{{data_type="{kind}"}}'
    sent = f"sum by (job, exporter) (increase(otelcol_exporter_sent_{_DATA[kind]}_total[<window>])) > 0"
    return f"sum by (job, exporter) (min_over_time({queue}[<window>])) > 0 unless on (job, exporter) ({sent})"


def _any(*counters: str) -> str:
    """Return the growth of the first of these counters that grows, by job; they all begin at 0."""
    return "\n  or ".join(f"sum by (job) (increase({counter}[<window>])) > 0" for counter in counters)


COLLECTOR: Final = (
    Alert(
        name="CollectorRefuses",
        severity="ticket",
        cause="collector_refusal",
        expr=_any(*(f"otelcol_receiver_refused_{data}_total" for data in _DATA.values())),
        summary="The Collector {{ $labels.job }} refuses data",
        description="Items that {{ $labels.job }} has refused, because its memory or its queue is full: "
        '{{ printf "%.0f" $value }} within <window>. The services try again.',
        needs=_INGEST,
    ),
    Alert(
        name="CollectorNotSending",
        severity="ticket",
        cause="collector_sending",
        expr=_each(_waiting),
        summary="The Collector {{ $labels.job }} cannot send to {{ $labels.exporter }}",
        description="Items that wait for the exporter {{ $labels.exporter }} of {{ $labels.job }}: "
        "{{ $value | humanize }}. None was sent within <window>. They are kept.",
        needs=_INGEST,
    ),
    Alert(
        name="CollectorQueueHigh",
        severity="ticket",
        cause="collector_queue",
        expr=f"{_QUEUE} > <collector_queue_share>",
        summary="The queue of the Collector {{ $labels.job }} is filling up",
        description="The queue of the exporter {{ $labels.exporter }} of {{ $labels.job }} is "
        "{{ $value | humanizePercentage }} full.",
        needs=_INGEST,
    ),
    Alert(
        name="CollectorQueueFull",
        severity="page",
        cause="collector_queue",
        expr=f"{_QUEUE} > <collector_queue_full>\n  or {_failed('enqueue')}",
        hold="1m",
        summary="The queue of the Collector {{ $labels.job }} is full",
        description="The queue of the exporter {{ $labels.exporter }} of {{ $labels.job }} has no room. Services have "
        "to wait, or data is dropped.",
        needs=_INGEST,
    ),
    Alert(
        name="CollectorDropsData",
        severity="page",
        cause="collector_loss",
        # With retries without limit, a failure is counted only when the data is given up: the answer was a permanent
        # error, such as 400, 409 or 413.
        expr=_failed("send"),
        hold="0s",
        summary="The Collector {{ $labels.job }} drops data for {{ $labels.exporter }}",
        description="Items for {{ $labels.exporter }} that {{ $labels.job }} has given up, because the server "
        'refused them for good: {{ printf "%.0f" $value }} within <window>. They are lost.',
        needs=_INGEST,
    ),
)

STORES: Final = (
    Alert(
        name="RulesFail",
        severity="ticket",
        cause="rules",
        expr=_any(
            "prometheus_rule_evaluation_failures_total",
            "prometheus_rule_group_iterations_missed_total",
            "vmalert_execution_errors_total",
            "vmalert_iteration_missed_total",
        ),
        summary="Rules of {{ $labels.job }} fail",
        description="Evaluations of rules on {{ $labels.job }} that failed or were late within <window>: "
        '{{ printf "%.0f" $value }}. Alerts may be missing.',
        needs=_INGEST,
    ),
    Alert(
        name="NotificationsFail",
        severity="page",
        cause="notifications",
        expr=_any(
            "prometheus_notifications_errors_total",
            "prometheus_notifications_dropped_total",
            "alertmanager_notifications_failed_total",
            "vmalert_alerts_send_errors_total",
        ),
        summary="{{ $labels.job }} cannot deliver alerts",
        description="Notifications of {{ $labels.job }} that failed within <window>: "
        '{{ printf "%.0f" $value }}. Other alerts may reach nobody.',
        needs=_INGEST,
    ),
    Alert(
        name="SamplesDropped",
        severity="ticket",
        cause="samples",
        expr=_any(
            "prometheus_target_scrapes_sample_duplicate_timestamp_total",
            "prometheus_target_scrapes_sample_out_of_order_total",
            "prometheus_target_scrapes_sample_out_of_bounds_total",
            "prometheus_tsdb_out_of_order_samples_total",
            "prometheus_tsdb_out_of_bound_samples_total",
            "prometheus_tsdb_too_old_samples_total",
            "vm_rows_ignored_total",
            "vm_rows_invalid_total",
            "vmalert_remotewrite_dropped_rows_total",
        ),
        summary="{{ $labels.job }} drops samples",
        description="Samples that {{ $labels.job }} has dropped, because they were duplicate, out of order, too old "
        'or invalid: {{ printf "%.0f" $value }} within <window>.',
        needs=_INGEST,
    ),
    Alert(
        name="StoreReadOnly",
        severity="page",
        cause="store_disk",
        expr="max by (job) (vm_storage_is_read_only) > 0",
        hold="1m",
        summary="{{ $labels.job }} stores nothing: its disk is full",
        description="{{ $labels.job }} has made its storage read-only, because its disk is full. New samples are "
        "refused.",
        needs=_INGEST,
    ),
    Alert(
        name="StoreDiskLow",
        severity="ticket",
        cause="store_disk",
        expr="min by (job) (vm_free_disk_space_bytes) < <disk_left>",
        summary="{{ $labels.job }} has little disk space left",
        description="{{ $labels.job }} has {{ $value | humanize1024 }}B of disk space left.",
        needs=_INGEST,
    ),
)

WATCHDOG: Final = (
    Alert(
        name="Watchdog",
        severity="info",
        cause="watchdog",
        expr="vector(1)",
        hold="0s",
        summary="Alerts work",
        description="This alert always fires. Send it to a service that raises an alarm when it stops: then rules, "
        "notifications or the machine have failed.",
        needs=_INGEST,
    ),
)
