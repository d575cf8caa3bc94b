"""Where a canary is looked up: the Collector's Prometheus exporter, and a Prometheus or VictoriaMetrics."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Protocol
from urllib.parse import SplitResult, urlsplit

from otel_ha.cli.client import Access, FailedError
from otel_ha.cli.doctor.look import Look, fault, not_needed
from otel_ha.cli.doctor.reach import client_for
from otel_ha.cli.doctor.store import Store
from otel_ha.errors import TelemetryError
from otel_ha.export.otlp.answer import excerpt
from otel_ha.scrub import mask_url

__all__ = ["InExporter", "InStore", "Place"]

_OWN_TELEMETRY: Final = "\notelcol_process_uptime"
"""A metric of the Collector about itself, which only another port of it has."""


class Place(Protocol):
    """A server in which a canary is looked up."""

    @property
    def url(self) -> str:
        """The URL, which may have a user and a password."""

    def series(self, canary: str) -> list[str]:
        """Return the series of a canary as text; empty if it has not arrived. Raises TelemetryError."""

    def unreachable(self, tried: str, error: TelemetryError) -> Look:
        """Return the look at a server that does not answer as it should."""


@dataclass(frozen=True)
class InExporter:
    """The Collector's Prometheus exporter, by the URL of its page; `is_named` is whether it was given, not guessed."""

    url: str
    access: Access
    is_named: bool = True

    def series(self, canary: str) -> list[str]:
        """Return the lines of the page that have the canary."""
        return [excerpt(line) for line in self._page().splitlines() if f'canary="{canary}"' in line]

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
        if _OWN_TELEMETRY in f"\n{self._page()}":
            remedy = "this page has the Collector's metrics about itself: name its exporter, which has another port"
        return fault(tried, f"not there after {seconds:.0f} s", "not_in_exporter", remedy)

    def _page(self) -> str:
        parts = parts_of(self.url)
        folder, _, page = parts.path.rpartition("/")
        query = f"?{parts.query}" if parts.query else ""
        client = client_for(parts._replace(path=folder, query="").geturl(), self.access, shares_password=False)
        return client.text(f"{page or 'metrics'}{query}")


@dataclass
class InStore:
    """A Prometheus, a VictoriaMetrics, or another server with their query API, by its base URL."""

    url: str
    access: Access
    _store: Store | None = None

    def series(self, canary: str) -> list[str]:
        """Return the series that an instant query finds, whatever their names have become."""
        # VictoriaMetrics holds the latest samples back by default, and remembers answers; others ignore its parameters.
        given = {"query": f'{{canary="{canary}"}}', "latency_offset": "1ms", "nocache": "1"}
        found = self._opened().api("query", **given)
        result = found.get("result") if isinstance(found, dict) else None
        if not isinstance(result, list):
            raise FailedError(f"{mask_url(self.url)} answers, but not as Prometheus does; check the URL")
        return [_written(each.get("metric", {})) for each in result]

    def unreachable(self, tried: str, error: TelemetryError) -> Look:
        """Return a finding: nothing answers, or another program."""
        if getattr(error, "status", None) is None and error.__cause__ is not None:
            remedy = "start the server, or correct the URL given by --prometheus"
            return fault(tried, str(error), "prometheus_unreachable", remedy)
        remedy = "check the URL given by --prometheus; with a path in front of /api/v1, include that path"
        return fault(tried, str(error), "not_prometheus", remedy)

    def missing(self, tried: str, seconds: float, exporter: InExporter | None, *, arrived: bool | None) -> Look:
        """Return the look at a store without the canary; `arrived` says whether the exporter has it, if known."""
        found = f"not there after {seconds:.0f} s"
        if exporter is None:
            remedy = (
                "compare the clocks, as samples of the future are not shown; see the log of the server that was pushed "
                "to, or was that another one?"
            )
            return fault(tried, found, "not_in_prometheus", remedy)
        if not arrived:
            where = "not in the Collector's exporter either" if arrived is False else "it is not known where it ends"
            remedy = "find out first why the Collector's exporter does not show it (--collector-metrics URL)"
            return fault(tried, f"{found}; {where}", "not_in_prometheus", remedy)
        return self._between(tried, f"{found}, but the Collector's exporter has it", parts_of(exporter.url))

    def _between(self, tried: str, found: str, page: SplitResult) -> Look:
        """Return why a canary does not come from the exporter to here."""
        targets = [each for each in self._targets() if _is_at(str(each.get("scrapeUrl")), page.port or 80)]
        failing = [each for each in targets if each.get("health") != "up"]
        if not targets:
            target = page.netloc.rpartition("@")[2]
            remedy = (
                "add to its scrape_configs {job_name: otelcol-exporter, honor_labels: true, static_configs: "
                f"[{{targets: ['{target}']}}]}}, or let the Collector push here (exporter otlp_http); if another "
                "server scrapes for this one, look there"
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

    def _targets(self) -> list[Mapping[str, Any]]:
        with suppress(FailedError):
            found = self._opened().targets().get("activeTargets")
            return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []
        return []

    def _opened(self) -> Store:
        if self._store is None:
            parts_of(self.url)
            self._store = Store.at(self.url, self.access)
        return self._store


def parts_of(url: str) -> SplitResult:
    """Return the parts of a URL, which may lack http://. Raises FailedError if it cannot be read."""
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        _ = parts.port  # reading it checks it
    except ValueError:
        raise FailedError(f"{mask_url(url)!r} is not a URL; write one such as http://127.0.0.1:9090") from None
    return parts


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
