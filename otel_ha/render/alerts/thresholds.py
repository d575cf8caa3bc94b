"""The thresholds of all alerts in one table, and the values that a user sets instead."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from otel_ha.errors import TelemetryError
from otel_ha.vocabulary import ingest

__all__ = ["THRESHOLDS", "Threshold", "duration", "duration_in_words", "words"]

Kind = Literal["duration", "number", "share"]
_DURATION: Final = re.compile(r"(?=\d)(\d+d)?(\d+h)?(\d+m)?(\d+s)?(\d+ms)?", re.ASCII)
_PART_OF_DURATION: Final = re.compile(r"(\d+)(ms|[smhd])")
_SECONDS: Final[Mapping[str, float]] = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400}
_PERCENT: Final = re.compile(r"(\d+(?:\.\d+)?)\s*%", re.ASCII)


@dataclass(frozen=True, slots=True)
class Threshold:
    """A value that an alert compares with, or the time that it looks back. `value` is its text in PromQL."""

    name: str
    value: str
    kind: Kind
    meaning: str

    @property
    def number(self) -> float:
        """The value as a number; a duration in seconds."""
        if self.kind != "duration":
            return float(self.value)
        return sum(int(count) * _SECONDS[unit] for count, unit in _PART_OF_DURATION.findall(self.value))

    def parsed(self, text: str) -> str:
        """Return a given value as PromQL has it. Raises TelemetryError if it is not of this kind."""
        if self.kind != "duration":
            return _number(self.name, text, self.kind)
        if not re.search("[1-9]", duration(self.name, text)):
            raise TelemetryError(f"{self.name}={text} is not a duration above 0; write one, such as 30s, 5m or 1h30m")
        return text


def words(threshold: Threshold) -> str:
    """Return the value in words: 5 min, 80 %, 50."""
    if threshold.kind == "share":
        return f"{float(threshold.value) * 100:g} %"
    if threshold.kind == "number":
        return threshold.value
    return duration_in_words(threshold.value)


def duration_in_words(text: str) -> str:
    """Return a duration of PromQL in words: 1h30m is 1 h 30 min."""
    return _PART_OF_DURATION.sub(lambda found: f"{found[1]} {_UNITS[found[2]]} ", text).rstrip()


_UNITS: Final[Mapping[str, str]] = {"ms": "ms", "s": "s", "m": "min", "h": "h", "d": "d"}


def duration(name: str, text: str) -> str:
    """Return a duration as PromQL has it. Raises TelemetryError with the name and the allowed form."""
    if not _DURATION.fullmatch(text):
        raise TelemetryError(f"{name}={text} is not a duration; write a number with a unit, such as 30s, 5m or 1h30m")
    return text


def _number(name: str, text: str, kind: Kind) -> str:
    percent = _PERCENT.fullmatch(text)
    try:
        # Digits of other scripts are numbers to float(), but not to those who read the rule.
        value = float(percent[1]) / 100 if percent and kind == "share" else float(text.encode("ascii"))
    except ValueError:
        value = -1.0
    most = 1 if kind == "share" else float("inf")
    # Infinity and "not a number" would never fire, silently.
    if not 0 <= value <= most or value == float("inf"):
        allowed = "a share from 0 to 1, such as 0.05 or 5%" if kind == "share" else "a number that is 0 or more"
        raise TelemetryError(f"{name}={text} is not allowed; write {allowed}")
    return f"{value + 0.0:.12g}"  # not -0


THRESHOLDS: Final[Sequence[Threshold]] = (
    Threshold("window", "5m", "duration", "Time over which events, errors and other frequent things are counted."),
    Threshold("slow_window", "15m", "duration", "Time over which reconnects and retries are counted."),
    Threshold("recent", "1h", "duration", "Time over which restarts are counted; a way in that stopped is missed."),
    Threshold("memory", "1d", "duration", "Time for which a service that has vanished is missed."),
    Threshold("server_memory", "30d", "duration", "Time after which a server that was here once is a stranger."),
    Threshold("absent", "2m", "duration", "Time without metrics after which a service is absent; at least two pushes."),
    Threshold("restarts", "3", "number", "Restarts of a service within `recent`."),
    Threshold("silence", f"{ingest.HOURS_OF_SILENCE}h", "duration", "Time without an event from a connected source."),
    Threshold("disconnects", "5", "number", "Ends of a connection within `slow_window`."),
    Threshold("accounts_difference", "0", "number", "Events by which the accounts may differ."),
    Threshold("min_events", "50", "number", "Events within `window` below which no share is calculated."),
    Threshold("error_share_ticket", "0.02", "share", "Share of processed events that failed: ticket."),
    Threshold("error_share_page", "0.05", "share", "Share of processed events that failed: page."),
    Threshold("lag", "10s", "duration", "Time until an event is stored, for 95 % of events."),
    Threshold("objective_missed", "5", "number", "Measurements that miss an objective below which nothing burns."),
    Threshold("queue_share", "0.8", "share", "Used share of a queue."),
    Threshold("overflow", "0", "number", "Events lost to a full queue within `window`."),
    Threshold("invalid_share", "0.05", "share", "Share of received events that are invalid."),
    Threshold("duplicate_share", "0.5", "share", "Share of duplicates among the events of one source."),
    Threshold("points_lost", "0", "number", "Points that a sink rejected or lost within `window`."),
    Threshold("failed_writes", "3", "number", "Failed writes within `window`, while none succeeds."),
    Threshold("write_time", "1s", "duration", "Time of a write, for 95 % of writes."),
    Threshold("retries", "10", "number", "Retries of one operation within `slow_window`."),
    Threshold("recording_problems", "0", "number", "Problems with measurements within `window`."),
    Threshold("cpu_info", "0.8", "share", "Used share of the CPUs, or of the container's quota: info."),
    Threshold("cpu_ticket", "0.95", "share", "Used share of the CPUs, or of the container's quota: ticket."),
    Threshold("memory_ticket", "0.85", "share", "Used share of the memory, or of the container's limit: ticket."),
    Threshold("memory_page", "0.95", "share", "Used share of the memory, or of the container's limit: page."),
    Threshold("disk_share", "0.9", "share", "Used share of a file system."),
    Threshold("disk_full_within", "1d", "duration", "Time until a file system is full, at its present growth."),
    Threshold("disk_trend", "6h", "duration", "Time from which the growth of a file system is known."),
    Threshold("loop_blocks", "5", "number", "Times within `window` that the event loop was blocked for over 0.5 s."),
    Threshold("descriptors", "800", "number", "Open file descriptors; the usual limit of a process is 1,024."),
    Threshold("collector_queue_share", "0.7", "share", "Used share of a Collector's queue: ticket."),
    Threshold("collector_queue_full", "0.95", "share", "Used share of a Collector's queue: page."),
    Threshold("disk_left", "1000000000", "number", "Bytes left on VictoriaMetrics' disk."),
)
