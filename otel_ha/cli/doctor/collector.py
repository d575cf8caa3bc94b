"""The topic Collector: the way of pushes to it, layer by layer, up to a push that stores nothing."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from typing import Final

from otel_ha.cli.doctor.connection import look_at_connection, look_at_name
from otel_ha.cli.doctor.look import Heading, Layer, Look, after, fault, fine, skipped, step, walk
from otel_ha.cli.doctor.protocol import look_at_protocol
from otel_ha.cli.doctor.proxies import look_at_proxies
from otel_ha.cli.doctor.push import look_at_empty_push
from otel_ha.cli.doctor.step import Step
from otel_ha.cli.doctor.tls import look_at_tls
from otel_ha.cli.doctor.way import Way
from otel_ha.config.telemetry_config import TelemetryConfig
from otel_ha.errors import ConfigError
from otel_ha.export.otlp.senders import sender_of
from otel_ha.scrub import mask_url

__all__ = ["collector_steps", "why_not_pushed"]


def collector_steps(
    config: TelemetryConfig, failed: Step | None = None, *, is_pushing: bool = True
) -> Generator[Step, None, Step | None]:
    """Yield the steps along the way of pushes, in the order in which data flows.

    It stops at the first finding, which it returns: the later steps are skipped. So a server that hangs takes its time
    limit once. After the finding `failed`, nothing is tried. `is_pushing` is False if the service that runs does not
    push, whatever the settings say.
    """
    if reason := why_not_pushed(config, is_pushing=is_pushing):
        yield from skipped([layer.heading for layer in _LAYERS], reason)
        return None
    if failed is not None:
        yield from after(Heading(failed.id, failed.title), [layer.heading for layer in _LAYERS])
        return failed
    sender = sender_of(config.otlp("metrics"))
    if isinstance(sender, ConfigError):
        remedy = "correct the setting that the message names; the service does not start with it"
        yield (failed := step(_ADDRESS, fault(_shown(config), str(sender), "settings_rejected", remedy)))
        yield from after(_ADDRESS, [layer.heading for layer in _LAYERS[1:]])
        return failed
    with closing(Way(config, sender)) as way:
        return (yield from walk(_LAYERS, way))


def why_not_pushed(config: TelemetryConfig, *, is_pushing: bool = True) -> str:
    """Return why services with these settings do not push; empty if they do.

    `is_pushing` is False if the service that runs says that it does not.
    """
    if not config.enabled:
        return "telemetry is off: OTEL_SDK_DISABLED=true"
    if "otlp" not in config.metrics_exporters:
        return "services do not push: OTEL_METRICS_EXPORTER does not name otlp"
    if not is_pushing:
        return "the running service does not push"
    return ""


def _shown(config: TelemetryConfig) -> str:
    otlp = config.otlp("metrics")
    return f"{mask_url(otlp.url)} by {otlp.protocol}, from: {otlp.sources['endpoint']}"


def _look_at_address(way: Way) -> Look:
    """Show where the settings lead to, with the names of headers but not their values."""
    otlp = way.otlp
    headers = sorted(otlp.headers)
    parts = [way.url, f"headers {', '.join(headers)} (values hidden)" if headers else "no headers"]
    if otlp.compression != "none":
        parts.append(otlp.compression)
    files = (otlp.certificate, otlp.client_certificate)
    parts += [f"{what} {path}" for what, path in zip(("trusts", "presents"), files, strict=True) if path]
    parts.append(f"time limit {way.limit:g} s")
    facts = {"url": way.url, "protocol": otlp.protocol, "origin": otlp.sources["endpoint"]}
    return fine(_shown(way.config), "; ".join(parts), **facts, headers=headers)


_ADDRESS: Final = Heading("collector.address", "Address of the Collector")
_LAYERS: Final = (
    Layer(_ADDRESS, _look_at_address),
    Layer(Heading("collector.proxy", "Proxy"), look_at_proxies),
    Layer(Heading("collector.name", "Name of the host"), look_at_name),
    Layer(Heading("collector.connection", "Connection"), look_at_connection),
    Layer(Heading("collector.tls", "TLS"), look_at_tls),
    Layer(Heading("collector.protocol", "Protocol"), look_at_protocol),
    Layer(Heading("collector.push", "Empty push"), look_at_empty_push),
)
