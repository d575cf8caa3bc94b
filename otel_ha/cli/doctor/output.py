"""The doctor's output: steps as text that fits the terminal, or as data for JSON."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
import unicodedata
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any, Final

import click

from otel_ha.cli.doctor.step import Result, Step

__all__ = ["as_data", "changes", "echo", "findings", "show", "show_all", "verdict", "wait", "wrapped"]

_SIGNS: Final = {Result.OK: ("✓", "ok"), Result.FINDING: ("✗", "!!"), Result.SKIPPED: ("-", "--")}
_COLOURS: Final = {Result.OK: "green", Result.FINDING: "red", Result.SKIPPED: "yellow"}
_CLEAR: Final = "\r\x1b[2K"
_WIDEST: Final = 100
_MOMENT: Final = 0.05
"""Seconds below which a step has taken no time."""
_NARROWEST: Final = 40


def findings(steps: Iterable[Step]) -> list[Step]:
    """Return the steps that are findings."""
    return [step for step in steps if step.result is Result.FINDING]


def as_data(steps: Sequence[Step]) -> dict[str, Any]:
    """Return the steps as data for JSON."""
    found = findings(steps)
    return {"ok": not found, "findings": len(found), "steps": [step.as_json() for step in steps]}


def show_all(steps: Iterable[Step], *, verbose: bool) -> None:
    """Print steps while they happen; if not `verbose`, those left out for one reason share a line."""
    if verbose:
        for step in steps:
            show(step)
        return
    for (_, reason), group in groupby(steps, lambda step: (_topic(step), _left_out(step))):
        if reason:
            _show_left_out(list(group), reason)
            continue
        for step in group:
            if step.result is Result.FINDING:
                show(step)
            else:
                _show_briefly(step)


def show(step: Step) -> None:
    """Print a step: the sign and the title, then what was tried, what came back, and what to do."""
    cause = f" [{step.cause}]" if step.cause else ""
    _headline(step, f"{step.title}{cause}{_seconds(step)}")
    echo(*_labelled("tried", step.tried), *_labelled("found", step.found), *_labelled("do", step.remedy))


def _show_briefly(step: Step) -> None:
    """Print a step without a finding on one line, unless it has found several things, and what to do, if anything."""
    first, *more = step.found.split("\n")
    if more:
        _headline(step, f"{step.title}{_seconds(step)}")
        echo(*_labelled("found", step.found))
    else:
        _headline(step, f"{step.title}{_seconds(step)}: {first}")
    echo(*_labelled("do", step.remedy))


def _show_left_out(steps: Sequence[Step], reason: str) -> None:
    """Print the steps of a topic that were left out for one reason, with the reason."""
    _headline(steps[0], f"{', '.join(step.title for step in steps)}: {reason}")


def _headline(step: Step, text: str) -> None:
    """Print the sign and the topic of a step, and a text that wraps below them."""
    if _can_clear():
        sys.stderr.write(_CLEAR)
        sys.stderr.flush()
    sign = click.style(_sign(step.result), fg=_COLOURS[step.result], bold=True)
    first, *rest = _wrapped(f"{_topic(step)}: {text}", len(_sign(step.result)) + 1)
    echo(f"{sign} {first.strip()}", *rest)


def _topic(step: Step) -> str:
    return step.id.partition(".")[0]


def _seconds(step: Step) -> str:
    return "" if step.seconds is None or step.seconds < _MOMENT else f" ({step.seconds:.1f} s)"


def _left_out(step: Step) -> str:
    """Return why a step was left out, if that is all there is to say about it."""
    return step.found if step.result is Result.SKIPPED and not step.tried and not step.remedy else ""


def wait(line: str) -> None:
    """Show that something takes time, on a line that the next step replaces; nothing without a terminal."""
    if _can_clear():
        sys.stderr.write(f"{_CLEAR}{wrapped(line)[0]}")
        sys.stderr.flush()


def verdict(steps: Sequence[Step]) -> str:
    """Return the last line: the number of findings, and the first thing to do."""
    found = findings(steps)
    if not found:
        skipped = sum(step.result is Result.SKIPPED for step in steps)
        return f"No finding in {len(steps)} steps{f', {skipped} of them skipped' if skipped else ''}."
    first = found[0]
    remedy = first.remedy.partition("\n")[0]
    number = "1 finding" if len(found) == 1 else f"{len(found)} findings"
    return f"{number}. Begin with {first.id} [{first.cause}]: {remedy}"


def changes(before: Sequence[Step], after: Sequence[Step]) -> tuple[list[Step], list[Step]]:
    """Return the findings that are new, and those that are over; a step with other figures is the same finding."""
    known, present = ({(step.id, step.cause) for step in findings(steps)} for steps in (before, after))
    new = [step for step in findings(after) if (step.id, step.cause) not in known]
    over = [step for step in findings(before) if (step.id, step.cause) not in present]
    return new, over


def echo(*lines: str) -> None:
    """Print lines; characters that the terminal's encoding lacks become question marks."""
    encoding = getattr(sys.stdout, "encoding", None) or "ascii"
    for line in lines:
        printed = line.encode(encoding, errors="replace").decode(encoding)
        click.echo(printed)


def wrapped(text: str) -> list[str]:
    """Return the lines of a text that fits the terminal."""
    return _wrapped(text, 0)


def _can_clear() -> bool:
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def _sign(result: Result) -> str:
    sign, plain = _SIGNS[result]
    encoding = getattr(sys.stdout, "encoding", None) or "ascii"
    try:
        "".join(each for each, _ in _SIGNS.values()).encode(encoding)
    except (UnicodeError, LookupError):
        return plain
    return sign


def _labelled(label: str, text: str) -> list[str]:
    if not text:
        return []
    margin = f"    {label:<6} "
    lines = [line for part in text.split("\n") for line in _wrapped(part, len(margin))]
    lines[0] = margin + lines[0][len(margin) :]
    return lines


def _wrapped(text: str, indent: int) -> list[str]:
    """Return lines with an indent; one that has an indent of its own, such as YAML, keeps it and is not wrapped."""
    width = max(_NARROWEST, min(shutil.get_terminal_size((80, 24)).columns, _WIDEST)) - indent
    harmless = "".join(each if unicodedata.category(each)[0] != "C" else "?" for each in text.replace("\t", "    "))
    if harmless.startswith(" "):
        return [" " * indent + harmless]
    lines = textwrap.wrap(harmless, width, break_on_hyphens=False) or [""]
    return [" " * indent + line for line in lines]
