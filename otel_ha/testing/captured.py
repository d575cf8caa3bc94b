"""captured_metrics(): telemetry for a test, without port, push or threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

from otel_ha.config.settings import DEFAULT
from otel_ha.config.telemetry_config import TelemetryConfig
from otel_ha.declare.catalog import Catalog
from otel_ha.declare.instruments import Histogram, Instrument
from otel_ha.declare.operation import Operation
from otel_ha.export.captured import Captured, Capturing
from otel_ha.telemetry import Telemetry, captured, running_telemetry
from otel_ha.testing.accounts import check_accounts
from otel_ha.testing.clock import Clock
from otel_ha.testing.explain import mismatch
from otel_ha.testing.obstacles import OVER
from otel_ha.testing.other_code import read_from_other_provider
from otel_ha.testing.points import Snapshot, State
from otel_ha.testing.problems import check_problems
from otel_ha.testing.question import QuestionError
from otel_ha.testing.reader import CapturingReader
from otel_ha.testing.recorded import Recorded
from otel_ha.testing.selection import Selection, checked_number, number
from otel_ha.testing.subject import Asked, Subject, Wanted
from otel_ha.testing.waiting import (
    Condition,
    checked_condition,
    checked_limit,
    tried,
    tried_async,
    wait,
    wait_async,
    wait_in_thread,
)
from otel_ha.vocabulary import ingest

__tracebackhide__ = True


class CapturedMetrics:
    """Everything that was recorded since capturing began, by telemetry of the kit or of the code under test.

    `metrics[…]` answers for an instrument, an operation (for its duration) or the name of a metric of the OpenTelemetry
    API. If telemetry is set up several times, counters and histograms of all of them add up; of anything else, the
    newest value counts. Each call collects, and sees batches of measurements whole. An assertion that fails raises
    AssertionError and says what was recorded instead.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._readers: list[CapturingReader] = []
        self._marked: Snapshot | None = None
        self._is_over = False

    @property
    def telemetry(self) -> Telemetry | None:
        """The telemetry that runs now; None if the code under test has shut it down, and after the capture."""
        return None if self._is_over else running_telemetry()

    def __getitem__(self, asked: Asked) -> Recorded:
        """Return the answers about an instrument, an operation or a name; AssertionError for anything else."""
        return Recorded(asked, self._take, lambda: self._marked)

    def mark(self) -> None:
        """Let increase() begin now."""
        self._marked = self._take()

    def assert_recorded(self, asked: Asked, value: float = 1, /, **attributes: Wanted) -> None:
        """Assert that exactly `value` was recorded; attributes that are not named are summed over.

        Of a histogram it is the number of values, of a gauge or an up-down counter the current value. Whole numbers are
        compared exactly, others to 9 digits.
        """
        expected = _expected(asked, value)
        found = Selection(self._take(), asked, attributes)
        if found.obstacle or not found.is_amount(expected):
            raise AssertionError(mismatch(found, expected))

    def assert_nothing_recorded(self, asked: Asked, /, **attributes: Wanted) -> None:
        """Assert that nothing was recorded although it could be; a counter may have got amounts of 0.

        It passes for a name that nobody has recorded, which may be mistyped.
        """
        found = Selection(self._take(), asked, attributes)
        is_unknown = found.instrument is None
        if (found.obstacle and not is_unknown) or found.has_values:
            raise AssertionError(mismatch(found, None))

    def assert_accounts(self, operation: Operation, /) -> None:
        """Assert that for each source received = processed + discarded + in flight.

        In flight is also what was so when telemetry ended.
        """
        check_accounts(self._take(), operation)

    def assert_no_problems(self) -> None:
        """Assert that every measurement was recorded as given: attributes and values are declared and within limits.

        An instrument that the catalog lacks records nothing and is not a problem; a question about it fails.
        """
        check_problems(self._take())

    def wait_for(
        self,
        awaited: Asked | Condition,
        value: float = 1,
        /,
        *,
        within: float = 5.0,
        **attributes: Wanted,
    ) -> None:
        """Wait until a counter or histogram reaches `value`, a gauge or up-down counter has it, or a condition holds.

        Other threads record meanwhile; in a coroutine, use wait_for_async(). A condition is a function: its result has
        to be true, and an assertion in it may fail until then. AssertionError after `within` seconds.
        """
        if isinstance(awaited, Instrument | Operation | str):
            wait(self._attempt(awaited, value, attributes), self._limit(within))
        else:
            wait(partial(tried, checked_condition(awaited, value, attributes)), self._limit(within))

    async def wait_for_async(
        self,
        awaited: Asked | Condition,
        value: float = 1,
        /,
        *,
        within: float = 5.0,
        **attributes: Wanted,
    ) -> None:
        """Wait like wait_for(), while the event loop goes on; a condition may be a coroutine function."""
        if isinstance(awaited, Instrument | Operation | str):
            await wait_in_thread(self._attempt(awaited, value, attributes), self._limit(within))
        else:
            await wait_async(partial(tried_async, checked_condition(awaited, value, attributes)), self._limit(within))

    def _attempt(self, asked: Asked, value: float, attributes: Mapping[str, object]) -> Callable[[], str]:
        """Return a function that says why the value is not reached yet; QuestionError for a wrong question."""
        expected = _expected(asked, value)
        Subject(asked).where(attributes)

        def attempt() -> str:
            found = Selection(self._take(), asked, attributes)
            if not found.obstacle and found.has_reached(expected):
                return ""
            return mismatch(found, expected, at_least=not found.can_shrink)

        return attempt

    def _limit(self, within: object) -> float:
        """Return how long to wait; QuestionError for anything but seconds, and if nothing can happen meanwhile."""
        if self._is_over:
            raise QuestionError(f"{OVER}; wait within its block, or ask without waiting")
        return checked_limit(within)

    def _take(self) -> Snapshot:
        return Snapshot(list(self._readers), self._state())

    def _state(self) -> State:
        if self._is_over:
            return "over"
        telemetry = running_telemetry()
        return "shut down" if telemetry is None else "running" if telemetry.pipeline is not None else "off"

    def _capturing(self) -> Capturing:
        return Capturing(configured=_quiet, reader=self._reader, now=self.clock.now)

    def _reader(self, pipeline: Captured) -> CapturingReader:
        reader = CapturingReader(pipeline.gate, pipeline)
        self._readers.append(reader)
        return reader


