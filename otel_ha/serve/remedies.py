"""Remedies: the thing to do about each reason for which telemetry is not well, and about each note."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["of_endpoint", "of_note", "of_reader"]

# The words of an answer's body say nothing about the way to it; the proxy stands behind them.
_BODY = re.compile(r"; body: .*?( \(through the proxy .*)?$", re.DOTALL)

_DOCTOR = "run `otel-ha doctor`, which tries every step of the way"


class _Remedy(NamedTuple):
    """A remedy, and the pattern of the problems that it is for."""

    problem: str
    remedy: str


_ENDPOINT = (
    _Remedy(
        "address already in use",
        "set OTEL_EXPORTER_PROMETHEUS_PORT to a free port (0 takes any), or end the program that has this one; "
        "`otel-ha doctor` says who answers there",
    ),
    _Remedy("permission denied", "set OTEL_EXPORTER_PROMETHEUS_PORT to a port above 1023"),
    _Remedy(
        "cannot assign requested address|name or service|name resolution|nodename|address family|invalid argument|idna|"
        "label (empty|too long)",
        "set OTEL_EXPORTER_PROMETHEUS_HOST to an address of this machine, such as 127.0.0.1 or 0.0.0.0",
    ),
    _Remedy(
        "the parent process listens",
        "scrape the parent and let the child push, or set OTEL_EXPORTER_PROMETHEUS_PORT=0: then each has a port",
    ),
    _Remedy(
        r"ssl|certificate|pem\b|private key", "check the files of OTEL_HA_ENDPOINT_CERTIFICATE, _KEY and _CLIENT_CA"
    ),
)

# The first match counts. Answers that can only be the receiver's come first, because answers through a
# proxy name it. Causes with words of their own come before other status codes, and these before broken connections.
_PUSH = (
    _Remedy(
        r"^\d+ (data points|spans|log records) rejected",
        "read the receiver's message, and correct these metrics or its limits; what is rejected is not sent again",
    ),
    _Remedy(
        "the queue is full",
        "let more wait by {queue}_MAX_QUEUE_SIZE, push more often by {queue}_SCHEDULE_DELAY, or send less: "
        "OTEL_TRACES_SAMPLER for traces, the levels of loggers for logs",
    ),
    _Remedy(
        "redirects are not followed",
        "set OTEL_EXPORTER_OTLP_ENDPOINT to the address in Location: a push follows no redirect",
    ),
    _Remedy(
        "not an otlp receiver|not an answer of otlp",
        "correct OTEL_EXPORTER_OTLP_ENDPOINT: another server answers there; a Collector takes HTTP on port 4318 and "
        "gRPC on port 4317",
    ),
    _Remedy(
        r"^401\b|^unauthenticated",
        "set the receiver's credentials in OTEL_EXPORTER_OTLP_HEADERS, such as authorization=Bearer%20TOKEN",
    ),
    _Remedy(
        r"^40[45]\b|^unimplemented",
        "correct OTEL_EXPORTER_OTLP_ENDPOINT, to which /v1/metrics is added (for Prometheus "
        "http://HOST:9090/api/v1/otlp), and switch on the receiver for OTLP there",
    ),
    _Remedy(r"^413\b|larger than max", "raise the receiver's limit on the size of a request"),
    _Remedy(r"^415\b", "set OTEL_EXPORTER_OTLP_PROTOCOL to the protocol of the port: http/protobuf or grpc"),
    _Remedy(
        r"^429\b|^resource_exhausted|asked for a pause",
        "raise the receiver's limit, or push less often by OTEL_METRIC_EXPORT_INTERVAL; pushes continue by themselves",
    ),
    _Remedy(r"^400\b|^invalid_argument", "read the receiver's message: its version or its limits refuse these metrics"),
    _Remedy(
        r"^407\b|proxy",
        "correct http_proxy, https_proxy or grpc_proxy, or name the receiver's host in no_proxy; "
        "`otel-ha doctor` tries the proxy",
    ),
    _Remedy(
        "certificate.verify.failed|self.signed",
        "set OTEL_EXPORTER_OTLP_CERTIFICATE to the certificate of the authority that signed the receiver's",
    ),
    _Remedy(
        "certificate.required|bad.certificate|handshake failure|unknown ca",
        "set OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and _CLIENT_KEY to a certificate that the receiver accepts",
    ),
    _Remedy(
        "does not use tls|wrong.version.number|record layer failure|uses tls|handshake|ssl",
        "write http:// in OTEL_EXPORTER_OTLP_ENDPOINT for a receiver without TLS, https:// for one with it; "
        "`otel-ha doctor` says which it is",
    ),
    _Remedy(r"^403\b|^permission_denied", "let the credentials in OTEL_EXPORTER_OTLP_HEADERS write metrics there"),
    _Remedy(r"^4\d\d\b", "look into the receiver's log: it refuses the push; its message may say more"),
    _Remedy(
        r"^5\d\d\b|^internal:", "look into the receiver's log: it fails or is overloaded; pushes continue by themselves"
    ),
    _Remedy(
        r"closed connection|connection reset|socket closed|connection aborted|broken pipe|incompleteread|"
        r"\[errno (32|54|104)\]",
        "look into the receiver's log: it ends the connection without an answer; or correct "
        "OTEL_EXPORTER_OTLP_ENDPOINT: a Collector takes HTTP on port 4318 and gRPC on port 4317",
    ),
    _Remedy(
        r"connection refused|\[errno (111|61)\]",
        "start the Collector, or set OTEL_EXPORTER_OTLP_ENDPOINT to where it listens (OTEL_METRICS_EXPORTER=prometheus "
        "ends pushing); `otel-ha doctor` tries the connection",
    ),
    _Remedy(
        r"name or service|name resolution|nodename|no address associated|dns resolution|getaddrinfo|\[errno -\d+\]",
        "correct the host in OTEL_EXPORTER_OTLP_ENDPOINT, or let the DNS of this machine know it",
    ),
    _Remedy(
        "no response within|did not end|deadline_exceeded",
        "look after the receiver: it takes the connection but does not answer in time; OTEL_EXPORTER_OTLP_TIMEOUT "
        "allows it more",
    ),
    _Remedy(
        "no connection within|unreachable|no route to host|timed out",
        "check the address in OTEL_EXPORTER_OTLP_ENDPOINT and the firewalls on the way; `otel-ha doctor` tries them",
    ),
    _Remedy("no success for", f"look into the service's log: its push or a source of its metrics hangs; {_DOCTOR}"),
)

_OF_ONE_SIGNAL = (
    _Remedy(
        r"^40[45]\b|^unimplemented",
        "switch on the receiver for {signal} there, name another one by OTEL_EXPORTER_OTLP_{SIGNAL}_ENDPOINT (used as "
        "it is, with /v1/{signal} at its end for http/protobuf), or set OTEL_{SIGNAL}_EXPORTER=none",
    ),
    *_PUSH,
)

_QUEUES = {"traces": "OTEL_BSP", "logs": "OTEL_BLRP"}
"""The beginning of the variables that are for the queue of a signal."""

_OTHERS = {
    "prometheus": "look into the service's log and correct the metric or collector that raises; until then every "
    "scrape fails",
    "history": "look into the service's log and correct the source that raises or hangs; scrapes may fail as well",
    "console": "make the standard output writable, or leave console out of OTEL_METRICS_EXPORTER",
}
"""The remedies for readers that do not push to a receiver."""

_NOTES = (
    _Remedy(
        r": no connection is up$",
        "check that this server runs and takes the service's address and credentials; the closed connections, the "
        "errors by type and the service's log say how it fails",
    ),
    _Remedy(
        r": no event for [^:]+$",
        "check that this source still sends, and that the service's subscriptions and filters take its events",
    ),
)


_WORDS = (
    ("OTEL_METRICS_EXPORTER=prometheus", "OTEL_{SIGNAL}_EXPORTER=none"),
    ("OTEL_METRICS_EXPORTER", "OTEL_{SIGNAL}_EXPORTER"),
    ("push less often by OTEL_METRIC_EXPORT_INTERVAL", "push less often by {queue}_SCHEDULE_DELAY"),
    ("these metrics", "these {signal}"),
    ("write metrics", "write {signal}"),
)
"""Words of remedies for metrics, and those of another signal in their place."""


def of_endpoint(problem: str) -> str:
    """Return the remedy for an endpoint that does not listen."""
    return _first(_ENDPOINT, problem, "set OTEL_EXPORTER_PROMETHEUS_HOST and _PORT to an address that is free")


def of_reader(reader: str, problem: str) -> str:
    """Return the remedy for the problem of a reader."""
    kind, _, signal = reader.partition(" ")
    remedy = _OTHERS.get(kind) or _first(_OF_ONE_SIGNAL if signal else _PUSH, _BODY.sub(r"\1", problem), _DOCTOR)
    if not signal:
        return remedy
    for metrics, others in _WORDS:
        remedy = remedy.replace(metrics, others)
    return remedy.format(signal=signal, SIGNAL=signal.upper(), queue=_QUEUES[signal])


def of_note(note: str) -> str:
    """Return the remedy for a note of health."""
    return _first(_NOTES, note, "look into the service's log")


def _first(remedies: Sequence[_Remedy], problem: str, otherwise: str) -> str:
    return next((each.remedy for each in remedies if re.search(each.problem, problem, re.IGNORECASE)), otherwise)
