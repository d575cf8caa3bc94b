"""Prometheus 3, run on the repository's prometheus.yml with the targets of the test."""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.servers.locate import ROOT
from tests.servers.running import HOST, Server, free_ports, get, get_json, instant_query, post

CONFIG = ROOT / "collector-config" / "prometheus" / "prometheus.yml"
# The flags that prometheus.yml asks for; a test keeps them, compose.yaml and the README in step.
FLAGS = ("--web.enable-otlp-receiver", "--enable-feature=exemplar-storage")


@dataclass(frozen=True)
class Scrape:
    """A target. A job in prometheus.yml keeps its settings there, also honor_labels unless this sets it."""

    job: str
    target: str
    honor_labels: bool | None = None
    metrics_path: str = "/metrics"


class Prometheus(Server):
    """Scrapes its targets once a second, and receives OTLP.

    `rules` replaces the rule files of prometheus.yml; `alertmanager` is the host:port that is sent alerts.
    """

    name = "prometheus"

    def __init__(
        self,
        program: Path,
        directory: Path,
        *,
        scrapes: Sequence[Scrape] = (),
        rules: Sequence[Path] | None = None,
        alertmanager: str | None = None,
    ) -> None:
        super().__init__(program, directory)
        [port] = free_ports(1)
        self.url = f"http://{HOST}:{port}"
        self.target = f"{HOST}:{port}"
        self.scrapes = list(scrapes)
        self.rules = rules
        self.alertmanager = alertmanager
        self.config = directory / "prometheus.yml"

    @property
    def otlp_endpoint(self) -> str:
        """For OTEL_EXPORTER_OTLP_ENDPOINT and the Collector's otlp_http: both add /v1/metrics."""
        return f"{self.url}/api/v1/otlp"

    @property
    def otlp_metrics_endpoint(self) -> str:
        """For OTEL_EXPORTER_OTLP_METRICS_ENDPOINT, which is used as given."""
        return f"{self.otlp_endpoint}/v1/metrics"

    def scrape(self, job: str, target: str, *, honor_labels: bool | None = None) -> None:
        """Scrape one more target from now on (or from the start, if it has not started yet)."""
        self.scrapes.append(Scrape(job, target, honor_labels))
        if self.running:
            self._write_config()
            post(f"{self.url}/-/reload")

    def query(self, promql: str) -> list[tuple[dict[str, str], float]]:
        """Every (labels, value) now. A series that stops is stale after a scrape: use last_over_time(x[5m])."""
        return instant_query(self.url, promql)

    def exemplars(self, promql: str) -> list[tuple[dict[str, str], dict[str, str]]]:
        """The (labels of the series, labels of the exemplar) of the last hour's exemplars."""
        now = time.time()
        answer = get_json(f"{self.url}/api/v1/query_exemplars", query=promql, start=str(now - 3600), end=str(now + 60))
        return [(each["seriesLabels"], found["labels"]) for each in answer["data"] for found in each["exemplars"]]

    def alerts(self) -> list[dict[str, Any]]:
        """The alerts that are pending or fire now."""
        found: list[dict[str, Any]] = get_json(f"{self.url}/api/v1/alerts")["data"]["alerts"]
        return found

    def command(self) -> Sequence[str | Path]:
        """With the flags that prometheus.yml asks for."""
        self._write_config()
        data = self.directory / "data"
        return [
            self.program,
            f"--config.file={self.config}",
            f"--storage.tsdb.path={data}",
            f"--web.listen-address={self.target}",
            "--web.enable-lifecycle",
            # New targets are scraped at once, not after five seconds.
            "--scrape.discovery-reload-interval=100ms",
            *FLAGS,
        ]

    def ready(self) -> bool:
        """/-/ready answers 200 once the storage is open."""
        return bool(get(f"{self.url}/-/ready"))

    def _write_config(self) -> None:
        config = for_test(self.scrapes)
        if self.rules is not None:
            config["rule_files"] = [str(path) for path in self.rules]
        if self.alertmanager is not None:
            config["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": [self.alertmanager]}]}]}
        self.config.write_text(yaml.safe_dump(config), encoding="utf-8")


def for_test(scrapes: Sequence[Scrape], path: Path = CONFIG) -> dict[str, Any]:
    """The repository's file with only these targets; scrapes and rules run every second."""
    config: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    known = {job["job_name"]: job for job in config["scrape_configs"]}
    config["global"] = dict.fromkeys({*config["global"], "scrape_timeout"}, "1s")
    jobs: dict[str, dict[str, Any]] = {}
    for scrape in scrapes:
        job = jobs.setdefault(scrape.job, _job(known, scrape))
        job["static_configs"][0]["targets"].append(scrape.target)
    config["scrape_configs"] = list(jobs.values())
    # The written file lies elsewhere, so that relative paths must become absolute.
    if "rule_files" in config:
        config["rule_files"] = [str((path.parent / each).resolve()) for each in config["rule_files"]]
    config.pop("alerting", None)
    return config


def _job(known: Mapping[str, dict[str, Any]], scrape: Scrape) -> dict[str, Any]:
    job = copy.deepcopy(known.get(scrape.job, {"job_name": scrape.job, "static_configs": [{}]}))
    job["static_configs"] = [{**job["static_configs"][0], "targets": []}]
    job["metrics_path"] = scrape.metrics_path
    if scrape.honor_labels is not None:
        job["honor_labels"] = scrape.honor_labels
    return job
