"""Contradicting settings: combinations that are allowed, and of which one part has no effect or does harm."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from otel_ha.cli.doctor.reach import is_this_machine
from otel_ha.config.otlp import OtlpSettings
from otel_ha.config.settings import DEFAULT, settings
from otel_ha.config.telemetry_config import TelemetryConfig
from otel_ha.scrub import mask_url

__all__ = ["Contradiction", "contradictions", "pushes_straight_to"]

_GENERIC: Final = "OTEL_EXPORTER_OTLP_ENDPOINT"
_METRICS: Final = "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"
_METRICS_PATH: Final = "/v1/metrics"
_GRPC_PORT: Final = 4317
_HTTP_PORT: Final = 4318
# The paths at which Prometheus and VictoriaMetrics receive OTLP.
_OF_STORES: Final = ("/api/v1/otlp", "/opentelemetry/")


@dataclass(frozen=True)
class Contradiction:
    """A combination of settings with its cause, and what to do."""

    cause: str
    found: str
    remedy: str


@dataclass(frozen=True)
class _Look:
    config: TelemetryConfig
    variables: Mapping[str, str]
    prometheus: str | None

    def given(self, *names: str) -> list[str]:
        """Return the variables that set these settings, for metrics if for one signal, of those that are set."""
        sources = {**self.config.sources, **{f"otlp_{name}": s for name, s in self.pushes.sources.items()}}
        return [sources[name] for name in names if sources[name] != DEFAULT]

    @property
    def pushes(self) -> OtlpSettings:
        """The settings of the pushes of metrics."""
        return self.config.otlp("metrics")

    def exports(self, exporter: str) -> bool:
        """Whether an exporter is on."""
        return exporter in self.config.metrics_exporters


def contradictions(
    config: TelemetryConfig, variables: Mapping[str, str], prometheus: str | None
) -> Iterator[Contradiction]:
    """Yield the contradictions between settings; `variables` are those that are set."""
    look = _Look(config, variables, prometheus)
    for check in _CHECKS:
        yield from check(look)


def pushes_straight_to(config: TelemetryConfig, store: str | None) -> bool:
    """Whether the settings push to Prometheus or VictoriaMetrics itself: at `store`, or by the path of the URL."""
    pushes = config.otlp("metrics")
    if not config.enabled or "otlp" not in config.metrics_exporters or pushes.protocol == "grpc":
        return False
    pushed = urlsplit(pushes.url)
    if any(path in pushed.path for path in _OF_STORES):
        return True
    if store is None:
        return False
    there = urlsplit(store if "://" in store else f"http://{store}")
    return pushed.port == there.port and _same_host(pushed.hostname or "", there.hostname or "")


def _same_host(one: str, other: str) -> bool:
    return one == other or (is_this_machine(one) and is_this_machine(other))


def _off(look: _Look) -> Iterator[Contradiction]:
    if not look.config.enabled:
        found = "OTEL_SDK_DISABLED switches telemetry off: nothing is measured"
        yield Contradiction("telemetry_off", found, "remove OTEL_SDK_DISABLED, or set it to false")
    if not look.config.metrics_exporters:
        found = "OTEL_METRICS_EXPORTER is none: nothing is scraped and nothing is pushed"
        yield Contradiction("nothing_exported", found, "set OTEL_METRICS_EXPORTER=otlp,prometheus, or remove it")
    if not look.config.groups:
        found = "every metric group is off: services have nothing to measure"
        yield Contradiction("nothing_measured", found, "switch groups on, such as OTEL_HA_BUSINESS_METRICS=true")


def _push_off(look: _Look) -> Iterator[Contradiction]:
    given = look.given("otlp_endpoint", "otlp_headers", "otlp_protocol", "otlp_certificate")
    if "otlp" in {*look.config.traces_exporters, *look.config.logs_exporters}:  # which the others are for as well
        given = [variable for variable in given if "_METRICS_" in variable]
    if given and not look.exports("otlp"):
        found = (
            f"{', '.join(given)} configures the push, but OTEL_METRICS_EXPORTER does not name otlp: nothing is pushed"
        )
        yield Contradiction("push_off", found, f"add otlp to OTEL_METRICS_EXPORTER, or remove {', '.join(given)}")


def _scrape_off(look: _Look) -> Iterator[Contradiction]:
    given = look.given("prometheus_host", "prometheus_port", "endpoint_certificate", "endpoint_username")
    if not given:
        return
    names = ", ".join(given)
    if not look.exports("prometheus"):
        found = f"{names} configures the endpoint, but OTEL_METRICS_EXPORTER does not name prometheus: it does not open"
        yield Contradiction("scrape_off", found, f"add prometheus to OTEL_METRICS_EXPORTER, or remove {names}")
    elif not look.config.endpoint_server and (names := ", ".join(look.given("prometheus_host", "prometheus_port"))):
        found = f"{names} names the endpoint's address, but OTEL_HA_ENDPOINT_SERVER=false opens no port"
        yield Contradiction("endpoint_server_off", found, f"remove OTEL_HA_ENDPOINT_SERVER, or remove {names}")


def _overridden(look: _Look) -> Iterator[Contradiction]:
    generic, metrics = look.variables.get(_GENERIC), look.variables.get(_METRICS)
    if generic is None or metrics is None or not look.exports("otlp"):
        return
    if metrics.rstrip("/") not in {generic.rstrip("/"), generic.rstrip("/") + _METRICS_PATH}:
        found = f"{_METRICS} ({mask_url(metrics)}) overrides {_GENERIC} ({mask_url(generic)}): metrics go to the former"
        yield Contradiction("endpoint_overridden", found, f"remove {_METRICS} if metrics belong where the others go")


def _port(look: _Look) -> Iterator[Contradiction]:
    if not look.exports("otlp"):
        return
    protocol, url = look.pushes.protocol, look.pushes.url
    port = _port_of(url)
    if protocol == "grpc" and port == _HTTP_PORT:
        found = f"the protocol is grpc, but {mask_url(url)} has the usual port of http/protobuf"
        remedy = f"set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf, or take port {_GRPC_PORT}"
        yield Contradiction("protocol_port", found, remedy)
    if protocol != "grpc" and port == _GRPC_PORT:
        found = f"the protocol is {protocol}, but {mask_url(url)} has the usual port of grpc"
        remedy = f"set OTEL_EXPORTER_OTLP_PROTOCOL=grpc, or take port {_HTTP_PORT}"
        yield Contradiction("protocol_port", found, remedy)


def _path(look: _Look) -> Iterator[Contradiction]:
    pushes = look.pushes
    if not look.exports("otlp") or pushes.protocol == "grpc":
        return
    path = urlsplit(pushes.url).path.rstrip("/")
    if path.endswith(_METRICS_PATH * 2):
        found = f"{_GENERIC} ends with {_METRICS_PATH}, which is added to it once more: pushes go to {path}"
        remedy = f"remove {_METRICS_PATH} from {_GENERIC}"
        yield Contradiction("metrics_path_twice", found, remedy)
    elif pushes.sources["endpoint"] == _METRICS and not path.endswith(_METRICS_PATH):
        found = f"{_METRICS} is used as it is, and its path {path or '/'!r} does not end with {_METRICS_PATH}"
        remedy = f"add {_METRICS_PATH} to it, or use {_GENERIC}, to which that is added"
        yield Contradiction("metrics_path_missing", found, remedy)


def _for_prometheus(look: _Look) -> Iterator[Contradiction]:
    config = look.config
    if not pushes_straight_to(config, look.prometheus):
        return
    if config.otlp_temporality != "cumulative":
        found = f"pushes go to Prometheus or VictoriaMetrics with temporality {config.otlp_temporality}"
        remedy = "remove OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE: Prometheus needs cumulative"
        yield Contradiction("delta_temporality", found, remedy)
    if not config.otlp_histogram_aggregation.startswith("explicit"):
        found = "exponential histograms are pushed to Prometheus or VictoriaMetrics: rules and dashboards need buckets"
        remedy = "remove OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION"
        yield Contradiction("exponential_histograms", found, remedy)


def _tls(look: _Look) -> Iterator[Contradiction]:
    pushes, given = look.pushes, look.given("otlp_certificate", "otlp_client_certificate")
    if look.exports("otlp") and given and not pushes.secure:
        found = f"{', '.join(given)} is for TLS, but pushes to {mask_url(pushes.url)} do not use it"
        yield Contradiction("certificate_without_tls", found, "write https:// in the endpoint's URL")
    insecure = look.given("otlp_insecure")
    has_scheme = pushes.url.lower().startswith(("http://", "https://"))
    if look.exports("otlp") and insecure and has_scheme and pushes.insecure == pushes.secure:
        found = f"{insecure[0]} has no effect: the scheme of {mask_url(pushes.url)} decides about TLS"
        yield Contradiction("insecure_ignored", found, f"write the scheme that you mean, and remove {insecure[0]}")


def _times(look: _Look) -> Iterator[Contradiction]:
    config = look.config
    longest = min(config.export_timeout, look.pushes.timeout)
    if look.exports("otlp") and longest > config.export_interval:
        found = f"a push may take {longest:g} s, but one is due every {config.export_interval:g} s: some are left out"
        names = "OTEL_METRIC_EXPORT_TIMEOUT or OTEL_EXPORTER_OTLP_TIMEOUT"
        yield Contradiction(
            "timeout_longer_than_interval", found, f"lower {names} (milliseconds), or raise the interval"
        )


def _names(look: _Look) -> Iterator[Contradiction]:
    attribute, name = look.config.resource_attributes.get("service.name"), look.config.service_name
    if attribute is not None and str(attribute) != name:
        found = f"OTEL_SERVICE_NAME={name} overrides service.name={attribute} of OTEL_RESOURCE_ATTRIBUTES"
        yield Contradiction("service_name_twice", found, "keep one of them")
    of_settings = {each for known in settings(TelemetryConfig).values() for each in known.variables}
    for variable in sorted(of_settings & look.variables.keys()):
        value = look.variables[variable]
        if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
            found = f"the value of {variable} is in quotation marks, which belong to the value here"
            remedy = "remove the marks: docker's --env-file and systemd's unquoted lines keep them"
            yield Contradiction("quoted_value", found, remedy)


def _port_of(url: str) -> int | None:
    try:
        return urlsplit(url if "://" in url else f"//{url}").port
    except ValueError:
        return None


_CHECKS: tuple[Callable[[_Look], Iterator[Contradiction]], ...] = (
    _off,
    _push_off,
    _scrape_off,
    _overridden,
    _port,
    _path,
    _for_prometheus,
    _tls,
    _times,
    _names,
)
