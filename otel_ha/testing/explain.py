"""Explanations: the text of an assertion that fails, from what was recorded."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import SequenceMatcher, get_close_matches

from otel_ha.declare.instruments import OTHER
from otel_ha.testing.obstacles import end, obstacle
from otel_ha.testing.points import CapturedSeries
from otel_ha.testing.problems import problem_lines
from otel_ha.testing.selection import Selection, is_same_number, number

_NEAREST = 5
"""Series that a message shows because they are like the ones asked for."""


def mismatch(selection: Selection, expected: float | None, *, at_least: bool = False) -> str:
    """Return a text: what was expected (None: nothing), what was recorded, and what may be the reason."""
    amount = "nothing" if expected is None else _amount(selection, expected)
    headline = f"expected {'at least ' if at_least else ''}{amount}{selection.text}, {_found(selection)}"
    headline = f"{selection.subject.name}: {headline}"
    reasons = [*([] if expected is None else _ambiguity(selection, expected)), *_reasons(selection)]
    return "\n".join([headline, *_recorded(selection), *_nearest(selection), *reasons])


def _found(selection: Selection) -> str:
    if selection.obstacle and selection.instrument is not None:
        return f"but it cannot be recorded: {selection.obstacle}"
    if not selection.chosen:
        return "nothing is recorded"
    if selection.kind == "gauge" and len(selection.chosen) > 1:
        return f"found {len(selection.chosen)} series"
    return f"found {_amount(selection, selection.amount)}"


def _amount(selection: Selection, amount: float) -> str:
    noun = "" if selection.kind != "histogram" else " value" if amount == 1 else " values"
    return f"{number(amount)}{noun}"


def _recorded(selection: Selection) -> Iterator[str]:
    """Yield the series that were asked for, unless the first line says it all."""
    chosen = list(selection.chosen.values())
    if any(each.attributes.keys() - selection.where.keys() for each in chosen):
        yield "recorded:"
        yield selection.lines(chosen)


def _nearest(selection: Selection) -> Iterator[str]:
    """Yield the series that are most like the ones asked for, with the attributes that differ."""
    if selection.others:
        yield "nearest:"
    ordered = sorted(selection.others, key=lambda each: _distance(selection, each))
    for series in ordered[:_NEAREST]:
        differing = [selection.subject.keyword(name) for name in series.differing(selection.where)]
        verb = "differs" if len(differing) == 1 else "differ"
        attributes = selection.subject.text(series.attributes)
        yield f"  {number(series.amount)}{attributes}: {', '.join(differing)} {verb}"
    if len(ordered) > _NEAREST:
        yield f"  … and {len(ordered) - _NEAREST} others"


def _distance(selection: Selection, series: CapturedSeries) -> tuple[int, float, float]:
    """Return the number of attributes that differ, and then how much their values differ."""
    differing = series.differing(selection.where)
    unlike = [
        1 - SequenceMatcher(None, str(series.attributes.get(name)), str(selection.where[name])).ratio()
        for name in differing
    ]
    return len(differing), sum(unlike), -series.amount


def _reasons(selection: Selection) -> Iterator[str]:
    """Yield what may be the reason that something was not recorded as expected."""
    snapshot, instrument = selection.snapshot, selection.instrument
    yield from _absence(selection)
    if instrument is not None and snapshot.pipeline is not None and instrument in snapshot.pipeline.viewed:
        yield "one of the views= of the telemetry matches it, which may drop or rename it, or its attributes"
    yield from _folded(selection)
    yield from _alike(selection)
    if problems := problem_lines(snapshot, selection.subject.name):
        yield "problems of recording it:"
        yield from problems
    if ended := end(snapshot):
        yield ended


def _ambiguity(selection: Selection, expected: float) -> Iterator[str]:
    """Yield why several series have no amount, and why the amount of a histogram is not the sum of its values."""
    if selection.kind == "histogram" and selection.chosen and is_same_number(selection.total, expected):
        yield "a histogram counts its values; ask .total() for their sum"
    if selection.kind == "gauge" and len(selection.chosen) > 1:
        yield "the values of a gauge cannot be added up; name more attributes"


def _absence(selection: Selection) -> Iterator[str]:
    """Yield why nothing can be found, unless the first line says so, or what else can be."""
    instrument = selection.instrument
    if selection.obstacle:
        yield from [] if instrument is not None else [selection.obstacle]
    elif instrument is not None and (reason := obstacle(instrument, selection.snapshot)):
        yield f"the newest telemetry does not record it: {reason}"
    elif not selection.chosen and not selection.others:
        yield selection.recorded_names()


def _alike(selection: Selection) -> Iterator[str]:
    """Yield the recorded value that a value asked for may be a misspelling of."""
    for name, value in selection.where.items():
        recorded = {each.attributes.get(name) for each in [*selection.chosen.values(), *selection.others]}
        texts = sorted(each for each in recorded if isinstance(each, str))
        alike = get_close_matches(value, texts, 2) if isinstance(value, str) and value not in texts else []
        if len(alike) == 1:
            yield f"{selection.subject.keyword(name)}={value!r}: did you mean {alike[0]!r}?"


def _folded(selection: Selection) -> Iterator[str]:
    """Yield the limits of the attributes that have a value folded into OTHER."""
    every = [*selection.chosen.values(), *selection.others]
    names = dict.fromkeys(name for each in every for name, value in each.attributes.items() if value == OTHER)
    for name in names:
        attribute = selection.subject.attribute(name)
        if attribute is not None and attribute.values:
            yield f"{attribute.keyword}={OTHER!r} stands for any value but {', '.join(attribute.values)}"
        elif attribute is not None:
            budget = f"its budget of {attribute.budget}" if attribute.budget else "the instrument's series="
            yield f"{attribute.keyword}={OTHER!r} stands for values beyond {budget}"
