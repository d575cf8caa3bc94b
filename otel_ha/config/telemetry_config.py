# ruff: noqa: RUF009  setting() is dataclasses.field() with our metadata: called once, on purpose
"""TelemetryConfig: every setting, its default, its environment variables, its limits.

It is a dataclass, because dataclass fields can hold metadata. Of the settings libraries, environ-config reads one
variable per setting and takes no arguments, and importing pydantic-settings takes most of the time that set-up may
take; so the rule "argument, then environment, then default" is implemented here (``otel_ha.config.settings``, and
``otel_ha.config.parsing`` for the kinds of values).

OTEL_* variables have the meaning of the OpenTelemetry specification, with two differences: a wrong value is an error
instead of a warning, and the default interval is 30 s instead of 60 s. OTEL_EXPORTER_OTLP_TIMEOUT is in milliseconds as
specified, although the Python exporters by themselves read it as seconds.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Final, Self

from otel_ha.config.frozen import FrozenMapping
from otel_ha.config.otlp import DAY, SHORTEST, OtlpConfig
from otel_ha.config.parsing import (
    ATTRIBUTES,
    BOOLEAN,
    FILE,
    FUNCTION,
    HOST,
    HOSTS,
    INVERTED_BOOLEAN,
    SECRET,
    TEXT,
    USER,
    one_of,
    seconds,
    some_of,
    whole,
)
from otel_ha.config.secrets import Secret
from otel_ha.config.settings import ARGUMENT, DEFAULT, setting, settings
from otel_ha.errors import ConfigError

__all__ = ["TelemetryConfig"]

_INSTALL_LOGS: Final = "pip install 'otel-ha[logs]'"

# A setting, and another one that it needs.
_NEEDS: Final = (
    ("endpoint_key", "endpoint_certificate"),
    ("endpoint_client_ca", "endpoint_certificate"),
    ("endpoint_username", "endpoint_password"),
    ("endpoint_password", "endpoint_username"),
)

_service = partial(setting, section="Service")
_export = partial(setting, section="Export")
_endpoint = partial(setting, section="Prometheus endpoint")
_life = partial(setting, section="History and life cycle")


def _group(name: str, variable: str, **known: Any) -> Any:
    return setting(BOOLEAN, variable, section="Metric groups", group=name, **known)


@dataclass(frozen=True, kw_only=True)
class TelemetryConfig(OtlpConfig):
    """The settings of telemetry; each one may be given as an argument, optional ones as None.

    Settings that are not given are read from `environ` (the process's environment if None), then from the file
    `env_file`, when the instance is made. Times are in seconds. Raises ConfigError for a wrong value, an unknown
    argument, or a combination that cannot work. ``named`` returns a copy with another service name.
    """

    prefix: ClassVar[str] = "OTEL_HA_"

    # The formatter would make this table three times as long.
    # fmt: off
    enabled: bool = _service(
        INVERTED_BOOLEAN, "OTEL_SDK_DISABLED", default=True,
        help="Whether telemetry is on. The variable has the opposite meaning: `true` switches it off.",
    )
    service_name: str | None = _service(
        TEXT, "OTEL_SERVICE_NAME", default=None,
        default_text="`service.name` of the resource attributes, or else `unknown_service:<process>`",
        help="The name of the service in every metric it sends.",
    )
    resource_attributes: Mapping[str, str | bool | int | float] = _service(
        ATTRIBUTES, "OTEL_RESOURCE_ATTRIBUTES", default=FrozenMapping[str]({}),
        help="Attributes of the service in every metric it sends, such as `deployment.environment.name`. "
        "The setting for the service name overrides a `service.name` given here.",
    )

    metrics_exporters: Sequence[str] = _export(
        some_of("otlp", "prometheus", "console"), "OTEL_METRICS_EXPORTER", default=("otlp", "prometheus"),
        help="The exporters: `otlp` pushes, `prometheus` is scraped, `console` prints. `none` (an empty tuple) exports "
        "nothing.",
    )
    traces_exporters: Sequence[str] = _export(
        some_of("otlp", "console"), "OTEL_TRACES_EXPORTER", default=(), default_text="`none`",
        help="The exporters of traces: `otlp` pushes, `console` prints. OpenTelemetry specifies `otlp` as the default; "
        "here it is `none`, as each measured call then costs a span.",
    )
    logs_exporters: Sequence[str] = _export(
        some_of("otlp", "console"), "OTEL_LOGS_EXPORTER", default=(), default_text="`none`",
        help="The exporters of the records of `logging`: `otlp` pushes, `console` prints. They need the extra `logs`: "
        "`pip install 'otel-ha[logs]'`. OpenTelemetry specifies `otlp` as the default; here it is `none`.",
    )
    export_interval: float = _export(
        seconds(SHORTEST, DAY, milliseconds=True), "OTEL_METRIC_EXPORT_INTERVAL", default=30.0,
        help="The time from the start of one push to the start of the next.",
    )
    export_timeout: float = _export(
        seconds(SHORTEST, DAY, milliseconds=True, zero_is_no_limit=True), "OTEL_METRIC_EXPORT_TIMEOUT", default=30.0,
        default_text="30 s, or the export interval if that is shorter",
        help="How long one push may take, retries included; the shorter one of this and the OTLP timeout counts.",
    )
    exemplar_filter: str = _export(
        one_of("always_on", "always_off", "trace_based"), "OTEL_METRICS_EXEMPLAR_FILTER", default="trace_based",
        help="Which measurements may be kept as exemplars; `trace_based` takes those within a sampled span.",
    )
    attribute_value_length_limit: int = _export(
        whole(16, 65_536), "OTEL_HA_ATTRIBUTE_VALUE_LENGTH_LIMIT", default=255,
        help="The characters of an attribute's value that are recorded; longer values are cut, and counted as problem "
        "`value_too_long`. The default is the longest entity ID and the longest state of Home Assistant.",
    )

    prometheus_host: str = _endpoint(
        HOST, "OTEL_EXPORTER_PROMETHEUS_HOST", default="127.0.0.1",
        help="The address to listen at. `0.0.0.0` accepts other machines; see TLS and the password below.",
    )
    prometheus_port: int = _endpoint(
        whole(0, 65_535), "OTEL_EXPORTER_PROMETHEUS_PORT", default=9464,
        help="The port to listen at; 0 takes a free one.",
    )
    endpoint_server: bool = _endpoint(
        BOOLEAN, "OTEL_HA_ENDPOINT_SERVER", default=True,
        help="Whether to open a port; not needed if the endpoint is mounted in your own server.",
    )
    endpoint_certificate: Path | None = _endpoint(
        FILE, "OTEL_HA_ENDPOINT_CERTIFICATE", default=None,
        help="Certificate (PEM, with its chain) of the endpoint, which then only accepts HTTPS.",
    )
    endpoint_key: Path | None = _endpoint(
        FILE, "OTEL_HA_ENDPOINT_KEY", default=None,
        help="Private key (PEM) of the endpoint's certificate, unless that file contains it. Needs the certificate.",
    )
    endpoint_client_ca: Path | None = _endpoint(
        FILE, "OTEL_HA_ENDPOINT_CLIENT_CA", default=None,
        help="Certificates (PEM) that may sign client certificates, which are then required. Needs the certificate.",
    )
    endpoint_username: str | None = _endpoint(
        USER, "OTEL_HA_ENDPOINT_USERNAME", default=None,
        help="The user who may read the endpoint (basic authentication). Needs the password.",
    )
    endpoint_password: str | Secret | None = _endpoint(
        SECRET, "OTEL_HA_ENDPOINT_PASSWORD", default=None,
        help="The password of that user. It is never shown. Needs the user name.",
    )
    endpoint_allowed_hosts: Sequence[str] = _endpoint(
        HOSTS, "OTEL_HA_ENDPOINT_ALLOWED_HOSTS", default=(),
        default_text="none: on loopback only names of this machine, elsewhere every name",
        help="The host names, such as those of a reverse proxy, under which the endpoint answers; to others it answers "
        "421. A server of ours at a loopback address also accepts `localhost`, 127.0.0.0/8, `[::1]`, "
        "`host.docker.internal` and `host.containers.internal`.",
    )
    endpoint_connections: int = _endpoint(
        whole(1, 1024), "OTEL_HA_ENDPOINT_CONNECTIONS", default=32,
        help="The number of connections at once. When all are taken, the one that has gone longest without sending its "
        "whole request gives way to a new one.",
    )

    system_metrics: bool = _group(
        "system", "OTEL_HA_SYSTEM_METRICS", default=True,
        help="Whether to measure the host, the process and the runtime.",
    )
    performance_metrics: bool = _group(
        "performance", "OTEL_HA_PERFORMANCE_METRICS", default=True,
        help="Whether to measure durations, lags, queues and batches. If this is off and business metrics are on, the "
        "duration of events keeps its count and sum, without buckets.",
    )
    business_metrics: bool = _group(
        "business", "OTEL_HA_BUSINESS_METRICS", default=True,
        help="Whether to count events (received, discarded, in flight, processed), bytes and points.",
    )
    operations_metrics: bool = _group(
        "operations", "OTEL_HA_OPERATIONS_METRICS", default=True,
        help="Whether to measure connections, errors, retries and circuit breakers.",
    )
    entity_metrics: bool = _group(
        "entity", "OTEL_HA_ENTITY_METRICS", default=False,
        help="Whether to count the events of each entity, which takes one series per entity.",
    )
    entity_expiry: float = setting(
        seconds(1, 365 * DAY), "OTEL_HA_ENTITY_EXPIRY", default=3600.0, section="Metric groups",
        help="The time without an event after which an entity's series ends.",
    )

    history_length: int = _life(
        whole(0, 100_000), "OTEL_HA_HISTORY_LENGTH", default=100,
        help="The number of collections kept in memory, for the summary; 0 keeps no history.",
    )
    history_interval: float = _life(
        seconds(SHORTEST, DAY), "OTEL_HA_HISTORY_INTERVAL", default=30.0,
        help="The time between two collections for the history.",
    )
    shutdown_timeout: float = _life(
        seconds(0, 3600), "OTEL_HA_SHUTDOWN_TIMEOUT", default=5.0,
        help="How long a shutdown may take, including the last push.",
    )
    handle_sigterm: bool = _life(
        BOOLEAN, "OTEL_HA_HANDLE_SIGTERM", default=True,
        help="Whether SIGTERM pushes the last measurements before its previous action.",
    )

    topic_parser: str | None = setting(
        FUNCTION, "OTEL_HA_TOPIC_PARSER", default=None, section="Instrumentation",
        help="Your function that tells the entity of an MQTT message to the instrumentation of MQTT libraries: of "
        "topic and payload, it returns an entity's ID, a domain alone, or `None` where the built-in parser decides.",
    )
    # fmt: on

    def named(self, service_name: str) -> Self:
        """Return a copy with this service name; all other values stay as they are."""
        return self.replaced(service_name=service_name)

    def replaced(self, **values: object) -> Self:
        """Return a copy with these values, which are not checked; all others stay as they are."""
        copied = copy.copy(self)
        for name, value in values.items():
            object.__setattr__(copied, name, value)  # a frozen instance is set in this way
        return copied

    @property
    def groups(self) -> frozenset[str]:
        """The metric groups that are on, out of system, performance, business, operations and entity."""
        switches = settings(type(self)).items()
        return frozenset(one.group for name, one in switches if one.group and getattr(self, name))

    @property
    def endpoint_credentials(self) -> tuple[str, Secret] | None:
        """The user name and the password that the endpoint asks for; None if it asks for none."""
        if self.endpoint_username is None or not isinstance(self.endpoint_password, Secret):
            return None
        return self.endpoint_username, self.endpoint_password

    def _derive(self) -> None:
        super()._derive()
        if self.service_name is None and (name := self.resource_attributes.get("service.name")):
            self._put("service_name", str(name))
        if self.sources["export_timeout"] == DEFAULT:
            self._put("export_timeout", min(self.export_timeout, self.export_interval))

    def _check(self) -> None:
        for name, other in _NEEDS:
            if getattr(self, name) is not None and getattr(self, other) is None:
                self._reject(name, f"only together with {self._spelling(other)}")
        self._check_otlp("metrics", "metrics_exporters")
        for signal in ("traces", "logs"):
            if "otlp" in getattr(self, f"{signal}_exporters"):
                self._check_otlp(signal, f"{signal}_exporters")
            elif getattr(self, f"otlp_{signal}_endpoint") is not None:
                self.otlp(signal)  # text that is no URL may be a secret in the wrong place
        if self.enabled and self.logs_exporters and not _can_send_logs():
            source, given = self.sources["logs_exporters"], ",".join(self.logs_exporters)
            name = self._spelling("logs_exporters") if source == ARGUMENT else source
            raise ConfigError(
                f"{name} is {given}, which needs opentelemetry-instrumentation-logging; run {_INSTALL_LOGS}, or choose "
                "none",
                setting="logs_exporters",
                value=repr(given),
                allowed="none without the extra logs",
            )


def _can_send_logs() -> bool:
    """Whether the extra `logs` is installed."""
    from importlib.util import find_spec  # noqa: PLC0415 - only with logs

    return find_spec("opentelemetry.instrumentation.logging") is not None
