"""Building blocks of the recording rules: functions that return PromQL expressions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from otel_ha.declare.instruments import Attribute
from otel_ha.vocabulary import ingest

Labels = Mapping[str, Attribute]
"""The labels of a new series, and the attributes that they come from."""

_SCOPE: Final = ("otel_scope_name", "otel_scope_schema_url", "otel_scope_version")
_SAME_SERVICE: Final = "on (job, instance, via)"
_OURS: Final = 'target_info{telemetry_distro_name="otel-ha"}'


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
    return f"{how} without ({', '.join([*_SCOPE, *sorted(gone)])}) ({expression})"


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


def pushed_or(pushed: str, derived: str) -> str:
    """Return the pushed series; for a service that pushes none, the derived ones."""
    return f"{pushed}\nor {_SAME_SERVICE}\n{derived}"


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


def or_by_source(expression: str, by_source: str) -> str:
    """Return series, and for a source that has none, those that are counted by source alone."""
    return f"{expression}\nor on (job, instance, via, source)\n{by_source}"


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


def share(part: str, whole: str) -> str:
    """Return the ratio of a part to a whole: 0 without a part, and no series without a whole."""
    return f"({part} or 0 * {whole})\n/ ({whole} > 0)"


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
