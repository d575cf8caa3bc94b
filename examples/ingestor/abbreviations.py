"""Abbreviations of the keys in announcements of MQTT discovery."""

from __future__ import annotations

from typing import Any, Final

from examples.ingestor.event import InvalidEventError
from otel_ha.instrumentation.topics import announcements

ABBREVIATIONS: Final = announcements.ABBREVIATIONS | {
    "act_stat_t": "activity_state_topic",
    "act_val_tpl": "activity_value_template",
    "avty": "availability",
    "avty_mode": "availability_mode",
    "avty_tpl": "availability_template",
    "dev_cla": "device_class",
    "mode_stat_t": "mode_state_topic",
    "mode_stat_tpl": "mode_state_template",
    "pl_avail": "payload_available",
    "pl_home": "payload_home",
    "pl_not_avail": "payload_not_available",
    "pl_not_home": "payload_not_home",
    "pl_off": "payload_off",
    "pl_on": "payload_on",
    "stat_clsd": "state_closed",
    "stat_locked": "state_locked",
    "stat_off": "state_off",
    "stat_on": "state_on",
    "stat_open": "state_open",
    "stat_t": "state_topic",
    "stat_tpl": "state_template",
    "stat_unlocked": "state_unlocked",
    "stat_val_tpl": "state_value_template",
    "t": "topic",
    "unit_of_meas": "unit_of_measurement",
    "val_tpl": "value_template",
}
"""The abbreviations of the keys that matter here, as Home Assistant defines them: of an entity and its state."""


def full(config: Any) -> dict[str, Any]:
    """Return a configuration without abbreviations; raise InvalidEventError if it is not a JSON object."""
    if not isinstance(config, dict):
        raise InvalidEventError(f"a configuration must be a JSON object, not {type(config).__name__}")
    return {ABBREVIATIONS.get(str(key), str(key)): value for key, value in config.items()}
