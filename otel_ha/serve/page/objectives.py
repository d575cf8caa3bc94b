"""Objectives under "Now": whether the service keeps what its catalog promises."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from otel_ha.serve.page.html import Element, element, name
from otel_ha.serve.page.parts import figure
from otel_ha.serve.summary import words

__all__ = ["missed", "objectives"]

Data = Mapping[str, Any]


def missed(metrics: Iterable[Data]) -> set[str]:
    """Return the names of the metrics of which an objective is missed."""
    return {
        str(metric["name"])
        for metric in metrics
        if any(each.get("met") is False for each in metric.get("objectives") or ())
    }


def objectives(metrics: Iterable[Data]) -> Element | None:
    """Return a list of the objectives that are measured, each with its result; None without any."""
    rows = [
        _row(f"metrics.{metric['name']}.objectives.{index}", each)
        for metric in metrics
        for index, each in enumerate(metric.get("objectives") or ())
        if each.get("share") is not None
    ]
    return element("ul", *rows, class_="objectives", aria_label="Objectives") if rows else None


def _row(path: str, each: Data) -> Element:
    is_met = each.get("met") is not False
    return element(
        "li",
        element("span", "✓ met: " if is_met else "✗ missed: ", class_=None if is_met else "missed"),
        name(str(each.get("description") or "")),
        " It was ",
        figure(f"{path}.share", each["share"], words.share),
        " over the kept history.",
    )
