"""Event: the new state of an entity, from any source."""

from __future__ import annotations

import math
import time
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = 2**63 - 2  # in nanoseconds; the limit in InfluxDB (influxdb/models/time.go)
MICRO_SIGN, GREEK_MU = "\u00b5", "\u03bc"
LONGEST_ID = 255  # the limits in Home Assistant (homeassistant.const.MAX_LENGTH_STATE_ENTITY_ID and …_STATE_STATE)
LONGEST_STATE = 255


class InvalidEventError(ValueError):
    """A message that is not a valid event."""


@dataclass(frozen=True, slots=True)
class Event:
    """The state of an entity at `timestamp`, in nanoseconds since 1970.

    The timestamp is the source's own if `timed`, otherwise the time of arrival; `device_time` means that it is not Home
    Assistant's but the time of a device, as JSON messages contain it. An empty state is a cleared text, or
    the state of a JSON payload that has only further values, which are in `fields`. Raises InvalidEventError if the
    entity's id is not of the form domain.object, or if text cannot be encoded in UTF-8, because JSON can contain half
    of a surrogate pair.
    """

    source: str
    entity_id: str
    state: str
    timestamp: int
    attributes: Mapping[str, Any] = field(default_factory=dict)
    timed: bool = False
    fields: Mapping[str, str | float] = field(default_factory=dict)
    device_time: bool = False

    def __post_init__(self) -> None:
        """Check the text that will be written."""
        # A line that begins with # is a comment.
        if not self.domain or self.domain.startswith("#") or not self.object_id or len(self.entity_id) > LONGEST_ID:
            raise InvalidEventError(
                f"an entity's id must be domain.object, with {LONGEST_ID} characters at most, not {self.entity_id!r}"
            )
        try:
            f"{self.entity_id} {self.state} {self.unit}".encode()
            for name, value in self.fields.items():
                f"{name} {value}".encode()
        except UnicodeEncodeError as error:
            raise InvalidEventError(f"text cannot be encoded in UTF-8: {error.reason}") from None

    @property
    def domain(self) -> str:
        """The part of the entity's id before the dot."""
        return self.entity_id.partition(".")[0]

    @property
    def object_id(self) -> str:
        """The part of the entity's id after the dot."""
        return self.entity_id.partition(".")[2]

    @property
    def unit(self) -> str | None:
        """The unit of the state in one spelling, or None.

        Unicode has two characters each for micro, ohm and kelvin. Both look alike, but they would make two series.
        """
        unit = self.attributes.get("unit_of_measurement")
        if not isinstance(unit, str) or not unit:
            return None
        return unit if unit.isascii() else unicodedata.normalize("NFC", unit).replace(MICRO_SIGN, GREEK_MU)

    @property
    def dated(self) -> bool:
        """Whether the timestamp is Home Assistant's own, which is the same whichever source reports the state."""
        return self.timed and not self.device_time

    @property
    def age(self) -> float:
        """Seconds since the timestamp; at least 0, even if the clocks of the two machines differ."""
        return max(0.0, time.time() - self.timestamp / 1e9)


def checked_state(state: object) -> str:
    """Return a state as text; raise InvalidEventError if Home Assistant would not accept it as a state."""
    if isinstance(state, bool) or not isinstance(state, str | int | float):
        raise InvalidEventError(f"a state must be text or a number, not {type(state).__name__}")
    if isinstance(state, float) and not math.isfinite(state):
        raise InvalidEventError(f"a number must be finite, not {state}")
    text = str(state)
    if len(text) > LONGEST_STATE:
        raise InvalidEventError(f"a state must have at most {LONGEST_STATE} characters, not {len(text)}")
    return text


def own_time(message: Mapping[str, Any]) -> int | None:
    """Return the source's own time in a state object, in nanoseconds since 1970; None if there is none."""
    return nanoseconds(message.get("last_updated")) or nanoseconds(message.get("last_changed"))


def nanoseconds(iso: object) -> int | None:
    """Return an ISO 8601 time as nanoseconds since 1970.

    None if it is invalid, has no time zone, or is out of the range of a store: the years 1970 to 2262. Programs in Go
    that know no time send year 1; VictoriaMetrics accepts times before 1970, and drops their points.
    """
    try:
        moment = datetime.fromisoformat(iso) if isinstance(iso, str) else None
    except ValueError:
        return None
    if moment is None or moment.tzinfo is None:
        return None
    # Count whole microseconds: seconds as a float lose digits, so that two states could get the same timestamp.
    found = (moment - EPOCH) // timedelta(microseconds=1) * 1000
    return found if 0 <= found <= LATEST else None
