"""Catalog: a set of declared instruments, unique by name, with the objectives set on them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from otel_ha.declare.instruments import Histogram, Instrument
from otel_ha.declare.ports import shown
from otel_ha.errors import CatalogError


@dataclass(frozen=True, slots=True)
class Objective:
    """A service level objective: `target` of the measurements of `histogram` are at most `bound`.

    `bound` is one of the histogram's buckets, in its unit, and no integer: the ways to Prometheus spell an integer `le`
    differently ("1.0", "1"), so that one rule could not serve them all. `target` is a share between 0 and 1.
    Raises CatalogError.
    """

    histogram: Histogram
    bound: float
    target: float
    description: str

    def __post_init__(self) -> None:
        """Check that the objective can be computed from the histogram's buckets."""
        what = f"objective on {self.histogram.name!r}"
        if self.bound not in self.histogram.buckets:
            raise CatalogError(f"{what}: bound {self.bound} is none of its buckets {self.histogram.buckets}")
        if float(self.bound).is_integer():
            raise CatalogError(f"{what}: bound {self.bound} is an integer, which Prometheus is told as '1' or '1.0'")
        if not 0 < self.target < 1:
            raise CatalogError(f"{what}: target {self.target} is not between 0 and 1")


class Catalog:
    """Instruments unique by name and by the name Prometheus gives them; `a | b` unites two catalogs.

    An instrument may be in both sides of a union. Raises CatalogError where two instruments share a name, or an
    objective is set on a histogram that the catalog does not hold.
    """

    def __init__(self, *instruments: Instrument, objectives: Iterable[Objective] = ()) -> None:
        self._by_name: dict[str, Instrument] = {}
        exposed: dict[str, Instrument] = {}
        for instrument in instruments:
            if not isinstance(instrument, Instrument):
                raise CatalogError(f"a catalog is made of instruments, Catalog(ONE, OTHER), not of {shown(instrument)}")
            for names, name in ((self._by_name, instrument.name), (exposed, instrument.prometheus_name)):
                if names.setdefault(name, instrument) is not instrument:
                    raise CatalogError(f"two instruments are named {name!r}")
        self.objectives = tuple(dict.fromkeys(objectives))
        for objective in self.objectives:
            if objective.histogram not in self:
                raise CatalogError(f"objective on {objective.histogram.name!r}, which is not in the catalog")

    def __or__(self, other: Catalog) -> Catalog:
        """Return a catalog of the instruments and objectives of both."""
        return Catalog(*{**dict.fromkeys(self), **dict.fromkeys(other)}, objectives=self.objectives + other.objectives)

    def __iter__(self) -> Iterator[Instrument]:
        """Iterate over the instruments in the order in which they were given."""
        return iter(self._by_name.values())

    def __len__(self) -> int:
        """Return the number of instruments."""
        return len(self._by_name)

    def __contains__(self, instrument: object) -> bool:
        """Whether this very declaration is in the catalog."""
        return isinstance(instrument, Instrument) and self._by_name.get(instrument.name) is instrument

    def __getitem__(self, name: str) -> Instrument:
        """Return the instrument of that name; KeyError if there is none."""
        return self._by_name[name]

    def __repr__(self) -> str:
        """Return the names it holds."""
        return f"Catalog({', '.join(instrument.name for instrument in self)})"
