"""The page about reliability, rendered from the results of a run of the fault suite.

`python -m tests.faults.report < tests/faults/results.json > docs/reliability.md`
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from benchmarks.report import markdown
from tests.faults.claims import lines_of
from tests.faults.outcome import TOPICS, Outcome

_OPENING = """\
# Reliability

<!-- Rendered from tests/faults/results.json by `make reliability` and `make docs`; every number comes from there. -->

Each fault on this page is a test: it is staged around a running service, on a real Collector, Prometheus, broker or
store, or on a scripted receiver where these do not misbehave enough. The service counts its events for itself, and at
the end the receiver must have as many.
"""

_HOW = """\
## How it is measured

    make reliability                               # every fault, in about six minutes; renders this page
    make reliability ARGS='-k minute'              # one fault; its rows are replaced, the others stay

A service of about a hundred lines (`tests/faults/service.py`) handles a thousand events per second and more; of ten
events one is discarded and one raises. It counts each event in a file before and after it is recorded, so that the
counts outlive it. *Lost* is the number of events that it recorded and the receiver does not have at the end, *twice*
the number that the receiver has and the service did not record. During a fault, nothing that is stored may exceed the
number that was recorded until then. *Log lines* are those of level WARNING and above in one outage, tracebacks
included. *Shutdown* is the time of `telemetry.shutdown()`, or that from the signal to the end of a process without a
handler, or of a web server with all of its workers. *Loop* is the longest delay of the event loop, by a timer of the
service's own; other processes on the machine delay it as well. A dash stands for a figure that a fault does not have.

A test fails if an event is lost or counted twice, unless the table says why, or if an outage has more than two log
lines. Its limits for times are far above the promised ones, because tests share a machine; compare the figures here.
"""

_NONE = "–"  # noqa: RUF001 - a dash, as in other tables
_HEAD = ["Fault", "Events", "Lost", "Twice", "Log lines", "Shutdown", "Loop"]


def render(document: Mapping[str, Any]) -> str:
    """Return the page as Markdown."""
    outcomes = together(outcomes_in(document))
    parts = [_OPENING, f"## The claims\n\n{markdown(lines_of(outcomes))}", "## The faults"]
    for topic in TOPICS:
        found = [each for each in outcomes if each.topic == topic]
        if found:
            parts.append(f"### {topic}\n\n{markdown([_HEAD, *map(_cells, found)], numbers=True)}")
    parts.append(f"## Lost, and why\n\n{_listed((each.fault, each.loses) for each in outcomes if each.loses)}")
    parts.append(f"## Remarks\n\n{_listed((each.fault, each.note) for each in outcomes if each.note)}")
    parts.append(_HOW)
    known = [["", ""], *(list(pair) for pair in {**document["machine"], **document["versions"]}.items())]
    parts.append(f"## Machine and versions\n\n{markdown(known)}")
    return "\n".join(parts)


def outcomes_in(document: Mapping[str, Any]) -> Sequence[Outcome]:
    """Return the outcomes of a run, those of one fault as one."""
    found: dict[tuple[str, str], Outcome] = {}
    for row in document["rows"]:
        outcome = Outcome(**{name: value for name, value in row.items() if name != "test"})
        key = outcome.topic, outcome.fault
        found[key] = found[key].joined(outcome) if key in found else outcome
    return list(found.values())


def together(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Return one outcome for each name: the sums of its events, and its worst figures."""
    found: dict[tuple[str, str], Outcome] = {}
    for each in outcomes:
        other = found.get((each.topic, each.fault))
        found[each.topic, each.fault] = each if other is None else _sum(other, each)
    return list(found.values())


def _sum(one: Outcome, other: Outcome) -> Outcome:
    return replace(
        one,
        recorded=one.recorded + other.recorded,
        lost=one.lost + other.lost,
        duplicated=one.duplicated + other.duplicated,
        log_lines=max(one.log_lines, other.log_lines),
        shutdown=_worst(one.shutdown, other.shutdown),
        loop_delay=_worst(one.loop_delay, other.loop_delay),
        loses=one.loses or other.loses,
        note=one.note or other.note,
    )


def _worst(*figures: float | None) -> float | None:
    return max((each for each in figures if each is not None), default=None)


def _cells(outcome: Outcome) -> list[str]:
    return [
        outcome.fault,
        f"{outcome.recorded:,}",
        f"{outcome.lost:,}",
        f"{outcome.duplicated:,}",
        str(outcome.log_lines),
        _NONE if outcome.shutdown is None else f"{outcome.shutdown:.{1 if outcome.shutdown >= 1 else 2}f} s",
        _NONE if outcome.loop_delay is None else f"{outcome.loop_delay * 1e3:.0f} ms",
    ]


def _listed(remarks: Iterable[tuple[str, str]]) -> str:
    """One item for each different remark, with the faults that share it."""
    faults: dict[str, list[str]] = {}
    for fault, remark in remarks:
        faults.setdefault(remark, []).append(fault)
    return (
        "".join(f"- {'; '.join(shared)}. {remark.removesuffix('.')}.\n" for remark, shared in faults.items())
        or "Nothing.\n"
    )


if __name__ == "__main__":
    sys.stdout.write(render(json.load(sys.stdin)))
