"""Instruments for calls of the earlier ha_ingestor monitoring API that have no place in the ingest vocabulary.

Only otel_ha.compat records to them. The calls bring rates, ratios and percentages that telemetry derives itself,
counts without a duration, and readings of the machine: they are recorded as given, besides the instruments that
measure the same, and never added to those.
"""

from __future__ import annotations

from otel_ha.declare.catalog import Catalog
from otel_ha.declare.instruments import Attribute, Counter, Gauge, ObservableCounter
from otel_ha.vocabulary.ingest import CONNECTION, DOMAIN, ENTITY, OUTCOME, SOURCE, TRANSFORMER
from otel_ha.vocabulary.runtime import DISK_DIRECTION, INTERFACE, MOUNTPOINT, NETWORK_DIRECTION

HOST = Attribute("host.name", "The machine that the caller measured.", keyword="host", budget=16)
FILTER = Attribute("homeassistant.filter", "The filter, for example domain.", budget=16)

COUNTED_EVENTS = Counter(
    "homeassistant.compat.event.processed",
    unit="{event}",
    description="Events that the caller counted without a duration; they may have been measured as well.",
    attributes=(SOURCE, DOMAIN, OUTCOME),
    series=500,
)
SOURCE_EVENTS = Counter(
    "homeassistant.compat.source.events",
    unit="{event}",
    description="Events that the caller counted by source alone; they may have been measured or counted as well.",
    attributes=(SOURCE, OUTCOME),
    series=64,
)
CONNECTION_ERRORS = Counter(
    "homeassistant.compat.connection.errors",
    unit="{error}",
    description="Errors of connections, as reported by the caller.",
    attributes=(CONNECTION,),
    group="operations",
    series=16,
)
COUNTED_ENTITY_EVENTS = Counter(
    "homeassistant.compat.entity.events",
    unit="{event}",
    description="Events that the caller counted, by entity. Off by default; an entity without events expires.",
    attributes=(ENTITY, DOMAIN),
    group="entity",
    series=5000,
    expires=True,
)
EVENT_RATE = Gauge(
    "homeassistant.compat.event.process.rate",
    unit="{event}/s",
    description="Events processed per second, as reported by the caller.",
    attributes=(SOURCE,),
    group="performance",
    series=16,
)
DEDUPLICATION = Gauge(
    "homeassistant.compat.deduplication",
    unit="1",
    description="Share of events that were duplicates, from 0 to 1, as reported by the caller.",
    attributes=(SOURCE,),
    series=16,
)
FILTER_EFFICIENCY = Gauge(
    "homeassistant.compat.filter.efficiency",
    unit="1",
    description="Efficiency of a filter, from 0 to 1, as reported by the caller.",
    attributes=(FILTER,),
    series=16,
)
TRANSFORM_SUCCESS = Gauge(
    "homeassistant.compat.transform.success",
    unit="1",
    description="Share of transformations that succeeded, from 0 to 1, as reported by the caller.",
    attributes=(TRANSFORMER,),
    series=16,
)
CPU = Gauge(
    "homeassistant.compat.system.cpu",
    unit="%",
    description="CPU utilization in percent, as reported by the caller.",
    attributes=(HOST,),
    group="system",
    series=16,
)
MEMORY = Gauge(
    "homeassistant.compat.system.memory",
    unit="%",
    description="Memory utilization in percent, as reported by the caller.",
    attributes=(HOST,),
    group="system",
    series=16,
)
MEMORY_USED = Gauge(
    "homeassistant.compat.system.memory.used",
    unit="By",
    description="Memory in use, as reported by the caller.",
    attributes=(HOST,),
    group="system",
    series=16,
)
FILESYSTEM = Gauge(
    "homeassistant.compat.system.filesystem",
    unit="%",
    description="Used space of a file system in percent, as reported by the caller.",
    attributes=(HOST, MOUNTPOINT),
    group="system",
    series=64,
)
DISK_IO = ObservableCounter(
    "homeassistant.compat.system.disk.io",
    unit="By",
    description="Bytes read from and written to the machine's disks, as last reported by the caller.",
    attributes=(HOST, DISK_DIRECTION),
    group="system",
    series=32,
)
NETWORK_IO = ObservableCounter(
    "homeassistant.compat.system.network.io",
    unit="By",
    description="Bytes sent and received by the machine, as last reported by the caller.",
    attributes=(HOST, INTERFACE, NETWORK_DIRECTION),
    group="system",
    series=64,
)

CATALOG = Catalog(
    COUNTED_EVENTS,
    SOURCE_EVENTS,
    CONNECTION_ERRORS,
    COUNTED_ENTITY_EVENTS,
    EVENT_RATE,
    DEDUPLICATION,
    FILTER_EFFICIENCY,
    TRANSFORM_SUCCESS,
    CPU,
    MEMORY,
    MEMORY_USED,
    FILESYSTEM,
    DISK_IO,
    NETWORK_IO,
)
