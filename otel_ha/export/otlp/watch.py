"""Watch: the success of the pushes of one signal, and one log line when an outage of the receiver starts and ends."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from contextvars import ContextVar
from typing import Any, Protocol

from otel_ha.config.urls import Url, receiver_of
from otel_ha.delivery import Delivery
from otel_ha.export.otlp.answer import Answer
from otel_ha.scrub import KNOWN_ONLY, scrub

_logger = logging.getLogger("otel_ha")

# The loggers of the transports, some of whose lines have the whole URL: at debug level, and of a malformed response.
_TRANSPORTS = ("urllib3.connection", "urllib3.connectionpool", "urllib3.response", "urllib3.util.retry")

NOUNS = {"metrics": "data points", "traces": "spans", "logs": "log records"}
_TURNED_OFF_BY = {
    "metrics": "OTEL_METRICS_EXPORTER=prometheus",
    "traces": "OTEL_TRACES_EXPORTER=none",
    "logs": "OTEL_LOGS_EXPORTER=none",
}
_QUEUES = {"traces": "OTEL_BSP_MAX_QUEUE_SIZE", "logs": "OTEL_BLRP_MAX_QUEUE_SIZE"}


_is_pushing: ContextVar[bool] = ContextVar("otel_ha_is_pushing", default=False)


def is_pushing() -> bool:
    """Whether a push runs in this thread, or for it: its log records must not be pushed."""
    return _is_pushing.get()


def _is_not_of_a_push(record: logging.LogRecord) -> bool:
    """Whether a record of a transport is to be logged: of a push that fails, the line about the outage says enough."""
    return record.levelno < logging.WARNING or not is_pushing()


def tell(message: str, *arguments: object) -> None:
    """Log a warning; a handler of the program that raises must not end the thread that pushes."""
    with suppress(Exception):
        _logger.warning(message, *arguments, stacklevel=2)


class Pusher(Protocol):
    """An object that pushes, such as Attempts."""

    def load(self) -> None:
        """Import the modules that the first push imports otherwise, in its thread."""

    def push(self, data: Any) -> Answer:
        """Push, and return the receiver's answer."""

    def close_soon(self) -> None:
        """Repeat a failed push at most once from now on."""

    def shutdown(self) -> None:
        """Stop; a waiting attempt gives up."""


class Console:
    """Prints what is pushed, by an exporter of OpenTelemetry's; see Pusher."""

    def __init__(self, exporter: Any) -> None:
        self._exporter = exporter

    def load(self) -> None:
        """Do nothing: everything is imported."""

    def push(self, data: Any) -> Answer:
        """Print; an error is raised."""
        self._exporter.export(data)
        return Answer()

    def close_soon(self) -> None:
        """Do nothing: printing is not repeated."""

    def shutdown(self) -> None:
        """Do nothing."""


class Outage:
    """The failures at one receiver: the log tells of an outage once, whichever signals are pushed there.

    Failures are of one kind if a repetition may succeed, else by their status: a receiver that refuses the path of one
    signal is another matter than one that is away.
    """

    def __init__(self) -> None:
        self._deliveries: dict[str, Delivery] = {}
        self._dropped: dict[str, int] = {}
        """How many items of each signal had been dropped before."""
        self._failing: dict[str, str] = {}
        """The kind of failure of each signal, of those that fail."""
        self._over_at = 0.0
        self._lock = threading.RLock()

    @property
    def signals(self) -> list[str]:
        """The signals that are pushed there."""
        return [signal for signal in NOUNS if signal in self._deliveries]

    @property
    def dropped(self) -> str:
        """The numbers of spans and log records that have been dropped since it began, as the log tells them."""
        found = {each: self._deliveries[each].dropped - self._dropped.get(each, 0) for each in self.signals}
        return ", ".join(f"{number} {NOUNS[signal]}" for signal, number in found.items() if number)

    def join(self, signal: str, delivery: Delivery) -> None:
        """Note that a signal is pushed there."""
        self._deliveries[signal] = delivery

    def began(self, signal: str, kind: str, started: float) -> bool:
        """Note the failure of a push that `started` then; return whether it is the first one of an outage."""
        with self._lock:
            if started < self._over_at:  # its signal may work again as well
                return False
            if not self._failing:
                self._dropped = {name: each.dropped for name, each in self._deliveries.items()}
            is_first = signal not in self._failing and kind not in self._failing.values()
            self._failing[signal] = kind
            return is_first

    def was_on(self, since: float) -> bool:
        """Whether the receiver has been away at some time since then."""
        with self._lock:
            return "away" in self._failing.values() or self._over_at > since

    def ended(self, signal: str) -> bool:
        """Note a push that arrived; return whether it ends an outage, which is then over for all of its kind."""
        with self._lock:
            kind = self._failing.get(signal)
            if kind is None:
                return False
            self._failing = {name: each for name, each in self._failing.items() if each != kind}
            self._over_at = time.monotonic()
            return True


