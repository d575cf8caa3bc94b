"""The measured program without a fault: the delays of its loop are those to which faults are compared."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from tests.faults.outcome import CONTROL
from tests.faults.staging import AT_ONCE, RATE
from tests.faults.stored import Stored, in_pushes
from tests.receivers import answer, receiving

EVENTS = 600
OFF = "OTEL_SDK_DISABLED=true: telemetry records nothing, so it can lose nothing"


@pytest.mark.parametrize("programs", [1, AT_ONCE])
@pytest.mark.parametrize("off", [False, True], ids=["on", "off"])
def test_without_a_fault_everything_arrives_and_nothing_is_logged(programs, off, start, table):
    fault = f"No fault{', telemetry off' if off else ''}{f', {programs} programs at once' if programs > 1 else ''}"
    more = {"OTEL_SDK_DISABLED": "true"} if off else {}
    with ExitStack() as receivers:
        pairs = []
        for _ in range(programs):
            receiver = receivers.enter_context(receiving(answer()))
            pairs.append((start(RATE, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url, **more), receiver))
        for service, _ in pairs:
            service.wait_for_events(EVENTS)
        for service, receiver in pairs:
            account = service.stop()
            assert service.log_lines() == []
            assert bool(receiver.requests) != off
            stored = Stored(account.recorded, account.ended) if off else in_pushes(receiver.bodies("/v1/metrics"))
            table.add(account.outcome(fault, CONTROL, stored, log_lines=0, note=OFF if off else ""))
