"""The doctor on real Collectors, Prometheus and VictoriaMetrics: one test for each fault on the way of pushes."""

import datetime as dt
import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
import trustme
import yaml

from otel_ha.cli.doctor.step import Result
from tests.doctor import examined, finding_of, only_finding, settings, tunnel, without_proxies
from tests.servers.fixtures import Keep, needed
from tests.servers.otelcol import AGENT, Collector
from tests.servers.prometheus import Prometheus
from tests.servers.running import HOST, free_ports

pytestmark = [pytest.mark.servers, pytest.mark.timeout(120)]

PROTOCOLS = pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])


@pytest.fixture(autouse=True)
def _environment_without_proxies(monkeypatch):
    without_proxies(monkeypatch)


@pytest.fixture
def guarded(tmp_path: Path, keep_server: Keep) -> Callable[..., Collector]:
    """Start a Collector whose receiver has these settings for each protocol, such as tls."""

    def start(extensions: dict[str, object] | None = None, **receiver: object) -> Collector:
        config = yaml.safe_load(AGENT.read_text())
        for protocol in config["receivers"]["otlp"]["protocols"].values():
            protocol.update(receiver)
        config["extensions"].update(extensions or {})
        config["service"]["extensions"] += list(extensions or {})
        written = tmp_path / "guarded.yaml"
        written.write_text(yaml.safe_dump(config))
        collector = Collector(needed("otelcol"), tmp_path / "otelcol", config=written)
        keep_server(collector)
        return collector.start()

    return start


def endpoint(collector: Collector, protocol: str, scheme: str = "http") -> str:
    url = collector.otlp_grpc_endpoint if protocol == "grpc" else collector.otlp_http_endpoint
    return url.replace("http:", f"{scheme}:")


