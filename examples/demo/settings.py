# ruff: noqa: RUF009  setting() is dataclasses.field() with our metadata, and must be called in the class
"""The settings of the demo."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from examples.ingestor.command_line import CommandLine, SettingsError, setting
from examples.ingestor.kinds import (
    HOME_ASSISTANT_PORTS,
    HTTP_PORTS,
    MQTT_PORTS,
    SWITCH,
    TEXT,
    number,
    seconds,
    url,
    whole,
)
from examples.ingestor.settings import TOKEN
from examples.ingestor.urls import Address


@dataclass(frozen=True, kw_only=True)
class DemoSettings:
    """The settings of the demo. Raises SettingsError for options that contradict each other."""

    duration: float = setting(seconds(1, 31_536_000), "seconds to run", default=30.0)
    seed: int = setting(whole(0, 2**63), "seed of the synthetic home", default=1)
    rate: float = setting(number(0.1, 5000, "events a second"), "events a second", default=150.0)
    mqtt: Address | None = setting(
        url(MQTT_PORTS), "use this broker instead of the embedded one; the home publishes there", default=None
    )
    no_home: bool = setting(SWITCH, "with --mqtt: read the existing messages and publish none", default=False)
    home_assistant: Address | None = setting(
        url(HOME_ASSISTANT_PORTS), "read from this Home Assistant instead of a synthetic home", default=None
    )
    home_assistant_token: str | None = setting(
        TEXT, "long-lived access token for Home Assistant", default=None, secret=True, variable=TOKEN
    )
    influxdb: Address | None = setting(url(HTTP_PORTS), "write to InfluxDB 1.x instead of a file", default=None)
    influxdb_database: str = setting(TEXT, "database in InfluxDB", default="homeassistant")
    victoriametrics: Address | None = setting(
        url(HTTP_PORTS), "write to VictoriaMetrics instead of a file", default=None
    )
    keep: bool = setting(SWITCH, "keep the file of points, which is removed at the end otherwise", default=False)
    port: int | None = setting(
        whole(0, 65_535),
        "port of the page and the metrics; 0 takes a free one (default 9464, or a free one)",
        default=None,
    )
    json: bool = setting(
        SWITCH, "print the accounting as a JSON object; all other output goes to stderr", default=False
    )

    def __post_init__(self) -> None:
        """Check the settings that depend on each other."""
        if self.home_assistant is not None and not self.home_assistant_token:
            raise SettingsError(f"--home-assistant needs an access token; set the variable {TOKEN}")
        if self.no_home and self.mqtt is None and self.home_assistant is None:
            raise SettingsError("--no-home leaves no source of events; give --mqtt as well")
        if self.influxdb is not None and self.victoriametrics is not None:
            raise SettingsError("--influxdb and --victoriametrics are given; give one of them")

    @property
    def home(self) -> bool:
        """Whether a synthetic home publishes."""
        return not self.no_home and self.home_assistant is None


COMMAND_LINE: Final = CommandLine(
    DemoSettings,
    "python -m examples.demo",
    "HA_DEMO_",
    "Run the example ingestor on a synthetic home and an embedded broker, and show a live table of its metrics. "
    "Metrics are also pushed to an OpenTelemetry Collector if one answers.",
)
