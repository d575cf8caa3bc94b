"""Queries of panels: rates, levels, quantiles and shares of instruments, each service counted once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from otel_ha.declare.instruments import Attribute, Histogram, Instrument
from otel_ha.render.dashboards.panels import Query
from otel_ha.render.promql import QUANTILES, Selection, at_most, once, quantile, ratio, total, total_per_instance

__all__ = [
    "buckets", "by_server", "highest", "level", "quantiles", "rate", "ratios", "share", "value", "within",
]  # fmt: skip


def value(attribute: Attribute, *values: str) -> str:
    """Return the matcher of an attribute that has one of these values."""
    return f'{attribute.prometheus_label}=~"{"|".join(values)}"'


def rate(
    instrument: Instrument,
    *by: Attribute,
    where: Sequence[str] = (),
    part: str = "",
    top: int = 0,
    of_instance: bool = False,
) -> Query:
    """Return the rate per second by these attributes: of the service, or of its busiest instance."""
    return _query(lambda selection: selection.rate(instrument, *where, part=part), instrument, by, "", top, of_instance)


def level(
    instrument: Instrument,
    *by: Attribute,
    legend: str = "",
    top: int = 0,
    of_instance: bool = False,
) -> Query:
    """Return the current sum by these attributes: of the service, or of its largest instance."""
    return _query(lambda selection: selection.series(instrument), instrument, by, legend, top, of_instance)


def highest(instrument: Instrument, *by: Attribute, top: int = 0) -> Query:
    """Return the largest current value by these attributes, for values that cannot be added up."""

    def expr(selection: Selection) -> str:
        return _largest(once(selection.series(instrument), *by), top)

    return Query(expr, legend_of(by), (instrument,))


def quantiles(
    histogram: Histogram, *by: Attribute, shares: Sequence[float] = QUANTILES, top: int = 0
) -> tuple[Query, ...]:
    """Return one query for each quantile, by these attributes."""

    def query(share: float) -> Query:
        def expr(selection: Selection) -> str:
            return _largest(once(quantile(share, selection.rate(histogram, part="_bucket"), *by), *by), top)

        name = f"P{100 * share:g}"
        legend = name if not by else legend_of(by) if len(shares) == 1 else f"{legend_of(by)} · {name}"
        return Query(expr, legend, (histogram,))

    return tuple(map(query, shares))


def buckets(histogram: Histogram) -> Query:
    """Return the rates of a histogram's buckets, for a heatmap."""

    def expr(selection: Selection) -> str:
        each_way = f"sum by (job, via, le) ({selection.rate(histogram, part='_bucket')})"
        return f"sum by (le) (max by (job, le) ({each_way}))"

    return Query(expr, "{{le}}", (histogram,))


def ratios(
    part: Callable[[Selection], str],
    whole: Callable[[Selection], str],
    *by: Attribute,
    reads: tuple[Instrument, ...],
    legend: str = "",
    of_instance: bool = False,
) -> Query:
    """Return the ratio of two sums by these attributes, calculated within each way in."""
    add = total_per_instance if of_instance else total

    def expr(selection: Selection) -> str:
        return once(ratio(add(part(selection), *by), add(whole(selection), *by)), *by)

    return Query(expr, legend or legend_of(by), reads)


def share(
    instrument: Instrument,
    where: str,
    *by: Attribute,
    part: str = "",
    of: Instrument | None = None,
    of_part: str = "",
    legend: str = "",
) -> Query:
    """Return the share of an instrument's series that match, in the whole of it or `of` another instrument."""
    whole = of or instrument
    return ratios(
        lambda selection: selection.rate(instrument, where, part=part),
        lambda selection: selection.rate(whole, part=of_part if of else part),
        *by,
        reads=(instrument, whole) if of else (instrument,),
        legend=legend,
    )


def within(histogram: Histogram, bound: float) -> Query:
    """Return the share of measurements that are at most a bound of the histogram's buckets."""
    return share(histogram, at_most(bound), part="_bucket", of=histogram, of_part="_count", legend="{{job}}")


def by_server(expr: Callable[[Selection], str], *labels: str, function: str = "sum") -> Query:
    """Return an expression about a server, by job, instance and these labels, all of which its legend shows."""

    def all_of(selection: Selection) -> str:
        return f"{function} by ({', '.join(('job', 'instance', *labels))}) ({expr(selection)})"

    return Query(all_of, " · ".join(f"{{{{{label}}}}}" for label in (*labels, "instance")))


def legend_of(by: Sequence[Attribute]) -> str:
    """Return the legend that shows these attributes, or the job without any."""
    labels = [attribute.prometheus_label for attribute in by] or ["job"]
    return " · ".join(f"{{{{{label}}}}}" for label in labels)


def _query(
    series: Callable[[Selection], str],
    instrument: Instrument,
    by: Sequence[Attribute],
    legend: str,
    top: int,
    of_instance: bool,  # noqa: FBT001
) -> Query:
    add = total_per_instance if of_instance else total

    def expr(selection: Selection) -> str:
        return _largest(once(add(series(selection), *by), *by), top)

    return Query(expr, legend or legend_of(by), (instrument,))


def _largest(expr: str, top: int) -> str:
    return f"topk({top}, {expr})" if top else expr
