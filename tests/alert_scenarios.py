"""Scenarios for alerts: the series of a fault, just above and just below its threshold.

The unit of time is a step, one minute unless a scenario says otherwise. Numbers of a counter are its growth per step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

DISCARDED = "homeassistant_event_discarded_total"
RECEIVED = "homeassistant_event_received_total"
IN_FLIGHT = "homeassistant_event_in_flight"
PROCESSED = "homeassistant_event_process_duration_seconds_count"
WRITES = "db_client_operation_duration_seconds"
LAG = "homeassistant_event_lag_seconds"
LOOP = "asyncio_eventloop_delay_seconds"
UPTIME = "process_uptime_seconds"
ALIVE = "cpython_gc_collections_total"
CPU = "system_cpu_time_seconds_total"
COLLECTED = {"metrics": "metric_points", "traces": "spans", "logs": "log_records"}
MEMORY = "system_memory_utilization_ratio"
DISK = "system_filesystem_usage_bytes"


@dataclass(frozen=True)
class Series:
    """One series, healthy and in a fault. `above` is a fault that fires the alert, `below` one that must not.

    None is a missing sample.
    """

    name: str
    labels: Mapping[str, str]
    healthy: float | None
    below: float | None
    above: float | None
    counter: bool = False


def counter(name: str, healthy: float, below: float, above: float, **labels: str) -> Series:
    return Series(name, labels, healthy, below, above, counter=True)


def gauge(name: str, healthy: float | None, below: float | None, above: float | None, **labels: str) -> Series:
    return Series(name, labels, healthy, below, above)


UP = counter(UPTIME, 60, 60, 60)
"""The process runs."""


@dataclass(frozen=True)
class Scenario:
    """A fault that one alert reports: its series, and the labels and the value that the notification shows."""

    alert: str
    series: tuple[Series, ...]
    labels: Mapping[str, str] = field(default_factory=dict)
    shown: str = ""
    step: str = "1m"
    server: bool = False
    """Whether the series are a server's, which has one way in."""


@dataclass(frozen=True)
class Expected:
    """Whether an alert fires at a time, and with which labels and value."""

    fires: bool
    labels: Mapping[str, str] = field(default_factory=dict)
    shown: str = ""


QUIET = Expected(fires=False)


@dataclass(frozen=True)
class Case:
    """A case of its own: series as promtool writes them, and what is expected at times."""

    alert: str
    name: str
    series: Mapping[str, str]
    expected: Mapping[str, Expected]
    job: str = "ha-ingestor"
    """The job of the alert; the dead man's switch has none."""
    step: str = "1m"


def mqtt(**more: str) -> dict[str, str]:
    return {"homeassistant_source": "mqtt", **more}


OK, ERROR = {"homeassistant_outcome": "ok"}, {"homeassistant_outcome": "error"}
WRITE = {"db_system_name": "influxdb", "db_operation_name": "write"}
INFLUX = {**WRITE, "server_address": "nas"}
LOG = {"homeassistant_component": "influxdb"}


def buckets(name: str, healthy: float, below: float, above: float, slow_le: str, fast_le: str, **labels: str):
    """Return 100 measurements per step; the numbers are those beyond the bound `fast_le`."""
    fast = [100 - slow for slow in (healthy, below, above)]
    return (
        counter(f"{name}_bucket", *fast, le=fast_le, **labels),
        counter(f"{name}_bucket", 100, 100, 100, le=slow_le, **labels),
        counter(f"{name}_bucket", 100, 100, 100, le="+Inf", **labels),
        counter(f"{name}_count", 100, 100, 100, **labels),
    )


def cpu(healthy: float, below: float, above: float) -> tuple[Series, ...]:
    """Return the seconds that the CPU is busy in a minute."""
    idle = [60 - busy for busy in (healthy, below, above)]
    return (counter(CPU, *idle, cpu_mode="idle"), counter(CPU, healthy, below, above, cpu_mode="user"))


def contained(limit: str, used: Series, amount: float) -> tuple[Series, ...]:
    return (used, gauge(limit, amount, amount, amount))


