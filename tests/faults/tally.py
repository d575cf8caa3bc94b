"""Counts that a program keeps for itself in a file, so that they can be read while it runs and after it was killed."""

from __future__ import annotations

import mmap
import struct
from collections.abc import Mapping
from pathlib import Path

OK, ERROR, DISCARDED, CANCELLED = OUTCOMES = ("ok", "error", "discarded", "cancelled")
"""The ends of an event, under the names that tests.faults.stored gives them as well."""

_NUMBER = struct.Struct("=q")
_SIZE = _NUMBER.size * 2 * len(OUTCOMES)
_PLACES = {
    (outcome, is_over): _NUMBER.size * (2 * number + is_over)
    for number, outcome in enumerate(OUTCOMES)
    for is_over in (False, True)
}


class Tally:
    """Each event is counted twice: when its recording begins, and when it is over.

    A signal may end the program between the two, so the number that it recorded lies between both counts.
    """

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(bytes(_SIZE))
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), _SIZE)

    def begin(self, outcome: str) -> None:
        """Count an event that is about to be recorded."""
        self._increase(_PLACES[outcome, False])

    def end(self, outcome: str) -> None:
        """Count an event that has been recorded."""
        self._increase(_PLACES[outcome, True])

    def begun(self) -> Mapping[str, int]:
        """The events whose recording began, by outcome."""
        return {outcome: self._read(_PLACES[outcome, False]) for outcome in OUTCOMES}

    def ended(self) -> Mapping[str, int]:
        """The events that were recorded, by outcome."""
        return {outcome: self._read(_PLACES[outcome, True]) for outcome in OUTCOMES}

    def _increase(self, place: int) -> None:
        _NUMBER.pack_into(self._memory, place, self._read(place) + 1)

    def _read(self, place: int) -> int:
        number: int = _NUMBER.unpack_from(self._memory, place)[0]
        return number


class Tallies:
    """The counts of all processes of a program, added up: every file `tally…` of its directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def begun(self) -> Mapping[str, int]:
        """The events whose recording began, by outcome."""
        return self._sum([each.begun() for each in self._all()])

    def ended(self) -> Mapping[str, int]:
        """The events that were recorded, by outcome."""
        return self._sum([each.ended() for each in self._all()])

    def _all(self) -> list[Tally]:
        # A process may have created its file and not filled it yet.
        return [Tally(path) for path in self._directory.glob("tally*") if path.stat().st_size == _SIZE]

    @staticmethod
    def _sum(counts: list[Mapping[str, int]]) -> Mapping[str, int]:
        return {outcome: sum(each[outcome] for each in counts) for outcome in OUTCOMES}
