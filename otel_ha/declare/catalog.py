"""Catalog: a set of declared instruments, unique by name, with their objectives and earlier names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NoReturn, TypeVar

from otel_ha.declare import naming
from otel_ha.declare.instruments import Histogram, Instrument
from otel_ha.declare.ports import shown
from otel_ha.declare.rename import HISTOGRAM_PARTS, Rename
from otel_ha.errors import CatalogError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Objective:
    """A service level objective: a share `target` of the measurements of `histogram` is at most `bound`.

    `bound` is one of the histogram's bounds, in its unit, and not an integer: an integer `le` is spelled "1.0" in a
    scrape and "1" by a Collector, so that no single rule would serve both. `target` is a share between 0 and 1. Raises
    CatalogError.
    """

    histogram: Histogram
    bound: float
    target: float
    description: str

    def __post_init__(self) -> None:
        """Check that the objective can be computed from the histogram's buckets."""
        if not isinstance(self.histogram, Histogram):
            raise CatalogError(f"objective on {shown(self.histogram)}; allowed: a declared Histogram; give that")
        which = f"objective on {self.histogram.name!r}"
        # A Decimal may equal a bound, but no format can write it. Integers get the clearer messages below.
        if not isinstance(self.bound, int | float) or not isinstance(self.target, int | float):
            raise CatalogError(
                f"{which}: bound is {shown(self.bound)}, target is {shown(self.target)}; allowed: two floats"
            )
        if problem := naming.problem_of_description(self.description):
            raise CatalogError(f"{which}: {problem}")
        if self.bound not in self.histogram.buckets:
            raise CatalogError(f"{which}: bound is {self.bound}; allowed: its bucket bounds {self.histogram.buckets}")
        if float(self.bound).is_integer():
            raise CatalogError(
                f"{which}: bound {self.bound} is an integer, which Prometheus spells '1' or '1.0'; choose a fraction"
            )
        if not 0 < self.target < 1:
            raise CatalogError(f"{which}: target is {self.target}; allowed: a share between 0 and 1, such as 0.99")
        # A subclass of float, such as one of numpy, may spell itself in a way that no format can read.
        object.__setattr__(self, "bound", float(self.bound))
        object.__setattr__(self, "target", float(self.target))


class Catalog:
    """Instruments, unique by name and by Prometheus name; `a | b` unites two catalogs.

    An instrument may be on both sides of a union. `renames` has earlier Prometheus names, which recording rules keep.
    Raises CatalogError if two instruments share a name, for an objective or a rename of an instrument that is not in
    the catalog, and for an earlier name that is in use.
    """

    def __init__(
        self, *instruments: Instrument, objectives: Iterable[Objective] = (), renames: Iterable[Rename] = ()
    ) -> None:
        self._by_name: dict[str, Instrument] = {}
        exposed: dict[str, Instrument] = {}
        for instrument in instruments:
            if not isinstance(instrument, Instrument):
                raise CatalogError(f"{shown(instrument)} is not an instrument; write Catalog(ONE, OTHER)")
            for names, name in ((self._by_name, instrument.name), (exposed, instrument.prometheus_name)):
                if names.setdefault(name, instrument) is not instrument:
                    raise CatalogError(f"two instruments are named {name!r}; rename one")
        self.objectives = _all_of(Objective, "objectives", objectives)
        for objective in self.objectives:
            if objective.histogram not in self:
                raise CatalogError(
                    f"objective on {objective.histogram.name!r}: the catalog lacks this histogram; add it"
                )
        self.renames = _all_of(Rename, "renames", renames)
        self._check_renames(exposed)

    def _check_renames(self, exposed: Iterable[str]) -> None:
        """Check that no earlier name is that of a series of another instrument."""
        histograms = [instrument for instrument in self if isinstance(instrument, Histogram)]
        in_use = {*exposed, *(each.prometheus_name + part for each in histograms for part in HISTOGRAM_PARTS)}
        for rename in self.renames:
            if rename.instrument not in self:
                raise CatalogError(f"rename of {rename.name!r}: the catalog lacks {rename.instrument.name!r}; add it")
            names = {rename.name, *(rename.name + part for part in rename.series)}
            if not names.isdisjoint(in_use):
                raise CatalogError(f"rename of {rename.name!r}: another instrument has or had this name; leave one out")
            in_use |= names

    def __or__(self, other: Catalog) -> Catalog:
        """Return a catalog of the instruments, objectives and renames of both."""
        if not isinstance(other, Catalog):
            self.__ror__(other)
        return Catalog(
            *{**dict.fromkeys(self), **dict.fromkeys(other)},
            objectives=self.objectives + other.objectives,
            renames=self.renames + other.renames,
        )

    def __ror__(self, other: object) -> NoReturn:
        """Refuse anything but a catalog, such as an instrument that was given to setup_telemetry() in place of one."""
        raise CatalogError(f"{shown(other)} is not a catalog; allowed: a Catalog, such as Catalog(counter, gauge)")

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
        """Return the names of its instruments."""
        return f"Catalog({', '.join(instrument.name for instrument in self)})"


def _all_of(kind: type[T], argument: str, given: Iterable[T]) -> tuple[T, ...]:
    """Return the distinct declarations of an argument; raise CatalogError if one is of another kind."""
    found = tuple(given) if isinstance(given, Iterable) else (given,)
    if all(isinstance(each, kind) for each in found):
        return tuple(dict.fromkeys(found))
    raise CatalogError(f"{argument} is {shown(given)}; allowed: declarations of {kind.__name__}; give a list of them")
