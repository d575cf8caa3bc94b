"""The status page as a function of one summary."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias
from urllib.parse import urlencode

from otel_ha.serve.page.accounting import draw_accounts
from otel_ha.serve.page.charts import RANGES, charts_of, draw
from otel_ha.serve.page.header import banner, state
from otel_ha.serve.page.html import Child, Element, element, filled, hole
from otel_ha.serve.page.metrics import metrics
from otel_ha.serve.page.objectives import missed, objectives
from otel_ha.serve.page.outlets import connections, outlets
from otel_ha.serve.page.parts import help_, note, section
from otel_ha.serve.page.tables import tables
from otel_ha.serve.page.tiles import covered, tiles

__all__ = ["render"]

_Section: TypeAlias = tuple[Element, Iterable[Element]]
"""A section, and the parts for its hole if it has one."""

_DEFAULT = "50min"
_RANGES_IN_WORDS = {"5min": "5 min", "50min": "50 min"}
_LINKS = ("metrics", "summary", "healthz", "health", "ready")
_POINTS = (
    "A point is about the time between two collections, and the figure beside a name is that of the newest point; it "
    "may differ from the figure under Now, which is over a longer time."
)
_ACCOUNTS = (
    "Every event that was received has been discarded or processed, or is in flight: it waits or is worked on. Counts "
    "are since telemetry started."
)
_EVENTS = (
    "Counts are since telemetry started, rates over the time of Now. A source sends events, a sink stores points; a "
    "domain is the first part of an entity's name."
)
_NO_HISTORY = {
    "disabled": "There are no figures, because telemetry is turned off. Unset OTEL_SDK_DISABLED, and restart the "
    "service.",
    "failed": "There are no figures, because telemetry was shut down. They return when the service calls "
    "setup_telemetry() again.",
}
_NOT_KEPT = (
    "There are no figures, because no history is kept. Either OTEL_HA_HISTORY_LENGTH is 0: set it to 100 and restart "
    "the service. Or another library has set a MeterProvider that takes no reader: call setup_telemetry() before it."
)


def render(summary: Mapping[str, Any], chosen: str = _DEFAULT, search: str = "") -> str:
    """Return the page for a summary of schema 2.1, as HTML.

    `chosen`, one of RANGES, is the time that the charts show; `search` selects metrics by words.
    """
    chosen = chosen if chosen in RANGES else _DEFAULT
    service = str(summary.get("service") or "otel-ha")
    status = str((summary.get("health") or {}).get("status", ""))
    sections = list(_sections(summary, chosen, search))
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", f"{service}: {status}" if status else service),
        element("link", rel="icon", href="favicon.svg", type="image/svg+xml"),
        element("link", rel="stylesheet", href="page.css"),
        element("link", rel="stylesheet", href="charts.css"),
        element("script", src="page.js", defer="defer"),
    )
    body = element(
        "body",
        banner(summary, [outline for outline, _ in sections]),
        element("div", id="banner", role="status", aria_live="polite"),
        element("main", hole(), data_started=_started(summary)),
        _footer(),
    )
    texts = (filled(outline, parts) for outline, parts in sections)
    return "<!DOCTYPE html>\n" + filled(element("html", head, body, lang="en"), texts)


def _started(summary: Mapping[str, Any]) -> str:
    started = summary.get("started")
    return "" if started is None else repr(started)


def _sections(summary: Mapping[str, Any], chosen: str, search: str) -> Iterator[_Section]:
    groups = summary.get("groups") or ()
    yield state(summary), ()
    if summary.get("current") is None:
        status = str((summary.get("health") or {}).get("status"))
        yield section("now", "Now", note(_NO_HISTORY.get(status, _NOT_KEPT))), ()
    else:
        current, declared = summary["current"], summary.get("metrics") or ()
        drawn = tiles(current, groups, missed(declared))
        yield section("now", "Now", covered(current), drawn, objectives(declared)), ()
        charts = (draw(chart) for chart in charts_of(summary, chosen))
        places = element("div", hole(), class_="charts")
        yield section("charts", "Charts", help_(_POINTS), _choice(chosen, search), places), charts
        yield section("accounts", "Accounts", help_(_ACCOUNTS), draw_accounts(summary.get("accounts"))), ()
        yield (
            section("events", "Events, points and errors", help_(_EVENTS), tables(summary.get("tables") or {}, groups)),
            (),
        )
    yield outlets(summary), ()
    yield connections(summary), ()
    yield metrics(summary.get("metrics") or (), groups, chosen, search)


def _choice(chosen: str, search: str) -> Element:
    """Return the links to the other ranges, which keep the search."""
    links = []
    for key in RANGES:
        query = urlencode({"range": key} | ({"search": search} if search else {}), errors="replace")
        links.append(
            element(
                "a", _RANGES_IN_WORDS.get(key, key), href=f"?{query}", aria_current="true" if key == chosen else None
            )
        )
    return element("nav", *links, class_="ranges", aria_label="Time that the charts show")


def _footer() -> Element:
    links: list[Child] = []
    for each in _LINKS:
        links += [element("a", each, href=each), " "]
    return element("footer", element("nav", *links, aria_label="Other pages of this endpoint"))
