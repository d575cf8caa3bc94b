"""One feed for all dashboards: two example ingestors, whose metrics reach the stores by every way in."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread

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
    """Run the servers and the ingestors, let the sink and the broker fail, and give the stores."""
    with ExitStack() as stack:

        def started(server):
            stack.callback(server.stop)
            return server.start()

        broker = started(Mosquitto(needed("mosquitto"), directory("mosquitto")))
        program = needed("victoria-metrics")
        sink, by_scrape, by_otlp = (
            started(VictoriaMetrics(program, directory(name), dashboards=dashboards))
            for name in ("sink", "by-scrape", "by-otlp")
        )
        unused = [Scrape("unused", f"{HOST}:1")]
        prometheus = started(Prometheus(needed("prometheus"), directory("prometheus"), scrapes=unused, rules=()))
        collector = started(Collector(needed("otelcol"), directory("otelcol"), upstream=prometheus.otlp_endpoint))
        with closing(Home(broker)) as home:
            home.leave_retained()
        options = (f"--victoriametrics={sink.url}", "--queue-capacity=50", "--batch-size=20")
        sending = "tests.integration.publishing_ingestor"
        first, second = (
            stack.enter_context(ingestor(broker, endpoint, *options, module=sending, OTEL_HA_ENTITY_METRICS="true"))
            for endpoint in (collector.otlp_http_endpoint, f"{by_otlp.url}/opentelemetry")
        )
        prometheus.scrape(SERVICE, first.target)
        prometheus.scrape("otelcol-exporter", collector.prometheus_target)
        by_scrape.scrape(SERVICE, second.target)
        for server in (prometheus, by_scrape, by_otlp):
            server.scrape("otelcol", collector.telemetry_target)
        live_through_faults(broker, sink)
        stack.enter_context(everyday(broker))
        yield Feed(prometheus, by_scrape, by_otlp)


def live_through_faults(broker: Mosquitto, sink: VictoriaMetrics) -> None:
    """Publish events while the sink is away, until the queues overflow; then restart the broker."""
    with closing(Home(broker)) as home:
        home.publish_timed(20)
        home.publish(EVENTS, rate=150)
        sink.stop()
        home.publish(EVENTS)
        sink.start()
    broker.restart()


@contextmanager
def everyday(broker: Mosquitto) -> Iterator[None]:
    """Publish a few events all the time: without events there is neither a share nor a quantile."""
    over = Event()

    def publish() -> None:
        with closing(Home(broker, seed=2)) as home:
            while not over.wait(0.1):
                home.publish_timed(1)
                home.publish(5)

    thread = Thread(target=publish)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