def _expected(asked: Asked, value: object) -> int | float:
    """Return the number that a test expects; QuestionError if the subject cannot have it."""
    expected, instrument = checked_number(value), Subject(asked).instrument
    if isinstance(instrument, Histogram) and isinstance(expected, float) and not expected.is_integer():
        counts = "a histogram counts its values; ask .total() for their sum"
        raise QuestionError(f"{instrument.name} cannot be recorded {number(expected)} times: {counts}")
    return expected


@contextmanager
def captured_metrics(
    catalog: Catalog = ingest.CATALOG, *, clock: Clock | None = None, **settings: Any
) -> Iterator[CapturedMetrics]:
    """Capture what is recorded within the block, isolated from everything before and after it.

    Telemetry starts with `catalog` and with `settings` of TelemetryConfig, without reading the environment. If the code
    under test calls setup_telemetry(), that telemetry is captured: nothing is pushed, no port opens, no thread starts.
    `clock` may begin at another time than now.
    """
    found = CapturedMetrics(clock or Clock())
    config = _quiet(TelemetryConfig(**{"environ": {}, "service_name": "test", **settings}))
    with captured(found._capturing(), config, catalog), read_from_other_provider(found._readers.append):
        try:
            yield found
        finally:
            found._is_over = True


def _quiet(config: TelemetryConfig) -> TelemetryConfig:
    """Return settings without port, push, thread or signal handler; a scrape in the process remains possible."""
    if config.sources["system_metrics"] == DEFAULT:
        config = config.replaced(system_metrics=False)
    return config.replaced(
        metrics_exporters=("prometheus",),
        traces_exporters=(),
        logs_exporters=(),
        endpoint_server=False,
        handle_sigterm=False,
    )
