"""Building blocks of the recording rules: functions that return PromQL expressions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from otel_ha.declare.instruments import Attribute, Instrument
from otel_ha.vocabulary import ha_ingestor, ingest

Labels = Mapping[str, Attribute]
"""The labels of a new series, and the attributes that they come from."""

_SAME_SERVICE: Final = "on (job, instance, via)"
_OURS: Final = 'target_info{telemetry_distro_name="otel-ha"}'


def only(instrument: Instrument, *matchers: str | Attribute, part: str = "") -> str:
    """Return a selector of an instrument's series; each matcher is an attribute, an operator and a value."""
    triples = zip(matchers[::3], matchers[1::3], matchers[2::3], strict=True)
    spelled = (f'{each.prometheus_label}{how}"{value}"' for each, how, value in triples if isinstance(each, Attribute))
    chosen = ", ".join(spelled)
    return f"{instrument.prometheus_name}{part}{{{chosen}}}" if chosen else f"{instrument.prometheus_name}{part}"


def rate(selector: str) -> str:
    """Return the rate of a counter."""
    return f"rate({selector}[5m])"


def sum_without(label: str, expression: str) -> str:
    """Return the sum over one of the earlier labels."""
    return f"sum without ({label}) (\n{expression}\n)"


def renamed(expression: str, labels: Labels, *drop: Attribute, how: str = "sum") -> str:
    """Return series with other labels, aggregated over the dropped ones; outcome ok becomes status success."""
    for label, attribute in labels.items():
        expression = _label(expression, label, attribute.prometheus_label)
        if attribute is ingest.OUTCOME:
            expression = f'label_replace({expression}, "{label}", "success", "{label}", "ok")'
    gone = {attribute.prometheus_label for attribute in (*labels.values(), *drop)} - set(labels)
    return f"{how} without ({', '.join(sorted(gone))}) ({expression})" if gone else expression


def _label(expression: str, label: str, source: str) -> str:
    return f'label_replace({expression}, "{label}", "$1", "{source}", "(.*)")'


def of_ours(expression: str) -> str:
    """Return the series of services that use otel-ha."""
    return f"{expression}\nand on (job, instance, via) {_OURS}"


def of_host(expression: str) -> str:
    """Return the series of services that use otel-ha, with the host's name from target_info."""
    info = f"group by (job, instance, via, host_name) ({_OURS})"
    named = _label(f"{expression} * {_SAME_SERVICE} group_left (host_name) {info}", "hostname", "host_name")
    return f"sum without (host_name) ({named})"


def or_else(series: str, otherwise: str) -> str:
    """Return series; for a service that has none, others."""
    return f"{series}\nor {_SAME_SERVICE}\n{otherwise}"


def larger(*expressions: str, labels: Labels, drop: Sequence[Attribute]) -> str:
    """Return the larger of series that may count the same events."""
    return larger_of(*(renamed(expression, labels, *drop) for expression in expressions))


def whole_of(counted: str, measured: str, *, labels: Labels, apart: str, drop: Sequence[Attribute]) -> str:
    """Return the counted series or, if their sum over the label `apart` is larger, the measured ones; never both.

    An event is measured a moment before it is counted. A scrape in that moment must not switch from one to the other:
    Prometheus would take it for a reset. So the measured sum must have been larger for 5 minutes.
    """
    common = {label: attribute for label, attribute in labels.items() if label != apart}
    all_counted = renamed(counted, common, labels[apart], *drop)
    all_measured = renamed(f"min_over_time({measured}[5m])", common, labels[apart], *drop)
    return (
        f"(\n{renamed(counted, labels, *drop)}\nunless ignoring ({apart})\n({all_measured}\n> {all_counted})\n)\n"
        f"or ignoring ({apart})\n{renamed(measured, labels, *drop)}"
    )


def larger_by_source(expression: str, by_source: str) -> str:
    """Return series by source, domain and status or, for a source of which more are counted by source alone, those.

    An event that is counted in both ways is counted in one of them first: as in whole_of(), the number by source must
    have been larger for 5 minutes.
    """
    labels = {"source": ingest.SOURCE, "status": ingest.OUTCOME}
    all_by_source = renamed(f"min_over_time({by_source}[5m])", {"source": ingest.SOURCE}, ingest.OUTCOME)
    return (
        f"(\n{expression}\n)\nunless on (job, instance, via, source)\n("
        f"{all_by_source}\n> {sum_without('domain, status', expression)}\n)\n"
        f"or on (job, instance, via, source)\n{renamed(by_source, labels)}"
    )


def events_by_source(of: Callable[[str], str] = str, *only_with: str | Attribute) -> str:
    """Return the events of each source, each one once: the larger of those measured, counted, and counted by source.

    `of` is applied to each counter, and `only_with` selects as in only().
    """
    by_event = {"source": ingest.SOURCE, "domain": ingest.DOMAIN}
    measured = of(only(ingest.EVENT_DURATION, *(only_with or (ingest.SOURCE, "!=", "")), part="_count"))
    counted = of(only(ha_ingestor.COUNTED_EVENTS, *only_with))
    by_source = of(only(ha_ingestor.SOURCE_EVENTS, *only_with))
    ended = (ingest.OUTCOME, ingest.ERROR_TYPE)
    return larger_of(
        sum_without("domain", larger(measured, counted, labels=by_event, drop=ended)),
        renamed(by_source, {"source": ingest.SOURCE}, ingest.OUTCOME),
    )


def unless_any(series: str, any_of: str, otherwise: str) -> str:
    """Return series, or others for a service that has none, or that has any of a third kind."""
    return f"(\n{series}\nunless {_SAME_SERVICE}\n{any_of}\n)\nor {_SAME_SERVICE}\n{otherwise}"


def larger_of(*series: str) -> str:
    """Return the larger of series that have the same labels."""
    ways = (f'label_replace({each}, "way", "{way}", "", "")' for way, each in enumerate(series))
    return "max without (way) (\n{}\n)".format("\nor\n".join(ways))


def plus(series: str, more: str) -> str:
    """Return the sum of two series with the same labels, of which the second one may be missing."""
    return f"({series}\n+ ({more} or 0 * {series}))"


def excess(series: str, over: str) -> str:
    """Return by how much a series is larger than another one, which may be missing; at least 0."""
    return f"clamp_min({series} - ({over} or 0 * {series}), 0)"


def state_number(states: str, attribute: Attribute, labels: Labels) -> str:
    """Return the number of the current state, from a set of one series per state; the first state is 0."""
    label = attribute.prometheus_label
    ways = (f'{number} * {states}{{{label}="{state}"}}' for number, state in enumerate(attribute.values))
    return renamed(" or ".join(ways), labels, attribute, how="max")


INFO: Final = (
    "group by (job, instance, via, service, version) (label_replace(label_replace(label_replace("
    f'{_OURS}, "service", "$1", "job", "(.*)"), "service", "$1", "service_name", "(.+)"), '
    '"version", "$1", "service_version", "(.+)"))'
)
