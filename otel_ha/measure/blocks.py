"""Blocks: one measured() object as the context manager of many blocks, one after another or at once."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping, Sequence
from time import perf_counter
from types import FrameType, TracebackType
from typing import Any

from otel_ha.declare.context import current_context
from otel_ha.declare.measurement import (
    APPENDED,
    ENDED,
    IDLE,
    NEW,
    RESERVED,
    UNMEASURED,
    Measurement,
    new_measurement,
)
from otel_ha.declare.operation import Operation
from otel_ha.declare.outcome import OK
from otel_ha.declare.ports import GENERATION
from otel_ha.measure.work import Work

_CONTEXTLIB = vars(contextlib)


class Blocks(Measurement):
    """Measures blocks; it is the measurement of its first block itself, as most objects measure only one.

    One object may measure blocks in several threads, tasks and generators at once. A block is entered and left in the
    same frame, which therefore identifies it; within a frame the last block entered is the first one left. No lock: a
    generator that is collected half-read leaves its block wherever it interrupts, and a fork copies locks as they are.
    """

    __slots__ = ("_block", "_work", "open_blocks")

    # measured() sets `_work`, `_judge`, `_state` and `open_blocks`, and the start of the first block the others.
    _block: int
    _work: Work
    open_blocks: dict[int | tuple[int, int], Measurement] | None
    """The blocks that are open besides the first one, each at a place of its own."""

    @property
    def operation(self) -> Operation:
        """The operation that it measures."""
        return self._work.operation

    # These do what Measurement does in place, as each call would cost a twentieth of the block.

    def __enter__(self) -> Measurement:  # type: ignore[override]  # a later block has one of its own
        """Start measuring a block."""
        paths = self._work.paths
        # Only one thread is first: no other one can take its turn between a look at the state and its change.
        if self._state is NEW and paths.idle is GENERATION.current:
            self._state = IDLE
            return UNMEASURED
        if paths.generation is not GENERATION.current:
            paths = self._work.look_up()
        path = paths.only
        if self._state is not NEW or path is None or path.open_span is not None or paths.idle is not None:
            return self._enter_other(_around(sys._getframe(1)))
        self._state = RESERVED
        frame = sys._getframe(1)
        self._block = id(frame) if frame.f_globals is not _CONTEXTLIB else _around(frame)
        self._path = self._ends = path
        self._way = OK
        started = path.started
        if started is None or ((context := current_context()) and path.samples(context)):
            return super().__enter__()
        if len(started) > path.limit:
            path.shorten()
        started.append(None)
        self._state = APPENDED
        self._begun = perf_counter()
        return self

    def _enter_other(self, block: int) -> Measurement:
        """Start measuring a block that is not the first one."""
        measurement = self.start((), {}).__enter__()
        fresh: dict[int | tuple[int, int], Measurement] = {}  # before the look, as another thread may run meanwhile
        if self.open_blocks is None:
            self.open_blocks = fresh
        # An ExitStack leaves blocks of functions that have returned, whose frame's identity another one may have now.
        # Only one frame at a time has it and adds blocks with it.
        place: int | tuple[int, int] = block
        depth = 0
        while place in self.open_blocks:
            depth += 1
            place = block, depth
        self.open_blocks[place] = measurement
        return measurement

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """End the block; an exception passes through."""
        if self.open_blocks and (other := self._take(_around(sys._getframe(1)))) is not None:
            other.__exit__(kind, error, tb)
        elif self._state is IDLE:
            self._state = ENDED
        elif self._state is APPENDED and error is None:
            elapsed = perf_counter() - self._begun
            self._state = ENDED
            try:  # look_up(), in place
                end = self._ends.known.get(self._way)
            except Exception:  # noqa: BLE001 - see look_up()
                end = None
            if end is not None:
                end(elapsed)
            else:
                self._ends.ended_first(self._way, elapsed)
        else:
            super().__exit__(kind, error, tb)

    def _take(self, block: int) -> Measurement | None:
        """Remove and return the measurement that was begun last in a block; None if it is the first of all."""
        blocks = self.open_blocks or {}
        place: int | tuple[int, int] = block
        depth = 1
        while (block, depth) in blocks:
            place = block, depth
            depth += 1
        measurement = blocks.pop(place, None)
        if measurement is not None or self._state is IDLE or (self._state > ENDED and self._block == block):
            return measurement
        # Entered in one function by an ExitStack that is closed in another. Others may take the blocks seen here.
        while blocks:
            for other in reversed(list(blocks)):
                if (measurement := blocks.pop(other, None)) is not None:
                    return measurement
        return None

    def start(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Measurement:
        """Return the measurement of a call with these arguments."""
        paths = self._work.look_up()
        if paths.idle is not None:
            return UNMEASURED
        return new_measurement(self._judge, paths.only or paths.of(args, kwargs))


def _around(frame: FrameType) -> int:
    """Return the identity of the frame that contains a block, skipping the frames of an ExitStack."""
    while frame.f_globals is _CONTEXTLIB and frame.f_back is not None:
        frame = frame.f_back
    return id(frame)
