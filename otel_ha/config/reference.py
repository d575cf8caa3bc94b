"""The reference of the settings, as a page of Markdown; ``python -m otel_ha.config.reference`` prints it."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping

from otel_ha.config.settings import Setting, Settings, settings
from otel_ha.config.telemetry_config import TelemetryConfig

__all__ = ["render_settings"]

_OPENING = """\
# Settings

<!-- Rendered from otel_ha/config/telemetry_config.py and otlp.py by `make docs`; change it there. -->

Every setting is an argument of `TelemetryConfig` and an environment variable. An argument overrides the environment,
and the environment overrides the default; a file of variables is read only if `env_file` names it, and the environment
overrides the file. An empty variable counts as not set.

Traces and logs are off unless `OTEL_TRACES_EXPORTER` and `OTEL_LOGS_EXPORTER` turn them on. Each signal is pushed by
the settings of the table *OTLP*, which the tables below it override for one signal. If only those of metrics are given,
or only they name a receiver, turning traces or logs on is an error that says what to set.

Other variables of OpenTelemetry's SDK are no arguments, and their meaning is the SDK's, but a wrong value is an error
here: the sampler (`OTEL_TRACES_SAMPLER`, `OTEL_TRACES_SAMPLER_ARG`), the limits of spans and log records
(`OTEL_SPAN_…`, `OTEL_LOGRECORD_…`, `OTEL_ATTRIBUTE_…`), and the queues in which spans and log records wait
(`OTEL_BSP_…` and `OTEL_BLRP_…`: `SCHEDULE_DELAY` in milliseconds, `MAX_QUEUE_SIZE`, `MAX_EXPORT_BATCH_SIZE`). The time
limit of a push is `otlp_timeout`; `OTEL_BSP_EXPORT_TIMEOUT` and `OTEL_BLRP_EXPORT_TIMEOUT` have no effect, as in the
SDK. All of these are read from the environment, not from `env_file`.

Times in arguments are in **seconds**. Times in variables of OpenTelemetry are in **milliseconds**, in ours
(`OTEL_HA_*`) in **seconds**; the column *Allowed* says so each time. Words, `true` and `false` may be in any case.

A wrong value stops the service at its start, with a `ConfigError` that names the variable, the value and the allowed
values. A variable that begins with `OTEL_HA_` and is not on this page causes a warning, except those of the
[command](cli.md), `OTEL_HA_CLI_…`. Secrets are shown as `***`, and so is a wrong value that may be a secret in the
wrong place.
"""

_FIRST = ("Service", "Export")
"""The sections that come first; the others follow in the order of their declaration."""

_HEAD = """\
| Setting | Variable | Default | Allowed | Description |
|-|-|-|-|-|
"""


def render_settings(cls: type[Settings] = TelemetryConfig) -> str:
    """Return the page: one table for each section of the settings of `cls`."""
    sections: dict[str, dict[str, Setting]] = {title: {} for title in _FIRST}
    for name, known in settings(cls).items():
        sections.setdefault(known.section, {})[name] = known
    return _OPENING + "".join(_section(title, members) for title, members in sections.items() if members)


def _section(title: str, members: Mapping[str, Setting]) -> str:
    rows = (f"| {' | '.join(_cell(text) for text in _row(name, known))} |\n" for name, known in members.items())
    return f"\n## {title}\n\n{_HEAD}{''.join(rows)}"


def _row(name: str, known: Setting) -> Iterator[str]:
    yield f"`{name}`"
    yield "<br>".join(f"`{variable}`" for variable in known.variables)
    yield known.default_text or _default(known.default)
    yield _allowed(known)
    yield known.help


def _default(value: object) -> str:
    if isinstance(value, tuple):
        value = ",".join(value)
    if isinstance(value, bool):
        value = str(value).lower()
    if isinstance(value, float):
        return f"{value:g} s"
    return f"`{value}`" if value not in (None, {}) else "none"


def _allowed(known: Setting) -> str:
    argument, variable = known.kind.allowed, known.kind.allowed_in_variable
    return argument if argument == variable else f"{argument}; variable: {variable}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(render_settings())
