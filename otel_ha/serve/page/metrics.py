"""Metrics: every metric of the catalog with its series, values, budgets and objectives, and a search."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from otel_ha.serve.page.html import Child, Element, data, element, hole, name
from otel_ha.serve.page.parts import cell, help_, note, section, table
from otel_ha.serve.summary import words

__all__ = ["metrics"]

Data = Mapping[str, Any]
_SEARCHED = ("name", "prometheus_name", "description", "kind", "unit", "group")
_STATISTICS = ("count", "sum", "p50", "p95", "p99")
_DIGITS = 6
_WORDS = (
    "A series is a metric with one combination of attributes, and Limit is the most series that it may have. A budget "
    "is the number of values that an attribute may have; further values share one. An objective is a share of "
    "measurements that is to stay within a bound."
)
_MET = {True: "✓ met", False: "✗ missed", None: "not measured yet"}


def metrics(
    found: Sequence[Data], groups: Collection[str], chosen: str, search: str
) -> tuple[Element, Iterator[Element]]:
    """Return the section of the metrics, and the rows for its hole.

    `groups` are the metric groups of the settings, and `chosen` is the range of the charts. Metrics that a `search`
    does not find are hidden.
    """
    if not found:
        why = note("The catalog declares no metric that could be shown.")
        return section("metrics", "Metrics", why), iter(())
    wanted = search.lower().split()
    texts = [_text(metric) for metric in found]
    hits = [all(word in text for word in wanted) for text in texts]
    rows = (_metric(metric, groups, text, hit=hit) for metric, text, hit in zip(found, texts, hits, strict=True))
    headings = ("Metric", "Kind", "Unit", "Budgets", "Objectives", "Series", "Limit")
    drawn = table("catalog", "Metrics of the catalog", headings, [hole()], numbers=2, alone=True)
    return section("metrics", "Metrics", help_(_WORDS), _form(chosen, search, sum(hits), len(found)), drawn), rows


def _form(chosen: str, search: str, hits: int, of: int) -> Element:
    return element(
        "form",
        element("input", type="hidden", name="range", value=chosen),
        element("label", "Search metrics", for_="search"),
        element("input", type="search", id="search", name="search", value=search, autocomplete="off"),
        element("button", "Search"),
        element("output", f"{hits} of {of} metrics", id="metrics-shown", for_="search"),
        method="get",
        action="#metrics",
        role="search",
    )


def _text(metric: Data) -> str:
    return " ".join(str(metric.get(key) or "") for key in _SEARCHED).lower()


def _metric(metric: Data, groups: Collection[str], text: str, *, hit: bool) -> Element:
    key = f"metrics.{metric['name']}"
    return element(
        "tr",
        _named(key, metric, groups),
        element("td", str(metric.get("kind") or "").replace("_", " ")),
        element("td", name(str(metric.get("unit") or "1"))),
        element("td", *_budgets(key, metric.get("budgets") or ())),
        element("td", *_objectives(key, metric.get("objectives") or ())),
        cell(f"{key}.series", metric.get("series"), words.count),
        cell(f"{key}.limit", metric.get("limit"), words.count),
        class_="metric",
        data_text=text,
        hidden=None if hit else "hidden",
    )


def _named(key: str, metric: Data, groups: Collection[str]) -> Element:
    names = element("span", name(str(metric["name"])), class_="code")
    described = element("p", name(str(metric.get("description") or "")), class_="description")
    values: Sequence[Data] = metric.get("values") or ()
    # After the shutdown every metric is off, and no switch turns it on.
    if not metric.get("on", True) and metric.get("group") not in groups:
        switch = f"OTEL_HA_{str(metric.get('group')).upper()}_METRICS=true"
        more: Element | None = element("p", f"Off; {switch} turns its group on.", class_="why")
    elif values:
        more = _values(key, metric, values)
    else:
        more = None
    return element("th", names, described, more, scope="row")


def _values(key: str, metric: Data, values: Sequence[Data]) -> Element:
    shown = _shown(str(metric.get("unit") or "1"))
    columns = _STATISTICS if isinstance(values[0].get("value"), Mapping) else ("value",)
    head = [element("th", "Attributes", scope="col")]
    head += [element("th", column.title(), scope="col", class_="number") for column in columns]
    rows = [_series(f"{key}.values.{index}.value", each, columns, shown) for index, each in enumerate(values)]
    omitted = metric.get("omitted") or 0
    return element(
        "details",
        element("summary", "Values"),
        element("p", element("span", name(str(metric.get("prometheus_name") or "")), class_="code"), class_="lesser"),
        element("table", element("thead", element("tr", *head)), element("tbody", *rows)),
        element("p", data(omitted, words.count(omitted)), " more are not shown.", data_key=f"{key}.omitted")
        if omitted
        else None,
        data_key=f"{key}.values",
    )


def _series(key: str, each: Data, columns: Sequence[str], shown: Callable[[float | None], str]) -> Element:
    value = each.get("value")
    labels: list[Child] = []
    for attribute, its_value in (each.get("attributes") or {}).items():
        labels += [name(f"{attribute}={its_value}"), " "]
    row = [element("td", *(labels or ["(no attributes)"]))]
    if isinstance(value, Mapping):
        how = {"count": words.count}
        row += [cell(f"{key}.{one}", value.get(one), how.get(one, shown)) for one in columns]
    else:
        row.append(cell(key, value, shown))
    return element("tr", *row)


def _shown(unit: str) -> Callable[[float | None], str]:
    return {"s": words.duration, "By": words.size}.get(unit, _plain)


def _plain(value: float | None) -> str:
    if value is None:
        return words.NOTHING
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.{_DIGITS}g}"


def _budgets(key: str, budgets: Sequence[Data]) -> list[Child]:
    drawn: list[Child] = []
    for each in budgets:
        path = f"{key}.budgets.{each['attribute']}"
        used, budget = each.get("used"), each.get("budget")
        share = element(
            "span",
            element("span", data(used, words.count(used)), data_key=f"{path}.used"),
            " of ",
            element("span", data(budget, words.count(budget)), data_key=f"{path}.budget"),
        )
        drawn.append(element("div", name(str(each["attribute"])), " ", share, class_="budget"))
    return drawn or [words.NOTHING]


def _objectives(key: str, objectives: Sequence[Data]) -> list[Child]:
    drawn: list[Child] = []
    for index, each in enumerate(objectives):
        path = f"{key}.objectives.{index}"
        met, share = each.get("met"), each.get("share")
        result = element("span", _MET.get(met, _MET[None]), class_="missed" if met is False else None)
        measured: list[Child] = [] if share is None else [": ", _share(f"{path}.share", share)]
        wanted = _share(f"{path}.target", each.get("target"))
        drawn.append(
            element(
                "div",
                name(str(each.get("description") or "")),
                element("p", result, *measured, ", at least ", wanted, " wanted"),
                class_="objective",
            )
        )
    return drawn or [words.NOTHING]


def _share(key: str, value: float | None) -> Element:
    return element("span", data(value, words.share(value)), data_key=key)
