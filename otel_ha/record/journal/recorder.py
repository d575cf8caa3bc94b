"""JournalRecorder: resolves an attribute set once, to a cell, and from then on appends."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress

from opentelemetry.context import Context

from otel_ha.declare.amounts import LIMIT, no_amount, plain
from otel_ha.declare.context import current_context
from otel_ha.declare.instruments import Histogram, Synchronous
from otel_ha.declare.ports import Attributes, AttributeValue, Change, Line, Step, shown
from otel_ha.record.api import ApiRecorder, Write
from otel_ha.record.journal.cells import Cell, HistogramCell, Scale, SumCell
from otel_ha.record.journal.journal import Batch, Journal
from otel_ha.record.resolver import Identity, Shared, identity


class JournalLine:
    """The way to a cell, for a handle."""

    __slots__ = ("_cell", "amounts", "least", "limit", "most", "recorder")

    def __init__(self, recorder: JournalRecorder, cell: Cell) -> None:
        self.recorder = recorder
        self.amounts = cell.amounts
        self.limit = cell.limit
        self.least = recorder.least
        self.most: float = LIMIT
        self._cell = cell

    def shorten(self) -> None:
        """Add up what waits, unless somebody is at it."""
        self.recorder.journal.shorten(self._cell)


class JournalRecorder(ApiRecorder):
    """Records one synchronous instrument's measurements by way of a journal."""

    MOST_KEYS = 10_000
    """Attribute sets, as they are given, whose cell is looked up; beyond it they are resolved each time."""

    def __init__(self, instrument: Synchronous, write: Write, shared: Shared, journal: Journal) -> None:
        super().__init__(instrument, write, shared)
        self.journal = journal
        self._scale = Scale(instrument.buckets) if isinstance(instrument, Histogram) else None
        self._given: dict[tuple[AttributeValue | None, ...], Cell] = {}
        # Of two threads that record the same attributes first, one makes the cell. Reentrant, for signal handlers.
        self._making = threading.RLock()

    def record(self, amount: float, attributes: Attributes, context: Context | None = None) -> None:
        """Take one measurement; never raises. One that was put off has the context that it was made in."""
        if context is not None:
            self._record_with_care(amount, attributes, context)
            return
        try:
            cell = self._given.get((*attributes, *attributes.values()))
        except Exception:  # noqa: BLE001 - a value that cannot be hashed is none that can be taken
            cell = None
        kind = type(amount)
        if (
            cell is None
            or not ((kind is int or kind is float) and self.least <= amount < LIMIT)
            or ((now := current_context()) and self.journal.samples(now))
        ):
            self._record_with_care(amount, attributes)
            return
        if len(cell.amounts) > cell.limit:
            self.journal.shorten(cell)
        cell.amounts.append(amount)

    def _record_with_care(self, amount: float, attributes: Attributes, context: Context | None = None) -> None:
        """Take a measurement that is the first of its kind, or in a span, or that something may be wrong with."""
        try:
            if self.takes(amount):
                self.journal.write(((plain(amount), self.cell(attributes)),), context=context)
            else:
                self.report("invalid_amount", no_amount(amount, self.instrument))
        except Exception as error:  # noqa: BLE001 - recording never raises into the measured code
            self.report("failed", f"recording failed: {shown(error)}")

    def record_together(self, changes: Sequence[Change], step: Step, *, later: bool) -> None:
        """Take measurements that belong together, as one entry."""
        try:
            if any(not isinstance(change[0].recorder, JournalRecorder | None) for change in changes):
                # Not all of them are in the journal: a collection has to be held back.
                super().record_together(changes, step, later=later)
            elif group := self._together(changes):
                self.journal.write(group, step)
        except Exception as error:  # noqa: BLE001 - recording never raises into the measured code
            self.report("failed", f"recording failed: {shown(error)}")

    def samples(self, context: Context) -> bool:
        """Whether a measurement in this context may become an exemplar; see Recorder."""
        return self.journal.samples(context)

    def prepare(self, changes: Sequence[Change], step: Step, *, varies: bool) -> Batch | None:
        """Return the changes as a group, if all of them were recorded before and have cells; see Recorder."""
        try:
            found = [self._resolved(change) for change in changes if change[0].recorder is not None]
            varying = found.pop(0) if varies and changes[0][0].recorder is not None else None
            return self.journal.group(step, varying[1] if varying else None, found)
        except Exception:  # noqa: BLE001 - whatever is wrong was counted when it was recorded
            return None

    def open_line(self, amount: float, attributes: Attributes) -> Line | None:
        """Take one measurement, and return the line for those that follow, if nothing was wrong; see Recorder."""
        reports = self.resolver.reports
        self.record(amount, attributes)
        # What is wrong with them is to be counted each time.
        with suppress(Exception):
            if self.takes(amount) and reports == self.resolver.reports:
                return JournalLine(self, self.cell(attributes))
        return None

    def cell(self, attributes: Attributes) -> Cell:
        """Return the cell of these attributes."""
        key = _key(attributes)
        try:
            cell = self._given.get(key)
        except Exception:  # noqa: BLE001 - a value that cannot be hashed is none that can be taken
            cell = None
        return cell or self._resolve(key, attributes)

    def _resolve(self, key: tuple[AttributeValue | None, ...], attributes: Attributes) -> Cell:
        reports = self.resolver.reports
        same = identity(self.resolver.resolve(attributes))
        with self._making:
            kept = self.resolver.series.get(same, same)
            cell = kept if isinstance(kept, Cell) else self._new_cell(kept)
            self.resolver.series[same] = cell
        # What has to be counted each time as wrong is not kept, nor what equals other keys: 1, 1.0 and True.
        plain = all(isinstance(value, str | None) for value in attributes.values())
        if plain and reports == self.resolver.reports and len(self._given) < self.MOST_KEYS:
            with suppress(Exception):  # a text of a class of its own that cannot be hashed
                self._given[key] = cell
        return cell

    def _new_cell(self, same: Identity) -> Cell:
        if self._scale is not None:
            cell: Cell = HistogramCell(self.write, same, self._scale, self.instrument.name)
        else:
            cell = SumCell(self.write, same, self.instrument.name)
        self.journal.add(cell)
        return cell

    def _resolved(self, change: Change) -> tuple[float, Cell]:
        """Return the amount and the cell of a change; raise KeyError where it was not recorded before."""
        instrument, amount, attributes = change
        recorder = instrument.recorder
        if not isinstance(recorder, JournalRecorder) or recorder.journal is not self.journal:
            raise KeyError(instrument.name)
        return amount, recorder._given[_key(attributes)]

    def _together(self, changes: Sequence[Change]) -> list[tuple[float, Cell]]:
        found: list[tuple[float, Cell]] = []
        for instrument, amount, attributes in changes:
            recorder = instrument.recorder
            if isinstance(recorder, JournalRecorder):
                if recorder.takes(amount):
                    found.append((plain(amount), recorder.cell(attributes)))
                else:
                    recorder.report("invalid_amount", no_amount(amount, instrument))
        return found


def _key(attributes: Attributes) -> tuple[AttributeValue | None, ...]:
    """Return attributes as they are given: first the keywords, then the values, which takes less than pairs."""
    return (*attributes, *attributes.values())
