"""The measured program without a fault: the delays of its loop are those to which faults are compared."""

from __future__ import annotations

from contextlib import ExitStack

from tests.faults.outcome import CONTROL
from tests.faults.staging import AT_ONCE, RATE, WITHIN
from tests.faults.stored import Stored, in_pushes
from tests.receivers import answer, receiving

EVENTS = 600
OFF = "OTEL_SDK_DISABLED=true: telemetry records nothing, so it can lose nothing"
# With and without telemetry at the same time, so that both have the same machine, and in an order that favours neither.
ORDER = (True, False, False, True) * (AT_ONCE // 4)


def test_without_a_fault_everything_arrives_and_nothing_is_logged(start, table):
    with ExitStack() as receivers:
        programs = []
        for is_on in ORDER:
            receiver = receivers.enter_context(receiving(answer()))
            more = {} if is_on else {"OTEL_SDK_DISABLED": "true"}
            programs.append((is_on, start(RATE, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url, **more), receiver))
        for _, service, _ in programs:
            service.wait_for_events(EVENTS, WITHIN)
        for is_on, service, receiver in programs:
            account = service.stop()
            assert service.log_lines() == []
            assert bool(receiver.requests) == is_on
            fault = "No fault, telemetry on" if is_on else "No fault, telemetry off"
            stored = in_pushes(receiver.bodies("/v1/metrics")) if is_on else Stored(account.recorded, account.ended)
            table.add(account.outcome(fault, CONTROL, stored, log_lines=0, note="" if is_on else OFF))
