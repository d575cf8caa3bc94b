"""Recording rules of any catalog: 5-minute figures for dashboards and alerts, and 1-hour figures for long ranges.

The kind of an instrument decides its rules: a counter has rates; a histogram has rates, means and quantiles; everything
else has averages, and a gauge also its largest value. A figure is one series for each job and the instrument's
attributes, whichever ways its metrics come in: instances are added up (or averaged, for gauges), so a restart continues
a series instead of beginning another.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from otel_ha.declare.catalog import Catalog
from otel_ha.declare.instruments import Attribute, Gauge, Histogram, Instrument, ObservableGauge
from otel_ha.errors import CatalogError
from otel_ha.render.catalogs import NamedCatalog, united
from otel_ha.render.objectives import missed_groups
from otel_ha.render.promql import QUANTILES, Selection, average, base_name, once, total
from otel_ha.render.renames import bridges
from otel_ha.render.rule import Rule, RuleGroup, rules_file
from otel_ha.render.shares import share_rules

__all__ = ["attributes_of_rules", "render_rules", "rule_groups"]

_OPENING = """\
Rendered by `python -m otel_ha.render rules`. Change the declarations, then render again.

Recording rules for {modules}.
Each series is a figure of one job, which counts a service once even if it is scraped and pushed:
  job:NAME:rate5m           per second, of a counter or of the count of a histogram
  job:NAME:p95_5m, mean_5m  of a histogram
  job:NAME:avg_5m, max_5m   of everything else
  job:NAME:ratio_rate5m     a share, between 0 and 1
The same names with 1h are for ranges of weeks and more. See docs/how-to/rules.md.
"""


def render_rules(catalogs: Sequence[NamedCatalog]) -> str:
    """Return the rules file of all catalogs together."""
    modules = ", ".join(named.module for named in catalogs)
    return rules_file(_OPENING.format(modules=modules), rule_groups(united(catalogs)))


def rule_groups(catalog: Catalog) -> list[RuleGroup]:
    """Return the groups of rules; one of hours reads what those of minutes record.

    Raises CatalogError if two rules would record the same series.
    """
    minutes, hour = Selection("5m"), Selection("1h")
    groups = [
        RuleGroup("otel_ha_minutes", _rules(catalog, minutes), "1m"),
        RuleGroup("otel_ha_hours", _rules(catalog, hour), "2m"),
        # At the server's own interval: they copy counters, of which rate() needs as many samples as of the new name.
        RuleGroup("otel_ha_renames", bridges(catalog)),
        *missed_groups(catalog.objectives),
    ]
    recorded = Counter((rule.record, *rule.labels.items()) for group in groups for rule in _recording(group))
    if twice := [series for series, rules in recorded.items() if rules > 1]:
        raise CatalogError(f"two metrics of the catalog would both be recorded as {twice[0][0]}; rename one of them")
    return groups


def _recording(group: RuleGroup) -> list[Rule]:
    return [rule for rule in group.rules if isinstance(rule, Rule)]


def attributes_of_rules(instrument: Instrument) -> tuple[Attribute, ...]:
    """Return the attributes that rules keep: all, but in the group of entities only those with a limit."""
    if instrument.group != "entity":
        return instrument.attributes
    return tuple(each for each in instrument.attributes if each.values or each.budget)


def _rules(catalog: Catalog, selection: Selection) -> list[Rule]:
    rules = [rule for instrument in catalog for rule in _rules_of(instrument, selection)]
    return rules + list(share_rules(catalog, selection))


def _rules_of(instrument: Instrument, selection: Selection) -> Iterator[Rule]:
    if isinstance(instrument, Histogram):
        yield _rate(instrument, selection, part="_count")
        yield from _distribution(instrument, selection)
    elif instrument.kind == "counter":
        yield _rate(instrument, selection)
    else:
        yield from _level(instrument, selection)


def _rate(instrument: Instrument, selection: Selection, part: str = "") -> Rule:
    by = attributes_of_rules(instrument)
    rate = once(total(selection.rate(instrument, part=part), *by), *by)
    return Rule(f"job:{base_name(instrument)}{part}:rate{selection.window}", rate)


def _distribution(histogram: Histogram, selection: Selection) -> Iterator[Rule]:
    """Yield the mean and the quantiles, each of all series together.

    The rates of the buckets are recorded first: an hour's quantiles would otherwise read every bucket of every series.
    """
    name, window = base_name(histogram), selection.window
    seconds, count = (total(selection.rate(histogram, part=part)) for part in ("_sum", "_count"))
    yield Rule(f"job:{name}:mean_{window}", once(f"{seconds} / ({count} > 0)"))
    buckets = f"job_via:{name}_bucket:rate5m"
    if window == "5m":
        yield Rule(buckets, f"sum by (job, via, le) ({selection.rate(histogram, part='_bucket')})")
    else:
        buckets = f"sum_over_time({buckets}[{window}])"
    for share in QUANTILES:
        yield Rule(f"job:{name}:p{100 * share:g}_{window}", once(f"histogram_quantile({share:g}, {buckets}) >= 0"))


def _level(instrument: Instrument, selection: Selection) -> Iterator[Rule]:
    """Yield the average, and for a gauge the largest value.

    Instances are added up at each moment, and the sum is then averaged: an instance that has ended counts only while
    it lived.
    """
    name, by = f"job:{base_name(instrument)}", attributes_of_rules(instrument)
    is_gauge = isinstance(instrument, Gauge | ObservableGauge)
    window = selection.window
    if window != "5m":
        yield Rule(f"{name}:avg_{window}", f"avg_over_time({name}:avg_5m[{window}])")
        if is_gauge:
            yield Rule(f"{name}:max_{window}", f"max_over_time({name}:max_5m[{window}])")
        return
    series = selection.series(instrument)
    now = (average if is_gauge else total)(series, *by)
    yield Rule(f"{name}:avg_{window}", once(f"avg_over_time({now}[{window}:1m])", *by))
    if is_gauge:
        yield Rule(f"{name}:max_{window}", once(f"max_over_time({series}[{window}])", *by))
