"""Ways out and connections: where the measurements go, and from where the events come."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from otel_ha.serve.page.html import Child, Element, data, element, name
from otel_ha.serve.page.parts import Shown, cell, elapsed, group_off, heading, help_, note, section, table
from otel_ha.serve.summary import words

__all__ = ["connections", "outlets"]

Data = Mapping[str, Any]

_READERS = (
    "A reader takes the measurements at its times and hands them to a receiver, such as a Collector, the scrapes of "
    "Prometheus, or the history behind this page."
)
_CONNECTIONS = "Each is a kind of connection to a source of events. Attempts to reconnect include those that failed."
_ENDPOINT = {
    "mounted": "The endpoint is mounted in the service's own server.",
    "off": "The endpoint has no metrics to scrape.",
}


def outlets(summary: Data) -> Element:
    """Return the section about the readers: where each one delivers, since when, and its last error."""
    health: Data = summary.get("health") or {}
    endpoint: Data = health.get("endpoint") or {}
    readers: Sequence[Data] = health.get("readers") or ()
    where = _where(endpoint)
    if not readers:
        return section("outlets", "Ways out", where, note(_no_readers(str(health.get("status")))))
    headings = ("Reader", "Receiver", "State", "Last error", "Last success", "Failures in a row", "Rejected", "Dropped")
    taken = summary.get("timestamp")
    rows = (_reader(index, reader, taken) for index, reader in enumerate(readers))
    return section(
        "outlets",
        "Ways out",
        help_(_READERS),
        where,
        table("readers", "Readers", headings, rows, numbers=4, alone=True),
    )


def connections(summary: Data) -> Element:
    """Return the section about the service's connections, with the age of the last message of each."""
    found: Sequence[Data] = summary.get("connections") or ()
    if not found:
        return section("connections", "Connections", note(_no_connections(summary)))
    headings = ("Connection", "State", "Closed, by reason", "Last message", "Attempts to reconnect")
    sources = (summary.get("tables") or {}).get("sources") or ()
    heard = {row["name"] for row in sources if row.get("received") != 0}
    # The age of a message that never came is the time since the start.
    is_counted = "business" in (summary.get("groups") or ())
    rows = (_connection(each, _ago if each["name"] in heard or not is_counted else _none_for) for each in found)
    drawn = table("links", "Connections to sources", headings, rows, numbers=2, alone=True)
    return section("connections", "Connections", help_(_CONNECTIONS), drawn)


def _where(endpoint: Data) -> Element | None:
    if endpoint.get("problem"):
        return element("p", "The endpoint has failed: ", name(str(endpoint["problem"])))
    if endpoint.get("url"):
        return element("p", "The endpoint listens: ", name(str(endpoint["url"])))
    sentence = _ENDPOINT.get(str(endpoint.get("status")))
    return element("p", sentence) if sentence else None


def _no_readers(status: str) -> str:
    if status in {"failed", "disabled"}:
        return "Nothing is delivered, because telemetry does not run."
    return "Nothing is delivered from here; another library may have set a MeterProvider, which then delivers."


def _reader(index: int, reader: Data, taken: float | None) -> Element:
    key = f"health.readers.{index}"
    success = reader.get("last_success")
    age = elapsed(taken - success) if success is not None and taken is not None else None
    return element(
        "tr",
        heading(str(reader.get("reader"))),
        element("td", name(str(reader.get("target") or words.NOTHING))),
        element("td", str(reader.get("status") or words.NOTHING)),
        element("td", name(str(reader.get("last_error") or words.NOTHING)), class_="text"),
        element("td", age, " ago", class_="number") if age is not None else element("td", "never", class_="number"),
        cell(f"{key}.consecutive_failures", reader.get("consecutive_failures"), words.count),
        cell(f"{key}.rejected_points", reader.get("rejected_points"), words.count),
        cell(f"{key}.dropped", reader.get("dropped"), words.count),
    )


def _no_connections(summary: Data) -> str:
    if summary.get("current") is None:
        return "The state of connections is not known, because there are no figures."
    if "operations" not in (summary.get("groups") or ()):
        return group_off("operations")
    return "No connection has been reported."


def _connection(each: Data, age: Shown) -> Element:
    key = f"connections.{each['name']}"
    up = each.get("up")
    return element(
        "tr",
        heading(str(each["name"])),
        element("td", data(up, _up(up)), data_key=f"{key}.up", class_="down" if up is not None and up <= 0 else None),
        element("td", *_closed(key, each.get("closed") or {})),
        cell(f"{key}.message_age", each.get("message_age"), age),
        cell(f"{key}.reconnects", each.get("reconnects"), words.count),
    )


def _up(number: int | None) -> str:
    if number is None:
        return words.NOTHING
    if number <= 0:
        return "✗ down"
    return "✓ up" if number == 1 else f"✓ {words.count(number)} up"


def _ago(seconds: float | None) -> str:
    return words.NOTHING if seconds is None else f"{words.duration(seconds)} ago"


def _none_for(seconds: float | None) -> str:
    return words.NOTHING if seconds is None else f"none in {words.duration(seconds)}"


def _closed(key: str, reasons: Mapping[str, int]) -> list[Child]:
    if not reasons:
        return [words.NOTHING]
    return [
        element("div", name(reason), ": ", data(number, words.count(number)), data_key=f"{key}.closed.{reason}")
        for reason, number in reasons.items()
    ]