def certified(folder: Path, *names: str, **given: object) -> tuple[trustme.CA, dict[str, str]]:
    """An authority, and the settings of a receiver with a certificate by it."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    issued = authority.issue_cert(*(names or (HOST,)), **given)
    issued.private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
    return authority, {"cert_file": str(folder / "server.pem"), "key_file": str(folder / "server.pem")}


@PROTOCOLS
def test_a_collector_in_order_has_no_finding_and_stores_nothing(otelcol, protocol):
    steps = examined(settings(endpoint(otelcol, protocol), protocol))
    assert {step.result for step in steps.values()} == {Result.OK, Result.SKIPPED}
    assert [step.id for step in steps.values() if step.result is Result.SKIPPED] == ["collector.tls"]
    assert steps["collector.push"].result is Result.OK


@PROTOCOLS
def test_no_collector(protocol):
    [port] = free_ports(1)
    step = finding_of(f"http://{HOST}:{port}", protocol)
    assert step.id == "collector.connection"
    assert step.cause in {"connection_refused", "wrong_port"}  # the user's own Collector may listen at the usual port


def test_http_to_the_grpc_port(otelcol):
    step = finding_of(otelcol.otlp_grpc_endpoint)
    assert step.cause == "http_to_grpc_port"
    assert "is a gRPC port" in step.found
    assert f"use http://{HOST}:4318" in step.remedy
    assert "OTEL_EXPORTER_OTLP_PROTOCOL=grpc" in step.remedy


def test_grpc_to_the_http_port(otelcol):
    step = finding_of(otelcol.otlp_http_endpoint, "grpc")
    assert step.cause == "grpc_to_http_port"
    assert "is an HTTP port" in step.found
    assert f"use http://{HOST}:4317" in step.remedy
    assert "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf" in step.remedy


@PROTOCOLS
def test_a_certificate_of_an_unknown_authority(guarded, tmp_path, protocol):
    _, tls = certified(tmp_path)
    step = finding_of(endpoint(guarded(tls=tls), protocol, "https"), protocol)
    assert (step.id, step.cause) == ("collector.tls", "certificate_untrusted")
    assert "OTEL_EXPORTER_OTLP_CERTIFICATE" in step.remedy


@PROTOCOLS
def test_a_certificate_that_is_trusted_and_right(guarded, tmp_path, protocol):
    _, tls = certified(tmp_path)
    url = endpoint(guarded(tls=tls), protocol, "https")
    steps = examined(settings(url, protocol, CERTIFICATE=str(tmp_path / "ca.pem")))
    assert {step.result for step in steps.values()} == {Result.OK}
    assert steps["collector.tls"].found.startswith("TLSv1.3")


@PROTOCOLS
def test_a_certificate_for_another_name(guarded, tmp_path, protocol):
    _, tls = certified(tmp_path, "collector.example")
    step = finding_of(endpoint(guarded(tls=tls), protocol, "https"), protocol, CERTIFICATE=str(tmp_path / "ca.pem"))
    assert step.cause == "certificate_name"


@PROTOCOLS
def test_a_certificate_that_has_expired(guarded, tmp_path, protocol):
    _, tls = certified(tmp_path, not_after=dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
    step = finding_of(endpoint(guarded(tls=tls), protocol, "https"), protocol, CERTIFICATE=str(tmp_path / "ca.pem"))
    assert step.cause == "certificate_expired"


@pytest.mark.parametrize("version", ["1.2", "1.3"])
@PROTOCOLS
def test_a_missing_client_certificate(guarded, tmp_path, protocol, version):
    _, tls = certified(tmp_path)
    secured = {**tls, "client_ca_file": str(tmp_path / "ca.pem"), "max_version": version}
    step = finding_of(endpoint(guarded(tls=secured), protocol, "https"), protocol, CERTIFICATE=str(tmp_path / "ca.pem"))
    assert (step.id, step.cause) == ("collector.tls", "client_certificate_required")
    assert "CLIENT_CERTIFICATE" in step.remedy


@PROTOCOLS
def test_a_client_certificate_of_a_foreign_authority(guarded, tmp_path, protocol):
    _, tls = certified(tmp_path)
    foreign = trustme.CA().issue_cert("client.example").private_key_and_cert_chain_pem
    foreign.write_to_path(tmp_path / "client.pem")
    url = endpoint(guarded(tls={**tls, "client_ca_file": str(tmp_path / "ca.pem")}), protocol, "https")
    client = str(tmp_path / "client.pem")
    step = finding_of(url, protocol, CERTIFICATE=str(tmp_path / "ca.pem"), CLIENT_CERTIFICATE=client, CLIENT_KEY=client)
    assert step.cause == "client_certificate_refused"


@PROTOCOLS
def test_a_client_certificate_that_is_accepted(guarded, tmp_path, protocol):
    authority, tls = certified(tmp_path)
    authority.issue_cert("client.example").private_key_and_cert_chain_pem.write_to_path(tmp_path / "client.pem")
    url = endpoint(guarded(tls={**tls, "client_ca_file": str(tmp_path / "ca.pem")}), protocol, "https")
    client = str(tmp_path / "client.pem")
    given = {"CERTIFICATE": str(tmp_path / "ca.pem"), "CLIENT_CERTIFICATE": client, "CLIENT_KEY": client}
    assert {step.result for step in examined(settings(url, protocol, **given)).values()} == {Result.OK}


@PROTOCOLS
def test_plain_text_to_a_port_with_tls(guarded, tmp_path, protocol):
    _, tls = certified(tmp_path)
    step = finding_of(endpoint(guarded(tls=tls), protocol), protocol)
    assert (step.id, step.cause) == ("collector.protocol", "tls_expected")
    assert "https://" in step.remedy


@PROTOCOLS
def test_tls_to_a_port_of_plain_text(otelcol, protocol):
    step = finding_of(endpoint(otelcol, protocol, "https"), protocol)
    assert (step.id, step.cause) == ("collector.tls", "tls_not_spoken")
    assert "http://" in step.remedy


def test_http_to_the_grpc_port_by_tls(guarded, tmp_path):
    _, tls = certified(tmp_path)
    step = finding_of(endpoint(guarded(tls=tls), "grpc", "https"), CERTIFICATE=str(tmp_path / "ca.pem"))
    assert step.cause == "http_to_grpc_port"


def test_grpc_to_the_http_port_by_tls(guarded, tmp_path):
    _, tls = certified(tmp_path)
    url = endpoint(guarded(tls=tls), "http/protobuf", "https")
    step = finding_of(url, "grpc", CERTIFICATE=str(tmp_path / "ca.pem"))
    assert step.cause == "grpc_to_http_port"


@PROTOCOLS
def test_a_collector_behind_a_proxy_that_makes_tunnels(guarded, tmp_path, monkeypatch, protocol):
    _, tls = certified(tmp_path, "collector.invalid")
    collector = guarded(tls=tls)
    port = int(endpoint(collector, protocol).rpartition(":")[2])
    with tunnel(port) as (proxy, _):
        monkeypatch.setenv("https_proxy", proxy)
        given = {"CERTIFICATE": str(tmp_path / "ca.pem")}
        steps = examined(settings("https://collector.invalid:4318", protocol, **given))
    assert {step.result for step in steps.values()} == {Result.OK}


@pytest.mark.parametrize("headers", ["", "authorization=Bearer%20wrong-token-of-mine"])
@PROTOCOLS
def test_credentials_that_are_missing_or_wrong(guarded, protocol, headers):
    extensions = {"bearertokenauth": {"token": "the-right-token"}}
    collector = guarded(extensions, auth={"authenticator": "bearertokenauth"})
    steps = examined(settings(endpoint(collector, protocol), protocol, HEADERS=headers))
    step = only_finding(steps)
    assert (step.id, step.cause) == ("collector.push", "unauthenticated")
    assert ("not accepted" in step.remedy) == bool(headers)
    assert "wrong-token" not in repr(steps)


@PROTOCOLS
def test_credentials_that_are_right(guarded, protocol):
    extensions = {"bearertokenauth": {"token": "the-right-token"}}
    collector = guarded(extensions, auth={"authenticator": "bearertokenauth"})
    steps = examined(
        settings(endpoint(collector, protocol), protocol, HEADERS="authorization=Bearer%20the-right-token")
    )
    assert steps["collector.push"].result is Result.OK


@PROTOCOLS
def test_a_collector_without_a_pipeline_of_metrics(tmp_path, keep_server, protocol):
    config = yaml.safe_load(AGENT.read_text())
    config["service"]["pipelines"]["traces"] = config["service"]["pipelines"].pop("metrics")
    config["service"]["pipelines"]["traces"].update(exporters=["otlp_http"], processors=["memory_limiter"])
    (tmp_path / "traces.yaml").write_text(yaml.safe_dump(config))
    collector = Collector(needed("otelcol"), tmp_path / "otelcol", config=tmp_path / "traces.yaml")
    keep_server(collector)
    step = finding_of(endpoint(collector.start(), protocol), protocol)
    assert step.cause == ("no_metrics_receiver" if protocol == "grpc" else "otlp_path")


@PROTOCOLS
def test_a_hanging_collector_takes_its_time_limit_once(otelcol, protocol):
    os.kill(otelcol.pid, signal.SIGSTOP)
    try:
        step = finding_of(endpoint(otelcol, protocol), protocol, TIMEOUT="500")
    finally:
        os.kill(otelcol.pid, signal.SIGCONT)
    assert (step.id, step.cause) == ("collector.protocol", "no_answer")


@PROTOCOLS
def test_a_hanging_collector_with_tls(guarded, tmp_path, protocol):
    _, tls = certified(tmp_path)
    collector = guarded(tls=tls)
    os.kill(collector.pid, signal.SIGSTOP)
    try:
        step = finding_of(endpoint(collector, protocol, "https"), protocol, TIMEOUT="500")
    finally:
        os.kill(collector.pid, signal.SIGCONT)
    assert (step.id, step.cause) == ("collector.tls", "no_answer")


def test_the_wrong_path_of_a_prometheus(prometheus):
    step = finding_of(prometheus.url)
    assert step.cause == "otlp_path"
    assert "/api/v1/otlp/v1/metrics" in step.remedy


def test_the_wrong_path_of_a_victoria_metrics(victoria_metrics):
    step = finding_of(victoria_metrics.url)
    assert step.cause == "otlp_path"
    assert "/opentelemetry/v1/metrics" in step.remedy


def test_the_right_paths_of_stores(prometheus, victoria_metrics):
    for url in (prometheus.otlp_endpoint, f"{victoria_metrics.url}/opentelemetry"):
        assert examined(settings(url))["collector.push"].result is Result.OK


class WithoutReceiver(Prometheus):
    """Prometheus as it is by default."""

    def command(self) -> list[str | Path]:
        return [each for each in super().command() if each != "--web.enable-otlp-receiver"]


def test_a_prometheus_without_its_otlp_receiver(tmp_path, keep_server):
    prometheus = WithoutReceiver(needed("prometheus"), tmp_path / "prometheus")
    keep_server(prometheus)
    step = finding_of(prometheus.start().otlp_endpoint)
    assert step.cause == "no_otlp_receiver"
    assert "--web.enable-otlp-receiver" in step.remedy


def test_the_collectors_exporter_is_not_its_receiver(otelcol):
    step = finding_of(f"http://{otelcol.prometheus_target}")
    assert step.id == "collector.push"
    assert step.cause in {"otlp_path", "method_not_allowed"}


def test_http_to_a_grpc_server_of_another_make():
    with ThreadPoolExecutor(1) as pool:
        server = grpc.server(pool)
        port = server.add_insecure_port(f"{HOST}:0")
        server.start()
        step = finding_of(f"http://{HOST}:{port}")
        server.stop(0).wait()
    assert step.cause == "http_to_grpc_port"


def test_grpc_to_a_grpc_server_without_otlp():
    with ThreadPoolExecutor(1) as pool:
        server = grpc.server(pool)
        port = server.add_insecure_port(f"{HOST}:0")
        server.start()
        step = finding_of(f"http://{HOST}:{port}", "grpc")
        server.stop(0).wait()
    assert step.cause == "no_metrics_receiver"
