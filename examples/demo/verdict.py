"""The verdict: whether what the home sent, what the metrics say and what the file holds agree."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from examples.demo.home import Sent
from examples.ingestor.accounting import Accounting


@dataclass(frozen=True)
class Check:
    """One thing that must hold, with its numbers."""

    claim: str
    holds: bool


@dataclass(frozen=True)
class Verdict:
    """The accounting at the end of the demo."""

    accounting: Accounting
    home: Sent | None
    file: Path | None
    lines: int | None

    @property
    def checks(self) -> list[Check]:
        """Everything that must hold."""
        return [*self._of_events(), *self._of_points()]

    @property
    def adds_up(self) -> bool:
        """Whether everything holds."""
        return all(check.holds for check in self.checks)

    def as_json(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        account = self.accounting
        return {
            "received": account.received,
            "processed": dict(account.processed),
            "discarded": dict(account.discarded),
            "in_flight": account.in_flight,
            "points": dict(account.points),
            "home": None if self.home is None else asdict(self.home),
            "file": None if self.file is None else {"path": str(self.file), "lines": self.lines},
            "checks": [asdict(check) for check in self.checks],
            "adds_up": self.adds_up,
        }

    def _of_events(self) -> Iterator[Check]:
        account = self.accounting
        processed, discarded = account.processed.total(), account.discarded.total()
        yield equal(
            "received = processed + discarded + in flight",
            account.received,
            {"processed": processed, "discarded": discarded, "in flight": account.in_flight},
        )
        if (sent := self.home) is None:
            return
        yield equal("received = sent by the home", account.received, {"retained": sent.retained, "live": sent.live})
        for reason, count in (("retained", sent.retained), ("invalid", sent.malformed)):
            yield equal(f"discarded as {reason} = sent so", account.discarded[reason], {"sent": count})

    def _of_points(self) -> Iterator[Check]:
        points = self.accounting.points
        yield equal(
            "processed well = points written",
            self.accounting.processed["ok"],
            {outcome: points[outcome] for outcome in ("ok", "error")},
        )
        if self.lines is not None:
            yield equal("points acknowledged = lines in the file", points["ok"], {"lines": self.lines})


def equal(claim: str, whole: int, parts: dict[str, int]) -> Check:
    """Return the check that a number equals the sum of its parts."""
    shown = " + ".join(f"{number:,} {name}" for name, number in parts.items())
    holds = whole == sum(parts.values())
    return Check(f"{claim}: {whole:,} {'=' if holds else '≠'} {shown}", holds)


def lines_in(path: Path) -> int:
    """Return how many lines a file holds."""
    with path.open("rb") as file:
        return sum(1 for _ in file)
