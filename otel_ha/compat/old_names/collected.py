"""The earlier names of the metrics collector whose figure is derived; the others exist in its own text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from otel_ha.compat.old_names.old_name import OldName
from otel_ha.compat.old_names.promql import events_by_source, of_ours, or_else, renamed, sum_without
from otel_ha.declare.instruments import Attribute, Instrument
from otel_ha.vocabulary import ha_ingestor, ingest, runtime

_MEASURED: Final = (ingest.EVENT_DURATION, ha_ingestor.COUNTED_EVENTS)


def _name(
    name: str,
    call: str,
    expression: str,
    instruments: Sequence[Instrument],
    *,
    derived: Sequence[Instrument] = (),
    labels: Sequence[str] = (),
) -> OldName:
    return OldName(
        name=name,
        labels=labels,
        calls=(f"MetricsCollector.{call}",),
        recorded=instruments,
        derived=derived,
        series={"": expression},
        prefer="the new name",
        is_registered=True,
    )


def _only(instrument: Instrument, attribute: Attribute, value: str) -> str:
    return f'{instrument.prometheus_name}{{{attribute.prometheus_label}="{value}"}}'


def _summed(expression: str, instrument: Instrument, labels: dict[str, Attribute] | None = None) -> str:
    """Return an instrument's series without its attributes, except for those that become labels."""
    names = labels or {}
    return renamed(expression, names, *(each for each in instrument.attributes if each not in names.values()))


def _connected(client: str) -> OldName:
    on = ingest.CONNECTIONS
    return _name(
        f"{client}_connected",
        "record_client_connection_status",
        f"clamp_max({_summed(_only(on, ingest.CONNECTION, client), on)}, 1)",
        (on,),
    )


def _events_of(source: str) -> OldName:
    return _name(
        f"events_{source}_total",
        "record_event_processed",
        sum_without("source", events_by_source(str, ingest.SOURCE, "=", source)),
        (ha_ingestor.SOURCE_EVENTS,),
        derived=_MEASURED,
    )


def _points(name: str, outcome: str) -> OldName:
    on = ingest.POINTS_WRITTEN
    only = (
        f'{on.prometheus_name}{{{ingest.SINK.prometheus_label}="influxdb", '
        f'{ingest.OUTCOME.prometheus_label}="{outcome}"}}'
    )
    return _name(f"influxdb_points_{name}_total", "record_influxdb_write", _summed(only, on), (on,))


def _histogram(name: str, call: str, on: Instrument, only: str = "") -> OldName:
    return OldName(
        name=name,
        calls=(f"MetricsCollector.{call}",),
        recorded=(on,),
        series={part: _summed(on.prometheus_name + part + only, on) for part in ("_bucket", "_sum", "_count")},
        prefer="the new name: it distinguishes outcomes",
        is_registered=True,
    )


_INFLUXDB_WRITE: Final = (
    f'{{{ingest.DB_SYSTEM.prometheus_label}="influxdb", {ingest.DB_OPERATION.prometheus_label}="write"}}'
)

COLLECTED: Final = (
    OldName(
        name="uptime_seconds",
        derived=(runtime.PROCESS_UPTIME,),
        series={"": of_ours(_summed(runtime.PROCESS_UPTIME.prometheus_name, runtime.PROCESS_UPTIME))},
        prefer="the new name: the time since the process started",
        is_registered=True,
    ),
    _name(
        "pipeline_queue_size",
        "record_pipeline_queue_size",
        or_else(
            _summed(_only(ingest.QUEUE_SIZE, ingest.QUEUE, "pipeline"), ingest.QUEUE_SIZE),
            _summed(ingest.QUEUE_SIZE.prometheus_name, ingest.QUEUE_SIZE),
        ),
        (ingest.QUEUE_SIZE,),
    ),
    *map(_connected, ("mqtt", "websocket", "influxdb")),
    *map(_events_of, ("mqtt", "websocket")),
    _name(
        "events_failed_total",
        "record_event_processed",
        sum_without("source", events_by_source(str, ingest.OUTCOME, "=", "error", ingest.SOURCE, "!=", "")),
        (ha_ingestor.SOURCE_EVENTS,),
        derived=_MEASURED,
    ),
    _name(
        "events_deduplicated_total",
        "record_event_deduplicated",
        _summed(_only(ingest.DISCARDED, ingest.REASON, "duplicate"), ingest.DISCARDED),
        (ingest.DISCARDED, ingest.RECEIVED),
    ),
    _histogram("pipeline_processing_duration_seconds", "record_pipeline_processing_time", ingest.EVENT_DURATION),
    _name(
        "connection_errors_total",
        "record_connection_error",
        _summed(
            ha_ingestor.CONNECTION_ERRORS.prometheus_name,
            ha_ingestor.CONNECTION_ERRORS,
            {"client_type": ingest.CONNECTION},
        ),
        (ha_ingestor.CONNECTION_ERRORS,),
        labels=("client_type",),
    ),
    _name(
        "connection_reconnects_total",
        "record_connection_reconnect",
        _summed(ingest.RECONNECTS.prometheus_name, ingest.RECONNECTS, {"client_type": ingest.CONNECTION}),
        (ingest.RECONNECTS,),
        labels=("client_type",),
    ),
    _name(
        "errors_by_category_total",
        "record_error",
        _summed(ingest.ERRORS.prometheus_name, ingest.ERRORS, {"category": ingest.ERROR_TYPE}),
        (ingest.ERRORS,),
        labels=("category",),
    ),
    _name(
        "errors_by_severity_total",
        "record_error",
        _summed(ingest.ERRORS.prometheus_name, ingest.ERRORS, {"severity": ingest.SEVERITY}),
        (ingest.ERRORS,),
        labels=("severity",),
    ),
    _points("written", "ok"),
    _points("failed", "error"),
    _histogram("influxdb_write_duration_seconds", "record_influxdb_write", ingest.WRITE_DURATION, only=_INFLUXDB_WRITE),
    _name(
        "influxdb_retry_attempts_total",
        "record_influxdb_retry_attempt",
        _summed(_only(ingest.RETRIES, ingest.COMPONENT, "influxdb"), ingest.RETRIES),
        (ingest.RETRIES,),
    ),
    _name(
        "influxdb_circuit_breaker_state",
        "record_influxdb_circuit_breaker_state",
        'sum without (component) (ha_ingestor_circuit_breaker_state{component="influxdb"})',
        (ingest.CIRCUIT_BREAKER,),
    ),
)
"""Every such name, in the order in which the collector registers them."""
