"""Bridges: recording rules that give renamed metrics their earlier names as well, so that old dashboards go on."""

from __future__ import annotations

from collections.abc import Iterator

from otel_ha.declare.catalog import Catalog
from otel_ha.declare.rename import Rename
from otel_ha.render.rule import Rule

__all__ = ["bridges"]


def bridges(catalog: Catalog) -> list[Rule]:
    """Return a rule for every series of every rename in the catalog.

    A rule keeps all labels that a way to Prometheus adds, so it serves each way. It copies raw values: counters and
    buckets remain counters, for `rate()` and `histogram_quantile()`.
    """
    return [rule for rename in catalog.renames for rule in _of(rename)]


def _of(rename: Rename) -> Iterator[Rule]:
    for part in rename.series:
        expression = f"{rename.instrument.prometheus_name}{part}"
        if rename.times != 1:
            expression = f"{expression} * {rename.times!r}"
        yield Rule(rename.name + part, _with_earlier_labels(expression, rename))


def _with_earlier_labels(expression: str, rename: Rename) -> str:
    """Return the series with the earlier labels in place of those that replace them."""
    for earlier, attribute in rename.labels.items():
        expression = f'label_replace({expression}, "{earlier}", "$1", "{attribute.prometheus_label}", "(.*)")'
    gone = sorted({attribute.prometheus_label for attribute in rename.labels.values()})
    # The labels that go have their values in others, so each sum is of one series.
    return f"sum without ({', '.join(gone)}) ({expression})" if gone else expression
