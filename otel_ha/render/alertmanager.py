"""The configuration of Alertmanager: which alerts are sent together, to whom, how often, and which silence others.

It goes by the labels of our alerts: `severity` (page, ticket or info), `cause` and `job`. An alert from elsewhere that
lacks them is sent like a ticket.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from otel_ha.errors import TelemetryError
from otel_ha.render.receivers import RECEIVERS
from otel_ha.render.yaml_text import to_yaml

__all__ = ["FOLDER", "SETTINGS", "alertmanager_file", "alertmanager_files", "alertmanager_options"]

FOLDER: Final = "/etc/alertmanager/secrets"


class Setting(NamedTuple):
    """A value that --set changes: its default, and the pattern of allowed values with its description."""

    default: str
    pattern: str
    allowed: str


def _duration(default: str) -> Setting:
    return Setting(default, r"(?=[1-9])(\d+w)?(\d+d)?(\d+h)?(\d+m)?(\d+s)?", "a duration such as 90s, 5m or 1h30m")


def _address() -> Setting:
    return Setting("", r"\S+@\S+", "an e-mail address")


SETTINGS: Final[Mapping[str, Setting]] = {
    "wait": _duration("30s"),
    "interval": _duration("5m"),
    "repeat_page": _duration("4h"),
    "repeat_ticket": _duration("1d"),
    "repeat_dead_man": _duration("5m"),
    "email_to": _address(),
    "email_from": _address(),
    "email_server": Setting("", r"[^\s:]+:\d+", "HOST:PORT"),
    "email_user": Setting("", r"\S+", "a user name"),
    "email_tls": Setting("on", r"on|off", "on or off"),
}
"""The values of --set."""

_EVERYONE: Final = "everyone"
_NOBODY: Final = "nobody"
_DEAD_MAN: Final = "dead-man"
_DEAD_MAN_INTERVAL: Final = "1m"
_INHIBIT: Final = (
    # A page silences the tickets of the same cause. An absent label would equal another absent one.
    {
        "source_matchers": ['severity="page"', 'cause!=""'],
        "target_matchers": ['severity="ticket"'],
        "equal": ["job", "cause"],
    },
    # A service that is down silences its other alerts, which follow from it. ServerDown does not: other instances of
    # the server still have alerts of their own.
    {
        "source_matchers": ['alertname="ServiceDown"', 'job!=""'],
        "target_matchers": ['cause!~"down|watchdog"'],
        "equal": ["job"],
    },
)


def alertmanager_options(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "--to",
        action="extend",
        nargs="+",
        default=[],
        metavar="RECEIVER",
        help=f"where pages and tickets are sent: {', '.join(RECEIVERS)} (default: nowhere)",
    )
    parser.add_argument(
        "--secrets",
        default=FOLDER,
        metavar="DIR",
        help="the folder of the files with the receivers' secrets, as Alertmanager sees it (default: %(default)s)",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a value to change: "
        + ", ".join(f"{name}{f' ({each.default})' if each.default else ''}" for name, each in SETTINGS.items()),
    )


def alertmanager_files(given: argparse.Namespace) -> dict[str, str]:
    """Return the configuration that the arguments ask for, by its file name. Raises TelemetryError."""
    return {"alertmanager.yml": alertmanager_file(given.to, _chosen(given.set), given.secrets)}


def alertmanager_file(to: Iterable[str] = (), values: Mapping[str, str] | None = None, folder: str = FOLDER) -> str:
    """Return the text of a configuration that notifies these receivers. Raises TelemetryError."""
    names = list(dict.fromkeys(to))
    for name in names:
        if name not in RECEIVERS:
            raise TelemetryError(f"--to {name!r} is not a receiver; choose from {', '.join(RECEIVERS)}")
    values = {name: setting.default for name, setting in SETTINGS.items()} | dict(values or {})
    data = {
        "route": _route(values, _DEAD_MAN if _DEAD_MAN in names else _NOBODY),
        "receivers": [
            _receiver(_EVERYONE, [name for name in names if name != _DEAD_MAN], folder, values),
            {"name": _NOBODY},
            *(_receiver(name, [name], folder, values) for name in names if name == _DEAD_MAN),
        ],
        "inhibit_rules": _INHIBIT,
    }
    return to_yaml(data, _opening(names, folder, values))


def _chosen(pairs: Sequence[str]) -> dict[str, str]:
    chosen = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        setting = SETTINGS.get(name)
        if setting is None or not equals:
            raise TelemetryError(f"--set {pair!r} sets nothing; write NAME=VALUE with one of {', '.join(SETTINGS)}")
        if not re.fullmatch(setting.pattern, value):
            raise TelemetryError(f"--set {pair!r}: {value!r} is not {setting.allowed}")
        chosen[name] = value
    return chosen


def _route(values: Mapping[str, str], watchdog: str) -> dict[str, Any]:
    # The first route that matches takes the alert; what none takes is repeated like a ticket.
    # Alertmanager repeats at the first interval after the repeat time: at equal times, at every second one.
    dead_man = {"group_interval": _DEAD_MAN_INTERVAL, "repeat_interval": values["repeat_dead_man"]}
    return {
        "receiver": _EVERYONE,
        "group_by": ["job"],
        "group_wait": values["wait"],
        "group_interval": values["interval"],
        "repeat_interval": values["repeat_ticket"],
        "routes": [
            {"matchers": ['alertname="Watchdog"'], "receiver": watchdog, **dead_man},
            {"matchers": ['severity="info"'], "receiver": _NOBODY},
            {"matchers": ['severity="page"'], "receiver": _EVERYONE, "repeat_interval": values["repeat_page"]},
        ],
    }


def _receiver(name: str, members: Sequence[str], folder: str, values: Mapping[str, str]) -> dict[str, Any]:
    lists: dict[str, Any] = {}
    for member in members:
        receiver = RECEIVERS[member]
        lists.setdefault(receiver.configs, []).append(receiver.entry(member, folder, values))
    return {"name": name, **lists}


def _opening(names: Sequence[str], folder: str, values: Mapping[str, str]) -> str:
    arguments = [
        *(f"--to {name}" for name in names),
        *([f"--secrets {folder}"] if folder != FOLDER else ()),
        *(f"--set {name}={value}" for name, value in values.items() if value != SETTINGS[name].default),
    ]
    lines = [
        " ".join(("Alertmanager, rendered by: python -m otel_ha.render alertmanager", *arguments)),
        "docs/how-to/notifications.md describes the receivers.",
    ]
    files = {path: about for name in names for path, about in RECEIVERS[name].files(name, folder, values).items()}
    if files:
        lines += ["", "It reads secrets from these files:", *(f"  {path}: {about}" for path, about in files.items())]
    elif not names:
        lines += [
            "",
            "It notifies nobody: alerts are on Alertmanager's own page. Add --to RECEIVER.",
        ]
    return "\n".join(lines)
