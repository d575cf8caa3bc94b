"""Telemetry that pushes traces and logs to a receiver of the test."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from otel_ha import Telemetry, setup_telemetry
from tests.receivers import Receiver, Reply, answer, receiving
from tests.unit.conftest import config

Start = Callable[..., tuple[Telemetry, Receiver]]


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Start a receiver, and telemetry that pushes traces and logs to it when they are flushed."""
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "3600000")
    monkeypatch.setenv("OTEL_BLRP_SCHEDULE_DELAY", "3600000")
    with ExitStack() as stack:

        def begin(*replies: Reply, **settings: object) -> tuple[Telemetry, Receiver]:
            receiver = stack.enter_context(receiving(*(replies or (answer(),))))
            common: dict[str, object] = {"traces_exporters": ("otlp",), "logs_exporters": ("otlp",)}
            quiet: dict[str, object] = {"metrics_exporters": (), "history_length": 0, "otlp_timeout": 10.0}
            known = common | quiet | {"otlp_endpoint": receiver.url, "shutdown_timeout": 5.0} | settings
            return stack.enter_context(setup_telemetry("test", config=config(**known))), receiver

        yield begin


def away_until(is_back: threading.Event) -> Reply:
    """Refuse pushes, which may be repeated, until an event is set."""

    def reply(connection: socket.socket, ended: threading.Event) -> None:
        (answer() if is_back.is_set() else answer("503 Service Unavailable"))(connection, ended)

    return reply


def wait_for(condition: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come about"
        time.sleep(0.01)


def lines(caplog: pytest.LogCaptureFixture, text: str) -> list[str]:
    """Return the messages of otel-ha with this text."""
    return [
        each.getMessage()
        for each in caplog.records
        if each.name == "otel_ha" and each.levelno >= logging.WARNING and text in each.getMessage()
    ]
