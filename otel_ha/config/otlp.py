# ruff: noqa: RUF009  setting() is dataclasses.field() with our metadata: called once, on purpose
"""The settings of pushes by OTLP: for all signals, and for one signal, which override those.

``otlp_<name>`` (OTEL_EXPORTER_OTLP_<NAME>) is for all signals, and ``otlp_traces_<name>``, with the variable
OTEL_EXPORTER_OTLP_TRACES_<NAME>, for traces alone. An argument beats a variable, also if that is for one signal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from otel_ha.config.frozen import FrozenMapping
from otel_ha.config.parsing import BOOLEAN, ENDPOINT, FILE, HEADERS, one_of, seconds
from otel_ha.config.secrets import Secret
from otel_ha.config.settings import ARGUMENT, DEFAULT, Settings, as_setting, known_of, setting
from otel_ha.config.urls import BaseUrl, Url, WholeUrl, split_userinfo, url_path, with_path
from otel_ha.errors import ConfigError

__all__ = ["DAY", "SHORTEST", "SIGNALS", "OtlpConfig", "OtlpSettings"]

DAY: Final = 86_400.0
SHORTEST: Final = 0.1
"""Seconds. Less is probably a mistake in the unit: 10 instead of 10000 milliseconds."""

SIGNALS: Final = ("metrics", "traces", "logs")

_PREFIX: Final = "OTEL_EXPORTER_OTLP_"
_HTTP: Final = "http/protobuf"
_DEFAULT_ENDPOINTS: Final = {_HTTP: "http://localhost:4318", "grpc": "http://localhost:4317"}


@dataclass(frozen=True, kw_only=True)
class OtlpSettings:
    """The settings of the pushes of one signal.

    `url` is whole, without user and password; `secure` is whether pushes use TLS; `sources` has the origin of each
    value: "argument", "default", or the name of a variable.
    """

    signal: str
    url: str
    protocol: str
    headers: Mapping[str, Secret]
    compression: str
    timeout: float
    certificate: Path | None
    client_key: Path | None
    client_certificate: Path | None
    insecure: bool
    sources: Mapping[str, str]

    @property
    def secure(self) -> bool:
        """Whether pushes use TLS: by the URL's scheme or, if it has none, by ``insecure``."""
        scheme, separator, _ = self.url.lower().partition("://")
        return scheme == "https" if separator and scheme in {"http", "https"} else not self.insecure

    @property
    def target(self) -> str:
        """The URL as it may be shown: without the query, which may be a token."""
        return self.url.partition("?")[0]

    def plain_headers(self) -> dict[str, str]:
        """Return the headers of every push, names in lower case, values in plain text: for the exporter only."""
        return {name: value.reveal() for name, value in self.headers.items()}


def _otlp(kind: Any, name: str, **known: Any) -> Any:
    return setting(kind, f"{_PREFIX}{name}", section="OTLP", **known)


def _only(signal: str, generic: Any) -> Any:
    """Return the setting for one signal that overrides `generic`, which is for all."""
    of_all = known_of(generic)
    (variable,) = of_all.variables
    name = variable.removeprefix(_PREFIX).lower()
    return as_setting(
        replace(
            of_all,
            default=None,
            variables=(f"{_PREFIX}{signal.upper()}_{name.upper()}",),
            section=f"OTLP, {signal} only",
            default_text=f"as `otlp_{name}`",
            help=f"Overrides `otlp_{name}` for {signal}.{_ENDPOINT_OF_ONE if name == 'endpoint' else ''}",
        )
    )


