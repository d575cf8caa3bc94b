"""The earlier public metric objects: ``collector.queue_depth.labels(queue_name="ingest").set(3)`` and the like."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from otel_ha.compat.process_lock import ProcessLock
from otel_ha.compat.running import report
from otel_ha.compat.spelling import labels_of
from otel_ha.compat.words import usable_number
from otel_ha.declare.plain import plain_text

MOST_SERIES: Final = 1_000

Record = Callable[..., None]
"""A function that takes an amount, and each label as a keyword argument."""


class MetricObject:
    """One earlier metric with its labels; `record` adds an amount to a counter, or sets a gauge or a machine's total.

    A wrong label is reported and "unknown" is used: nothing here raises.
    """

    def __init__(self, name: str, labels: Sequence[str], record: Record, *, adds: bool = False) -> None:
        self.name = name
        self.label_names = tuple(labels)
        self.record = record
        self.adds = adds
        self._last: dict[tuple[str, ...], float] = {}
        self._lock = ProcessLock()

    def labels(self, *values: object, **named: object) -> LabelledSeries:
        """Return the series with these label values, given in order or by name."""
        given = dict(zip(self.label_names, values, strict=False)) | named
        if len(values) > len(self.label_names) or given.keys() != set(self.label_names):
            allowed = ", ".join(self.label_names)
            report(
                self.name, "invalid_labels", f"labels() got {sorted(given)}; allowed: {allowed}; others are 'unknown'"
            )
        return LabelledSeries(self, {name: given.get(name, "unknown") for name in self.label_names})

    def set(self, value: float) -> None:
        """Set the series whose labels are "unknown"."""
        self.labels(**dict.fromkeys(self.label_names, "unknown")).set(value)

    def put(self, of: Mapping[str, object], value: object) -> None:
        """Set a series, and remember its value for inc() and dec()."""
        key = _key(of)
        with self._lock():
            if (number := usable_number(value)) is not None and (key in self._last or len(self._last) < MOST_SERIES):
                self._last[key] = number
            self.record(value, **of)

    def change(self, of: Mapping[str, object], by: object, sign: int) -> None:
        """Add to the last value of a series, which is 0 at first."""
        number = usable_number(by)
        with self._lock():
            self.put(of, by if number is None else self._last.get(_key(of), 0.0) + sign * number)


def _key(of: Mapping[str, object]) -> tuple[str, ...]:
    return tuple(plain_text(value) or "" for value in of.values())


class LabelledSeries:
    """One series of an earlier metric, with prometheus_client's verbs."""

    def __init__(self, of: MetricObject, labels: Mapping[str, object]) -> None:
        self._of = of
        self._labels = labels

    def set(self, value: float) -> None:
        """Set a gauge."""
        self._of.put(self._labels, value)

    def inc(self, amount: float = 1) -> None:
        """Add to a counter or gauge."""
        if self._of.adds:
            self._of.record(amount, **self._labels)
        else:
            self._of.change(self._labels, amount, 1)

    def dec(self, amount: float = 1) -> None:
        """Subtract from a gauge."""
        self._of.change(self._labels, amount, -1)

    def observe(self, value: float) -> None:
        """Add a value to a histogram."""
        self._of.record(value, **self._labels)


class ServiceInfo:
    """The earlier `service_info`: labels of ha_ingestor_info in the text of export_metrics()."""

    def __init__(self) -> None:
        self.labels: dict[str, str] = {}

    def info(self, labels: dict[str, str]) -> None:
        """Replace the labels."""
        self.labels = dict(labels_of(labels, lambda reason, message: report("ha_ingestor_info", reason, message)))
