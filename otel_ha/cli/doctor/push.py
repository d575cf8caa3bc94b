"""The last layer to the Collector: a push, and the cause and the remedy that the receiver's answer means."""

from __future__ import annotations

import json
import re
from typing import Any, Final
from urllib.parse import urlsplit

from otel_ha.cli.client import Access, FailedError
from otel_ha.cli.doctor.look import Look, fault, fine
from otel_ha.cli.doctor.protocol import other_protocol
from otel_ha.cli.doctor.way import Way
from otel_ha.export.otlp.answer import Answer
from otel_ha.scrub import scrub

__all__ = ["look_at_empty_push", "pushed"]

_EMPTY: Final = b""
"""An ExportMetricsServiceRequest without metrics: valid, and there is nothing in it to store."""

_HTTP_AS_GRPC: Final = re.compile(r"http2 header with status: \d")
_PATHS: Final = (
    "a Collector takes metrics at /v1/metrics, Prometheus at /api/v1/otlp/v1/metrics, VictoriaMetrics at "
    "/opentelemetry/v1/metrics. OTEL_EXPORTER_OTLP_ENDPOINT is the part before /v1/metrics, "
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT the whole URL"
)
_TEMPORALITY: Final = "set OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=cumulative"
_CLOCKS: Final = "check the clocks of both machines; Prometheus takes late samples with tsdb.out_of_order_time_window"
_LOG: Final = "see the receiver's log"
_LATER: Final = "give the receiver more room (memory_limiter, limits of its plan), or push less often"
_NOT_A_COLLECTOR: Final = "name the Collector's address by OTEL_EXPORTER_OTLP_ENDPOINT"
_HANGS: Final = "the server accepts the request and does not answer: see whether the Collector is stopped or overloaded"

_BY_CODE: Final[dict[str, tuple[str, str]]] = {
    "400": ("rejected_request", f"read the receiver's message; {_LOG}"),
    "403": ("forbidden", "the credentials are known but not allowed to push: check their rights and the tenant"),
    "404": ("otlp_path", _PATHS),
    "405": ("method_not_allowed", f"the server takes no pushes at this path: {_PATHS}"),
    "407": ("proxy_authentication", "write a user and a password into the proxy's variable"),
    "413": ("too_large", "raise the limit of the receiver, or of the reverse proxy before it (client_max_body_size)"),
    "415": (
        "media_type_refused",
        "the receiver takes no protobuf, or not this compression: try OTEL_EXPORTER_OTLP_COMPRESSION=none",
    ),
    "429": ("rate_limited", _LATER),
    "502": ("gateway_failed", "the proxy before the receiver cannot reach it: check the proxy's target"),
    "503": ("overloaded", f"{_LATER}; a receiver that starts answers so too: try again"),
    "504": ("gateway_failed", "the proxy before the receiver gets no answer from it: check the proxy's target"),
    "INVALID_ARGUMENT": ("rejected_request", f"read the receiver's message; {_LOG}"),
    "PERMISSION_DENIED": ("forbidden", "the credentials are known but not allowed to push: check their rights"),
    "UNIMPLEMENTED": (
        "no_metrics_receiver",
        "the server speaks gRPC but takes no metrics: add the receiver otlp to a metrics pipeline of the Collector",
    ),
    "RESOURCE_EXHAUSTED": ("rate_limited", _LATER),
    "DEADLINE_EXCEEDED": ("no_answer", _HANGS),
    "OK": ("not_a_collector", _NOT_A_COLLECTOR),
}


_BY_TEXT: Final[dict[str, tuple[str, str]]] = {
    # Prometheus without the flag
    "otlp write receiver": ("no_otlp_receiver", "start Prometheus with --web.enable-otlp-receiver"),
    # Prometheus without support for deltas
    "invalid temporality": ("temporality_refused", _TEMPORALITY),
    # Prometheus, of samples whose time is too far from its own
    "out of bounds": ("samples_refused", _CLOCKS),
    "out of order sample": ("samples_refused", _CLOCKS),
    "too old sample": ("samples_refused", _CLOCKS),
    # VictoriaMetrics, which answers 400
    "unsupported path": ("otlp_path", _PATHS),
}
"""Texts of receivers that tell more than their status."""


