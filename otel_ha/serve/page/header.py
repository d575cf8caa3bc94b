"""Header of the status page: the service, its process, and the state of its telemetry with what to do about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any

from otel_ha.serve.page.html import Child, Element, data, element, name
from otel_ha.serve.page.parts import clock, elapsed, prose, section
from otel_ha.serve.remedies import of_note

__all__ = ["banner", "state"]

Data = Mapping[str, Any]

_MARKS = {"ok": "✓", "degraded": "!", "failed": "✗", "disabled": "○"}
_NOTED = "Telemetry works. Something around the service is not as usual:"
_SENTENCES = {
    "ok": "Telemetry works, and reports no problem.",
    "degraded": "Telemetry works, with problems around it:",
    "failed": "Telemetry does not run:",
    "disabled": "Telemetry is turned off:",
}


def banner(summary: Data, sections: Sequence[Element]) -> Element:
    """Return the page's banner: the service's name, its status in a word, facts, and links to the sections."""
    health: Data = summary.get("health") or {}
    status = str(health.get("status", "unknown"))
    info: Data = summary.get("system_info") or {}
    title = element(
        "div",
        element("h1", name(summary.get("service") or "otel-ha")),
        _status(status, len(health.get("notes") or ())),
        class_="title",
    )
    links = [element("a", each[0].text, href=f"#{each.get('id')}") for each in sections]
    jumps = element("nav", *links, class_="jumps", aria_label="Sections of this page")
    return element("header", title, element("dl", *_facts(summary, info), class_="facts"), jumps, id="top")


def state(summary: Data) -> Element:
    """Return the section about the state of telemetry: reasons, then notes, each beside what to do about it."""
    health: Data = summary.get("health") or {}
    status = str(health.get("status", "unknown"))
    reasons: Sequence[str] = health.get("reasons") or ()
    notes: Sequence[str] = health.get("notes") or ()
    sentence = _NOTED if status == "ok" and notes else _SENTENCES.get(status, f"Telemetry is {status}.")
    children: list[Child] = [element("p", sentence)]
    if reasons:
        pairs = zip_longest(reasons, health.get("remedies") or ())
        children.append(element("ul", *(_reason(why, remedy) for why, remedy in pairs), class_="reasons"))
    if notes:
        children.append(element("h3", "Notes"))
        children.append(element("ul", *(_reason(text, of_note(text)) for text in notes), class_="reasons notes"))
    return section("state", "State of telemetry", *children)


def _status(status: str, notes: int) -> Element:
    """Return the state in a word, and the number of notes; the colour of an ok state with notes is not that of ok."""
    is_noted = status == "ok" and notes > 0
    known = "noted" if is_noted else status if status in _MARKS else "unknown"
    mark = element("span", "!" if is_noted else _MARKS.get(status, "?"), aria_hidden="true")
    more = f" · {notes} {'note' if notes == 1 else 'notes'}" if notes else None
    return element(
        "p",
        mark,
        " telemetry ",
        element("span", status),
        more,
        class_=f"status status-{known}",
        data_key="health.status",
    )


def _reason(why: str | None, remedy: str | None) -> Element:
    return element(
        "li",
        element("p", name(why or ""), class_="reason"),
        element("p", element("span", "What to do: ", class_="lead"), prose(remedy), class_="remedy")
        if remedy
        else None,
    )


def _facts(summary: Data, info: Data) -> list[Element]:
    started, taken = summary.get("started"), summary.get("timestamp")
    facts: list[tuple[str, Child]] = []
    if summary.get("service_version"):
        facts.append(("Version", name(str(summary["service_version"]))))
    if taken is not None:
        facts.append(("Taken", clock(taken, id="taken")))
    if taken is not None and started is not None:
        facts.append(("Up for", elapsed(taken - started)))
    for label, key in (("Host", "hostname"), ("System", "platform"), ("Python", "python_version")):
        if info.get(key):
            facts.append((label, name(str(info[key]))))
    for label, key in (("CPUs", "cpu_count"), ("Process", "process_id")):
        if info.get(key) is not None:
            facts.append((label, element("span", data(info[key], str(info[key])), data_key=f"system_info.{key}")))
    if info.get("otel_ha_version"):
        facts.append(("otel-ha", name(str(info["otel_ha_version"]))))
    return [element("div", element("dt", label), element("dd", value)) for label, value in facts]
