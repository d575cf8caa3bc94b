"""The earlier names as text for users without Prometheus: the figures of the recording rules, from a scrape.

Rates cover the history of collections, other derived figures the time since telemetry started.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from otel_ha.compat import answers
from otel_ha.compat.old_names.old_name import PREFIX
from otel_ha.compat.registry_text import heading, sample
from otel_ha.compat.scraped import Names, Rows, Scrape, added_up
from otel_ha.compat.spelling import Labels
from otel_ha.declare.instruments import Instrument
from otel_ha.history import History
from otel_ha.history.derive import MB
from otel_ha.vocabulary import ha_ingestor, ingest, runtime

_SOURCE: Final = {"source": ingest.SOURCE}
_EVENT: Final = {"source": ingest.SOURCE, "domain": ingest.DOMAIN}
_STATUS: Final = {"status": ingest.OUTCOME}
_HOST: Final = {"hostname": ha_ingestor.HOST}
_BUCKET: Final = "le"


def earlier_text(scraped: str, info: Mapping[str, str]) -> str:
    """Return the text of the 22 names of the recording rules; `info` are further labels of ha_ingestor_info."""
    scrape = Scrape(scraped)
    lines: list[str] = []
    for name, (kind, help_text, rows) in _NAMES.items():
        found = rows(scrape)
        if found:
            lines += heading(PREFIX + name, help_text, kind)
            lines += (sample(PREFIX + name, labels, value) for labels, value in found.items())
    return "".join([*lines, *_duration(scrape), *_info(scrape, info)])


def _duration(scrape: Scrape) -> Iterable[str]:
    name = f"{PREFIX}event_processing_duration_seconds"
    yield from heading(name, "Time to process an event, in seconds", "histogram")
    for part, also in (("_bucket", (_BUCKET,)), ("_sum", ()), ("_count", ())):
        for labels, value in scrape.rows(ingest.EVENT_DURATION, _EVENT, part, also=also).items():
            yield sample(name + part, labels, value)


def _info(scrape: Scrape, given: Mapping[str, str]) -> Iterable[str]:
    resource = scrape.target_info
    known = {"service": resource.get("service_name", ""), "version": resource.get("service_version", "")}
    labels = {name: text for name, text in (known | dict(given)).items() if text}
    yield from heading(f"{PREFIX}info", "The service", "gauge")
    yield sample(f"{PREFIX}info", tuple(labels.items()), 1)


def _pushed(gauge: Instrument, names: Names, derived: Callable[[Scrape], Rows]) -> Callable[[Scrape], Rows]:
    """Return the rows that the caller pushes; without any, the derived ones."""
    return lambda scrape: scrape.rows(gauge, names) or derived(scrape)


def _of_host(measured: Instrument, figure: Callable[[History], float]) -> Callable[[Scrape], Rows]:
    """Return one row for this host, from the history, if the instrument is measured."""

    def rows(scrape: Scrape) -> Rows:
        history, host = answers.running_history(), scrape.target_info.get("host_name", "")
        if history is None or not host or not scrape.rows(measured, {}):
            return {}
        return {(("hostname", host),): figure(history)}

    return rows


def _total(pushed: Instrument, measured: Instrument, names: Names, way: str) -> Callable[[Scrape], Rows]:
    def rows(scrape: Scrape) -> Rows:
        if given := scrape.rows(pushed, {**_HOST, **names}, direction=way):
            return given
        host = scrape.target_info.get("host_name", "")
        found = scrape.rows(measured, names, direction=way)
        return {(("hostname", host), *labels): value for labels, value in found.items()} if host else {}

    return rows


def _filesystems(scrape: Scrape) -> Rows:
    host = scrape.target_info.get("host_name", "")
    found = scrape.rows(runtime.SYSTEM_FILESYSTEM_UTILIZATION, {"mountpoint": runtime.MOUNTPOINT})
    return {(("hostname", host), *labels): 100 * value for labels, value in found.items()} if host else {}


def _events(scrape: Scrape) -> Rows:
    """Return for each source the events with a domain or, if more are counted by source alone, those."""
    found = _with_domain(scrape)
    by_source = scrape.rows(ha_ingestor.SOURCE_EVENTS, _SOURCE | _STATUS)
    known = added_up(found, _SOURCE)
    more = {key for key, number in added_up(by_source, _SOURCE).items() if number > known.get(key, 0)}
    found = {labels: value for labels, value in found.items() if _only_source(labels) not in more}
    return found | {labels: value for labels, value in by_source.items() if _only_source(labels) in more}


def _with_domain(scrape: Scrape) -> Rows:
    """Return for each source and domain the counted events or, if more were measured, the measured ones."""
    measured = scrape.rows(ingest.EVENT_DURATION, _EVENT | _STATUS, "_count")
    measured = {labels: value for labels, value in measured.items() if dict(labels).get("source")}
    counted = scrape.rows(ha_ingestor.COUNTED_EVENTS, _EVENT | _STATUS)
    more = {key for key, number in added_up(measured, _EVENT).items() if number > added_up(counted, _EVENT).get(key, 0)}
    found = {labels: value for labels, value in counted.items() if _without_status(labels) not in more}
    return found | {labels: value for labels, value in measured.items() if _without_status(labels) in more}


def _only_source(labels: Labels) -> Labels:
    return tuple(pair for pair in labels if pair[0] == "source")


def _without_status(labels: Labels) -> Labels:
    return tuple(pair for pair in labels if pair[0] != "status")


def _rates(_: Scrape) -> Rows:
    return {(("source", source),): rate for source, rate in answers.rates(answers.running_history()).items()}


def _breakers(scrape: Scrape) -> Rows:
    states = scrape.rows(ingest.CIRCUIT_BREAKER, {"component": ingest.COMPONENT, "state": ingest.CIRCUIT_STATE})
    numbers = {state: float(number) for number, state in enumerate(ingest.CIRCUIT_STATE.values)}
    return {
        tuple(pair for pair in labels if pair[0] != "state"): numbers[dict(labels)["state"]]
        for labels, value in states.items()
        if value and dict(labels).get("state") in numbers
    }


def _rows(instrument: Instrument, names: Names) -> Callable[[Scrape], Rows]:
    return lambda scrape: scrape.rows(instrument, names)


def _duplicates(scrape: Scrape) -> Rows:
    """Return the share of duplicates by source; in all, if the source of some or of all events is unknown."""
    discarded = scrape.rows(ingest.DISCARDED, _SOURCE, reason="duplicate")
    more = _unmeasured(scrape)
    received = {key: number for key, number in scrape.rows(ingest.RECEIVED, _SOURCE).items() if key}
    if () in discarded or not received:
        return _share_in_all("duplicate")(scrape)
    every = {labels: number + more.get(labels, 0.0) for labels, number in received.items()}
    return {labels: discarded.get(labels, 0.0) / number for labels, number in every.items() if number}


def _share_in_all(reason: str) -> Callable[[Scrape], Rows]:
    """Return the share of all received events that were discarded for a reason, since telemetry started."""

    def rows(scrape: Scrape) -> Rows:
        without_source = scrape.rows(ingest.EVENT_DURATION, _SOURCE, "_count").get((), 0.0)
        more = sum(_unmeasured(scrape).values()) - without_source
        received = sum(scrape.rows(ingest.RECEIVED, {}).values()) + max(more, 0.0)
        discarded = scrape.rows(ingest.DISCARDED, {}, reason=reason).get((), 0.0)
        return {(): discarded / received} if received else {}

    return rows


def _unmeasured(scrape: Scrape) -> Rows:
    """Return the events of each source that were counted and not measured."""
    counted = added_up(_events(scrape), _SOURCE)
    measured = scrape.rows(ingest.EVENT_DURATION, _SOURCE, "_count")
    return {labels: max(number - measured.get(labels, 0.0), 0.0) for labels, number in counted.items() if labels}


def _transformed(scrape: Scrape) -> Rows:
    names = {"transformer_type": ingest.TRANSFORMER}
    every = scrape.rows(ingest.TRANSFORM_DURATION, names, "_count")
    right = scrape.rows(ingest.TRANSFORM_DURATION, names, "_count", outcome="ok")
    return {labels: right.get(labels, 0.0) / number for labels, number in every.items() if number}


_NAMES: Final[Mapping[str, tuple[str, str, Callable[[Scrape], Rows]]]] = {
    "system_cpu_percent": (
        "gauge",
        "CPU utilization, in %",
        _pushed(
            ha_ingestor.CPU,
            _HOST,
            _of_host(runtime.SYSTEM_CPU_TIME, lambda history: history.system().cpu_percent or 0.0),
        ),
    ),
    "system_memory_percent": (
        "gauge",
        "Memory utilization, in %",
        _pushed(
            ha_ingestor.MEMORY,
            _HOST,
            _of_host(runtime.SYSTEM_MEMORY_USAGE, lambda history: history.system().memory_percent),
        ),
    ),
    "system_memory_used_bytes": (
        "gauge",
        "Memory in use",
        _pushed(
            ha_ingestor.MEMORY_USED,
            _HOST,
            _of_host(runtime.SYSTEM_MEMORY_USAGE, lambda history: history.system().memory_used_mb * MB),
        ),
    ),
    "system_disk_usage_percent": (
        "gauge",
        "Used space of file systems, in %",
        _pushed(ha_ingestor.FILESYSTEM, {**_HOST, "mountpoint": runtime.MOUNTPOINT}, _filesystems),
    ),
    **{
        f"system_disk_io_{way}_bytes_total": (
            "counter",
            f"Bytes of disks: {way}",
            _total(ha_ingestor.DISK_IO, runtime.SYSTEM_DISK_IO, {}, way),
        )
        for way in ("read", "write")
    },
    **{
        f"system_network_io_{old}_bytes_total": (
            "counter",
            f"Bytes of network interfaces: {way}",
            _total(ha_ingestor.NETWORK_IO, runtime.SYSTEM_NETWORK_IO, {"interface": runtime.INTERFACE}, way),
        )
        for old, way in (("sent", "transmit"), ("recv", "receive"))
    },
    "event_processing_rate_events_per_second": (
        "gauge",
        "Events processed per second",
        _pushed(ha_ingestor.EVENT_RATE, _SOURCE, _rates),
    ),
    "queue_depth": ("gauge", "Items in a queue", _rows(ingest.QUEUE_SIZE, {"queue_name": ingest.QUEUE})),
    "active_connections": (
        "gauge",
        "Connections that are up",
        _rows(ingest.CONNECTIONS, {"connection_type": ingest.CONNECTION}),
    ),
    "events_processed_total": ("counter", "Events processed", _events),
    "data_points_written_total": (
        "counter",
        "Points handed to a sink",
        _rows(ingest.POINTS_WRITTEN, {"measurement": ingest.MEASUREMENT, **_STATUS}),
    ),
    "data_volume_bytes_total": (
        "counter",
        "Bytes received",
        _rows(ingest.DATA_RECEIVED, {**_SOURCE, "type": ingest.DATA_TYPE}),
    ),
    "deduplication_rate": (
        "gauge",
        "Share of events that were duplicates",
        _pushed(
            ha_ingestor.DEDUPLICATION,
            _SOURCE,
            _duplicates,
        ),
    ),
    "filter_efficiency": (
        "gauge",
        "Share of events that a filter discarded",
        _pushed(
            ha_ingestor.FILTER_EFFICIENCY,
            {"filter_type": ha_ingestor.FILTER},
            _share_in_all("filtered"),
        ),
    ),
    "transformation_success_rate": (
        "gauge",
        "Share of transformations that succeeded",
        _pushed(
            ha_ingestor.TRANSFORM_SUCCESS,
            {"transformer_type": ingest.TRANSFORMER},
            _transformed,
        ),
    ),
    "errors_total": (
        "counter",
        "Errors",
        _rows(
            ingest.ERRORS,
            {"error_type": ingest.ERROR_TYPE, "component": ingest.COMPONENT, "severity": ingest.SEVERITY},
        ),
    ),
    "circuit_breaker_state": ("gauge", "State of a circuit breaker: 0 closed, 1 half open, 2 open", _breakers),
    "retry_attempts_total": (
        "counter",
        "Retries of failed operations",
        _rows(ingest.RETRIES, {"component": ingest.COMPONENT, "operation": ingest.OPERATION}),
    ),
}
"""Kind, help text and rows of each name but the histogram and the info."""

RULED: Final = frozenset({*(PREFIX + name for name in _NAMES), f"{PREFIX}event_processing_duration_seconds"})
"""The names that this text has: a registry's own metric of the same name is left out of a common text."""
