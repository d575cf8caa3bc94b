# ruff: noqa: RUF009  setting() is field() with our metadata: called once, on purpose
"""Settings: what the service is told, by options and by environment variables."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from typing import Any

from examples.ingestor.urls import Address, address

PREFIX = "INGESTOR_"
MQTT_PORTS = {"mqtt": 1883, "mqtts": 8883}
HTTP_PORTS = {"http": 80, "https": 443}


class SettingsError(Exception):
    """A setting that is wrong or missing, in a sentence for who runs the service."""


def text(value: str) -> str:
    """Return the value itself."""
    return value


def globs(value: str) -> tuple[str, ...]:
    """Return the parts of a list with commas."""
    return tuple(part.strip() for part in value.split(",") if part.strip())


def topic(value: str) -> str:
    """Return a topic's beginning, without a slash at its end."""
    if set(value) & set("+#") or not value.strip("/"):
        raise ValueError("it must be a topic without + and #")
    return value.rstrip("/")


def url(ports: dict[str, int]) -> Callable[[str], Address]:
    """Return a parser of URLs with these schemes."""
    return lambda value: address(value, ports)


def whole(least: int, most: int) -> Callable[[str], int]:
    """Return a parser of whole numbers within limits."""

    def parse(value: str) -> int:
        if not value.isascii() or not value.isdecimal() or not least <= int(value) <= most:
            raise ValueError(f"it must be a whole number from {least} to {most}")
        return int(value)

    return parse


def seconds(least: float, most: float) -> Callable[[str], float]:
    """Return a parser of a time in seconds within limits."""

    def parse(value: str) -> float:
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not least <= number <= most:
            raise ValueError(f"it must be a number of seconds from {least:g} to {most:g}")
        return number

    return parse


def level(value: str) -> str:
    """Return the name of a logging level."""
    if value.upper() not in {"DEBUG", "INFO", "WARNING", "ERROR"}:
        raise ValueError("it must be debug, info, warning or error")
    return value.upper()


