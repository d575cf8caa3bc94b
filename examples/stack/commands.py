"""The commands of the home stack. docs/stacks/home.md explains them, and compose-home.yaml has the same flags."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.servers.flags import CONFIG, FLUSH, OTLP

ALERTMANAGER: Final = CONFIG / "alertmanager" / "alertmanager.yml"
RULES: Final = CONFIG / "prometheus" / "otel_ha*.yml"


@dataclass(frozen=True)
class Addresses:
    """Where each part listens, as host:port. The defaults are those of the files in collector-config/."""

    service: str = "127.0.0.1:9464"
    victoria_metrics: str = "127.0.0.1:8428"
    vmalert: str = "127.0.0.1:8880"
    alertmanager: str = "127.0.0.1:9093"

    def in_text(self, text: str) -> str:
        """Return the text of a configuration file with these addresses instead of the defaults."""
        for name, default in vars(Addresses()).items():
            text = text.replace(default, getattr(self, name))
        return text


def victoria_metrics(at: Addresses, data: Path, scrape: Path) -> list[str]:
    """Return the flags of VictoriaMetrics."""
    return [
        f"-httpListenAddr={at.victoria_metrics}",
        f"-storageDataPath={data}",
        "-retentionPeriod=10y",
        FLUSH,
        f"-promscrape.config={scrape}",
        f"-vmui.customDashboardsPath={CONFIG / 'victoriametrics' / 'dashboards'}",
        f"-vmalert.proxyURL=http://{at.vmalert}",
        "-search.latencyOffset=5s",
        *OTLP,
    ]


def vmalert(at: Addresses, rules: Path) -> list[str]:
    """Return the flags of vmalert."""
    store = f"http://{at.victoria_metrics}"
    return [
        f"-httpListenAddr={at.vmalert}",
        f"-rule={rules}",
        f"-datasource.url={store}",
        f"-remoteWrite.url={store}",
        f"-remoteRead.url={store}",
        f"-notifier.url=http://{at.alertmanager}",
        f"-external.url={store}",
        "-evaluationInterval=15s",
        "-rule.evalDelay=5s",
    ]


def alertmanager(at: Addresses, data: Path, config: Path) -> list[str]:
    """Return the flags of Alertmanager."""
    return [
        f"--config.file={config}",
        f"--storage.path={data}",
        f"--web.listen-address={at.alertmanager}",
        "--cluster.listen-address=",
    ]


def service(at: Addresses) -> list[str]:
    """Return the options of the demo, which runs a home and the ingestor until it is stopped."""
    return [
        f"--port={at.service.rpartition(':')[2]}",
        f"--victoriametrics=http://{at.victoria_metrics}",
        "--duration=31536000",
    ]