_ENDPOINT_OF_ONE: Final = " The variable is used as it is, and so is the argument unless it has no path."
_of_metrics = partial(_only, "metrics")
_of_traces = partial(_only, "traces")
_of_logs = partial(_only, "logs")


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False)  # TelemetryConfig has all three
class OtlpConfig(Settings):
    """The settings of pushes; ``otlp()`` returns those that apply to one signal."""

    # The formatter would make this table three times as long.
    # fmt: off
    otlp_protocol: str = _otlp(
        one_of(_HTTP, "grpc", besides=" (http/json is not supported)"), "PROTOCOL", default=_HTTP,
        help="The protocol of the receiver.",
    )
    otlp_endpoint: str | None = _otlp(
        ENDPOINT, "ENDPOINT", default=None,
        default_text=" or ".join(f"`{url}` ({protocol})" for protocol, url in _DEFAULT_ENDPOINTS.items()),
        help="The receiver of pushes, as the base URL of all signals, to which http/protobuf adds `/v1/metrics`, "
        "`/v1/traces` or `/v1/logs`. An argument with a path is the whole URL for metrics, and for metrics only. "
        "A user and a password in the URL are moved to a header `authorization`.",
    )
    otlp_headers: Mapping[str, str | Secret] = _otlp(
        HEADERS, "HEADERS", default=FrozenMapping[Secret]({}),
        help="Headers of every push, such as `authorization`. The values are never shown.",
    )
    otlp_compression: str = _otlp(
        one_of("none", "gzip", "deflate"), "COMPRESSION", default="none",
        help="The compression of pushes. `deflate` needs http/protobuf.",
    )
    otlp_timeout: float = _otlp(
        seconds(SHORTEST, DAY, milliseconds=True, zero_is_no_limit=True), "TIMEOUT", default=10.0,
        help="How long one push may wait for the receiver, retries included. The variables are in milliseconds for "
        "every signal, as OpenTelemetry specifies; the Python exporters by themselves would read seconds.",
    )
    otlp_certificate: Path | None = _otlp(
        FILE, "CERTIFICATE", default=None,
        help="Certificates (PEM) to trust instead of the system's when the receiver presents its own.",
    )
    otlp_client_key: Path | None = _otlp(
        FILE, "CLIENT_KEY", default=None,
        help="Private key (PEM) of the client certificate. Needs that certificate.",
    )
    otlp_client_certificate: Path | None = _otlp(
        FILE, "CLIENT_CERTIFICATE", default=None,
        help="Certificate (PEM) to present to the receiver. With grpc it needs the key; else this file may hold it.",
    )
    otlp_insecure: bool = _otlp(
        BOOLEAN, "INSECURE", default=False,
        help="Whether to push without TLS, with grpc, if the endpoint has no scheme `http://` or `https://`.",
    )

    otlp_metrics_protocol: str | None = _of_metrics(otlp_protocol)
    otlp_metrics_endpoint: str | None = _of_metrics(otlp_endpoint)
    otlp_metrics_headers: Mapping[str, str | Secret] | None = _of_metrics(otlp_headers)
    otlp_metrics_compression: str | None = _of_metrics(otlp_compression)
    otlp_metrics_timeout: float | None = _of_metrics(otlp_timeout)
    otlp_metrics_certificate: Path | None = _of_metrics(otlp_certificate)
    otlp_metrics_client_key: Path | None = _of_metrics(otlp_client_key)
    otlp_metrics_client_certificate: Path | None = _of_metrics(otlp_client_certificate)
    otlp_metrics_insecure: bool | None = _of_metrics(otlp_insecure)
    otlp_temporality: str = setting(
        one_of("cumulative", "delta", "lowmemory"), f"{_PREFIX}METRICS_TEMPORALITY_PREFERENCE", default="cumulative",
        section="OTLP, metrics only",
        help="Whether a push has totals since the start, or increases since the last push. "
        "Prometheus needs `cumulative`.",
    )
    otlp_histogram_aggregation: str = setting(
        one_of("explicit_bucket_histogram", "base2_exponential_bucket_histogram"),
        f"{_PREFIX}METRICS_DEFAULT_HISTOGRAM_AGGREGATION", default="explicit_bucket_histogram",
        section="OTLP, metrics only",
        help="The form in which histograms are pushed; a scrape always has the declared buckets.",
    )

    otlp_traces_protocol: str | None = _of_traces(otlp_protocol)
    otlp_traces_endpoint: str | None = _of_traces(otlp_endpoint)
    otlp_traces_headers: Mapping[str, str | Secret] | None = _of_traces(otlp_headers)
    otlp_traces_compression: str | None = _of_traces(otlp_compression)
    otlp_traces_timeout: float | None = _of_traces(otlp_timeout)
    otlp_traces_certificate: Path | None = _of_traces(otlp_certificate)
    otlp_traces_client_key: Path | None = _of_traces(otlp_client_key)
    otlp_traces_client_certificate: Path | None = _of_traces(otlp_client_certificate)
    otlp_traces_insecure: bool | None = _of_traces(otlp_insecure)

    otlp_logs_protocol: str | None = _of_logs(otlp_protocol)
    otlp_logs_endpoint: str | None = _of_logs(otlp_endpoint)
    otlp_logs_headers: Mapping[str, str | Secret] | None = _of_logs(otlp_headers)
    otlp_logs_compression: str | None = _of_logs(otlp_compression)
    otlp_logs_timeout: float | None = _of_logs(otlp_timeout)
    otlp_logs_certificate: Path | None = _of_logs(otlp_certificate)
    otlp_logs_client_key: Path | None = _of_logs(otlp_client_key)
    otlp_logs_client_certificate: Path | None = _of_logs(otlp_client_certificate)
    otlp_logs_insecure: bool | None = _of_logs(otlp_insecure)
    # fmt: on

    def otlp(self, signal: str) -> OtlpSettings:
        """Return the settings of the pushes of a signal: "metrics", "traces" or "logs"."""
        names = {name: self.otlp_setting(signal, name) for name in _NAMES}
        value = {name: getattr(self, field) for name, field in names.items()}
        url = value.pop("endpoint") or _DEFAULT_ENDPOINTS[value["protocol"]]
        if value["protocol"] == _HTTP:
            url = self._whole(url, signal, names["endpoint"])
        sources = FrozenMapping({name: self.sources[field] for name, field in names.items()})
        return OtlpSettings(signal=signal, url=Url(url), sources=sources, **value)

    def otlp_setting(self, signal: str, name: str) -> str:
        """Return the setting that decides about "endpoint" and so on of a signal: its own, or that of all."""
        own, of_all = f"otlp_{signal}_{name}", f"otlp_{name}"
        return of_all if getattr(self, own) is None else own

    @property
    def _names_metrics_only(self) -> bool:
        """Whether the endpoint of all signals is an argument with a path: the whole URL for metrics."""
        return self.otlp_endpoint is not None and not isinstance(self.otlp_endpoint, BaseUrl)

    def _derive(self) -> None:
        endpoint, sources = self.otlp_endpoint, dict(self.sources)
        is_whole = sources["otlp_endpoint"] == ARGUMENT and (url_path(endpoint or "") or "/") != "/"
        if endpoint is not None and not (is_whole and not isinstance(endpoint, BaseUrl)):
            self._put("otlp_endpoint", BaseUrl(endpoint.rstrip("/")))
        for signal in SIGNALS:
            for name in _NAMES:
                self._let_argument_win(signal, name, sources)
            own = f"otlp_{signal}_endpoint"
            if sources[own] not in {ARGUMENT, DEFAULT}:
                self._put(own, WholeUrl(getattr(self, own)))
        self._put("sources", FrozenMapping(sources))
        self._move_credentials()

    def _let_argument_win(self, signal: str, name: str, sources: dict[str, str]) -> None:
        """Forget the variable for one signal if an argument for all is given."""
        own, of_all = f"otlp_{signal}_{name}", f"otlp_{name}"
        if sources[own] == ARGUMENT or sources[of_all] != ARGUMENT:
            return
        if name != "endpoint" or signal == "metrics" or not self._names_metrics_only:
            self._put(own, None)
            sources[own] = DEFAULT

    def _move_credentials(self) -> None:
        """Move user and password from the endpoints to the headers of the signals that are pushed there."""
        given: Mapping[str, Any] = self.otlp_headers
        of_all = self._without_userinfo("otlp_endpoint")
        for signal in SIGNALS:
            own = f"otlp_{signal}_headers"
            mine: Mapping[str, Any] | None = getattr(self, own)
            has_endpoint = getattr(self, f"otlp_{signal}_endpoint") is not None
            added = self._without_userinfo(f"otlp_{signal}_endpoint") if has_endpoint else of_all if mine else {}
            if added or (has_endpoint and of_all and mine is None):
                self._put(own, FrozenMapping[Any]({**added, **(given if mine is None else mine)}))
        if of_all:
            self._put("otlp_headers", FrozenMapping[Any]({**of_all, **given}))

    def _without_userinfo(self, field: str) -> dict[str, Secret]:
        """Remove user and password from an endpoint, and return them as a header."""
        endpoint = getattr(self, field)
        url, authorization = split_userinfo(endpoint or "")
        if authorization is None:
            return {}
        self._put(field, type(endpoint)(url))
        return {"authorization": authorization}

    def _whole(self, url: str, signal: str, field: str) -> str:
        """Return the whole URL for pushes by HTTP."""
        path = url_path(url)
        if path is None:
            protocol = self._spelling(self.otlp_setting(signal, "protocol"))
            self._reject(field, f"an http:// or https:// URL, as {protocol} is {_HTTP}")
        given = getattr(self, field)
        # The specification does not define arguments: without a path, they can only be bases.
        is_base = given is None or isinstance(given, BaseUrl) or path in {"", "/"}
        if is_base and not isinstance(given, WholeUrl):
            return with_path(url, f"{path.rstrip('/')}/v1/{signal}")
        return with_path(url, path or "/")

    def _check_otlp(self, signal: str, exporters: str) -> None:
        """Raise a ConfigError for settings of a signal that cannot be combined; `exporters` turn it on."""
        is_named = self.otlp_endpoint is not None and not self._names_metrics_only
        if signal != "metrics" and self.otlp_setting(signal, "endpoint") == "otlp_endpoint" and not is_named:
            self._refuse_settings_of_metrics(signal, exporters)
        otlp = self.otlp(signal)
        field = partial(self.otlp_setting, signal)
        if otlp.client_key is not None and otlp.client_certificate is None:
            self._reject(field("client_key"), f"only together with {self._spelling(field('client_certificate'))}")
        if otlp.protocol != "grpc":
            return
        if otlp.compression == "deflate":
            self._reject(field("compression"), "none or gzip with grpc")
        if otlp.client_certificate is not None and otlp.client_key is None:
            key = self._spelling(field("client_key"))
            self._reject(field("client_certificate"), f"with grpc only together with {key}")

    def _refuse_settings_of_metrics(self, signal: str, exporters: str) -> None:
        """Raise a ConfigError if only settings of metrics are given: the defaults are hardly right for the others."""
        of_metrics = [name for name in _NAMES if self._is_given(f"otlp_metrics_{name}")]
        if self._names_metrics_only:
            given = "otlp_endpoint with a path"
        elif of_metrics and ("endpoint" in of_metrics or not self._has_settings_of(signal)):
            own = f"otlp_metrics_{of_metrics[0]}"
            given = own if self.sources[own] == ARGUMENT else self.sources[own]
        else:
            return
        allowed = (
            f"{self._spelling('otlp_endpoint')}, the base URL of all signals, or "
            f"{self._spelling(f'otlp_{signal}_endpoint')}"
        )
        message = f"{self._spelling(exporters)} has otlp, but {given} is for metrics only; set {allowed}"
        raise ConfigError(message, setting=exporters, allowed=allowed)

    def _has_settings_of(self, signal: str) -> bool:
        """Whether a setting of pushes is given for a signal, or for all signals."""
        return any(self._is_given(f"otlp_{name}") or self._is_given(f"otlp_{signal}_{name}") for name in _NAMES)

    def _is_given(self, field: str) -> bool:
        return self.sources[field] != DEFAULT and getattr(self, field) is not None


_NAMES: Final = (
    "endpoint",
    "protocol",
    "headers",
    "compression",
    "timeout",
    "certificate",
    "client_key",
    "client_certificate",
    "insecure",
)
