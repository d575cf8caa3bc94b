"""Event: the state that an entity took, wherever the news came from."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LONGEST_STATE = 255  # Home Assistant itself refuses longer ones (homeassistant.const.MAX_LENGTH_STATE_STATE)


class InvalidEventError(ValueError):
    """What came in is no event that can be understood."""


@dataclass(frozen=True, slots=True)
class Event:
    """One state of one entity; `timestamp` is in nanoseconds since 1970, Home Assistant's own where it sent one.

    Raises InvalidEventError where the state, the entity's id or the unit cannot be written in UTF-8: JSON can spell
    half of a surrogate pair.
    """

    source: str
    entity_id: str
    state: str
    timestamp: int
    attributes: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check what is going to be written."""
        try:
            f"{self.entity_id} {self.state} {self.unit}".encode()
        except UnicodeEncodeError as error:
            raise InvalidEventError(f"no UTF-8: {error.reason}") from None

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
        """The unit that the state is measured in, where it has one."""
        unit = self.attributes.get("unit_of_measurement")
        return unit if isinstance(unit, str) and unit else None

    @property
    def age(self) -> float:
        """Seconds since the state's timestamp; not below 0 where the two machines' clocks differ."""
        return max(0.0, time.time() - self.timestamp / 1e9)


def checked_state(state: object) -> str:
    """Return a state as text; raise InvalidEventError for what Home Assistant would not hold as a state."""
    if isinstance(state, bool) or not isinstance(state, str | int | float):
        raise InvalidEventError(f"a state is text or a number, not {type(state).__name__}")
    text = str(state)
    if not text or len(text) > LONGEST_STATE:
        raise InvalidEventError(f"a state has 1 to {LONGEST_STATE} characters, not {len(text)}")
    return text


def nanoseconds(iso: object) -> int | None:
    """Return an ISO 8601 time as nanoseconds since 1970; None if it is none, or names no time zone."""
    try:
        moment = datetime.fromisoformat(iso) if isinstance(iso, str) else None
    except ValueError:
        return None
    if moment is None or moment.tzinfo is None:
        return None
    # In whole microseconds: a float of seconds would lose digits that tell two states of one entity apart.
    return (moment - EPOCH) // timedelta(microseconds=1) * 1000
