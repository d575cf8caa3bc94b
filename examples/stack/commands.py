"""The commands of the home stack. docs/stacks/home.md explains them, and compose-home.yaml has the same flags."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.servers.flags import CONFIG, FLUSH, OTLP

ALERTMANAGER: Final = CONFIG / "alertmanager" / "alertmanager.yml"
JAEGER: Final = CONFIG / "jaeger" / "jaeger.yaml"
RULES: Final = CONFIG / "prometheus" / "otel_ha*.yml"


@dataclass(frozen=True)
class Addresses:
    """Where each part listens, as host:port. The defaults are those of the files in collector-config/."""

    service: str = "127.0.0.1:9464"
    victoria_metrics: str = "127.0.0.1:8428"
    vmalert: str = "127.0.0.1:8880"
    alertmanager: str = "127.0.0.1:9093"
    # With --traces-logs only.
    jaeger: str = "127.0.0.1:16686"
    jaeger_otlp: str = "127.0.0.1:14318"
    jaeger_grpc: str = "127.0.0.1:16685"
    victoria_logs: str = "127.0.0.1:9428"

    def used(self, *, traces_logs: bool) -> dict[str, str]:
        """Return those that are used, by name."""
        extra = ("jaeger", "jaeger_otlp", "jaeger_grpc", "victoria_logs")
        return {name: address for name, address in vars(self).items() if traces_logs or name not in extra}

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


def victoria_logs(at: Addresses, data: Path) -> list[str]:
    """Return the flags of VictoriaLogs."""
    return [f"-httpListenAddr={at.victoria_logs}", f"-storageDataPath={data}", "-retentionPeriod=7d", FLUSH]


def jaeger_variables(at: Addresses, data: Path) -> dict[str, str]:
    """Return the variables of jaeger.yaml."""
    return {
        "JAEGER_HTTP_PORT": at.jaeger.rpartition(":")[2],
        "JAEGER_OTLP_HTTP_PORT": at.jaeger_otlp.rpartition(":")[2],
        "JAEGER_GRPC_PORT": at.jaeger_grpc.rpartition(":")[2],
        "JAEGER_STORAGE": str(data),
    }


def service_variables(at: Addresses, *, traces_logs: bool) -> dict[str, str]:
    """Return the settings of the service: no metrics are pushed, so that nothing is counted twice."""
    scraped = {"OTEL_METRICS_EXPORTER": "prometheus"}
    return (
        scraped
        | {
            "OTEL_TRACES_EXPORTER": "otlp",
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"http://{at.jaeger_otlp}/v1/traces",
            "OTEL_LOGS_EXPORTER": "otlp",
            "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": f"http://{at.victoria_logs}/insert/opentelemetry/v1/logs",
        }
        if traces_logs
        else scraped
    )


def service(at: Addresses) -> list[str]:
    """Return the options of the demo, which runs a home and the ingestor until it is stopped."""
    return [
        f"--port={at.service.rpartition(':')[2]}",
        f"--victoriametrics=http://{at.victoria_metrics}",
        "--duration=31536000",
    ]