def look_at_empty_push(way: Way) -> Look:
    """Push a request without metrics, by the sender and the settings of a service."""
    tried = f"push an empty request to {way.url}, with the headers of the settings"
    return pushed(way, _EMPTY, tried, "accepted; nothing is stored, as the request is empty")


def pushed(way: Way, payload: bytes, tried: str, accepted: str, **facts: Any) -> Look:
    """Send a request, and return the look at the answer."""
    answer = way.sender.send(payload, way.limit)
    if answer.rejected:
        found = f"{answer.rejected} data points rejected: {answer.remark or 'no reason given'}"
        return fault(tried, found, "partial_success", _rejected(answer.remark), rejected=answer.rejected)
    if not answer.error:
        return fine(tried, f"{accepted}; the receiver remarks: {answer.remark}" if answer.remark else accepted, **facts)
    return _refused(way, answer, tried)


def _refused(way: Way, answer: Answer, tried: str) -> Look:
    """Return the look at an answer other than success."""
    found, code = answer.error, answer.code
    facts: dict[str, Any] = {"code": code}
    if answer.pause is not None:
        facts["retry_after"] = answer.pause
    if _HTTP_AS_GRPC.search(found):
        return other_protocol(way, tried, found)
    if not code or code == "UNAVAILABLE":
        return _without_response(way, found, tried)
    if code in {"404", "405"} and (service := _scraped_service(way)):
        remedy = f"a service is scraped, not pushed to: {_NOT_A_COLLECTOR}"
        return fault(tried, f"{found}; this is the endpoint of {service}", "not_a_collector", remedy, **facts)
    if code in {"401", "UNAUTHENTICATED"}:
        cause, remedy = "unauthenticated", _credentials(way)
    else:
        by_text = next((meaning for text, meaning in _BY_TEXT.items() if text in found), None)
        cause, remedy = by_text or _BY_CODE.get(code) or _by_class(code)
    if way.proxy is not None and not way.is_tunnel:
        remedy += f"; the proxy of {way.proxy.variable or 'the session'} may be the cause instead of the receiver"
    return fault(tried, found, cause, remedy, **facts)


def _by_class(code: str) -> tuple[str, str]:
    """Return the cause and the remedy of a status code that has none of its own."""
    match code[:1]:
        case "2":
            return "not_a_collector", _NOT_A_COLLECTOR
        case "3":
            return (
                "redirected",
                "redirects are not followed: set OTEL_EXPORTER_OTLP_ENDPOINT to the target that is named",
            )
        case "4":
            return "rejected_request", f"read the receiver's message; {_LOG}"
        case _:
            return "receiver_failed", _LOG


def _without_response(way: Way, found: str, tried: str) -> Look:
    if way.proxy is not None:
        remedy = f"start the proxy, correct {way.proxy.variable}, or except the receiver by no_proxy"
        return fault(tried, found, "proxy_unreachable", remedy, proxy=str(way.proxy))
    if way.is_grpc and "connect" not in found:  # the receiver says so itself
        return fault(tried, found, *_BY_CODE["503"])
    return fault(tried, found, "push_failed", f"read the reason; {_LOG}")


def _credentials(way: Way) -> str:
    names = sorted(way.otlp.headers)
    if not names:
        return "no header is set: OTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer%20TOKEN"
    if "authorization" in names:
        return "the header authorization is sent but not accepted: check its value, with spaces written as %20"
    return f"of headers, only {', '.join(names)} is sent: check whether the receiver asks for authorization"


def _rejected(remark: str) -> str:
    """Return the remedy for data points that a receiver rejects for this reason."""
    reason = remark.lower()
    if "out of order" in reason or "too old" in reason or "out of bounds" in reason:
        return _CLOCKS
    if "temporality" in reason or "delta" in reason:
        return _TEMPORALITY
    return "read the receiver's reason; the others have arrived, and rejected ones are not sent again"


def _scraped_service(way: Way) -> str:
    """Return the name of the service if the server is the endpoint of one with otel-ha."""
    if way.proxy is not None or way.is_grpc:
        return ""
    parts = urlsplit(way.otlp.url)
    access = Access(certificate_authority=way.otlp.certificate, timeout=way.limit)
    try:
        _, text = access.client(f"{parts.scheme}://{parts.netloc}").get("healthz")
        health = json.loads(text)
        return f"the service {scrub(str(health['service']))}, which uses otel-ha" if "readers" in health else ""
    except (FailedError, ValueError, TypeError, KeyError):
        return ""
