"""The page about reliability, rendered from the results of a run of the fault suite.

`python -m tests.faults.report < tests/faults/results.json > docs/reliability.md`
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
    make reliability ARGS='-k minute'              # one fault; its rows are replaced, the others stay as they are

A service of about a hundred lines (`tests/faults/service.py`) handles a thousand events per second and more; of ten
events one is discarded and one raises. It counts each event in a file before and after it is recorded, so that the
counts outlive it. *Lost* is the number of events that it recorded and the receiver does not have at the end, *twice*
the number that the receiver has and the service did not record. During a fault, nothing that is stored may exceed the
number that was recorded until then. *Log lines* are those of level WARNING and above in one outage, tracebacks
included. *Shutdown* is the time of `telemetry.shutdown()`, or that from the signal to the end of a process without a
handler, or of a web server with all of its workers. For each fault of a receiver of metrics, a second
service ends while the fault lasts: the row has its shutdown, log lines and loop if they are worse, and not its events,
as the last of them may have no receiver. *Loop* is the longest delay of the event loop, by a timer of the service's
own; other processes on the machine delay it as well. A dash stands for a figure that a fault does not have.

A test fails if an event is lost or counted twice, unless the table says why, or if an outage has more than two log
lines. Its limits for times are far above the promised ones, because tests share a machine; compare the figures here.
"""

_MARK = "† may lose events or count them twice: see [Lost, and why](#lost-and-why).\n"
_OF_RUN = {"test", "date", "load"}
"""The fields of a row that belong to its run."""
_BY_HTTP = "Receivers: HTTP"
_RECEIVERS = {"gRPC": "Receivers: gRPC", "Traces and logs": "Receivers: traces and logs"}
_TITLES = [each for topic in TOPICS for each in ([_BY_HTTP, *_RECEIVERS.values()] if topic == "Receivers" else [topic])]
_NONE = "–"  # noqa: RUF001 - a dash, as in other tables
_HEAD = ["Fault", "Events", "Lost", "Twice", "Log lines", "Shutdown", "Loop"]


def render(document: Mapping[str, Any]) -> str:
    """Return the page as Markdown."""
    outcomes = outcomes_in(document)
    parts = [_OPENING, f"## The claims\n\n{markdown(lines_of(outcomes))}", f"## The faults\n\n{_MARK}"]
    for title in _TITLES:
        found = [each for each in outcomes if _title(each) == title]
        if found:
            parts.append(f"### {title}\n\n{markdown([_HEAD, *map(_cells, found)], numbers=True)}")
    parts.append(f"## Lost, and why\n\n{markdown(_losses(outcomes))}")
    remarks = [[each.fault, _sentence(each.note)] for each in outcomes if each.note]
    parts.append(f"## Remarks\n\n{markdown([['Fault', 'Remark'], *remarks])}")
    parts.append(_HOW)
    known = {**document["machine"], **_moments(document["rows"]), **document["versions"]}
    parts.append(f"## Machine and versions\n\n{markdown([['', ''], *map(list, known.items())])}")
    return "\n".join(parts)


def outcomes_in(document: Mapping[str, Any]) -> Sequence[Outcome]:
    """Return the outcomes of a run, those of one fault as one."""
    found: dict[tuple[str, str], Outcome] = {}
    for row in document["rows"]:
        outcome = Outcome(**{name: value for name, value in row.items() if name not in _OF_RUN})
        key = outcome.topic, outcome.fault
        found[key] = found[key].joined(outcome) if key in found else outcome
    return list(found.values())


def _title(outcome: Outcome) -> str:
    """Return the heading under which the outcome stands."""
    if outcome.topic != "Receivers":
        return outcome.topic
    return _RECEIVERS.get(outcome.fault.partition(":")[0], _BY_HTTP)


def _cells(outcome: Outcome) -> list[str]:
    return [
        f"{outcome.fault} †" if outcome.loses else outcome.fault,
        f"{outcome.recorded:,}",
        f"{outcome.lost:,}",
        f"{outcome.duplicated:,}",
        str(outcome.log_lines),
        _NONE if outcome.shutdown is None else f"{outcome.shutdown:.{1 if outcome.shutdown >= 1 else 2}f} s",
        _NONE if outcome.loop_delay is None else f"{outcome.loop_delay * 1e3:.0f} ms",
    ]


def _losses(outcomes: Iterable[Outcome]) -> Iterator[list[str]]:
    yield ["Fault", "Lost", "Twice", "Why"]
    for each in outcomes:
        if each.loses:
            yield [each.fault, f"{each.lost:,}", f"{each.duplicated:,}", _sentence(each.loses)]


def _moments(rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The load and the date of the rows, which may be those of several runs; nothing if a row does not have them."""
    if not all({"load", "date"} <= row.keys() for row in rows):
        return {}
    loads, dates = sorted(row["load"] for row in rows), sorted(row["date"] for row in rows)
    return {
        "Load average of the rows": " to ".join(dict.fromkeys(f"{load:.2f}" for load in (loads[0], loads[-1]))),
        "Date": " to ".join(dict.fromkeys((dates[0], dates[-1]))),
    }


def _sentence(text: str) -> str:
    """Return the text with a capital, unless its first word is a name such as gRPC, and a full stop."""
    begin = text[0].upper() if text[:2].islower() else text[0]
    return f"{begin}{text[1:].removesuffix('.')}."


if __name__ == "__main__":
    sys.stdout.write(render(json.load(sys.stdin)))
