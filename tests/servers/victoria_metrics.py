"""VictoriaMetrics, single node: InfluxDB line protocol in, PromQL out."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path

import yaml

from tests.servers.flags import FLUSH, OTLP, SCRAPE
from tests.servers.prometheus import Scrape, for_test
from tests.servers.running import HOST, Server, free_ports, get, instant_query, post


class VictoriaMetrics(Server):
    """Takes InfluxDB lines at /write (no database needed); measurement_field becomes the metric's name.

    One bad line refuses the whole request with 400 and stores none of it. With the header Stream-Mode: 1 it stores the
    good lines, counts the bad one in vm_rows_invalid_total and answers 204. A field that is text is stored as 0.

    It scrapes its targets once a second, and draws the dashboards (JSON files) of a directory in its page.
    """

    name = "victoria-metrics"

    def __init__(
        self, program: Path, directory: Path, *, scrapes: Sequence[Scrape] = (), dashboards: Path | None = None
    ) -> None:
        super().__init__(program, directory)
        [port] = free_ports(1)
        self.address = f"{HOST}:{port}"
        self.url = f"http://{self.address}"
        self.scrapes = list(scrapes)
        self.dashboards = dashboards
        self.config = directory / "scrape.yml"

    @property
    def otlp_metrics_endpoint(self) -> str:
        """For OTEL_EXPORTER_OTLP_METRICS_ENDPOINT, which is used as given."""
        return f"{self.url}/opentelemetry/v1/metrics"

    def scrape(self, job: str, target: str) -> None:
        """Scrape one more target from now on (or from the start, if it has not started yet)."""
        self.scrapes.append(Scrape(job, target))
        if self.running:
            self._write_config()
            post(f"{self.url}/-/reload")

    @property
    def write_url(self) -> str:
        """For InfluxDB line protocol."""
        return f"{self.url}/write"

    def query(self, promql: str) -> list[tuple[dict[str, str], float]]:
        """Every (labels, value) now, including the latest writes."""
        self._flush()
        return instant_query(self.url, promql, time=_soon())

    def export(self, match: str) -> list[tuple[dict[str, str], list[tuple[int, float]]]]:
        """Every series that matches, with all its samples as (milliseconds, value): for exact counts."""
        self._flush()
        lines = get(f"{self.url}/api/v1/export", **{"match[]": match, "start": "0", "end": _soon()}).splitlines()
        series = [json.loads(line) for line in lines]
        return [(each["metric"], list(zip(each["timestamps"], each["values"], strict=True))) for each in series]

    def metrics(self) -> str:
        """Its own metrics. vm_rows_invalid_total counts lines that a request with Stream-Mode: 1 had skipped."""
        return get(f"{self.url}/metrics")

    def command(self) -> Sequence[str | Path]:
        """Keeps everything, and shows writes at once (by default it holds them back for 30 s)."""
        self._write_config()
        return [
            self.program,
            f"-httpListenAddr={self.address}",
            f"-storageDataPath={self.directory / 'data'}",
            "-retentionPeriod=100y",
            FLUSH,
            "-search.latencyOffset=0s",
            # By default it caches a share of the machine's memory, which other tests need as well.
            "-memory.allowedBytes=256MB",
            f"-promscrape.config={self.config}",
            *OTLP,
            *([f"-vmui.customDashboardsPath={self.dashboards}"] if self.dashboards else []),
        ]

    def ready(self) -> bool:
        """/health says OK once the storage is open."""
        return get(f"{self.url}/health") == "OK"

    def _write_config(self) -> None:
        self.config.write_text(yaml.safe_dump(for_test(self.scrapes, SCRAPE)), encoding="utf-8")

    def _flush(self) -> None:
        # Without it a query misses the last second of writes.
        get(f"{self.url}/internal/force_flush")


def _soon() -> str:
    # Times are cut to whole seconds: "now" would miss the writes since the second began.
    return str(int(time.time()) + 1)
