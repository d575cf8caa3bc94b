"""The earlier names for the work of a service: events, points, queues, connections and errors."""

from __future__ import annotations

from typing import Final

from otel_ha.compat.old_names import promql
from otel_ha.compat.old_names.old_name import OldName
from otel_ha.compat.old_names.promql import or_else, rate, renamed, whole_of
from otel_ha.render.promql import ratio
from otel_ha.vocabulary import ha_ingestor, ingest

_BY_SOURCE: Final = {"source": ingest.SOURCE}
_BY_EVENT: Final = {"source": ingest.SOURCE, "domain": ingest.DOMAIN}
_PROCESSED: Final = promql.only(ingest.EVENT_DURATION, ingest.SOURCE, "!=", "", part="_count")
_COUNTED: Final = ha_ingestor.COUNTED_EVENTS.prometheus_name
_EVERY_WAY: Final = (ingest.EVENT_DURATION, ha_ingestor.COUNTED_EVENTS, ha_ingestor.SOURCE_EVENTS)
"""The instruments of measured events and of events that are only counted."""

_ENDED: Final = (ingest.OUTCOME, ingest.ERROR_TYPE)
_EVENTS: Final = "homeassistant:compat_events:rate5m"
_UNMEASURED: Final = "homeassistant:compat_unmeasured_events:rate5m"
_OF_SOURCES: Final = renamed(rate(ingest.RECEIVED.prometheus_name), _BY_SOURCE)
_OF_EACH_SOURCE: Final = renamed(rate(promql.only(ingest.RECEIVED, ingest.SOURCE, "!=", "")), _BY_SOURCE)
_WITHOUT_SOURCE: Final = promql.sum_without(
    "source",
    renamed(
        rate(promql.only(ingest.EVENT_DURATION, ingest.SOURCE, "=", "", part="_count")),
        _BY_SOURCE,
        ingest.DOMAIN,
        *_ENDED,
    ),
)

STEPS: Final = {
    _EVENTS: promql.events_by_source(rate),
    _UNMEASURED: promql.excess(_EVENTS, renamed(rate(_PROCESSED), _BY_SOURCE, ingest.DOMAIN, *_ENDED)),
}
"""Rules that others read: the rates, by source, of events, each one once, and of those that were only counted."""

_RECEIVED: Final = promql.plus(_OF_EACH_SOURCE, _UNMEASURED)
"""The rate of events received by source: those that telemetry received, and those that were only counted."""

_RECEIVED_IN_ALL: Final = promql.plus(
    promql.sum_without("source", _OF_SOURCES),
    promql.excess(promql.sum_without("source", _UNMEASURED), _WITHOUT_SOURCE),
)
"""The same of all sources: events without a source may be those that were counted with one."""


def _discarded(reason: str) -> str:
    return rate(promql.only(ingest.DISCARDED, ingest.REASON, "=", reason))


def _share_in_all(reason: str) -> str:
    return ratio(renamed(_discarded(reason), {}, ingest.REASON, ingest.SOURCE), _RECEIVED_IN_ALL)


_TIMED: Final = (
    "PerformanceMonitor.record_processing_time",
    "PerformanceMonitor.monitor_operation",
    "HAIngestorCollector.observe_event_processing",
    "EnhancedMetricsCollector.record_event_processing",
    "MetricsCollector.record_pipeline_processing_time",
)
_COUNTING: Final = (
    "PerformanceMonitor.record_event_processed",
    "HAIngestorCollector.increment_events_processed",
    "EnhancedMetricsCollector.record_event_processing",
    "PerformanceMonitor.monitor_operation",
)

