"""PromQL from declarations: expressions that count a service once, by whichever ways its metrics come in.

The same numbers may come by a scrape, through a Collector and by a push. The label `via` distinguishes these ways, and
`instance` is spelled differently on each of them. So an expression is first aggregated within each way (`total`), and
then the way with the largest value is taken (`once`): never the sum of ways. Labels are named with `by`, because a push
may add labels that a scrape lacks, such as host_name.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from prometheus_client.utils import floatToGoString

from otel_ha.declare.instruments import Attribute, Instrument

__all__ = [
    "EVERYTHING",
    "QUANTILES",
    "Selection",
    "at_most",
    "average",
    "base_name",
    "once",
    "quantile",
    "ratio",
    "total",
    "total_per_instance",
]

QUANTILES: Final = (0.5, 0.95, 0.99)
"""The quantiles that rules record and panels draw."""

_WAY: Final = ("job", "via")
_INSTANCE: Final = ("job", "instance", "via")


@dataclass(frozen=True, slots=True)
class Selection:
    """The series that an expression reads, and the window of its rates: `matchers` are PromQL's, such as job="x"."""

    window: str = "5m"
    matchers: tuple[str, ...] = ()

    def series(self, instrument: Instrument, *matchers: str, part: str = "") -> str:
        """Return the selector of an instrument's series; `part` is _bucket, _sum or _count of a histogram."""
        return self.named(instrument.prometheus_name + part, *matchers)

    def named(self, name: str, *matchers: str) -> str:
        """Return the selector of series that no catalog declares, such as those of a Collector."""
        every = ", ".join((*self.matchers, *matchers))
        return f"{name}{{{every}}}" if every else name

    def rate(self, instrument: Instrument, *matchers: str, part: str = "") -> str:
        """Return the rate per second of a counter, or of a part of a histogram."""
        return f"rate({self.series(instrument, *matchers, part=part)}[{self.window}])"

    def increase(self, instrument: Instrument, *matchers: str, part: str = "") -> str:
        """Return the growth of a counter, or of a part of a histogram, during the window."""
        return f"increase({self.series(instrument, *matchers, part=part)}[{self.window}])"


EVERYTHING: Final = Selection()


def total(expression: str, *attributes: Attribute) -> str:
    """Return the sum over the instances of each job, on each way in, by these attributes."""
    return f"sum by ({_labels(_WAY, attributes)}) ({expression})"


def average(expression: str, *attributes: Attribute) -> str:
    """Return the average over the instances of each job, on each way in, by these attributes."""
    return f"avg by ({_labels(_WAY, attributes)}) ({expression})"


def total_per_instance(expression: str, *attributes: Attribute) -> str:
    """Return the sum for each instance, on each way in, by these attributes."""
    return f"sum by ({_labels(_INSTANCE, attributes)}) ({expression})"


def once(expression: str, *attributes: Attribute) -> str:
    """Return one value for each job and these attributes: that of the way in with the largest one."""
    return f"max by ({_labels(('job',), attributes)}) ({expression})"


def ratio(part: str, whole: str) -> str:
    """Return the ratio of two totals with the same labels: 0 without a part, and no series without a whole."""
    return f"({part} or 0 * {whole}) / ({whole} > 0)"


def quantile(share: float, buckets: str, *attributes: Attribute) -> str:
    """Return a quantile, within each way in, of the rates of a histogram's buckets."""
    return f"histogram_quantile({share:g}, sum by ({_labels((*_WAY, 'le'), attributes)}) ({buckets}))"


def at_most(bound: float) -> str:
    """Return the matcher of the bucket with this bound. A scrape spells 0.00005 as 5e-05, a push as it is written."""
    scraped = str(floatToGoString(bound))  # type: ignore[no-untyped-call]
    spellings = dict.fromkeys((scraped, f"{Decimal(repr(bound)):f}"))
    if len(spellings) == 1:
        return f'le="{spellings.popitem()[0]}"'
    return 'le=~"{}"'.format("|".join(spellings).replace("+", "[+]"))


def base_name(instrument: Instrument) -> str:
    """Return the name that recording rules give to an instrument: its Prometheus name without _total."""
    return instrument.prometheus_name.removesuffix("_total")


def _labels(first: tuple[str, ...], attributes: tuple[Attribute, ...]) -> str:
    return ", ".join((*first, *(attribute.prometheus_label for attribute in attributes)))
