"""The accounting of events as a drawing: received, then processed, discarded or in flight, and whether it adds up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from otel_ha.serve.page.flows import Flow, picture
from otel_ha.serve.page.html import Element, data, element, name
from otel_ha.serve.summary import words

__all__ = ["draw_accounts"]

_REMEDY = (
    "Each event needs EVENT.receive() or measured(EVENT) where it arrives, and one end: processed or discarded. "
    "docs/runbooks/AccountsDiffer.md says how to find the place."
)
_RULE = " Received = processed + discarded + in flight; the difference is "
_TOTAL = "accounts.total"
_OUTCOMES = ("ok", "error", "cancelled")
"""Those that have colours, the same as in the chart of their rates."""


def draw_accounts(accounts: Mapping[str, Any] | None) -> Element:
    """Return the accounts since telemetry started as a figure: a sentence, a drawing, and a table of all numbers."""
    if accounts is None:
        empty = element("p", "No history is kept, so there are no accounts.", class_="chart-empty")
        return element("figure", empty, class_="accounts")
    total = accounts["total"]
    flows = _flows(total)
    drawing = picture(total["received"], flows) if any(flow.number for flow in flows) else None
    return element(
        "figure",
        element("figcaption", *_verdict(total["difference"], accounts.get("by_source") or {})),
        element("div", drawing, _table(total["received"], flows), class_="accounts-body"),
        class_="accounts",
    )


def _flows(total: Mapping[str, Any]) -> list[Flow]:
    """Return the ways that events went, each with its parts, largest first."""
    flows = []
    for key in ("processed", "discarded"):
        parts = [
            Flow(part, number, f"{_TOTAL}.{key}.{part}", part if part in _OUTCOMES else "")
            for part, number in total[key].items()
        ]
        parts.sort(key=lambda flow: (-flow.number, flow.name))
        flows.append(Flow(key, sum(flow.number for flow in parts), None, key, tuple(parts)))
    states = tuple(Flow(state, total[state], f"{_TOTAL}.{state}") for state in ("queued", "active"))
    flows.append(Flow("in flight", total["in_flight"], f"{_TOTAL}.in_flight", "flight", states))
    if total["difference"] > 0:
        flows.append(Flow("missing", total["difference"], f"{_TOTAL}.difference", "missing"))
    return flows


def _verdict(difference: int, by_source: Mapping[str, Mapping[str, Any]]) -> Iterator[Element]:
    """Return whether the accounts add up, and otherwise by how much they do not, of which sources, and the remedy."""
    number = element("span", data(difference, words.count(abs(difference))), data_key=f"{_TOTAL}.difference")
    sources = [(source, each["difference"]) for source, each in by_source.items() if each["difference"]]
    if difference == 0 and not sources:
        yield element("p", element("strong", "It adds up."), _RULE, number, ".")
        return
    yield element("p", element("strong", number, _told(difference)), class_="accounts-verdict")
    if sources:
        yield element("p", "By source: ", *_by_source(sources), ".")
    yield element("p", _REMEDY)


def _told(difference: int) -> str:
    events = "event" if abs(difference) == 1 else "events"
    if difference == 0:
        return " is the difference of all sources together, but not of each."
    if difference < 0:
        return f" {events} too many: more were processed, discarded or in flight than were received."
    verb = "is" if difference == 1 else "are"
    return f" {events} {verb} missing: received, but neither processed, discarded nor in flight."


def _by_source(sources: list[tuple[str, int]]) -> Iterator[Element | str]:
    sources.sort(key=lambda each: (-abs(each[1]), each[0]))
    for index, (source, number) in enumerate(sources):
        told = f"{words.count(abs(number))} {'missing' if number > 0 else 'too many'}"
        yield ", " if index else ""
        yield name(source)
        yield " "
        yield element("span", data(number, told), data_key=f"accounts.by_source.{source}.difference")


def _table(received: int, flows: list[Flow]) -> Element:
    rows = [_row("received", received, f"{_TOTAL}.received", "accounts-sum")]
    for flow in flows:
        rows.append(_row(flow.name, flow.number, flow.path, f"accounts-sum accounts-{flow.kind}"))
        rows += [_row(part.name, part.number, part.path, "accounts-part") for part in flow.parts]
    head = element("tr", element("th", "Events", scope="col"), element("th", "since the start", scope="col"))
    return element(
        "div",
        element("table", element("thead", head), element("tbody", *rows), class_="accounts-table"),
        class_="accounts-numbers",
    )


def _row(called: str, number: int, path: str | None, class_: str) -> Element:
    return element(
        "tr",
        element("th", name(called), scope="row", title=called),
        element("td", data(number, words.count(number)) if path else words.count(number), data_key=path),
        class_=class_,
    )