class Outages:
    """The outages of each receiver of one pipeline."""

    def __init__(self) -> None:
        self._of: dict[str, Outage] = {}

    def at(self, delivery: Delivery, signal: str) -> Outage:
        """Return that of the receiver to which a signal is pushed."""
        outage = self._of.setdefault(receiver_of(delivery.target), Outage())
        outage.join(signal, delivery)
        return outage


class Watch:
    """Notes the answers to the pushes of one signal, and tells the log of outages and of what the receiver rejects.

    `hint` is advice that the log gives first when pushes fail. The secrets of `proxies` stay masked while it lives.
    """

    def __init__(
        self,
        delivery: Delivery,
        outages: Outages,
        signal: str = "metrics",
        *,
        hint: str = "",
        proxies: Sequence[Url] = (),
    ) -> None:
        self.delivery = delivery
        self.noun = NOUNS[signal]
        self.is_closing = False
        self.is_over = False
        """Whether the time for the last push is over: its connection is cut off, and how it ends says nothing."""
        self._signal = signal
        self._outage = outages.at(delivery, signal)
        self._hint = hint
        self._proxies = proxies
        self._remark = ""
        for name in _TRANSPORTS:
            transport = logging.getLogger(name)
            transport.addFilter(_is_not_of_a_push)  # the same filter is added once only
            transport.addFilter(KNOWN_ONLY)

    def push(self, pusher: Pusher, data: Any) -> Answer:
        """Push, note whether it arrived, and return the answer; never raises."""
        token = _is_pushing.set(True)
        try:
            return self._pushed(pusher, data)
        finally:
            _is_pushing.reset(token)

    def _pushed(self, pusher: Pusher, data: Any) -> Answer:
        started = time.monotonic()
        try:
            answer = pusher.push(data)
        except Exception as error:  # noqa: BLE001 - an exporter that raises is a push that failed
            answer = Answer(scrub(repr(error)))
        if answer.skipped:
            return answer
        if answer.error:
            self._failed(answer, started)
        elif not self.is_over:
            self._succeeded(answer)
        return answer

    @property
    def _receiver(self) -> str:
        """The receiver, as the log names it."""
        signals = self._outage.signals
        if len(signals) == 1:
            return self.delivery.target
        return f"{receiver_of(self.delivery.target)} ({', '.join(signals)})"

    @property
    def _remedies(self) -> str:
        """The settings that set the receiver and turn the pushes to it off, and the command that finds the cause."""
        off = [_TURNED_OFF_BY[signal] for signal in self._outage.signals]
        return (
            f"{self._hint}OTEL_EXPORTER_OTLP_ENDPOINT sets the receiver, `otel-ha doctor` tries every step of the way, "
            f"{', '.join(off)} {'turns' if len(off) == 1 else 'turn'} pushing off"
        )

    def _succeeded(self, answer: Answer) -> None:
        """Note a push that arrived; the first one after an outage is logged, and the first one that is incomplete."""
        target, rejected_before = self.delivery.target, self.delivery.rejected
        message = answer.remark or "no reason given"
        failures = self.delivery.succeeded(
            answer.rejected, f"{answer.rejected} {self.noun} rejected: {message}" if answer.rejected else ""
        )
        if self._outage.ended(self._signal):
            dropped = self._outage.dropped
            more = f"; dropped meanwhile: {dropped}" if dropped else ""
            tell("push to %s works again (failures: %d%s)", self._receiver, failures, more)
        if answer.rejected and not rejected_before:
            tell(
                "%s rejected %d %s: %s; the others arrived, and the rejected ones are not sent again",
                target,
                answer.rejected,
                self.noun,
                message,
            )
        elif rejected_before and not answer.rejected:
            tell("%s accepts all %s again", target, self.noun)
        elif answer.remark and not answer.rejected and answer.remark != self._remark:
            tell("%s accepted a push with a warning: %s", target, answer.remark)
        self._remark = answer.remark

    def _failed(self, answer: Answer, started: float) -> None:
        """Note a push that failed; the first one of an outage is logged."""
        self.delivery.failed(answer.error)
        if self.is_over or not self._outage.began(self._signal, "away" if answer.retryable else answer.code, started):
            return
        if self.is_closing:
            tell("the last push to %s failed: %s (%s)", self._receiver, answer.error, self._remedies)
            return
        queues = [f"{NOUNS[each]} beyond {_QUEUES[each]}" for each in self._outage.signals if each in _QUEUES]
        tell(
            "push to %s failed: %s; trying again every interval, and logging when it works%s (%s)",
            self._receiver,
            answer.error,
            f"; {', '.join(queues)} are dropped meanwhile, and counted" if queues and answer.retryable else "",
            self._remedies,
        )

    def was_away(self, since: float) -> bool:
        """Whether the receiver has been away at some time since then, as the log tells by the lines of the outage."""
        return self._outage.was_on(since)

    def cut_off(self) -> None:
        """Note that the last push did not end in time; it is logged unless the outage is known already."""
        if self._outage.began(self._signal, "away", time.monotonic()):
            tell("the last push to %s did not end in time; its interval may be lost", self.delivery.target)
