# ruff: noqa: RUF009  setting() is dataclasses.field() with our metadata, and must be called in the class
"""The settings of the ingestor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from examples.ingestor.command_line import CommandLine, SettingsError, setting
from examples.ingestor.kinds import (
    ATTRIBUTES,
    HOME_ASSISTANT_PORTS,
    HTTP_PORTS,
    LIST,
    MQTT_PORTS,
    PATH,
    SWITCH,
    TEXT,
    TOPIC,
    TOPICS,
    choice,
    seconds,
    several,
    url,
    whole,
)
from examples.ingestor.urls import SUPERVISOR, Address

PREFIX: Final = "INGESTOR_"
TOKEN: Final = f"{PREFIX}HOME_ASSISTANT_TOKEN"
TEXT_LABELS: Final = 20
SUPERVISOR_TOKEN: Final = "SUPERVISOR_TOKEN"  # noqa: S105 - the name of a variable


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of the ingestor. Raises SettingsError unless there is a source and exactly one store."""

    mqtt_url: Address | None = setting(
        url(MQTT_PORTS), "MQTT broker to read from: mqtt[s]://[user:password@]host[:port]", default=None
    )
    mqtt_base: str = setting(TOPIC, "base topic of Home Assistant's mqtt_statestream", default="homeassistant")
    mqtt_discovery: str = setting(TOPIC, "prefix of MQTT discovery", default="homeassistant")
    mqtt_json: tuple[str, ...] = setting(
        TOPICS, "prefixes of topics on which devices send JSON: zigbee2mqtt,tele", default=()
    )
    mqtt_qos: int = setting(whole(0, 2), "MQTT quality of service of the subscription", default=0)
    home_assistant_url: Address | None = setting(
        url(HOME_ASSISTANT_PORTS),
        "Home Assistant to read from over WebSocket: http[s]://host[:port]; http://supervisor/core in an add-on",
        default=None,
    )
    home_assistant_token: str | None = setting(
        TEXT, "long-lived access token for Home Assistant", default=None, secret=True, variable=TOKEN
    )
    supervisor_token: str | None = setting(
        TEXT, "token for http://supervisor/core in an add-on", default=None, secret=True, variable=SUPERVISOR_TOKEN
    )
    include: tuple[str, ...] = setting(LIST, "entities to take, as globs: light.*,*_power", default=())
    exclude: tuple[str, ...] = setting(LIST, "entities to leave out, as globs", default=())
    ignore_states: tuple[str, ...] = setting(LIST, "states to leave out", default=("unknown", "unavailable"))
    dedup_window: float = setting(
        seconds(0, 86_400),
        "seconds in which a source's repeated state counts once; 0 keeps each",
        default=1.0,
    )
    queue_capacity: int = setting(
        whole(1, 10_000_000), "events that can wait; a full queue discards new ones", default=10_000
    )
    influxdb: Address | None = setting(
        url(HTTP_PORTS), "InfluxDB 1.x to write to: http[s]://[user:password@]host:port", default=None
    )
    influxdb_database: str = setting(TEXT, "database in InfluxDB", default="homeassistant")
    victoriametrics: Address | None = setting(
        url(HTTP_PORTS), "VictoriaMetrics to write to: http[s]://host:port", default=None
    )
    file: Path | None = setting(PATH, "file to append line protocol to", default=None)
    batch_size: int = setting(whole(1, 100_000), "points in one write at most", default=500)
    batch_seconds: float = setting(seconds(0.01, 3600), "seconds that a point waits at most for its batch", default=1.0)
    attributes: tuple[tuple[str, tuple[str, ...]], ...] = setting(
        ATTRIBUTES, "attributes to write as fields: climate.*=temperature,hvac_action;light.*=brightness", default=()
    )
    tags: tuple[str, ...] = setting(
        several("friendly_name", "device_class"), "attributes to write as tags: friendly_name,device_class", default=()
    )
    text_as_label: bool = setting(
        SWITCH, "write text states to VictoriaMetrics as the label of a series with the value 1", default=False
    )
    text_labels: int = setting(
        whole(1, 10_000),
        "texts of an entity that become labels; later ones share the label _OTHER",
        default=TEXT_LABELS,
    )
    write_timeout: float = setting(seconds(0.1, 3600), "seconds to wait for the store's answer", default=10.0)
    drain_timeout: float = setting(seconds(0, 3600), "seconds to finish received events at shutdown", default=5.0)
    log_level: str = setting(
        choice("debug", "info", "warning", "error"),
        "lowest level to log: debug, info, warning or error",
        default="info",
    )

    def __post_init__(self) -> None:
        """Check the settings that depend on each other."""
        if self.mqtt_url is None and self.home_assistant_url is None:
            raise SettingsError("there is no source of events; give --mqtt-url, --home-assistant-url or both")
        if self.home_assistant_url is not None and not self.token:
            add_on = f"; in an add-on, homeassistant_api: true in its config.yaml sets {SUPERVISOR_TOKEN}"
            remedy = f"set the variable {TOKEN}{add_on if self.home_assistant_url.host == SUPERVISOR else ''}"
            raise SettingsError(f"--home-assistant-url needs an access token; {remedy}")
        stores = [f"--{name}" for name in ("influxdb", "victoriametrics", "file") if getattr(self, name) is not None]
        if len(stores) != 1:
            given = f"{' and '.join(stores)} are given" if stores else "there is no store to write to"
            raise SettingsError(f"{given}; give one of --influxdb, --victoriametrics and --file")
        if self.text_as_label and self.victoriametrics is None:
            raise SettingsError(f"--text-as-label is for --victoriametrics; {stores[0]} stores text as it is")
        if self.text_labels != TEXT_LABELS and not self.text_as_label:
            raise SettingsError("--text-labels is for --text-as-label; give both or neither")

    @property
    def token(self) -> str | None:
        """The token for Home Assistant. Only the Supervisor gets the one that it has given to an add-on."""
        if self.home_assistant_token or self.home_assistant_url is None:
            return self.home_assistant_token
        return self.supervisor_token if self.home_assistant_url.host == SUPERVISOR else None


COMMAND_LINE: Final = CommandLine(
    Settings,
    "python -m examples.ingestor",
    PREFIX,
    "Write Home Assistant's events to InfluxDB, VictoriaMetrics or a file, until SIGTERM or SIGINT.",
)


def read_settings(arguments: Sequence[str], environ: Mapping[str, str]) -> Settings:
    """Return the settings of the command line and the environment; raise SettingsError if one is wrong."""
    return COMMAND_LINE.read(arguments, environ)