WORK: Final = (
    OldName(
        name="event_processing_duration_seconds",
        labels=("source", "domain"),
        calls=_TIMED,
        recorded=(ingest.EVENT_DURATION, ingest.RECEIVED),
        series={
            part: renamed(ingest.EVENT_DURATION.prometheus_name + part, _BY_EVENT, ingest.OUTCOME, ingest.ERROR_TYPE)
            for part in ("_bucket", "_sum", "_count")
        },
        prefer="the new name: it distinguishes outcomes. Its buckets are finer, without bounds of whole seconds",
    ),
    OldName(
        name="event_processing_rate_events_per_second",
        labels=("source",),
        calls=("HAIngestorCollector.update_event_processing_rate",),
        recorded=(ha_ingestor.EVENT_RATE,),
        derived=_EVERY_WAY,
        series={
            "": or_else(
                renamed(ha_ingestor.EVENT_RATE.prometheus_name, _BY_SOURCE),
                _EVENTS,
            )
        },
        prefer="`rate()` of the count of the duration, over any window",
    ),
    OldName(
        name="queue_depth",
        labels=("queue_name",),
        calls=("HAIngestorCollector.update_queue_depth", "MetricsCollector.record_pipeline_queue_size"),
        recorded=(ingest.QUEUE_SIZE,),
        series={"": renamed(ingest.QUEUE_SIZE.prometheus_name, {"queue_name": ingest.QUEUE})},
        prefer="`ingest.QUEUE_SIZE.observe(queue.qsize, queue=…)`: read at every collection, not only when pushed",
    ),
    OldName(
        name="active_connections",
        labels=("connection_type",),
        calls=(
            "HAIngestorCollector.update_active_connections",
            "MetricsCollector.record_client_connection_status",
        ),
        recorded=(ingest.CONNECTIONS,),
        series={"": renamed(ingest.CONNECTIONS.prometheus_name, {"connection_type": ingest.CONNECTION})},
        prefer="the new name",
    ),
    OldName(
        name="events_processed_total",
        labels=("source", "domain", "status"),
        calls=_COUNTING,
        recorded=(ha_ingestor.COUNTED_EVENTS,),
        derived=(ingest.EVENT_DURATION, ha_ingestor.SOURCE_EVENTS),
        series={
            "": promql.larger_by_source(
                whole_of(
                    _COUNTED,
                    _PROCESSED,
                    labels={**_BY_EVENT, "status": ingest.OUTCOME},
                    apart="status",
                    drop=(ingest.ERROR_TYPE,),
                ),
                ha_ingestor.SOURCE_EVENTS.prometheus_name,
            )
        },
        prefer="the count of the duration. By entity: `homeassistant_entity_events_total`",
    ),
    OldName(
        name="data_points_written_total",
        labels=("measurement", "status"),
        calls=("HAIngestorCollector.increment_data_points_written", "MetricsCollector.record_influxdb_write"),
        recorded=(ingest.POINTS_WRITTEN,),
        series={
            "": renamed(
                ingest.POINTS_WRITTEN.prometheus_name,
                {"measurement": ingest.MEASUREMENT, "status": ingest.OUTCOME},
                ingest.SINK,
                ingest.ERROR_TYPE,
            )
        },
        prefer="the new name",
    ),
    OldName(
        name="data_volume_bytes_total",
        labels=("source", "type"),
        calls=("HAIngestorCollector.increment_data_volume",),
        recorded=(ingest.DATA_RECEIVED,),
        series={"": renamed(ingest.DATA_RECEIVED.prometheus_name, {**_BY_SOURCE, "type": ingest.DATA_TYPE})},
        prefer="the new name",
    ),
    OldName(
        name="deduplication_rate",
        labels=("source",),
        calls=("HAIngestorCollector.update_deduplication_rate",),
        recorded=(ha_ingestor.DEDUPLICATION,),
        derived=(ingest.DISCARDED, ingest.RECEIVED, *_EVERY_WAY),
        series={
            "": or_else(
                renamed(ha_ingestor.DEDUPLICATION.prometheus_name, _BY_SOURCE),
                promql.unless_any(
                    ratio(renamed(_discarded("duplicate"), _BY_SOURCE, ingest.REASON), _RECEIVED),
                    promql.only(ingest.DISCARDED, ingest.REASON, "=", "duplicate", ingest.SOURCE, "=", ""),
                    _share_in_all("duplicate"),
                ),
            )
        },
        prefer='the derived ratio, once the service calls `event.discard("duplicate")`',
    ),
    OldName(
        name="filter_efficiency",
        labels=("filter_type",),
        calls=("HAIngestorCollector.update_filter_efficiency",),
        recorded=(ha_ingestor.FILTER_EFFICIENCY,),
        derived=(ingest.DISCARDED, ingest.RECEIVED, *_EVERY_WAY),
        series={
            "": or_else(
                renamed(ha_ingestor.FILTER_EFFICIENCY.prometheus_name, {"filter_type": ha_ingestor.FILTER}),
                _share_in_all("filtered"),
            )
        },
        prefer='the derived ratio, once the service calls `event.discard("filtered")`: the share of filtered events',
    ),
    OldName(
        name="transformation_success_rate",
        labels=("transformer_type",),
        calls=("HAIngestorCollector.update_transformation_success_rate",),
        recorded=(ha_ingestor.TRANSFORM_SUCCESS,),
        derived=(ingest.TRANSFORM_DURATION,),
        series={
            "": or_else(
                renamed(ha_ingestor.TRANSFORM_SUCCESS.prometheus_name, {"transformer_type": ingest.TRANSFORMER}),
                ratio(
                    *(
                        renamed(
                            rate(f"{ingest.TRANSFORM_DURATION.prometheus_name}_count{only}"),
                            {"transformer_type": ingest.TRANSFORMER},
                            ingest.OUTCOME,
                            ingest.ERROR_TYPE,
                        )
                        for only in (f'{{{ingest.OUTCOME.prometheus_label}="ok"}}', "")
                    )
                ),
            )
        },
        prefer="the derived ratio, once the service measures `ingest.TRANSFORM`",
    ),
    OldName(
        name="errors_total",
        labels=("error_type", "component", "severity"),
        calls=(
            "PerformanceMonitor.record_error",
            "HAIngestorCollector.increment_errors",
            "EnhancedMetricsCollector.record_error",
            "MetricsCollector.record_error",
            "EnhancedMetricsCollector.record_event_processing",
            "PerformanceMonitor.monitor_operation",
        ),
        recorded=(ingest.ERRORS,),
        series={
            "": renamed(
                ingest.ERRORS.prometheus_name,
                {"error_type": ingest.ERROR_TYPE, "component": ingest.COMPONENT, "severity": ingest.SEVERITY},
            )
        },
        prefer="the new name",
    ),
    OldName(
        name="circuit_breaker_state",
        labels=("component",),
        calls=(
            "HAIngestorCollector.update_circuit_breaker_state",
            "EnhancedMetricsCollector.record_circuit_breaker_state",
            "MetricsCollector.record_circuit_breaker_state",
            "MetricsCollector.record_influxdb_circuit_breaker_state",
        ),
        recorded=(ingest.CIRCUIT_BREAKER,),
        series={
            "": promql.state_number(
                ingest.CIRCUIT_BREAKER.prometheus_name, ingest.CIRCUIT_STATE, {"component": ingest.COMPONENT}
            )
        },
        prefer="the new name: a series of 0 and 1 for each state, whose mean is the share of time in that state",
    ),
    OldName(
        name="retry_attempts_total",
        labels=("component", "operation"),
        calls=(
            "HAIngestorCollector.increment_retry_attempts",
            "EnhancedMetricsCollector.record_retry_attempt",
            "MetricsCollector.record_retry_attempt",
            "MetricsCollector.record_influxdb_retry_attempt",
        ),
        recorded=(ingest.RETRIES,),
        series={
            "": renamed(ingest.RETRIES.prometheus_name, {"component": ingest.COMPONENT, "operation": ingest.OPERATION})
        },
        prefer="the new name",
    ),
    OldName(
        name="info",
        labels=("service", "version"),
        series={"": promql.INFO},
        prefer="`target_info`, which has more labels",
    ),
)
