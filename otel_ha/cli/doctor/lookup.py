"""Where a canary is looked up: the Collector's Prometheus exporter, and a Prometheus or VictoriaMetrics."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import SplitResult, unquote, urlencode, urlsplit

from otel_ha.cli.client import Access, Client, FailedError
from otel_ha.cli.doctor.look import Look, fault, not_needed
from otel_ha.config.secrets import Secret
from otel_ha.errors import TelemetryError
from otel_ha.export.otlp.answer import excerpt
from otel_ha.scrub import mask_url

__all__ = ["Exporter", "Place", "Store"]

_OWN_TELEMETRY: Final = "\notelcol_process_uptime"
"""A metric of the Collector about itself, which only another port of it has."""
_JOB: Final = "{{job_name: otelcol-exporter, honor_labels: true, static_configs: [{{targets: ['{target}']}}]}}"


@dataclass(frozen=True)
class Place:
    """A server in which a canary is looked up; it `is_named` if its URL was given, not guessed."""

    url: str
    access: Access
    is_named: bool = True

    @property
    def shown(self) -> str:
        """The URL without user and password."""
        return mask_url(self.url)

    def series(self, canary: str) -> list[str]:
        """Return the series of a canary as text; empty if it has not arrived. Raises FailedError."""
        raise NotImplementedError

    def unreachable(self, tried: str, error: TelemetryError) -> Look:
        """Return the look at a server that does not answer as it should."""
        raise NotImplementedError

    def _parts(self) -> SplitResult:
        """Return the parts of the URL. Raises FailedError if it cannot be read."""
        try:
            return urlsplit(self.url if "://" in self.url else f"http://{self.url}")
        except ValueError as error:
            raise FailedError(f"{self.shown!r} is not a URL: {error}") from None

    def _client(self, parts: SplitResult) -> Client:
        """Return a client; a user and a password in the URL count for this server alone."""
        if parts.username is None:
            return self.access.client(parts.geturl())
        password = Secret(unquote(parts.password or ""))
        access = replace(self.access, username=unquote(parts.username), password=password)
        return access.client(parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl())


class Exporter(Place):
    """The Collector's Prometheus exporter; the URL is that of its page."""

    def series(self, canary: str) -> list[str]:
        """Return the lines of the page that have the canary."""
        return [excerpt(line) for line in self.page().splitlines() if f'canary="{canary}"' in line]

    def page(self) -> str:
        """Return the page."""
        parts = self._parts()
        folder, _, page = parts.path.rpartition("/")
        query = f"?{parts.query}" if parts.query else ""
        return self._client(parts._replace(path=folder, query="")).text(f"{page or 'metrics'}{query}")

    def unreachable(self, tried: str, error: TelemetryError) -> Look:
        """Return a finding if the URL was given; a guess may be wrong."""
        if not self.is_named:
            return not_needed(f"{error}; name the Collector's Prometheus exporter by --collector-metrics URL")
        remedy = "add the exporter prometheus to the Collector (endpoint, such as 127.0.0.1:8889), or correct the URL"
        return fault(tried, str(error), "exporter_unreachable", remedy)

    def missing(self, tried: str, seconds: float) -> Look:
        """Return the look at an exporter that does not have the canary although the Collector accepted it."""
        remedy = (
            "check the metrics pipeline of the Collector: receivers: [otlp], exporters: [prometheus], and no processor "
            "(filter, transform, routing) that drops it; its log has errors of exporters"
        )
        if f"\n{self.page()}".count(_OWN_TELEMETRY):
            remedy = "this page has the Collector's metrics about itself: name its exporter, which has another port"
        return fault(tried, f"not there after {seconds:.0f} s", "not_in_exporter", remedy)