SCENARIOS = [
    Scenario(
        "SourceSilent",
        (
            gauge("homeassistant_message_age_seconds", 1, 3599, 3660, **mqtt()),
            gauge("homeassistant_connection_active", 1, 1, 1, homeassistant_connection_kind="mqtt"),
        ),
        mqtt(),
        "1h 1m 0s",
    ),
    Scenario(
        "ConnectionDown",
        (gauge("homeassistant_connection_active", 1, 1, 0, homeassistant_connection_kind="mqtt"),),
        {"homeassistant_connection_kind": "mqtt"},
    ),
    Scenario(
        "ReconnectStorm",
        (
            counter(
                "homeassistant_connection_closed_total",
                *(0, 0.32, 0.4),
                homeassistant_connection_kind="mqtt",
                homeassistant_connection_close_reason="dropped",
            ),
        ),
        {"homeassistant_connection_kind": "mqtt"},
        "6",
    ),
    Scenario(
        "AccountsDiffer",
        (
            counter(RECEIVED, 100, 100, 100, **mqtt()),
            counter(PROCESSED, 70, 70, 70, **mqtt(), **OK),
            counter(DISCARDED, 30, 30, 30, **mqtt(homeassistant_discard_reason="filtered")),
            gauge(IN_FLIGHT, 0, 0, -2, **mqtt(homeassistant_event_state="queued")),
            gauge(IN_FLIGHT, 0, 0, 0, **mqtt(homeassistant_event_state="active")),
        ),
        mqtt(),
        "2",
    ),
    Scenario(
        "EventsNotProcessed",
        (
            counter(RECEIVED, 7.5, 7.45, 8, **mqtt()),
            counter(PROCESSED, 7.5, 0, 0, **mqtt(), **OK),
            counter(DISCARDED, 0, 5, 5, **mqtt(homeassistant_discard_reason="filtered")),
            counter(DISCARDED, 0, 1.25, 1.25, **mqtt(homeassistant_discard_reason="overflow")),
            gauge(IN_FLIGHT, 0, 5, 5, **mqtt(homeassistant_event_state="queued")),
        ),
        shown="60",
        step="15s",
    ),
    Scenario(
        "ErrorShareCritical",
        (counter(PROCESSED, 100, 95.1, 94, **mqtt(), **OK), counter(PROCESSED, 0, 4.9, 6, **mqtt(), **ERROR)),
        shown="6%",
    ),
    Scenario(
        "ErrorShareHigh",
        (counter(PROCESSED, 100, 98.1, 97.5, **mqtt(), **OK), counter(PROCESSED, 0, 1.9, 2.5, **mqtt(), **ERROR)),
        shown="2.5%",
    ),
    Scenario(
        "LagHigh",
        buckets(LAG, 0, 5, 5.4, "30.5", "9.9", **mqtt(homeassistant_sink="influxdb")),
        shown="11.43s",
    ),
    Scenario(
        "EventsOverflow",
        (UP, counter(DISCARDED, 0, 0, 3, **mqtt(homeassistant_discard_reason="overflow"))),
        shown="15",
    ),
    Scenario(
        "InvalidEvents",
        (
            counter(RECEIVED, 100, 100, 100, **mqtt()),
            counter(DISCARDED, 0, 4.9, 6, **mqtt(homeassistant_discard_reason="invalid")),
        ),
        shown="6%",
    ),
    Scenario(
        "DuplicateEvents",
        (
            counter(RECEIVED, 100, 100, 100, **mqtt()),
            counter(DISCARDED, 10, 49, 55, **mqtt(homeassistant_discard_reason="duplicate")),
        ),
        shown="55%",
    ),
    Scenario(
        "SinkFails",
        (
            counter(f"{WRITES}_count", 2, 0, 0, **INFLUX, **OK),
            counter(f"{WRITES}_count", 0, 0.145, 0.18, **INFLUX, **ERROR),
        ),
        INFLUX,
        "4",  # increase() finds 3.6
        "15s",
    ),
    Scenario("SinkSlow", buckets(WRITES, 0, 5, 10, "1.5", "0.99", **INFLUX, **OK), INFLUX, "1.245s"),
    Scenario(
        "RetriesHigh",
        (counter("homeassistant_retry_attempts_total", 0, 0.65, 0.8, **LOG, homeassistant_operation="write"),),
        LOG,
        "12",
    ),
    Scenario(
        "QueueFilling",
        (
            gauge("homeassistant_queue_size", 10, 79, 82, homeassistant_queue="ingest"),
            gauge("homeassistant_queue_capacity", 100, 100, 100, homeassistant_queue="ingest"),
        ),
        {"homeassistant_queue": "ingest"},
        "82%",
    ),
    Scenario(
        "PointsLost",
        (
            UP,
            counter("homeassistant_point_written_total", 0, 0, 2, homeassistant_sink="influxdb", **ERROR),
            counter("homeassistant_point_written_total", 50, 50, 50, homeassistant_sink="influxdb", **OK),
        ),
        {"homeassistant_sink": "influxdb"},
        "10",
    ),
    Scenario(
        "CircuitBreakerOpen",
        (
            gauge("homeassistant_circuit_breaker_state", 0, 0, 1, **LOG, homeassistant_circuit_breaker_state="open"),
            gauge("homeassistant_circuit_breaker_state", 1, 0, 0, **LOG, homeassistant_circuit_breaker_state="closed"),
        ),
        LOG,
    ),
    Scenario(
        "RecordingProblems",
        (
            UP,
            counter(
                "otel_ha_recording_problems_total",
                *(0, 0, 1),
                otel_ha_instrument="homeassistant.errors",
                otel_ha_problem_reason="undeclared_value",
                otel_ha_attribute="x",
            ),
            counter(
                "otel_ha_recording_problems_total",
                *(0, 9, 9),
                otel_ha_instrument="homeassistant.errors",
                otel_ha_problem_reason="budget_exceeded",
                otel_ha_attribute="x",
            ),
        ),
        {"otel_ha_instrument": "homeassistant.errors", "otel_ha_problem_reason": "undeclared_value"},
        "5",
    ),
    Scenario(
        "SeriesFolded",
        (gauge("homeassistant_batch_size_count", None, None, 4, homeassistant_sink="_OTHER"),),
        {"attribute": "homeassistant_sink"},
        "1",
    ),
    Scenario(
        "SeriesFolded",
        (gauge("homeassistant_batch_size_count", None, None, 4, otel_metric_overflow="true"),),
        {"attribute": "several attributes"},
        "1",
    ),
    Scenario("CpuSaturated", cpu(10, 56.9, 57.6), shown="96%"),
    Scenario("CpuHigh", cpu(10, 47.9, 49.2), shown="82%"),
    Scenario("MemoryExhausted", (gauge(MEMORY, 0.5, 0.94, 0.96, system_memory_state="used"),), shown="96%"),
    Scenario("MemoryHigh", (gauge(MEMORY, 0.5, 0.84, 0.86, system_memory_state="used"),), shown="86%"),
    Scenario(
        "DiskAlmostFull",
        (
            gauge(
                "system_filesystem_utilization_ratio",
                *(0.5, 0.89, 0.92),
                system_filesystem_mountpoint="/data",
                system_device="/dev/sda1",
                system_filesystem_type="ext4",
            ),
        ),
        {"system_filesystem_mountpoint": "/data"},
        "92%",
    ),
    Scenario(
        "EventLoopBlocked",
        (
            counter(f"{LOOP}_count", 25, 25, 25),
            counter(f"{LOOP}_bucket", 25, 24.775, 24.7, le="0.5"),
            counter(f"{LOOP}_bucket", 25, 25, 25, le="+Inf"),
        ),
        shown="6",
        step="15s",
    ),
    Scenario("FileDescriptorsHigh", (gauge("process_unix_file_descriptors", 20, 799, 820),), shown="820"),
    *(
        Scenario(
            "CollectorRefuses",
            (counter(f"otelcol_receiver_refused_{data}_total", 0, 0, 4, receiver="otlp", transport="http"),),
            shown="20",
            server=True,
        )
        for data in COLLECTED.values()
    ),
    *(
        Scenario(
            "CollectorNotSending",
            (
                gauge("otelcol_exporter_queue_size", 0, 0, 7, exporter="otlp_http", data_type=kind),
                counter(f"otelcol_exporter_sent_{data}_total", 10, 0, 0, exporter="otlp_http", server_port="1"),
            ),
            {"exporter": "otlp_http"},
            "7",
            server=True,
        )
        for kind, data in COLLECTED.items()
    ),
    *(
        Scenario(
            alert,
            (
                gauge("otelcol_exporter_queue_size", 0, below, above, exporter="otlp_http", data_type="metrics"),
                gauge("otelcol_exporter_queue_capacity", 1e3, 1e3, 1e3, exporter="otlp_http", data_type="metrics"),
            ),
            {"exporter": "otlp_http"},
            shown,
            server=True,
        )
        for alert, below, above, shown in (
            ("CollectorQueueHigh", 699, 720, "72%"),
            ("CollectorQueueFull", 949, 960, ""),
        )
    ),
    *(
        Scenario(
            "CollectorDropsData",
            (
                gauge("up", 1, 1, 1),
                counter(f"otelcol_exporter_send_failed_{data}_total", 0, 0, 2, exporter="otlp_http"),
            ),
            {"exporter": "otlp_http"},
            "10",
            server=True,
        )
        for data in COLLECTED.values()
    ),
    *(
        Scenario(alert, (counter(name, 0, 0, 1, **labels),), shown="5", server=True)
        for alert, name, labels in (
            ("RulesFail", "prometheus_rule_evaluation_failures_total", {"rule_group": "x"}),
            ("RulesFail", "prometheus_rule_group_iterations_missed_total", {"rule_group": "x"}),
            ("RulesFail", "vmalert_execution_errors_total", {}),
            ("RulesFail", "vmalert_iteration_missed_total", {"group": "x"}),
            ("NotificationsFail", "prometheus_notifications_errors_total", {"alertmanager": "x"}),
            ("NotificationsFail", "prometheus_notifications_dropped_total", {}),
            ("NotificationsFail", "alertmanager_notifications_failed_total", {"integration": "email"}),
            ("NotificationsFail", "vmalert_alerts_send_errors_total", {"addr": "x"}),
            ("SamplesDropped", "prometheus_target_scrapes_sample_duplicate_timestamp_total", {}),
            ("SamplesDropped", "prometheus_target_scrapes_sample_out_of_order_total", {}),
            ("SamplesDropped", "prometheus_target_scrapes_sample_out_of_bounds_total", {}),
            ("SamplesDropped", "prometheus_tsdb_out_of_order_samples_total", {"type": "float"}),
            ("SamplesDropped", "prometheus_tsdb_out_of_bound_samples_total", {"type": "float"}),
            ("SamplesDropped", "prometheus_tsdb_too_old_samples_total", {"type": "float"}),
            ("SamplesDropped", "vm_rows_ignored_total", {"reason": "small_timestamp"}),
            ("SamplesDropped", "vm_rows_invalid_total", {"type": "influx"}),
            ("SamplesDropped", "vmalert_remotewrite_dropped_rows_total", {}),
        )
    ),
    Scenario("StoreReadOnly", (gauge("vm_storage_is_read_only", 0, 0, 1, path="/data"),), server=True),
    Scenario(
        "StoreDiskLow",
        (gauge("vm_free_disk_space_bytes", 9e9, 1.01e9, 0.8e9, path="/data"),),
        shown="762.9Mi",
        server=True,
    ),
]


