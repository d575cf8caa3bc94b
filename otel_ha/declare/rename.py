"""Rename: the earlier Prometheus name of an instrument, for dashboards and alerts that still use it."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from otel_ha.declare import naming
from otel_ha.declare.instruments import Attribute, Histogram, Instrument
from otel_ha.declare.ports import shown
from otel_ha.errors import CatalogError

HISTOGRAM_PARTS = ("_bucket", "_sum", "_count")
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


@dataclass(frozen=True, eq=False, kw_only=True)
class Rename:
    """An instrument's earlier name in Prometheus, which recording rules give to its series as well.

    `name` is spelled as in Prometheus, of a histogram without `_bucket`, `_sum` and `_count`. `labels` has the earlier
    labels that are renamed too, with the attributes that replace them. If the unit has changed, earlier values were
    `times` the present ones: 1000 for milliseconds that are seconds now. Buckets cannot be converted, so a histogram
    whose unit changes needs a new name without a rule. Raises CatalogError.
    """

    name: str = field(kw_only=False)
    instrument: Instrument = field(kw_only=False)
    labels: Mapping[str, Attribute] = field(default_factory=dict)
    times: float = 1.0

    def __post_init__(self) -> None:
        """Check the declaration, so that an invalid one fails at import."""
        for problem in self._problems():
            raise CatalogError(f"rename of {shown(self.name)}: {problem}")

    @property
    def series(self) -> tuple[str, ...]:
        """The endings of its names in Prometheus: three for a histogram."""
        return HISTOGRAM_PARTS if isinstance(self.instrument, Histogram) else ("",)

    def _problems(self) -> Iterable[str]:
        yield from naming.wrong_types(self, ("name", str, "a text"), ("labels", Mapping, "attributes by earlier label"))
        if not _NAME.fullmatch(self.name):
            yield "not a name in Prometheus; use letters, digits and underscores, such as 'acme_calls_total'"
        if not isinstance(self.instrument, Instrument):
            yield f"{shown(self.instrument)} is not an instrument; write Rename('earlier_name', INSTRUMENT)"
            return
        if self.name == self.instrument.prometheus_name:
            yield "the instrument has this name now; give the earlier one"
        if not isinstance(self.times, int | float) or not math.isfinite(self.times) or self.times <= 0:
            yield f"times is {shown(self.times)}; allowed: a number above 0"
        if self.times != 1 and isinstance(self.instrument, Histogram):
            yield "times converts no buckets; leave the rename of a histogram with another unit out"
        yield from self._problems_of_labels(self.instrument.attributes)

    def _problems_of_labels(self, attributes: Collection[Attribute]) -> Iterable[str]:
        present = {attribute.prometheus_label for attribute in attributes}
        for label, attribute in self.labels.items():
            if not isinstance(label, str) or not _LABEL.fullmatch(label) or naming.is_reserved_label(label):
                yield f"label {label!r} cannot be an attribute's; use letters, digits and underscores"
            if label in present:
                yield f"the instrument has the label {label!r} now; give the earlier one"
            if attribute not in attributes:
                yield f"label {label!r}: {shown(attribute)} is not an attribute of {self.instrument.name!r}; give one"
