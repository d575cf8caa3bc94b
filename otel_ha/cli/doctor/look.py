"""Looks: what one layer of a way shows, and the walk through the layers until one of them fails."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import Any, Final, Generic, NamedTuple, TypeVar

from otel_ha.cli.doctor.step import Look, Result, Step

__all__ = ["Heading", "Layer", "Look", "after", "fault", "fine", "not_needed", "skipped", "step", "walk"]

_MILLISECOND: Final = 0.001

T = TypeVar("T")


class Heading(NamedTuple):
    """The id and the title of a step."""

    id: str
    title: str


class Layer(NamedTuple, Generic[T]):
    """One layer of a way: the heading of its step, and the function that looks at it."""

    heading: Heading
    look: Callable[[T], Look]


def fine(tried: str, found: str, **facts: Any) -> Look:
    """Return the look at a layer that works."""
    return Look(result=Result.OK, tried=tried, found=found, facts=facts)


def fault(tried: str, found: str, cause: str, remedy: str, **facts: Any) -> Look:
    """Return the look at a layer that fails."""
    return Look(result=Result.FINDING, tried=tried, found=found, cause=cause, remedy=remedy, facts=facts)


def not_needed(found: str) -> Look:
    """Return the look at a layer that this way does not have."""
    return Look(result=Result.SKIPPED, tried="", found=found)


def step(heading: Heading, look: Look, seconds: float | None = None) -> Step:
    """Return the step of a look."""
    return Step(id=heading.id, title=heading.title, seconds=seconds, **vars(look))


def skipped(headings: Iterable[Heading], reason: str) -> Iterator[Step]:
    """Yield the steps of layers that are not looked at."""
    return (step(heading, not_needed(reason)) for heading in headings)


def after(failed: Heading, later: Iterable[Heading]) -> Iterator[Step]:
    """Yield the steps that are not tried after one that failed."""
    return skipped(later, f"not tried, because this failed before: {failed.title}")


def walk(layers: Sequence[Layer[T]], way: T) -> Generator[Step, None, Step | None]:
    """Look at the layers of a way in their order, and yield their steps; none is tried after one that fails.

    Returns the step that fails, if one does.
    """
    for number, layer in enumerate(layers, start=1):
        began = time.monotonic()
        look = layer.look(way)
        seconds = time.monotonic() - began
        # A look of less than a millisecond has waited for nobody.
        yield (taken := step(layer.heading, look, seconds if seconds >= _MILLISECOND else None))
        if look.result is Result.FINDING:
            yield from after(layer.heading, [later.heading for later in layers[number:]])
            return taken
    return None