def labelled(name: str, **labels: str) -> str:
    return (
        name + "{" + ", ".join(f'{label}="{value}"' for label, value in {"job": "ha-ingestor", **labels}.items()) + "}"
    )


SCRAPED = {"instance": "pi:9464", "via": "scrape"}
COLLECTED = {"instance": "uuid-1", "via": "collector"}
PUSHED = {"instance": "uuid-1", "host_name": "pi"}
RUNS_100_MIN_ONLY = "0+60x100 stale"
RUNS = "0+60x300"
ROOT_FREE = {"system_filesystem_mountpoint": "/", "system_filesystem_state": "free"}
FIRES = Expected(fires=True)
ANY_TIME = {labelled(ALIVE, instance="any"): RUNS}
"""A metric that only services of this package have, so that their uptime counts."""

SPECIAL = [
    Case(
        "ServiceDown",
        "a scraped service ends and starts again",
        {
            labelled(ALIVE, **SCRAPED): "0+60x100 stale _x98 0+60x60",
            labelled("up", **SCRAPED): "1x100 0x98 1x60",
        },
        {"100m": QUIET, "103m": QUIET, "106m": FIRES, "198m": FIRES, "205m": QUIET},
    ),
    Case(
        "ServiceDown",
        "a scraped service never starts",
        {labelled("up", **SCRAPED): "0x60"},
        {"1m": QUIET, "3m": FIRES},
    ),
    *(
        Case(
            "ServiceDown",
            f"a service that pushes ({way}) ends, and another instance starts",
            {
                labelled(ALIVE, **labels): RUNS_100_MIN_ONLY,
                labelled(ALIVE, **{**labels, "instance": "uuid-2"}): "_x200 0+60x60",
            },
            {"100m": QUIET, "103m": QUIET, "106m": FIRES, "199m": FIRES, "205m": QUIET},
        )
        for way, labels in (("collector", COLLECTED), ("otlp", PUSHED))
    ),
    Case(
        "ServiceDown",
        "a service with host metrics off ends",
        {labelled(RECEIVED, **SCRAPED, **mqtt()): RUNS_100_MIN_ONLY},
        {"100m": QUIET, "106m": FIRES},
    ),
    Case(
        "ServiceDown",
        "a service that pushes restarts as a new instance",
        {
            labelled(ALIVE, **PUSHED): RUNS_100_MIN_ONLY,
            labelled(ALIVE, **{**PUSHED, "instance": "uuid-2"}): "_x102 0+60x60",
        },
        {f"{minute}m": QUIET for minute in range(98, 115, 2)},
    ),
    Case(
        "ServiceDown",
        "one of its two ways in stops",
        {
            labelled(ALIVE, **SCRAPED): RUNS_100_MIN_ONLY,
            labelled("up", **SCRAPED): "1x100 0x100",
            labelled(ALIVE, **PUSHED): RUNS,
        },
        {"100m": QUIET, "106m": QUIET, "120m": QUIET},
    ),
    Case(
        "ServiceDown",
        "the Collector before it is down",
        {
            labelled(ALIVE, **COLLECTED): RUNS_100_MIN_ONLY,
            'up{job="otelcol-exporter", instance="pi:8889", via="collector"}': "1x100 0x100",
        },
        {"100m": QUIET, "106m": QUIET, "120m": QUIET},
    ),
    Case(
        "ServiceDown",
        "it pushes by OTLP, and the Collector before it is down",
        {
            labelled(ALIVE, **PUSHED): RUNS_100_MIN_ONLY,
            labelled("up", job="otelcol", instance="pi:8888"): "1x100 0x100",
            labelled("otelcol_process_uptime_seconds_total", job="otelcol", instance="pi:8888"): RUNS_100_MIN_ONLY,
        },
        {"100m": QUIET, "106m": QUIET, "120m": QUIET},
    ),
    Case(
        "ServiceDown",
        "it is scraped, and a Collector is down too",
        {
            labelled(ALIVE, **SCRAPED): RUNS_100_MIN_ONLY,
            labelled("up", **SCRAPED): "1x100 0x100",
            labelled("up", job="otelcol-exporter", instance="pi:8889", via="collector"): "1x100 0x100",
        },
        {"100m": QUIET, "106m": FIRES},
    ),
    Case(
        "ServiceDown",
        "Prometheus itself was away",
        {
            labelled(ALIVE, **PUSHED): "0+60x100 _x20 7200+60x60",
            labelled(ALIVE, **SCRAPED): "0+60x100 _x20 7200+60x60",
        },
        {"100m": QUIET, "121m": QUIET, "122m": QUIET, "130m": QUIET},
    ),
    Case(
        "ServiceDown",
        "it was retired a day ago",
        {labelled(ALIVE, **PUSHED): "0+600x6 stale _x150"},
        {"120m": FIRES, "1490m": FIRES, "1520m": QUIET},
        step="10m",
    ),
    Case(
        "ServiceDown",
        "it is scraped, restarts, and counts nothing before its first event",
        {
            labelled("up", **SCRAPED): "1x200",
            labelled(RECEIVED, **SCRAPED, **mqtt()): "0+1x60 stale _x29 0+1x100",
        },
        {f"{minute}m": QUIET for minute in range(58, 110, 2)},
    ),
    *(
        Case(
            "ServiceDown",
            f"it pushes, restarts, and {name} is there before its first event",
            {
                labelled(RECEIVED, **PUSHED, **mqtt()): "0+1x60 stale",
                labelled(name, **{**PUSHED, "instance": "uuid-2"}): "_x61 1x100",
                labelled(RECEIVED, **{**PUSHED, "instance": "uuid-2"}, **mqtt()): "_x90 0+1x100",
            },
            {f"{minute}m": QUIET for minute in range(58, 110, 2)},
        )
        for name in ("homeassistant_connection_active", "homeassistant_queue_capacity")
    ),
    Case(
        "ServiceDown",
        "it pushes straight to Prometheus; one of two Collectors has been down for long",
        {
            labelled(ALIVE, **PUSHED): RUNS_100_MIN_ONLY,
            'up{job="otelcol", instance="c:8888"}': "1x20 0x200",
            'otelcol_process_uptime_seconds_total{job="otelcol", instance="c:8888"}': "0+60x20 stale",
            'up{job="otelcol", instance="d:8888"}': "1x220",
            'otelcol_process_uptime_seconds_total{job="otelcol", instance="d:8888"}': "0+60x220",
        },
        {"100m": QUIET, "106m": FIRES, "150m": FIRES},
    ),
    Case(
        "ServiceDown",
        "one of two exporters of Collectors answers",
        {
            labelled(ALIVE, **COLLECTED): RUNS_100_MIN_ONLY,
            'up{job="otelcol-exporter", instance="c:8889", via="collector"}': "1x20 0x200",
            'up{job="otelcol-exporter", instance="d:8889", via="collector"}': "1x220",
        },
        {"100m": QUIET, "106m": FIRES},
    ),
    *(
        Case(
            "ServiceDown",
            f"a program of others ({way}) that has an uptime is retired",
            {labelled(UPTIME, job="spring", instance="nas:8080", **labels): RUNS_100_MIN_ONLY},
            {"100m": QUIET, "106m": QUIET, "150m": QUIET},
            job="spring",
        )
        for way, labels in (("scraped", {}), ("otlp", {"host_name": "nas"}))
    ),
    Case(
        "ScrapeFails",
        "its push arrives",
        {
            labelled("up", **SCRAPED): "1x60 0x60 1x60",
            labelled(ALIVE, **SCRAPED): "0+60x60 stale _x59 0+60x60",
            labelled(ALIVE, **PUSHED): RUNS,
        },
        {
            "60m": QUIET,
            "69m": QUIET,
            "72m": Expected(fires=True, shown="1"),
            "119m": Expected(fires=True, shown="1"),
            "123m": QUIET,
        },
    ),
    Case(
        "ScrapeFails",
        "one of two instances does not answer",
        {
            labelled("up", instance="pi:9464", via="scrape"): "1x60 0x60",
            labelled("up", instance="nas:9464", via="scrape"): "1x120",
            labelled(ALIVE, instance="nas:9464", via="scrape"): RUNS,
        },
        {"60m": QUIET, "72m": Expected(fires=True, shown="1")},
    ),
    Case(
        "ScrapeFails",
        "the whole service is down",
        {labelled("up", **SCRAPED): "1x60 0x60", labelled(ALIVE, **SCRAPED): "0+60x60 stale"},
        {"67m": QUIET, "90m": QUIET},
    ),
    *(
        Case(
            "PushStopped",
            f"the scrape goes on, the push ({way}) does not",
            {labelled(ALIVE, **labels): "0+60x60 stale _x59 0+60x60", labelled(ALIVE, **SCRAPED): RUNS},
            {
                "60m": QUIET,
                "70m": QUIET,
                "74m": Expected(fires=True, shown="1"),
                "118m": Expected(fires=True, shown="1"),
                "121m": QUIET,
            },
        )
        for way, labels in (("collector", COLLECTED), ("otlp", PUSHED))
    ),
    Case(
        "PushStopped",
        "it restarts as a new instance",
        {
            labelled(ALIVE, **PUSHED): "0+60x60 stale",
            labelled(ALIVE, **{**PUSHED, "instance": "uuid-2"}): "_x61 0+60x60",
            labelled(ALIVE, **SCRAPED): "0+60x60 0+60x60",
        },
        {f"{minute}m": QUIET for minute in range(58, 110, 4)},
    ),
    Case(
        "PushStopped",
        "the whole service is down",
        {labelled(ALIVE, **PUSHED): "0+60x60 stale", labelled(ALIVE, **SCRAPED): "0+60x60 stale"},
        {"70m": QUIET, "100m": QUIET},
    ),
    Case(
        "PushStopped",
        "the Collector is down",
        {
            labelled(ALIVE, **COLLECTED): "0+60x60 stale",
            labelled(ALIVE, **SCRAPED): RUNS,
            'up{job="otelcol-exporter", instance="pi:8889", via="collector"}': "1x60 0x60",
        },
        {"70m": QUIET, "100m": QUIET},
    ),
    Case(
        "PushStopped",
        "it was switched off an hour ago",
        {labelled(ALIVE, **PUSHED): "0+60x60 stale", labelled(ALIVE, **SCRAPED): RUNS},
        {"122m": QUIET},
    ),
    Case(
        "ServiceRestarts",
        "a scraped service restarts three times",
        {**ANY_TIME, labelled(UPTIME, **SCRAPED): "0+60x60 0+60x5 0+60x5 0+60x100"},
        {"60m": QUIET, "70m": QUIET, "75m": Expected(fires=True, shown="3"), "140m": QUIET},
    ),
    Case(
        "ServiceRestarts",
        "a scraped service restarts twice, with gaps",
        {**ANY_TIME, labelled(UPTIME, **SCRAPED): "0+60x60 stale _x4 0+60x5 stale _x4 0+60x100"},
        {f"{minute}m": QUIET for minute in range(60, 140, 5)},
    ),
    Case(
        "ServiceRestarts",
        "a service that pushes restarts three times",
        {
            **ANY_TIME,
            labelled(UPTIME, **PUSHED): "0+60x60 stale",
            labelled(UPTIME, **{**PUSHED, "instance": "uuid-2"}): "_x61 0+60x5 stale",
            labelled(UPTIME, **{**PUSHED, "instance": "uuid-3"}): "_x67 0+60x5 stale",
            labelled(UPTIME, **{**PUSHED, "instance": "uuid-4"}): "_x73 0+60x100",
        },
        {"60m": QUIET, "70m": QUIET, "76m": Expected(fires=True, shown="3"), "140m": QUIET},
    ),
    Case(
        "ServiceRestarts",
        "two ways in see two restarts each",
        {
            **ANY_TIME,
            labelled(UPTIME, **SCRAPED): "0+60x60 0+60x5 0+60x100",
            labelled(UPTIME, **PUSHED): "0+60x60 stale",
            labelled(UPTIME, **{**PUSHED, "instance": "uuid-2"}): "_x61 0+60x5 stale",
            labelled(UPTIME, **{**PUSHED, "instance": "uuid-3"}): "_x67 0+60x100",
        },
        {f"{minute}m": QUIET for minute in range(60, 120, 5)},
    ),
    Case(
        "ServiceRestarts",
        "a service that pushes is away between its starts, for longer than a push takes",
        {
            **ANY_TIME,
            labelled(UPTIME, **PUSHED): "0+60x20 stale",
            labelled(UPTIME, **{**PUSHED, "instance": "uuid-2"}): "_x26 0+60x2 stale",
            labelled(UPTIME, **{**PUSHED, "instance": "uuid-3"}): "_x34 0+60x2 stale",
            labelled(UPTIME, **{**PUSHED, "instance": "uuid-4"}): "_x42 0+60x2 stale",
            labelled(UPTIME, **{**PUSHED, "instance": "uuid-5"}): "_x50 0+60x1 stale",
        },
        {
            "36m": QUIET,
            "40m": QUIET,
            "44m": Expected(fires=True, shown="3"),
            "49m": Expected(fires=True, shown="3"),
            "51m": Expected(fires=True, shown="4"),
            "56m": Expected(fires=True, shown="4"),
        },
    ),
    Case(
        "ServiceRestarts",
        "three scraped instances are upgraded once each",
        {
            labelled(name, instance=instance, via="scrape"): "0+60x60 0+60x60"
            for instance in ("a:9464", "b:9464", "c:9464")
            for name in (ALIVE, UPTIME)
        },
        {f"{minute}m": QUIET for minute in range(60, 120, 5)},
    ),
    Case(
        "ServiceRestarts",
        "a program of others restarts",
        {labelled(UPTIME, job="spring", instance="nas:8080"): "0+60x60 0+60x5 0+60x5 0+60x100"},
        {f"{minute}m": QUIET for minute in range(60, 120, 5)},
        job="spring",
    ),
    Case(
        "ServerDown",
        "it is away for two days",
        {
            'up{job="prometheus", instance="pi:9090"}': "1x15 0x720",
            'prometheus_build_info{job="prometheus", instance="pi:9090"}': "1x15 stale",
        },
        {"1h": QUIET, "2h": Expected(fires=True, shown="1"), "47h": Expected(fires=True, shown="1")},
        job="prometheus",
        step="4m",
    ),
    Case(
        "ServerDown",
        "the job of a dead server is deleted",
        {
            'up{job="otelcol", instance="pi:8888"}': "1x60 0x30 stale",
            'otelcol_process_uptime_seconds_total{job="otelcol", instance="pi:8888"}': "0+60x60 stale",
        },
        {"80m": Expected(fires=True, shown="1"), "92m": QUIET, "200m": QUIET},
        job="otelcol",
    ),
    Case(
        "ServerDown",
        # All alerts are compared: another one for the exporter would be one too many.
        "a Collector is down, and its exporter with it",
        {
            'up{job="otelcol", instance="pi:8888"}': "1x60 0x60",
            'otelcol_process_uptime_seconds_total{job="otelcol", instance="pi:8888"}': "0+60x60 stale",
            'up{job="otelcol-exporter", instance="pi:8889", via="collector"}': "1x60 0x60",
        },
        {"70m": Expected(fires=True, shown="1"), "119m": Expected(fires=True, shown="1")},
        job="otelcol",
    ),
    Case(
        "ServerDown",
        "Collectors that push their own metrics are gone, and one returns under another name",
        {
            'otelcol_process_uptime_seconds_total{job="otelcol-agent", instance="1", host_name="a"}': "0+60x40 stale",
            'otelcol_process_uptime_seconds_total{job="otelcol-agent", instance="2", host_name="b"}': "0+60x60 stale",
            'otelcol_process_uptime_seconds_total{job="otelcol-agent", instance="3", host_name="c"}': "_x100 0+60x100",
        },
        {
            "58m": QUIET,
            "66m": QUIET,
            "70m": Expected(fires=True, shown="1"),
            "99m": Expected(fires=True, shown="1"),
            "102m": QUIET,
        },
        job="otelcol-agent",
    ),
    Case(
        "ServerDown",
        "the Collector ends and comes back",
        {
            'up{job="otelcol", instance="pi:8888"}': "1x60 0x60 1x60",
            'otelcol_process_uptime_seconds_total{job="otelcol", instance="pi:8888"}': "0+60x60 stale",
        },
        {
            "60m": QUIET,
            "64m": QUIET,
            "67m": Expected(fires=True, shown="1"),
            "119m": Expected(fires=True, shown="1"),
            "123m": QUIET,
        },
        job="otelcol",
    ),
    Case(
        "ServerDown",
        "the Collector's exporter never answers",
        {'up{job="otelcol-exporter", instance="pi:8889", via="collector"}': "0x60"},
        {"4m": QUIET, "6m": Expected(fires=True, shown="1")},
        job="otelcol-exporter",
    ),
    Case(
        "ServerDown",
        "a service and a stranger are down",
        {labelled("up", **SCRAPED): "0x60", 'up{job="node", instance="nas:9100"}': "0x60"},
        {"10m": QUIET},
    ),
    Case(
        "DiskFillsUp",
        "it will be full in eleven hours, then files are deleted",
        {
            labelled(
                DISK, **SCRAPED, system_filesystem_mountpoint="/", system_filesystem_state="free"
            ): "80.0005+0x71 80.0005-0.3x143 80+0x144"
        },
        {
            "6h": QUIET,
            "17h": Expected(fires=True, labels={"system_filesystem_mountpoint": "/"}, shown="11h 13m 20s"),
            "25h": QUIET,
        },
        step="5m",
    ),
    *(
        Case(
            "DiskFillsUp",
            f"it will be full in {hours} hours",
            {
                labelled(
                    DISK, **SCRAPED, system_filesystem_mountpoint="/", system_filesystem_state="free"
                ): f"{free}-0.3x100"
            },
            {
                "4h": QUIET,
                "8h20m": Expected(fires=hours < 24, labels={"system_filesystem_mountpoint": "/"}, shown="20h 0m 0s"),
            },
            step="5m",
        )
        for hours, free in ((20, 102), (26, 123.6))
    ),
    *(
        Case(
            "DiskFillsUp",
            f"the service restarts as a new instance ({way})",
            {
                labelled(DISK, **labels, **ROOT_FREE): "102.0015-0.3x100 stale",
                labelled(DISK, **{**labels, "instance": "uuid-2"}, **ROOT_FREE): "_x101 71.7015-0.3x100",
            },
            {
                f"{hours}h": Expected(fires=True, labels={"system_filesystem_mountpoint": "/"}, shown=shown)
                for hours, shown in ((8, "20h 20m 1s"), (9, "19h 20m 1s"), (12, "16h 20m 1s"))
            },
            step="5m",
        )
        for way, labels in (("collector", COLLECTED), ("otlp", PUSHED))
    ),
    *(
        Case(
            "DiskFillsUp",
            f"that of another machine ({way}) is smaller, but does not grow",
            {
                labelled(DISK, **labels, **ROOT_FREE): "102-0.3x120",
                labelled(DISK, **others, **ROOT_FREE): "5x120",
            },
            {"8h20m": Expected(fires=True, labels={"system_filesystem_mountpoint": "/"}, shown="20h 0m 0s")},
            step="5m",
        )
        for way, labels, others in (
            ("scrape", SCRAPED, {**SCRAPED, "instance": "nas:9464"}),
            ("otlp", PUSHED, {"instance": "uuid-9", "host_name": "nas"}),
        )
    ),
    Case(
        "DiskFillsUp",
        "it fills fast, but has been known for three hours only",
        {labelled(DISK, **SCRAPED, system_filesystem_mountpoint="/", system_filesystem_state="free"): "80-1x36"},
        {"2h": QUIET, "3h": QUIET},
        step="5m",
    ),
    *(
        Case(
            alert,
            "its first sample says all",
            {labelled(name, **where, **labels): "_x40 3x60", **others},
            {"39m": QUIET, "41m": Expected(fires=True, labels=shown_labels, shown="3"), "50m": QUIET},
        )
        for alert, name, labels, shown_labels in (
            ("EventsOverflow", DISCARDED, mqtt(homeassistant_discard_reason="overflow"), {}),
            (
                "PointsLost",
                "homeassistant_point_written_total",
                {"homeassistant_sink": "influxdb", **ERROR},
                {"homeassistant_sink": "influxdb"},
            ),
        )
        for where, others in (
            (SCRAPED, {labelled(UPTIME, **SCRAPED): RUNS}),
            (PUSHED, {labelled(UPTIME, **PUSHED): RUNS}),
            # A process that has just started.
            (COLLECTED, {labelled(UPTIME, **COLLECTED): "_x40 20+60x60"}),
        )
    ),
    *(
        Case(
            alert,
            "its count is old, and Prometheus was away",
            {
                labelled(name, **SCRAPED, **labels): "3x60 _x20 3x60",
                labelled(UPTIME, **SCRAPED): "9000+60x60 _x20 14000+60x60",
            },
            {f"{minute}m": QUIET for minute in range(1, 120, 2)},
        )
        for alert, name, labels in (
            ("EventsOverflow", DISCARDED, mqtt(homeassistant_discard_reason="overflow")),
            ("PointsLost", "homeassistant_point_written_total", {"homeassistant_sink": "influxdb", **ERROR}),
        )
    ),
    *(
        Case(
            alert,
            "its count is old, it shows no uptime, and Prometheus was away",
            {labelled(name, **SCRAPED, **labels): "3x60 _x20 3x60", labelled("up", **SCRAPED): "1x60 _x20 1x60"},
            {f"{minute}m": QUIET for minute in range(1, 120, 2)},
        )
        for alert, name, labels in (
            ("EventsOverflow", DISCARDED, mqtt(homeassistant_discard_reason="overflow")),
            ("PointsLost", "homeassistant_point_written_total", {"homeassistant_sink": "influxdb", **ERROR}),
        )
    ),
    Case(
        "DuplicateEvents",
        "two sources report the same home",
        {
            labelled(RECEIVED, **SCRAPED, **mqtt()): "0+100x100",
            labelled(RECEIVED, **SCRAPED, homeassistant_source="websocket"): "0+100x100",
            labelled(DISCARDED, **SCRAPED, **mqtt(homeassistant_discard_reason="duplicate")): "0+110x100",
        },
        {f"{minute}m": QUIET for minute in range(1, 100, 10)},
    ),
    *(
        Case(
            alert,
            f"{events * 5:g} events in five minutes",
            {
                labelled(RECEIVED, **SCRAPED, **mqtt()): f"0+{events}x100",
                labelled(PROCESSED, **SCRAPED, **mqtt(), **OK): f"0+{events / 4}x100",
                labelled(PROCESSED, **SCRAPED, **mqtt(), **ERROR): f"0+{events * 0.75}x100",
                labelled(DISCARDED, **SCRAPED, **mqtt(homeassistant_discard_reason=reason)): f"0+{events * 0.75}x100",
            },
            {"99m": Expected(fires=events == 11, shown="75%")},
        )
        for alert, reason in (
            ("ErrorShareCritical", "filtered"),
            ("ErrorShareHigh", "filtered"),
            ("InvalidEvents", "invalid"),
            ("DuplicateEvents", "duplicate"),
        )
        for events in (9.6, 11)
    ),
    Case(
        "AccountsDiffer",
        "a service counts events only as received",
        {labelled(RECEIVED, **SCRAPED, **mqtt()): "0+5x100"},
        {f"{minute}m": QUIET for minute in range(1, 100, 10)},
    ),
    Case(
        "EventsNotProcessed",
        "a service counts events only as received",
        {labelled(RECEIVED, **SCRAPED, **mqtt()): "0+50x100"},
        {f"{minute}m": QUIET for minute in range(1, 100, 10)},
    ),
    Case(
        "EventsNotProcessed",
        "a quiet home restarts with as many retained messages as before",
        {
            labelled(RECEIVED, **SCRAPED, **mqtt()): "400x20 200x30",
            labelled(DISCARDED, **SCRAPED, **mqtt(homeassistant_discard_reason="retained")): "200x50",
            labelled(PROCESSED, **SCRAPED, **mqtt(), **OK): "199x20 0x30",
            labelled(IN_FLIGHT, **SCRAPED, **mqtt(homeassistant_event_state="queued")): "0x50",
        },
        {f"{minute}m": QUIET for minute in range(20, 40)},
    ),
    Case(
        "EventsNotProcessed",
        "the sink fails, which is an alert of its own",
        {
            labelled(RECEIVED, **SCRAPED, **mqtt()): "0+50x100",
            labelled(IN_FLIGHT, **SCRAPED, **mqtt(homeassistant_event_state="queued")): "0+50x100",
            labelled(f"{WRITES}_count", **SCRAPED, **INFLUX, **ERROR): "0+2x100",
        },
        {f"{minute}m": QUIET for minute in range(10, 100, 10)},
    ),
    *(
        Case(
            "SinkFails",
            f"all writes to one server fail, while {name}",
            {
                labelled(f"{WRITES}_count", **SCRAPED, **INFLUX, **ERROR): "0+1x60",
                labelled(f"{WRITES}_count", **SCRAPED, **INFLUX, **OK): "7x60",
                labelled(f"{WRITES}_count", **SCRAPED, **{**INFLUX, **other}, **OK): "0+9x60",
            },
            {"59m": Expected(fires=True, labels=INFLUX, shown="5")},
        )
        for name, other in (
            ("another works", {"server_address": "pi"}),
            ("pings of it work", {"db_operation_name": "ping"}),
        )
    ),
    Case(
        "SinkFails",
        "a file has no server",
        {labelled(f"{WRITES}_count", **SCRAPED, **WRITE, **ERROR): "0+1x60"},
        {"59m": Expected(fires=True, labels=WRITE, shown="5")},
    ),
    *(
        Case(
            "SinkSlow",
            f"writes to one server are slow, and {name}",
            {
                labelled(f"{WRITES}_bucket", **SCRAPED, **{**INFLUX, **more}, **OK, le=le): f"0+{growth}x60"
                for more, fast, every in (({}, 0, 4), (other, 900, 900))
                for le, growth in (("0.99", fast), ("1.5", every), ("+Inf", every))
            },
            {"59m": Expected(fires=True, labels=INFLUX, shown="1.474s")},
        )
        for name, other in (
            ("those to another are fast", {"server_address": "pi"}),
            ("pings of it are fast", {"db_operation_name": "ping"}),
        )
    ),
    *(
        Case(
            alert,
            f"it concerns one instance of two ({way})",
            {
                labelled(name, instance=instance, **labels, **more): samples
                for instance, series in (("a", faulty), ("b", well))
                for name, more, samples in series
            },
            {"70m": Expected(fires=True, labels=shown_labels, shown=shown)},
        )
        for way, labels in (("scraped", {"via": "scrape"}), ("otlp", {"host_name": "pi"}))
        for alert, shown_labels, shown, faulty, well in (
            (
                "ConnectionDown",
                {"homeassistant_connection_kind": "mqtt"},
                "",
                [("homeassistant_connection_active", {"homeassistant_connection_kind": "mqtt"}, "0x100")],
                [("homeassistant_connection_active", {"homeassistant_connection_kind": "mqtt"}, "1x100")],
            ),
            (
                "SourceSilent",
                mqtt(),
                "1h 10m 0s",
                [
                    ("homeassistant_connection_active", {"homeassistant_connection_kind": "mqtt"}, "1x100"),
                    ("homeassistant_message_age_seconds", mqtt(), "0+60x100"),
                ],
                [
                    ("homeassistant_connection_active", {"homeassistant_connection_kind": "mqtt"}, "1x100"),
                    ("homeassistant_message_age_seconds", mqtt(), "1x100"),
                ],
            ),
            (
                "EventsNotProcessed",
                {},
                "100",
                [
                    (RECEIVED, mqtt(), "0+20x100"),
                    (IN_FLIGHT, mqtt(homeassistant_event_state="queued"), "1+20x100"),
                ],
                [
                    (RECEIVED, mqtt(), "0+20x100"),
                    (PROCESSED, mqtt(**OK), "0+20x100"),
                    (IN_FLIGHT, mqtt(homeassistant_event_state="queued"), "0x100"),
                ],
            ),
        )
    ),
    Case(
        "SourceSilent",
        "the silent instance is not connected, the other one is",
        {
            labelled(name, instance=instance, via="scrape", **more): samples
            for instance, connected, age in (("a", 0, "0+60x100"), ("b", 1, "1x100"))
            for name, more, samples in (
                ("homeassistant_connection_active", {"homeassistant_connection_kind": "mqtt"}, f"{connected}x100"),
                ("homeassistant_message_age_seconds", mqtt(), age),
            )
        },
        {"70m": QUIET, "90m": QUIET},
    ),
    Case(
        "SeriesFolded",
        "a histogram with many buckets is folded once",
        {
            labelled(f"homeassistant_batch_size_{part}", **SCRAPED, homeassistant_sink="_OTHER", **more): "4x60"
            for part, more in (
                ("count", {}),
                ("sum", {}),
                *(("bucket", {"le": le}) for le in ("1.5", "5.5", "10.5", "+Inf")),
            )
        },
        {"50m": Expected(fires=True, labels={"attribute": "homeassistant_sink"}, shown="2")},
    ),
    *(
        Case(
            alert,
            "a container has a limit",
            {labelled(name, **SCRAPED, **more): samples for name, more, samples in series},
            {"100m": Expected(fires=fires, shown=value)},
        )
        for alert, fires, value, series in (
            (
                "CpuSaturated",
                True,
                "96%",
                (
                    ("process_cpu_time_seconds_total", {}, "0+28.8x100"),
                    ("container_cpu_limit", {}, "0.5x100"),
                    (CPU, {"cpu_mode": "idle"}, "0+60x100"),
                ),
            ),
            (
                "CpuSaturated",
                False,
                "",
                (
                    ("process_cpu_time_seconds_total", {}, "0+3x100"),
                    ("container_cpu_limit", {}, "0.5x100"),
                    (CPU, {"cpu_mode": "user"}, "0+60x100"),
                ),
            ),
            (
                "MemoryExhausted",
                True,
                "96%",
                (
                    ("process_memory_usage_bytes", {}, "96x100"),
                    ("container_memory_limit_bytes", {}, "100x100"),
                    (MEMORY, {"system_memory_state": "used"}, "0.1x100"),
                ),
            ),
            (
                "MemoryExhausted",
                False,
                "",
                (
                    ("process_memory_usage_bytes", {}, "9x100"),
                    ("container_memory_limit_bytes", {}, "100x100"),
                    (MEMORY, {"system_memory_state": "used"}, "0.99x100"),
                ),
            ),
        )
    ),
    Case(
        "CollectorQueueFull",
        "data finds no room",
        {
            labelled(
                "otelcol_exporter_enqueue_failed_metric_points_total",
                job="otelcol",
                instance="pi:8888",
                exporter="otlp_http",
            ): "_x20 5x60",
            labelled("up", job="otelcol", instance="pi:8888"): "1x100",
        },
        {"19m": QUIET, "22m": Expected(fires=True, labels={"exporter": "otlp_http"}), "40m": QUIET},
        job="otelcol",
    ),
    Case("Watchdog", "nothing is wrong", {}, {"0m": FIRES, "10m": FIRES}, job=""),
]
