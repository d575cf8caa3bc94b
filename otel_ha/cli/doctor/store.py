"""Store: a Prometheus or VictoriaMetrics, asked by its HTTP API."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self
from urllib.parse import urlencode

from prometheus_client.parser import text_string_to_metric_families

from otel_ha.cli.client import Access, Client, FailedError
from otel_ha.cli.doctor.clocks import of_date
from otel_ha.cli.doctor.reach import client_for, quoted
from otel_ha.scrub import mask_url, scrub

__all__ = ["PROMETHEUS", "VICTORIA_METRICS", "Store", "text_of"]

PROMETHEUS: Final = "Prometheus"
VICTORIA_METRICS: Final = "VictoriaMetrics"


@dataclass(frozen=True)
class Store:
    """A store that answers: its flavour and version, its metrics about itself, and by how much its clock is ahead."""

    client: Client
    flavour: str
    version: str
    metrics: Mapping[str, float]
    ahead: float | None

    @classmethod
    def at(cls, url: str, access: Access) -> Self:
        """Return the store at this URL. Raises FailedError if it does not answer, or is something else."""
        client = client_for(url, access, shares_password=False)
        asked = time.time()
        answer = client.fetch("api/v1/query?query=time()")
        here = (asked + time.time()) / 2
        if answer.status != 200:  # noqa: PLR2004 - a status code of HTTP
            target = answer.headers.get("Location")
            by = f" (Location: {mask_url(quoted(target))})" if target else ""
            text = f"{client.shown} answers {answer.status}{by}: {scrub(quoted(answer.text))}"
            raise FailedError(text.removesuffix(": "), answer.status)
        queried = _time_in(answer.text)
        metrics, versions = _own_metrics(client)
        flavour = next(iter(versions), "a store with the API of Prometheus")
        # VictoriaMetrics answers for a moment half a minute ago.
        there = of_date(answer.headers.get("Date")) if queried is None or flavour != PROMETHEUS else queried
        return cls(client, flavour, versions.get(flavour, ""), metrics, None if there is None else there - here)

    def query(self, promql: str) -> list[tuple[Mapping[str, str], float]]:
        """Return the labels and the value of every series in the result now. Raises FailedError."""
        # VictoriaMetrics holds the latest samples back by default, and remembers answers; others ignore its parameters.
        found = self.api("query", query=promql, latency_offset="1ms", nocache="1")
        return [(each["metric"], float(each["value"][1])) for each in found["result"]]

    def targets(self) -> Mapping[str, Any]:
        """Return the targets that are scraped, and those that relabelling has dropped. Raises FailedError."""
        found: Mapping[str, Any] = self.api("targets")
        return found

    def now(self) -> float:
        """Return the store's time, in seconds since the epoch."""
        return time.time() + (self.ahead or 0.0)

    def api(self, name: str, **parameters: str) -> Any:
        """Return the data of an answer of the store's HTTP API. Raises FailedError."""
        query = f"?{urlencode(parameters)}" if parameters else ""
        answer = self.client.fetch(f"api/v1/{name}{query}")
        try:
            found = json.loads(answer.text)
            if answer.status == 200 and found["status"] == "success":  # noqa: PLR2004 - a status code of HTTP
                return found["data"]
        except (ValueError, KeyError, TypeError, RecursionError):
            pass
        page = f"{self.client.shown}/api/v1/{name}"
        raise FailedError(f"{page} answers {answer.status}: {scrub(quoted(answer.text))}", answer.status)


def text_of(value: str) -> str:
    """Return a text as PromQL writes it, in quotation marks."""
    return json.dumps(value, ensure_ascii=False)


def _time_in(text: str) -> float | None:
    """Return the result of the query. Raises FailedError for the answer of another program."""
    try:
        data = json.loads(text)["data"]
        return float(data["result"][1]) if data["resultType"] == "scalar" else None
    except (ValueError, KeyError, TypeError, IndexError, RecursionError):
        raise FailedError("it answers, but not as Prometheus or VictoriaMetrics does", 200) from None


def _own_metrics(client: Client) -> tuple[Mapping[str, float], dict[str, str]]:
    """Return the store's metrics about itself, summed by name, and its flavour with the version; nothing if hidden."""
    metrics: defaultdict[str, float] = defaultdict(float)
    versions: dict[str, str] = {}
    of_flavour = {"prometheus_build_info": PROMETHEUS, "vm_app_version": VICTORIA_METRICS}
    try:
        answer = client.fetch("metrics", "text/plain; version=0.0.4")
        if answer.status != 200:  # noqa: PLR2004 - a status code of HTTP
            return metrics, versions
        for family in text_string_to_metric_families(answer.text):
            for sample in family.samples:
                metrics[sample.name] += sample.value
                if flavour := of_flavour.get(sample.name):
                    versions[flavour] = scrub(quoted(sample.labels.get("short_version") or sample.labels["version"]))
    except (FailedError, ValueError, KeyError):
        pass
    return metrics, versions
