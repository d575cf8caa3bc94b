"""The events that a receiver has: the newest cumulative values of all instances of the service, added up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from prometheus_client.parser import text_string_to_metric_families

from tests.faults.tally import DISCARDED
from tests.servers.running import get, instant_query

RECEIVED = "homeassistant.event.received"
PROCESSED = "homeassistant.event.process.duration"
REFUSED = "homeassistant.event.discarded"
_OUTCOME = "homeassistant.outcome"
_IN_PROMETHEUS = {
    "homeassistant_event_received_total": RECEIVED,
    "homeassistant_event_process_duration_seconds_count": PROCESSED,
    "homeassistant_event_discarded_total": REFUSED,
}


@dataclass(frozen=True)
class Stored:
    """The events that were received, and those that ended, by outcome (ok, error, discarded)."""

    received: int = 0
    ends: Mapping[str, int] = field(default_factory=dict)

    @property
    def balances(self) -> bool:
        """Whether every event that was received has ended."""
        return self.received == sum(self.ends.values())


Sample = tuple[str, Mapping[str, str], float]


def of_samples(samples: Iterable[Sample]) -> Stored:
    """The events in (metric, attributes, value), one for each series."""
    received, ends = 0, Counter[str]()
    for name, attributes, value in samples:
        if name == RECEIVED:
            received += int(value)
        elif name == PROCESSED:
            ends[attributes.get(_OUTCOME) or attributes["homeassistant_outcome"]] += int(value)
        elif name == REFUSED:
            ends[DISCARDED] += int(value)
    return Stored(received, dict(ends))


def in_text(url: str) -> Stored:
    """The events in a scrape of the service or of a Collector's exporter."""
    families = text_string_to_metric_families(get(url))
    samples = (sample for family in families for sample in family.samples)
    return of_samples((_IN_PROMETHEUS[s.name], s.labels, s.value) for s in samples if s.name in _IN_PROMETHEUS)


def in_store(url: str, selector: str = "") -> Stored:
    """The events in a store that speaks PromQL, from the series with these labels, such as `via="scrape"`."""
    names = "|".join(_IN_PROMETHEUS)
    separator = "," if selector else ""
    found = instant_query(url, f'last_over_time({{__name__=~"{names}"{separator}{selector}}}[1h])')
    return of_samples((_IN_PROMETHEUS[labels["__name__"]], labels, value) for labels, value in found)


def in_pushes(bodies: Iterable[bytes]) -> Stored:
    """The events in OTLP requests (uncompressed bodies) in the order of their arrival."""
    newest: dict[tuple[str, str, frozenset[tuple[str, str]]], float] = {}
    for body in bodies:
        for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
            instance = _texts(resource.resource.attributes).get("service.instance.id", "")
            for metric in (metric for scope in resource.scope_metrics for metric in scope.metrics):
                for point in metric.sum.data_points:
                    key = metric.name, instance, frozenset(_texts(point.attributes).items())
                    newest[key] = point.as_int or point.as_double
                for point in metric.histogram.data_points:
                    newest[metric.name, instance, frozenset(_texts(point.attributes).items())] = point.count
    return of_samples((name, dict(attributes), value) for (name, _, attributes), value in newest.items())


def _texts(attributes: Iterable[object]) -> dict[str, str]:
    return {each.key: each.value.string_value for each in attributes}  # type: ignore[attr-defined]
