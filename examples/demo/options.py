"""Options of the demo."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from dataclasses import dataclass

from examples.ingestor.settings import HTTP_PORTS, MQTT_PORTS, seconds, url, whole
from examples.ingestor.urls import Address

TOKEN = "INGESTOR_HOME_ASSISTANT_TOKEN"  # noqa: S105 - its name, not the token


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the demo is told."""

    duration: float
    seed: int
    rate: float
    mqtt: Address | None
    home: bool
    home_assistant: Address | None
    token: str | None
    influxdb: Address | None
    influxdb_database: str
    victoriametrics: Address | None
    port: int | None
    json: bool


def read_options(arguments: list[str]) -> Options:
    """Return the options; ends the process with a message if one is wrong."""
    parser = _parser()
    given = vars(parser.parse_args(arguments))
    token = os.environ.get(TOKEN)
    if given["home_assistant"] and not token:
        parser.error(f"--home-assistant needs a long-lived access token in {TOKEN}")
    if given["no_home"] and not (given["mqtt"] or given["home_assistant"]):
        parser.error("--no-home leaves nothing to read from: it goes with --mqtt")
    if given["influxdb"] and given["victoriametrics"]:
        parser.error("give one of --influxdb and --victoriametrics")
    home = not given.pop("no_home") and not given["home_assistant"]
    return Options(**given, home=home, token=token)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m examples.demo",
        description="Run the example ingestor on a synthetic home and an embedded broker, with a table of its metrics.",
        epilog="OTEL_* and OTEL_HA_* variables set up telemetry; OTLP is pushed to a Collector if one answers.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--duration", type=_kind(seconds(1, 86_400)), default=30.0, metavar="S", help="seconds to run (default 30)")
    add("--seed", type=_kind(whole(0, 2**63)), default=1, metavar="N", help="seed of the home (default 1)")
    add("--rate", type=_kind(seconds(0.1, 5000)), default=150.0, metavar="R", help="events a second (default 150)")
    add("--mqtt", type=_kind(url(MQTT_PORTS)), metavar="URL", help="a broker of your own; the home publishes there")
    add("--no-home", action="store_true", help="with --mqtt: read what is there, and publish nothing")
    add("--home-assistant", type=_kind(url(HTTP_PORTS)), metavar="URL", help=f"read Home Assistant; token in {TOKEN}")
    add("--influxdb", type=_kind(url(HTTP_PORTS)), metavar="URL", help="write to InfluxDB 1.x and not to a file")
    add("--influxdb-database", default="homeassistant", metavar="NAME", help="its database (default homeassistant)")
    add("--victoriametrics", type=_kind(url(HTTP_PORTS)), metavar="URL", help="write there and not to a file")
    add(
        "--port",
        type=_kind(whole(0, 65_535)),
        metavar="P",
        help="port of the metrics; 0 takes a free one (default 9464)",
    )
    add("--json", action="store_true", help="end with the accounting as a JSON object; all else goes to stderr")
    return parser


def _kind(parse: Callable[[str], object]) -> Callable[[str], object]:
    """Return a parser that argparse can report on: it shows the text of this error alone."""

    def parsed(value: str) -> object:
        try:
            return parse(value)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return parsed