def setting(parse: Callable[[str], Any], help_text: str, *, default: Any = None, secret: bool = False) -> Any:
    """Declare a setting: how its text is read, what it is for, its default. A secret has no option, only a variable.

    Options can be seen by everyone on the machine.
    """
    return field(default=default, repr=not secret, metadata={"parse": parse, "help": help_text, "secret": secret})


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that the service is told. The options are the names with dashes, the variables INGESTOR_<NAME>."""

    mqtt_url: Address | None = setting(url(MQTT_PORTS), "broker to read from: mqtt[s]://[user:password@]host[:port]")
    mqtt_base: str = setting(topic, "base topic of Home Assistant's mqtt_statestream", default="homeassistant")
    mqtt_discovery: str = setting(topic, "prefix of MQTT discovery", default="homeassistant")
    mqtt_qos: int = setting(whole(0, 2), "quality of service to subscribe with", default=0)
    home_assistant_url: Address | None = setting(
        url(HTTP_PORTS), "Home Assistant to read from by WebSocket: http[s]://host[:port]"
    )
    home_assistant_token: str | None = setting(text, "long-lived access token for Home Assistant", secret=True)
    include: tuple[str, ...] = setting(globs, "entities to take, as globs with commas: light.*,*_power", default=())
    exclude: tuple[str, ...] = setting(globs, "entities to leave out, as globs with commas", default=())
    ignore_states: tuple[str, ...] = setting(
        globs, "states that are no values, with commas", default=("unknown", "unavailable")
    )
    dedup_window: float = setting(
        seconds(0, 86_400), "seconds in which the same of the same entity counts once; 0 keeps all", default=1.0
    )
    queue_capacity: int = setting(whole(1, 10_000_000), "events that may wait; more are discarded", default=10_000)
    influxdb: Address | None = setting(url(HTTP_PORTS), "InfluxDB 1.x to write to: http[s]://[user:password@]host:port")
    influxdb_database: str = setting(text, "database in InfluxDB", default="homeassistant")
    victoriametrics: Address | None = setting(url(HTTP_PORTS), "VictoriaMetrics to write to: http[s]://host:port")
    file: Path | None = setting(Path, "file to append line protocol to")
    batch_size: int = setting(whole(1, 100_000), "most points in one write", default=500)
    batch_seconds: float = setting(seconds(0.01, 3600), "longest that a point waits for its batch", default=1.0)
    retries: int = setting(whole(0, 1000), "times to try a failed write again before its points are lost", default=5)
    write_timeout: float = setting(seconds(0.1, 3600), "seconds to wait for a store's answer", default=10.0)
    drain_timeout: float = setting(seconds(0, 3600), "seconds to work off at the end what was received", default=5.0)
    log_level: str = setting(level, "debug, info, warning or error", default="INFO")

    def __post_init__(self) -> None:
        """Check what must be given together."""
        if self.mqtt_url is None and self.home_assistant_url is None:
            raise SettingsError("there is nothing to read from: give --mqtt-url, --home-assistant-url, or both")
        if self.home_assistant_url is not None and not self.home_assistant_token:
            raise SettingsError(f"--home-assistant-url needs a token in {PREFIX}HOME_ASSISTANT_TOKEN")
        sinks = [name for name in ("influxdb", "victoriametrics", "file") if getattr(self, name) is not None]
        if len(sinks) != 1:
            given = f"not both --{' and --'.join(sinks)}" if sinks else "none is given"
            raise SettingsError(f"give one place to write to: --influxdb, --victoriametrics or --file; {given}")


def read_settings(arguments: Sequence[str], environ: Mapping[str, str]) -> Settings:
    """Return the settings that options and, below them, variables give; raise SettingsError if one is wrong."""
    given = vars(_parser().parse_args(arguments))
    known = {variable(known): known for known in fields(Settings)}
    if unknown := sorted(name for name in environ if name.startswith(PREFIX) and name not in known):
        raise SettingsError(f"{unknown[0]} is no setting; --help lists them")
    values = {}
    for name, known_field in known.items():
        if (value := given.get(known_field.name)) is not None:
            values[known_field.name] = _read(known_field, option(known_field), value)
        elif environ.get(name):
            values[known_field.name] = _read(known_field, name, environ[name])
    return Settings(**values)


def option(known: Field[Any]) -> str:
    """Return a setting's option."""
    return f"--{known.name.replace('_', '-')}"


def variable(known: Field[Any]) -> str:
    """Return a setting's environment variable."""
    return f"{PREFIX}{known.name.upper()}"


def _read(known: Field[Any], name: str, value: str) -> Any:
    try:
        return known.metadata["parse"](value)
    except ValueError as error:
        shown = "***" if known.metadata["secret"] or "@" in value else repr(value)
        raise SettingsError(f"{name}={shown}: {error}") from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m examples.ingestor",
        description="Take Home Assistant's events to InfluxDB, VictoriaMetrics or a file, until SIGTERM or SIGINT.",
        epilog=f"Each option can be given by the variable beside it. {PREFIX}HOME_ASSISTANT_TOKEN holds the token, "
        "which has no option: everyone on the machine could see it. OTEL_* and OTEL_HA_* variables set up telemetry.",
        allow_abbrev=False,
    )
    for known in fields(Settings):
        default = "" if known.default in (None, (), MISSING) else f"; default {_shown(known.default)}"
        about = f"{known.metadata['help']}{default} [{variable(known)}]".replace("%", "%%")
        if not known.metadata["secret"]:
            parser.add_argument(option(known), metavar=_metavar(known), help=about)
    return parser


def _metavar(known: Field[Any]) -> str:
    return known.name.rpartition("_")[2].upper()


def _shown(value: object) -> str:
    return ",".join(value) if isinstance(value, tuple) else str(value)
