"""Whether an operation's accounts add up: received = processed + discarded + in flight."""

from __future__ import annotations

from otel_ha.declare.operation import Operation
from otel_ha.testing.points import Snapshot
from otel_ha.testing.problems import problem_lines
from otel_ha.testing.question import QuestionError
from otel_ha.testing.selection import Selection, is_same_number, number
from otel_ha.testing.subject import called

__tracebackhide__ = True

_OF_A_STEP = {"state", "reason", "outcome"}
"""The keywords that distinguish steps of work, not pieces of work."""

_Values = tuple[tuple[str, object], ...]
"""Keywords and values of the attributes by which the accounts of an operation are kept."""


def check_accounts(snapshot: Snapshot, operation: Operation) -> None:
    """Raise AssertionError if the accounts do not add up for each value of the attributes that all of them have."""
    if not isinstance(operation, Operation):
        raise QuestionError(f"{called(operation)} has no accounts; allowed: an Operation, such as ingest.EVENT")
    name = operation.duration.name
    if operation.received is None:
        raise QuestionError(f"the operation of {name} has no received=, so nothing says how much work there should be")
    sums = _sums(snapshot, operation)
    wrong = [_line(values, amounts) for values, amounts in sums.items() if _verdict(amounts)]
    if wrong:
        problems = problem_lines(snapshot)
        lines = [*sorted(wrong), *(["problems of recording:", *problems] if problems else [])]
        text = "\n".join(lines)
        raise AssertionError(
            f"the accounts of {name} differ from received = processed + discarded + in flight:\n{text}"
        )


def _sums(snapshot: Snapshot, operation: Operation) -> dict[_Values, dict[str, float]]:
    """Return the amount of each part of the accounts, by the attributes that all parts have."""
    every = {
        "received": operation.received,
        "processed": operation.duration,
        "discarded": operation.discarded,
        "in flight": operation.in_flight,
    }
    parts = {part: instrument for part, instrument in every.items() if instrument is not None}
    keywords = frozenset.intersection(*(operation.accounts.keywords[each] for each in parts.values())) - _OF_A_STEP
    sums: dict[_Values, dict[str, float]] = {}
    for part, instrument in parts.items():
        found = Selection(snapshot, instrument, {})
        if found.obstacle:
            raise AssertionError(f"{instrument.name} counts the {part} work and cannot be recorded: {found.obstacle}")
        for series in found.chosen.values():
            attributes = found.subject.by_keyword(series.attributes)
            values = tuple((keyword, attributes.get(keyword)) for keyword in sorted(keywords))
            sums.setdefault(values, dict.fromkeys(parts, 0))[part] += series.amount_at_ends
    return sums


def _verdict(amounts: dict[str, float]) -> str:
    """Return why the amounts cannot be right; "" if they can."""
    missing = 2 * amounts["received"] - sum(amounts.values())
    if not is_same_number(missing, 0):
        return f"{number(abs(missing))} {'lost' if missing > 0 else 'too many'}"
    return "less than nothing is in flight" if amounts.get("in flight", 0) < 0 else ""


def _line(values: _Values, amounts: dict[str, float]) -> str:
    where = ", ".join(f"{keyword}={value!r}" for keyword, value in values if value is not None)
    listed = ", ".join(f"{part} {number(amount)}" for part, amount in amounts.items())
    return f"  {where + ': ' if where else ''}{listed}: {_verdict(amounts)}"
