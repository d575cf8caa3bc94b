"""Alerts on measurements that could not be recorded as given."""

from __future__ import annotations

from typing import Final

from otel_ha.declare.catalog import Catalog
from otel_ha.declare.instruments import OTHER
from otel_ha.render.alerts.alert import Alert
from otel_ha.render.alerts.expressions import grown
from otel_ha.render.promql import EVERYTHING, once, total
from otel_ha.vocabulary import runtime

__all__ = ["RECORDING", "folded"]

# These fold values into _OTHER, which is an alert of its own.
_FOLDING: Final = "budget_exceeded|series_exceeded"

RECORDING: Final = (
    Alert(
        name="RecordingProblems",
        severity="ticket",
        cause="recording",
        expr=once(
            total(
                grown(
                    EVERYTHING.series(runtime.RECORDING_PROBLEMS, f'{runtime.PROBLEM.prometheus_label}!~"{_FOLDING}"')
                ),
                runtime.INSTRUMENT,
                runtime.PROBLEM,
            ),
            runtime.INSTRUMENT,
            runtime.PROBLEM,
        )
        + " > <recording_problems>",
        hold="0s",
        summary="{{ $labels.job }} does not record {{ $labels.otel_ha_instrument }} as declared",
        description="Measurements of {{ $labels.otel_ha_instrument }} that could not be recorded as given "
        '({{ $labels.otel_ha_problem_reason }}): {{ printf "%.0f" $value }} within <window>. '
        "The log of {{ $labels.job }} has the first one.",
        needs=(runtime.RECORDING_PROBLEMS,),
    ),
)


def folded(catalog: Catalog) -> list[Alert]:
    """Return the alert on values that were folded into _OTHER, for every attribute of the catalog with open values."""
    labels = {each.prometheus_label for instrument in catalog for each in instrument.attributes if not each.values}
    if not labels:
        return []
    # The buckets of a histogram are no series of their own; its sum and its count are enough.
    found = [f'label_replace({{{label}="{OTHER}", le=""}}, "attribute", "{label}", "", "")' for label in sorted(labels)]
    overflow = 'label_replace({otel_metric_overflow="true", le=""}, "attribute", "several attributes", "", "")'
    series = "\n  or ".join((*found, overflow))
    return [
        Alert(
            name="SeriesFolded",
            severity="info",
            cause="folding",
            expr=f"max by (job, attribute) (count by (job, via, attribute) (\n  {series}\n))",
            hold="15m",
            summary="{{ $labels.job }} has too many values of {{ $labels.attribute }}",
            description="Series of {{ $labels.job }} that stand for many values of {{ $labels.attribute }} (_OTHER or "
            "otel_metric_overflow), because there were more than declared: {{ $value }}. Sums are right, but the "
            "values cannot be told apart.",
        )
    ]
