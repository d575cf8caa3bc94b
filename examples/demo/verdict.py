"""Verdict: whether the home's own counts, the metrics and the lines in the file agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from examples.demo.home import Sent
from examples.ingestor.accounting import Accounting


@dataclass(frozen=True)
class Check:
    """An equation that must hold, with its numbers."""

    claim: str
    holds: bool


@dataclass(frozen=True)
class Verdict:
    """The accounting at the end of the demo; `home` and `file` are None without a synthetic home or a file.

    `lines` is the number of lines in the file, which is removed afterwards unless it is `kept`.
    """

    accounting: Accounting
    home: Sent | None
    file: Path | None
    lines: int | None
    kept: bool = False

    @property
    def checks(self) -> list[Check]:
        """Every equation that must hold."""
        return [*self._of_events(), *self._of_points()]

    @property
    def adds_up(self) -> bool:
        """Whether every check holds."""
        return all(check.holds for check in self.checks)

    def __str__(self) -> str:
        """Return the accounting and the checks, as lines."""
        account = self.accounting
        lines = [
            f"{account.received:,} events received:",
            f"  {account.processed.total():,} processed{listed(account.processed)}",
            f"  {account.discarded.total():,} discarded{listed(account.discarded)}",
            f"  {account.in_flight:,} in flight",
            f"{account.points.total():,} points written{listed(account.points)}",
            "",
            *(f"{'✓' if check.holds else '✗'} {check.claim}" for check in self.checks),
        ]
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        """Return the verdict as a JSON object."""
        account = self.accounting
        return {
            "received": account.received,
            "processed": dict(account.processed),
            "discarded": dict(account.discarded),
            "in_flight": account.in_flight,
            "points": dict(account.points),
            "home": None if self.home is None else asdict(self.home),
            "file": None if self.file is None else {"path": str(self.file), "lines": self.lines, "kept": self.kept},
            "checks": [asdict(check) for check in self.checks],
            "adds_up": self.adds_up,
        }

    def _of_events(self) -> Iterator[Check]:
        account = self.accounting
        processed, discarded = account.processed.total(), account.discarded.total()
        parts = {"processed": processed, "discarded": discarded, "in flight": account.in_flight}
        yield equation("events received", account.received, parts)
        if (sent := self.home) is None:
            return
        parts = {"retained": sent.retained, "live messages sent": sent.live}
        yield equation("events received", account.received, parts)
        for reason, name, count in (("retained", "retained", sent.retained), ("invalid", "malformed", sent.malformed)):
            yield equation(f"discarded as {reason}", account.discarded[reason], {f"{name} messages sent": count})

    def _of_points(self) -> Iterator[Check]:
        points = self.accounting.points
        parts = {"points stored": points["ok"], "points lost": points["error"]}
        yield equation("processed without error", self.accounting.processed["ok"], parts)
        if self.lines is not None:
            yield equation("points stored", points["ok"], {"lines in the file": self.lines})


def equation(name: str, whole: int, parts: dict[str, int]) -> Check:
    """Return the check that a number equals the sum of its parts."""
    holds = whole == sum(parts.values())
    terms = " + ".join(f"{count:,} {part}" for part, count in parts.items())
    return Check(f"{whole:,} {name} {'=' if holds else '≠'} {terms}", holds)


def listed(parts: Counter[str]) -> str:
    """Return the parts of a count, in a list that follows it."""
    return f": {', '.join(f'{count:,} {part}' for part, count in sorted(parts.items()))}" if parts else ""


def lines_in(path: Path) -> int:
    """Return the number of lines in a file."""
    with path.open("rb") as file:
        return sum(1 for _ in file)
