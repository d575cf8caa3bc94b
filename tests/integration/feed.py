"""One feed for all dashboards: two example ingestors, whose metrics reach the stores by every way in."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.integration.flow import Home, ingestor
from tests.servers.fixtures import needed
from tests.servers.mosquitto import Mosquitto
from tests.servers.otelcol import Collector
from tests.servers.prometheus import Prometheus, Scrape
from tests.servers.running import HOST
from tests.servers.victoria_metrics import VictoriaMetrics

SERVICE = "ha-ingestor"
EVENTS = 600


@dataclass(frozen=True)
class Feed:
    """The stores. Prometheus gets one service by three ways; each VictoriaMetrics gets another by one way."""

    prometheus: Prometheus
    by_scrape: VictoriaMetrics
    by_otlp: VictoriaMetrics


@contextmanager
def feed(directory: Callable[[str], Path], dashboards: Path) -> Iterator[Feed]:
    """Run the servers and the ingestors, publish events, and give the stores."""
    with ExitStack() as stack:

        def started(server):
            stack.callback(server.stop)
            return server.start()

        broker = started(Mosquitto(needed("mosquitto"), directory("mosquitto")))
        store = needed("victoria-metrics")
        by_scrape = started(VictoriaMetrics(store, directory("by-scrape"), dashboards=dashboards))
        by_otlp = started(VictoriaMetrics(store, directory("by-otlp")))
        prometheus = Prometheus(
            needed("prometheus"), directory("prometheus"), scrapes=[Scrape("unused", f"{HOST}:1")], rules=()
        )
        started(prometheus)
        collector = started(Collector(needed("otelcol"), directory("otelcol"), upstream=prometheus.otlp_endpoint))
        home = Home(broker)
        stack.callback(home.close)
        home.leave_retained()
        endpoints = (collector.otlp_http_endpoint, f"{by_otlp.url}/opentelemetry")
        first, second = (
            stack.enter_context(
                ingestor(broker, endpoint, f"--victoriametrics={by_scrape.url}", OTEL_HA_ENTITY_METRICS="true")
            )
            for endpoint in endpoints
        )
        prometheus.scrape(SERVICE, first.target)
        prometheus.scrape("otelcol-exporter", collector.prometheus_target)
        by_scrape.scrape(SERVICE, second.target)
        for server in (prometheus, by_scrape, by_otlp):
            server.scrape("otelcol", collector.telemetry_target)
        home.publish(EVENTS, rate=150)
        yield Feed(prometheus, by_scrape, by_otlp)
