"""Quantiles over several pipelines: of the history's fine buckets, or else of the exported ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from otel_ha.declare.instruments import Instrument
from otel_ha.history.distribution import Distribution
from otel_ha.history.history import History
from otel_ha.testing.obstacles import lack_of_buckets
from otel_ha.testing.reader import CapturingReader
from otel_ha.testing.selection import Selection

__tracebackhide__ = True

_LARGEST = 1023.9
"""The largest exponent of 2 that a float can have."""


def quantile(selection: Selection, share: float) -> float:
    """Return a quantile of the values of the chosen series, at least one value."""
    points: dict[CapturingReader, list[Any]] = {}
    for series in selection.chosen.values():
        for reader, point in series.parts:
            points.setdefault(reader, []).append(point)
    every = [point for of_reader in points.values() for point in of_reader if point.count]
    _check_buckets(selection, every)
    found = Distribution()
    for reader, of_reader in points.items():
        found.merge(_distribution(reader, selection, of_reader))
    (value,) = found.quantiles([share])
    least, most = min(point.min for point in every), max(point.max for point in every)
    return min(max(value, least), most) if least <= most else value  # a View may leave them out


def _check_buckets(selection: Selection, points: Sequence[Any]) -> None:
    if any(hasattr(point, "explicit_bounds") and not len(point.explicit_bounds) for point in points):
        name, reason = selection.subject.name, lack_of_buckets(selection.instrument)
        raise AssertionError(f"{name} has no buckets, so it has no quantile: {reason}")


def _distribution(reader: CapturingReader, selection: Selection, points: Sequence[Any]) -> Distribution:
    """Return the values of one pipeline: the history's if it has all of them, else the exported buckets."""
    history = None if reader.pipeline is None else reader.pipeline.history
    number = sum(point.count for point in points)
    if history is not None and selection.instrument is not None:
        fine = _fine(history, selection, selection.instrument, number)
        if fine is not None:
            return fine
    found = Distribution()
    for point in points:
        _add(found, point)
    return found


def _fine(history: History, selection: Selection, instrument: Instrument, number: int) -> Distribution | None:
    """Return the distribution in the history; None if it lacks values, as old ones, or those that a View changed."""
    history.collect()
    where = {selection.subject.keyword(name): value for name, value in selection.where.items()}
    found, had = Distribution(), 0
    with history.reading():
        store = history.store
        for bounds, increases in store.distributions(instrument, where, (0, len(store.moments) - 1)):
            found.add(bounds, increases)
            had += sum(increases.values())
    return found if had >= number else None


def _add(found: Distribution, point: Any) -> None:
    """Add the exported buckets of a point, explicit or exponential."""
    if hasattr(point, "explicit_bounds"):
        found.add(point.explicit_bounds, dict(enumerate(point.bucket_counts)))
        return
    found.add((0.0,), {0: point.zero_count})
    buckets = point.positive
    exponents = [(buckets.offset + index) * 2.0**-point.scale for index in range(len(buckets.bucket_counts) + 1)]
    bounds = [2.0 ** min(exponent, _LARGEST) for exponent in exponents]
    found.add(bounds, {index + 1: count for index, count in enumerate(buckets.bucket_counts) if count})
