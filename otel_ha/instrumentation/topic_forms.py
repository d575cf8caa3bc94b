"""Forms of MQTT topics that name a Home Assistant domain: statestream, discovery, ESPHome and Tasmota."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["COMPONENTS", "HOME_ASSISTANT", "SLUG", "by_form"]

SLUG: Final = re.compile(r"[a-z0-9_]{1,64}")
HOME_ASSISTANT: Final = "homeassistant"
"""The usual base of mqtt_statestream, and the default prefix of discovery."""
COMPONENTS: Final = frozenset(
    (
        "alarm_control_panel binary_sensor button camera climate cover date datetime device_tracker event fan "
        "humidifier image lawn_mower light lock notify number scene select sensor siren switch text time update "
        "vacuum valve water_heater"
    ).split()
)
"""The components of MQTT discovery."""


def by_form(topic: str) -> tuple[str | None, str | None]:
    """Return the domain and the entity that the form of a topic names; None for each that it does not name."""
    match topic.split("/"):
        case ["homeassistant", component, _, "config"] | ["homeassistant", component, _, _, "config"]:
            return (component, None) if component in COMPONENTS else (None, None)
        case ["homeassistant", domain, name, _] if SLUG.fullmatch(domain) and SLUG.fullmatch(name):
            return domain, f"{domain}.{name}"
        case [*_, component, _, "state" | "command"] if component in COMPONENTS:
            return component, None
    return None, None
