"""Detail: one service in full: its state, its figures with their past, its tables, and the accounts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.text import Text

from otel_ha.cli.top import parts, states
from otel_ha.cli.top.boxes import boxes
from otel_ha.cli.top.reading import Accounts, Reading
from otel_ha.cli.top.view import View
from otel_ha.cli.top.watch import Service
from otel_ha.serve.summary import words

__all__ = ["detail"]

_LABEL = 9
_VALUE = 9
_ABOUT = 31
"""The width of the words between a figure and its past; they are left out where the terminal is narrow."""

_LEAST_TREND = 16
_MOST_MESSAGES = 3
_AIRY = 18
"""The height from which empty lines separate the parts."""


@dataclass(frozen=True)
class _Figure:
    label: str
    value: str
    about: str
    past: Sequence[float | None]
    style: str = ""


def detail(service: Service, view: View, now: float, width: int, height: int) -> list[Text]:
    """Return one service in at most `height` lines of exactly `width`; the last one has the accounts."""
    said = states.messages(service, now)
    reading = service.reading
    if reading is None:
        return [parts.line(width, pieces) for pieces in said or [("waiting for the first answer", parts.DIM)]]
    airy = height >= _AIRY
    messages = [parts.line(width, each) for each in said[: _MOST_MESSAGES if airy else 1]]
    lines = _body(service, reading, view, width, height - len(messages), airy=airy)
    if service.problem:  # these are the last known figures
        for each in lines:
            each.stylize(parts.DIM)
    return messages + lines


def _body(service: Service, reading: Reading, view: View, width: int, height: int, *, airy: bool) -> list[Text]:
    empty = [Text(" " * width)] if airy else []
    lines = [*empty, *_figures(service, reading, width), _outcomes(reading, width)][: height - 1]
    room = height - len(lines) - 1 - 2 * len(empty)
    tables = boxes(reading, view, width, room) if room > 0 else []
    lines += [*empty, *tables] if tables else []
    return [*lines, *empty, _accounts(reading.accounts, width)][-height:]


def _figures(service: Service, reading: Reading, width: int) -> Iterator[Text]:
    past = reading.history
    now = f"now {words.rate(service.rate_now)}, " if service.rate_now is not None else ""
    received = f"{now}received {words.rate(reading.received_rate)}"
    percentiles = f"P50 {states.brief(reading.p50)}, P99 {states.brief(reading.p99)}"
    use = f"{words.share(reading.queue_use)} full, {words.count(reading.in_flight)} in flight"
    host = f"host {words.percent(reading.host_cpu)}, memory {words.percent(reading.host_memory)}"
    points = f"points written {words.rate(reading.points_rate)}"
    figures = (
        _Figure("Events", words.rate(reading.rate), received, past["rate"], parts.STRONG),
        _Figure("P95", states.brief(reading.p95), percentiles, past["p95"], parts.STRONG),
        _Figure("Lag", states.brief(reading.lag), "P95 since the source's time", past["lag"]),
        _Figure("Queue", words.count(reading.queue), use, past["queue"]),
        _Figure("CPU", words.percent(reading.cpu), host, past["cpu"]),
    )
    left = width - _LABEL - _VALUE - 1
    about, trend = _widths(left, max(len(figure.past) for figure in figures))
    for figure in figures:
        words_of_it = parts.cell(figure.about, about, parts.DIM).append(" ") if about else Text()
        yield _first(figure).append_text(words_of_it).append_text(parts.sparkline(figure.past, trend))
    memory = _first(_Figure("Memory", words.size(reading.memory), points, ()))
    if not about:
        yield memory.append_text(parts.cell(points, left, parts.DIM))
    else:
        yield memory.append_text(parts.cell(points, about, parts.DIM)).append(" ").append_text(_ages(reading, trend))


def _first(figure: _Figure) -> Text:
    text = parts.cell(figure.label, _LABEL, parts.DIM)
    return text.append_text(parts.cell(figure.value, _VALUE, figure.style)).append(" ")


def _widths(left: int, kept: int) -> tuple[int, int]:
    """Return the widths of words and of sparklines: a cell for each value that is kept, or as many as there are."""
    if left - _ABOUT <= _LEAST_TREND:
        return 0, left
    trend = min(max(kept, _LEAST_TREND), left - _ABOUT - 1)
    return left - trend - 1, trend


def _ages(reading: Reading, width: int) -> Text:
    """Return the line below the sparklines: how long ago the oldest and the newest values were taken."""
    shown = min(width, len(reading.history["rate"]))
    if reading.interval is None or not shown:
        return Text(" " * width)
    oldest = f"{states.brief(shown * reading.interval)} ago"
    if len(oldest) + len(" now") > shown:
        return parts.cell(oldest, width, parts.DIM, right=True)
    return parts.cell(f"{oldest}{'now'.rjust(shown - len(oldest))}", width, parts.DIM, right=True)


def _outcomes(reading: Reading, width: int) -> Text:
    pieces: list[str | tuple[str, str]] = []
    for name, rate in reading.outcomes.items():
        style = parts.GOOD if name == "ok" else parts.TROUBLE if name == "error" and rate else ""
        pieces += [", " if pieces else "", (f"{name} {words.rate(rate)}", style)]
    share = (f"  errors {words.share(reading.errors)}", parts.TROUBLE if reading.errors else parts.DIM)
    return parts.line(width, ("Outcomes".ljust(_LABEL), parts.DIM), *(pieces or [words.NOTHING]), share)


def _accounts(accounts: Accounts | None, width: int) -> Text:
    if accounts is None:
        return parts.line(width, ("Accounts".ljust(_LABEL), parts.DIM), words.NOTHING)
    sums = (
        f"{words.count(accounts.received)} received = {words.count(accounts.processed)} processed"
        f" + {words.count(accounts.discarded)} discarded + {words.count(accounts.in_flight)} in flight"
    )
    if not accounts.difference:
        return parts.line(width, sums, end="adds up", end_style=parts.GOOD)
    return parts.line(width, sums, end=f"differs by {words.count(accounts.difference)}", end_style=parts.TROUBLE)
