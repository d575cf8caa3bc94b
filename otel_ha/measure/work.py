"""Work: an operation with the attributes that were given to measured(), checked once and kept."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from contextlib import suppress

from otel_ha.declare.bound import BoundOperation
from otel_ha.declare.given import check_given
from otel_ha.declare.instruments import Histogram
from otel_ha.declare.keys import is_exact, look_up
from otel_ha.declare.measurement import Judge
from otel_ha.declare.operation import Operation
from otel_ha.declare.paths import FastPaths
from otel_ha.declare.ports import GENERATION, AttributeValue, shown
from otel_ha.declare.resolved import MOST_RESOLVED
from otel_ha.errors import CatalogError

Given = AttributeValue | Callable[..., AttributeValue | None] | None
"""An attribute as measured() accepts it: its value, or a function of the measured call's arguments."""


class Work:
    """An operation with attributes, and its fast paths; many measured() share it if they differ in nothing else."""

    __slots__ = ("_computed", "_fixed", "given", "judge", "operation", "paths")

    def __init__(self, operation: Operation, attributes: Mapping[str, Given]) -> None:
        check_given("measured()", attributes, operation.attributes)
        self.operation = operation
        self.given = attributes
        self.judge = Judge(operation, None, ())
        self._fixed = {keyword: value for keyword, value in attributes.items() if not callable(value)}
        self._computed = {keyword: value for keyword, value in attributes.items() if callable(value)}
        self.paths = self._current_paths()

    def look_up(self) -> FastPaths:
        """Return the fast paths for the current recorders."""
        paths = self.paths
        if paths.generation is not GENERATION.current:
            paths = self.paths = self._current_paths()
        return paths

    def _current_paths(self) -> FastPaths:
        return FastPaths(self.operation, self._fixed, self._computed, self.judge.failed)


def work_of(operation: Operation, attributes: Mapping[str, Given]) -> Work:
    """Return the work of an operation with these attributes, which is kept for the next measured().

    Raises CatalogError for an attribute that no instrument declares.
    """
    if isinstance(operation, BoundOperation):
        raise CatalogError(
            "measured() takes the operation itself; for what bind() returned, use `with bound.measured():`"
        )
    if not isinstance(operation, Operation):
        given = shown(operation)
        raise CatalogError(f"measured() takes an Operation or a Histogram, as in @measured(HISTOGRAM); not {given}")
    known = operation.measured_work
    key = (*attributes, *attributes.values())  # as key_of()
    work: Work | None = look_up(known, key)
    if work is None:
        work = Work(operation, attributes)
        if not is_exact(key) or len(known) >= MOST_RESOLVED:
            return work
    with suppress(Exception):  # a subclass of str may do anything when it is hashed
        work = known.setdefault(key, work)
        operation.last_work[tuple(attributes.values())] = work
    return work


@functools.lru_cache
def alone(duration: Histogram) -> Operation:
    """Return an operation that consists of a duration only."""
    return Operation(duration=duration)
