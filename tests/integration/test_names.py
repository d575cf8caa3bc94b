"""A declared name is the exposed name, on each of the ways to Prometheus."""

import itertools
import re
import string

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from otel_ha import (
    Attribute,
    Catalog,
    CatalogError,
    Counter,
    Gauge,
    Histogram,
    ObservableCounter,
    ObservableGauge,
    ObservableUpDownCounter,
    TelemetryConfig,
    UpDownCounter,
    setup_telemetry,
)
from otel_ha.declare.instruments import Instrument, Observable
from tests.servers.prometheus import Scrape
from tests.servers.running import eventually, get

KINDS = (Counter, UpDownCounter, Gauge, Histogram, ObservableCounter, ObservableUpDownCounter, ObservableGauge)
UNITS = ("s", "ms", "By", "KiBy", "1", "%", "m", "Cel", "Hz", "V", "W", "{event}", "By/s", "{event}/s", "m/s", "d", "g")
ATTRIBUTE = Attribute("test.some_key", "An attribute.")

words = st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=6)
names = st.builds(
    lambda first, rest, separators: first + "".join(itertools.chain(*zip(separators, rest, strict=False))),
    st.sampled_from(["a", "home", "x1"]),
    st.lists(words, min_size=1, max_size=3),
    st.lists(st.sampled_from([".", "_", "-", "/", "__"]), min_size=3, max_size=3),
)


@st.composite
def declarations(draw: st.DrawFn) -> Instrument | None:
    kind = draw(st.sampled_from(KINDS))
    try:
        return kind(draw(names), unit=draw(st.sampled_from(UNITS)), description="Made up.", attributes=(ATTRIBUTE,))
    except CatalogError:
        return None  # names that a declaration refuses need no name in Prometheus


@st.composite
def catalogs(draw: st.DrawFn) -> Catalog:
    catalog = Catalog()
    for declared in draw(st.lists(declarations(), min_size=20, max_size=60)):
        if declared is not None:
            try:
                catalog |= Catalog(declared)
            except CatalogError:
                continue  # two that Prometheus would give one name
    return catalog


def record(instrument: Instrument) -> None:
    if isinstance(instrument, Observable):
        instrument.observe(lambda: 1, some_key="value")
        return
    verb = {Counter: "add", UpDownCounter: "add", Gauge: "set", Histogram: "record"}[type(instrument)]
    getattr(instrument, verb)(1, some_key="value")


def exposed(text: str) -> set[str]:
    """Names of the samples that carry the test's attribute, a histogram's under the name of its count."""
    samples = re.findall(r'^(\w+)\{.*test_some_key="value"', text, re.MULTILINE)
    return {name for name in samples if not name.endswith(("_bucket", "_sum"))}


_services = itertools.count()


@pytest.mark.servers
@pytest.mark.timeout(240)
@settings(
    max_examples=6,
    deadline=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(catalog=catalogs())
def test_a_declared_name_is_the_exposed_name_on_every_way(make_otelcol, make_prometheus, running, catalog):
    prometheus, collector = running(make_prometheus, make_otelcol)
    service = f"names-{next(_services)}"
    config = TelemetryConfig(
        environ={},
        metrics_exporters=("otlp", "prometheus"),
        otlp_endpoint=collector.otlp_http_endpoint,
        prometheus_port=0,
        system_metrics=False,
        export_interval=3600,
        resource_attributes={"service.instance.id": service},
    )
    declared = {i.prometheus_name + ("_count" if isinstance(i, Histogram) else "") for i in catalog}
    with setup_telemetry(service, config=config, catalog=catalog) as telemetry:
        for instrument in catalog:
            record(instrument)
        assert telemetry.flush()
        assert exposed(telemetry.prometheus_text()) == declared
    eventually(lambda: named(get(collector.prometheus_url), service) == declared)
    eventually(lambda: received(prometheus, service) == declared)


def named(text: str, service: str) -> set[str]:
    return exposed("\n".join(line for line in text.splitlines() if f'instance="{service}"' in line))


def received(prometheus, service: str) -> set[str]:
    series = prometheus.query(f'{{instance="{service}", test_some_key="value"}}')
    return {name for labels, _ in series if not (name := labels["__name__"]).endswith(("_bucket", "_sum"))}


@pytest.fixture
def running():
    """One Prometheus and one Collector for all examples of the test."""
    servers: list = []

    def start(make_prometheus, make_otelcol):
        if not servers:
            prometheus = make_prometheus([Scrape("unused", "127.0.0.1:1")]).start()
            servers.extend([prometheus, make_otelcol(upstream=prometheus.otlp_endpoint, variables={}).start()])
        return servers

    return start
