"""The problems that recording has met: measurements, or parts of them, that could not be recorded as given."""

from __future__ import annotations

from otel_ha.testing.obstacles import obstacle
from otel_ha.testing.points import Snapshot
from otel_ha.testing.selection import number
from otel_ha.testing.subject import Subject
from otel_ha.vocabulary import runtime

__tracebackhide__ = True


def problem_lines(snapshot: Snapshot, name: str | None = None) -> list[str]:
    """Return a line for each problem, those of all instruments or of one."""
    subject = Subject(runtime.RECORDING_PROBLEMS)
    metric = snapshot.metric(subject)
    lines = []
    for series in [] if metric is None else metric.series.values():
        of = subject.by_keyword(series.attributes)
        if series.amount and name in {None, of["instrument"]}:
            attribute = f" {of['attribute']!r}" if "attribute" in of else ""
            which = f" of {of['instrument']}" if name is None else ""
            lines.append(f"  {number(series.amount)} {of['reason']}{attribute}{which}")
    return sorted(lines)


def check_problems(snapshot: Snapshot) -> None:
    """Raise AssertionError if there are problems, or if nobody counts them."""
    if reason := obstacle(runtime.RECORDING_PROBLEMS, snapshot):
        raise AssertionError(f"problems of recording are not counted: {reason}")
    if lines := problem_lines(snapshot):
        noun = "a problem" if len(lines) == 1 else f"{len(lines)} problems"
        raise AssertionError(
            "\n".join([f"recording met {noun}; a warning of the logger otel_ha explains each:", *lines])
        )
