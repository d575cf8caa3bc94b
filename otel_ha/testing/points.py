"""Points: a collection of every pipeline, put together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from otel_ha.declare.catalog import Catalog
from otel_ha.declare.ports import AttributeValue
from otel_ha.record.collected import metrics_of
from otel_ha.record.resolver import Identity, identity
from otel_ha.testing.reader import CapturingReader
from otel_ha.testing.subject import Subject, Where, is_equal
from otel_ha.version import DISTRO

Kind = Literal["counter", "updowncounter", "gauge", "histogram"]

State = Literal["running", "off", "shut down", "over"]


@dataclass(slots=True)
class CapturedSeries:
    """One attribute set of a metric, with its points in the pipelines that had it, the newest last.

    Counters and histograms of all pipelines add up; of anything else, the newest pipeline's value counts.
    """

    kind: Kind
    attributes: Mapping[str, AttributeValue]
    parts: list[tuple[CapturingReader, Any]] = field(default_factory=list)

    @property
    def current(self) -> list[tuple[CapturingReader, Any]]:
        """The points that count."""
        if self.kind in {"counter", "histogram"}:
            return self.parts
        newest = self.parts[-1][0]
        return [part for part in self.parts if part[0] is newest][-1 if self.kind == "gauge" else 0 :]

    @property
    def amount(self) -> int | float:
        """Its value; a histogram's is the number of its values."""
        return sum(_amount(point) for _, point in self.current)

    @property
    def amount_at_ends(self) -> int | float:
        """Its values added up over all pipelines: of work in flight, also what was so when a pipeline ended."""
        return sum(_amount(point) for _, point in self.parts)

    @property
    def total(self) -> int | float:
        """The sum of its values."""
        return sum(_total(point) for _, point in self.current)

    def has(self, where: Where) -> bool:
        """Whether it has these attributes."""
        return not self.differing(where)

    def differing(self, where: Where) -> list[str]:
        """Return the names of the attributes that it has not as in `where`."""
        return [name for name, value in where.items() if not is_equal(self.attributes.get(name), value)]


@dataclass(slots=True)
class CapturedMetric:
    """A metric with all of its series; if pipelines or meters have several of its name, those of the same kind."""

    kind: Kind
    series: dict[Identity, CapturedSeries] = field(default_factory=dict)

    def add(self, reader: CapturingReader, points: Sequence[Any]) -> None:
        """Add the points that a pipeline has."""
        for point in points:
            attributes = dict(sorted((point.attributes or {}).items()))
            same = identity(attributes)
            if same not in self.series:
                self.series[same] = CapturedSeries(self.kind, attributes)
            self.series[same].parts.append((reader, point))


class Snapshot:
    """A collection of every pipeline that was captured; each one shows whole batches.

    `state` is that of telemetry: the code under test may have shut it down, or set up one that is off, or the capture
    is over.
    """

    def __init__(self, readers: Sequence[CapturingReader], state: State) -> None:
        self.state = state
        self._collections = [(reader, reader.data()) for reader in readers]
        described = [reader.pipeline for reader in readers if reader.pipeline is not None]
        self.pipeline = described[-1] if described else None
        """The newest pipeline; None if telemetry is off."""

    @property
    def catalog(self) -> Catalog | None:
        """The catalog of the newest pipeline."""
        return None if self.pipeline is None else self.pipeline.catalog

    def metric(self, subject: Subject) -> CapturedMetric | None:
        """Return the metric of a subject; None if nothing was recorded."""
        found: CapturedMetric | None = None
        seen = set()
        for reader, scope, metric in self._metrics():
            stream = (id(reader), scope.name, scope.version, scope.schema_url)
            has_name = metric.name.lower() == subject.name.lower()  # the SDK records names in lower case
            if not has_name or (subject.is_declared and scope.name != DISTRO) or stream in seen:
                continue
            seen.add(stream)  # if Views make several metrics of one name, the first one counts
            kind = _kind(metric.data)
            found = found or CapturedMetric(kind)
            if kind == found.kind:
                found.add(reader, metric.data.data_points)
        return found

    def names(self, *, declared: bool = False) -> list[str]:
        """Return the names of the metrics that were recorded, sorted; with `declared`, those by declarations."""
        return sorted({metric.name for _, scope, metric in self._metrics() if not declared or scope.name == DISTRO})

    def _metrics(self) -> Iterator[tuple[CapturingReader, Any, Any]]:
        for reader, data in self._collections:
            if data is not None:
                yield from ((reader, of_scope.scope, metric) for _, of_scope, metric in metrics_of(data))


def _kind(data: Any) -> Kind:
    if hasattr(data, "is_monotonic"):
        return "counter" if data.is_monotonic else "updowncounter"
    return "gauge" if hasattr(data.data_points[0], "value") else "histogram"


def _amount(point: Any) -> int | float:
    return point.value if hasattr(point, "value") else point.count  # type: ignore[no-any-return]  # a number


def _total(point: Any) -> int | float:
    return point.value if hasattr(point, "value") else point.sum  # type: ignore[no-any-return]  # a number