class Store(Place):
    """A Prometheus, a VictoriaMetrics, or another server with their query API; the URL is its base."""

    def series(self, canary: str) -> list[str]:
        """Return the series that an instant query finds, whatever their names have become."""
        # VictoriaMetrics holds the latest samples back by default, and remembers answers; others ignore its parameters.
        given = {"query": f'{{canary="{canary}"}}', "latency_offset": "1ms", "nocache": "1"}
        found = self._data(f"api/v1/query?{urlencode(given)}").get("result")
        if not isinstance(found, list):
            raise FailedError(f"{self.shown} answers, but not as Prometheus does; check the URL")
        return [_written(each.get("metric", {})) for each in found]

    def unreachable(self, tried: str, error: TelemetryError) -> Look:
        """Return a finding."""
        remedy = "start the server, or correct the URL given by --prometheus"
        return fault(tried, str(error), "prometheus_unreachable", remedy)

    def missing(self, tried: str, seconds: float, exporter: Place | None, *, arrived: bool | None) -> Look:
        """Return the look at a store without the canary; `arrived` says whether the exporter has it, if known."""
        found = f"not there after {seconds:.0f} s"
        if exporter is None:
            remedy = "see the log of this server: it accepted the push; was it pushed to another one?"
            return fault(tried, found, "not_in_prometheus", remedy)
        if not arrived:
            where = "not in the Collector's exporter either" if arrived is False else "it is not known where it ends"
            remedy = "find out first why the Collector's exporter does not show it (--collector-metrics URL)"
            return fault(tried, f"{found}; {where}", "not_in_prometheus", remedy)
        return self._between(tried, f"{found}, but the Collector's exporter has it", exporter)

    def _between(self, tried: str, found: str, exporter: Place) -> Look:
        """Return why a canary does not come from the exporter to here."""
        page = exporter._parts()
        targets = [each for each in self._targets() if _is_at(str(each.get("scrapeUrl")), page.port or 80)]
        failing = [each for each in targets if each.get("health") != "up"]
        if not targets:
            remedy = (
                f"add to its scrape_configs {_JOB.format(target=page.netloc.rpartition('@')[2])}, or let the Collector "
                "push here (exporter otlp_http); if another server scrapes for this one, look there"
            )
            return fault(tried, f"{found}; no target here is this exporter", "exporter_not_scraped", remedy)
        if len(failing) == len(targets):
            reason = excerpt(str(failing[0].get("lastError") or "not scraped yet"))
            remedy = "correct the target's address, or let the Collector's exporter listen there"
            text = f"{found}; the scrape of {mask_url(str(failing[0]['scrapeUrl']))} fails: {reason}"
            return fault(tried, text, "exporter_scrape_fails", remedy)
        intervals = ", ".join(sorted({str(each.get("scrapeInterval", "an unknown time")) for each in targets}))
        remedy = (
            f"it scrapes the exporter every {intervals}: wait longer, or look for metric_relabel_configs and limits "
            "that drop samples"
        )
        return fault(tried, f"{found}; the scrape works", "not_in_prometheus", remedy)

    def _targets(self) -> list[dict[str, Any]]:
        try:
            found = self._data("api/v1/targets?state=active").get("activeTargets")
        except FailedError:
            return []
        return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []

    def _data(self, page: str) -> dict[str, Any]:
        try:
            answer = json.loads(self._client(self._parts()).text(page))
        except ValueError:
            raise FailedError(f"{self.shown} answers, but not with JSON as Prometheus does; check the URL") from None
        data = answer.get("data") if isinstance(answer, dict) else None
        return data if isinstance(data, dict) else {}


def _written(labels: Mapping[str, Any]) -> str:
    """Return a series as Prometheus writes it."""
    inner = ",".join(f"{name}={json.dumps(str(value))}" for name, value in labels.items() if name != "__name__")
    return excerpt(f"{labels.get('__name__', '')}{{{inner}}}")


def _is_at(url: str, port: int) -> bool:
    """Whether a URL has this port: a host may have several names."""
    with suppress(ValueError):
        parts = urlsplit(url)
        return (parts.port or (443 if parts.scheme == "https" else 80)) == port
    return False
