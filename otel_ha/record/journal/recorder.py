"""JournalRecorder: resolves an attribute set to a cell once, and from then on appends."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress

from opentelemetry.context import Context

from otel_ha.declare.context import current_context
from otel_ha.declare.instruments import Synchronous
from otel_ha.declare.keys import Key, is_exact, key_of, look_up
from otel_ha.declare.plain import LIMIT
from otel_ha.declare.ports import Attributes, AttributeValue, Batch, Change, Line, Step
from otel_ha.record.api import Write
from otel_ha.record.intake import Intake
from otel_ha.record.journal.cells import Cell, HistogramCell, Scale, SumCell
from otel_ha.record.journal.journal import Journal
from otel_ha.record.resolver import Identity, Resolver, Shared

Bounds = tuple[float, ...] | None
"""The bounds of a histogram; None for an instrument of another kind."""


class Cells:
    """The cells of one instrument, by attribute set."""

    MOST_KEYS = 10_000
    """Attribute sets, as they are given, whose cell is looked up; others are resolved each time.

    An instrument that declares more series has as many, so that the cost of an event does not grow with them.
    """

    def __init__(
        self, instrument: Synchronous, resolver: Resolver, write: Write, journal: Journal, bounds: Bounds
    ) -> None:
        self.given: dict[Key, Cell] = {}
        """The cell of each attribute set that was resolved without a problem, by key_of() it; the keys are exact."""
        self.resolver = resolver
        self._write = write
        self._journal = journal
        self._name = instrument.name
        self._most = max(self.MOST_KEYS, instrument.series)
        self._scale = None if bounds is None else Scale(bounds)
        resolver.new_series = self._new

    def of(self, attributes: Attributes) -> Cell:
        """Return the cell of these attributes."""
        key = key_of(attributes)
        return look_up(self.given, key) or self._resolve(key, attributes)

    def _resolve(self, key: Key, attributes: Attributes) -> Cell:
        resolver = self.resolver
        reports, same = resolver.reports, resolver.identify(attributes)
        cell: Cell | None = resolver.series.get(same)
        if cell is None:  # the first set beyond the series
            cell = resolver.series.setdefault(same, self._new(same))
        # A problem has to be counted each time, so its attribute set is not kept.
        if reports == resolver.reports and len(self.given) < self._most and is_exact(key):
            with suppress(Exception):  # a subclass of str that cannot be hashed
                self.given[key] = cell
        return cell

    def _new(self, same: Identity) -> Cell:
        """Make the cell of a series, which is settled from now on; of several threads that do so, one has it kept.

        Without a lock: the thread that has it may be interrupted for long. The cells of the others stay empty.
        """
        if self._scale is not None:
            cell: Cell = HistogramCell(self._write, same, self._scale, self._name)
        else:
            cell = SumCell(self._write, same, self._name)
        self._journal.add(cell)
        return cell


class JournalRecorder:
    """Records one synchronous instrument's measurements in a journal; see Recorder.

    `bounds` are those that a histogram has at present.
    """

    def __init__(
        self, instrument: Synchronous, write: Write, shared: Shared, journal: Journal, bounds: Bounds = None
    ) -> None:
        self.intake = Intake(instrument, shared)
        self.report = self.intake.report
        self.journal = journal
        self.cells = Cells(instrument, self.intake.resolver, write, journal, bounds)
        self.queues = shared.queues
        self.gate = shared.gate
        self.fast = JournalFastRecording(self)
        # At hand for record().
        self._given = self.cells.given
        self._least = self.intake.least

    def record(self, amount: float, attributes: Attributes, context: Context | None = None) -> None:
        """Record one measurement; never raises. A deferred one comes with the context in which it was made."""
        if context is not None:
            self._record_in_full(amount, attributes, context)
            return
        try:  # look_up() and key_of(), in place
            cell = self._given.get((*attributes, *attributes.values()))
        except Exception:  # noqa: BLE001 - see look_up()
            cell = None
        kind = type(amount)
        if (
            cell is None
            or not ((kind is int or kind is float) and self._least <= amount < LIMIT)
            or ((now := current_context()) and self.journal.samples(now))
        ):
            self._record_in_full(amount, attributes)
            return
        if len(cell.amounts) > cell.limit:
            self.journal.shorten(cell)
        cell.amounts.append(amount)

    def _record_in_full(self, amount: float, attributes: Attributes, context: Context | None = None) -> None:
        """Record a measurement that is the first of its series, in a sampled span, or possibly wrong."""
        try:
            number = self.intake.accepted(amount)
            if number is None:
                self.intake.reject(amount)
            else:
                self.journal.write(((number, self.cells.of(attributes)),), context=context)
        except Exception as error:  # noqa: BLE001 - recording never raises into the measured code
            self.intake.failed("recording", error)

    def overdrawn(self) -> Iterable[tuple[dict[str, AttributeValue], float]]:
        """Yield the attributes of each series whose settled sum is negative, by keyword, and the sum."""
        for same, cell in self.intake.resolver.series.copy().items():
            if isinstance(cell, SumCell) and cell.settled < 0:
                yield self.intake.resolver.keywords_of(same), cell.settled

    def record_together(self, changes: Sequence[Change], step: Step, *, later: bool) -> None:
        """Record measurements as one entry; see Recorder."""
        try:
            if not _are_journalled(changes):
                # Some of them go through the API, so a collection has to be held back.
                (self.gate.defer if later else self.gate.apply)(changes)
            elif together := _accepted(changes, self.journal):
                self.journal.write(together, step)
        except Exception as error:  # noqa: BLE001 - recording never raises into the measured code
            self.intake.failed("recording", error)


def _are_journalled(changes: Sequence[Change]) -> bool:
    """Whether none of the changes goes through the API."""
    for change in changes:  # a loop, as all() would take a generator: new attribute sets come here
        recorder = change[0].recorder
        if recorder is not None and not isinstance(recorder, JournalRecorder):
            return False
    return True


def _accepted(changes: Sequence[Change], journal: Journal) -> list[tuple[float, Cell]]:
    """Return the amounts and cells of the changes that are accepted in this journal; report the others."""
    found: list[tuple[float, Cell]] = []
    for instrument, amount, attributes in changes:
        recorder = instrument.recorder
        # In another journal if telemetry ended and began meanwhile, in another thread.
        if isinstance(recorder, JournalRecorder) and recorder.journal is journal:
            number = recorder.intake.accepted(amount)
            if number is None:
                recorder.intake.reject(amount)
            else:
                found.append((number, recorder.cells.of(attributes)))
    return found


class JournalLine:
    """One series for a handle: the list of its cell; see Line."""

    __slots__ = ("_cell", "amounts", "least", "limit", "most", "recorder", "samples")

    def __init__(self, recorder: JournalRecorder, cell: Cell) -> None:
        self.recorder = recorder
        self.amounts = cell.amounts
        self.limit = cell.limit
        self.least = recorder.intake.least
        self.most: float = LIMIT
        self.samples = recorder.journal.samples
        self._cell = cell

    def shorten(self) -> None:
        """Add up the waiting amounts, unless another thread is doing so."""
        self.recorder.journal.shorten(self._cell)


class JournalFastRecording:
    """Resolves measurements of a journal in advance; see FastRecording."""

    def __init__(self, recorder: JournalRecorder) -> None:
        self._recorder = recorder

    def batch(self, changes: Sequence[Change], step: Step, *, varies: bool) -> Batch | None:
        """Return a batch of these changes, if all of them were recorded before and have cells; see FastRecording."""
        try:
            found = [self._resolved(change) for change in changes if change[0].recorder is not None]
            varying = found.pop(0) if varies and changes[0][0].recorder is not None else None
            return self._recorder.journal.batch(step, varying[1] if varying else None, found)
        except Exception:  # noqa: BLE001 - the problem was counted when the change was recorded
            return None

    def open_line(self, amount: float, attributes: Attributes) -> Line | None:
        """Record one measurement, and return the line for later ones if there was no problem; see FastRecording."""
        recorder, resolver = self._recorder, self._recorder.intake.resolver
        reports = resolver.reports
        recorder.record(amount, attributes)
        with suppress(Exception):  # a problem has to be counted each time
            if recorder.intake.accepted(amount) is not None and reports == resolver.reports:
                return JournalLine(recorder, recorder.cells.of(attributes))
        return None

    def _resolved(self, change: Change) -> tuple[float, Cell]:
        """Return the amount and the cell of a change; raise KeyError if it was not recorded before."""
        instrument, amount, attributes = change
        recorder = instrument.recorder
        if not isinstance(recorder, JournalRecorder) or recorder.journal is not self._recorder.journal:
            raise KeyError(instrument.name)
        return amount, recorder.cells.given[key_of(attributes)]
