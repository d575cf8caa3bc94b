"""The doctor on the endpoint of a service: each fault is a finding that names its cause."""

import os
import socketserver
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import urllib3

from otel_ha import TelemetryConfig
from otel_ha.cli.client import Access
from otel_ha.cli.doctor import endpoint, run
from otel_ha.cli.doctor.step import Result, Step
from otel_ha.vocabulary import ingest
from tests.integration.doctor import ROOT, SCRAPE_ONLY, SERVICE, doctor, issue, port_of, service, url_of
from tests.servers.running import HOST, free_ports

pytestmark = pytest.mark.timeout(120)


@contextmanager
def serving(server):
    """Run a socketserver in a thread, and give its port."""
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def pages(answer):
    """A web server that answers every GET by a function of the path: status, headers, text."""

    class Pages(BaseHTTPRequestHandler):
        server_version = "camera/1.0"
        sys_version = ""

        def do_GET(self):
            status, headers, text = answer(self.path)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_):
            pass

    return serving(ThreadingHTTPServer((HOST, 0), Pages))


def talking(greeting: bytes, *, hangs: bool = False):
    """A server that says something as soon as a client connects, or nothing."""
    over = threading.Event()

    class Talk(socketserver.BaseRequestHandler):
        def handle(self):
            self.request.sendall(greeting)
            if hangs:
                over.wait(30)
            else:
                self.request.recv(1000)

    @contextmanager
    def run():
        with serving(socketserver.ThreadingTCPServer((HOST, 0), Talk)) as port:
            yield port
            over.set()

    return run()


def at(port) -> dict[str, str]:
    return {"OTEL_EXPORTER_PROMETHEUS_PORT": str(port), **SCRAPE_ONLY}


def test_a_service_that_answers_is_introduced():
    with service() as telemetry:
        report = doctor(**at(port_of(telemetry)))
    assert report.causes == []
    found = report.step("endpoint.address")["found"]
    for part in (repr(SERVICE), "otel-ha 0.", "opentelemetry-sdk 1.", f"process {os.getpid()} on ", " ago"):
        assert part in found
    assert report.step("endpoint.accounts")["facts"]["received"] == 3
    assert report.step("endpoint.scrape_text")["facts"]["series"] > 10
    assert report.step("endpoint.scrape_openmetrics")["result"] == "ok"


def test_an_address_at_which_nothing_listens_is_free():
    [port] = free_ports(1)
    report = doctor(OTEL_SERVICE_NAME="nobody", **at(port))
    assert report.causes == ["no_service"]
    assert f"127.0.0.1:{port}" in report.findings[0]["found"]


def at_usual_port(monkeypatch, telemetry):
    """Let the port of this service be the usual one: the real one may be in use."""
    monkeypatch.setattr(endpoint, "_USUAL_PORT", int(port_of(telemetry)))


def looked(port, name=None):
    """The steps of the endpoint that settings with this port give, taken in this process."""
    config = TelemetryConfig(environ={**at(port), **({"OTEL_SERVICE_NAME": name} if name else {})})
    return list(endpoint.endpoint_steps(config, None, Access()))


def test_a_service_at_the_usual_port_is_found_and_looked_at_there(monkeypatch):
    [port] = free_ports(1)
    with service() as telemetry:
        at_usual_port(monkeypatch, telemetry)
        url = url_of(telemetry)
        first, *rest = looked(port)
    assert first.cause == "wrong_port"
    assert f"the service {SERVICE!r} answers at {url}" in first.found
    assert f"--service-url {url}" in first.remedy
    assert rest
    assert [step.cause for step in rest if step.cause] == []


def test_another_service_at_the_usual_port_is_not_taken_for_this_one(monkeypatch):
    [port] = free_ports(1)
    with service() as telemetry:
        at_usual_port(monkeypatch, telemetry)
        assert [step.cause for step in looked(port, "another")] == ["no_service"]


def test_a_host_that_does_not_exist_is_named():
    report = doctor("--service-url", "http://no-such-host.invalid:9464", **SCRAPE_ONLY)
    assert report.causes == ["unknown_host"]


def test_a_port_that_another_program_has_is_taken():
    with pages(lambda path: (404, {}, f"no {path} here")) as port:
        report = doctor(**at(port))
    assert report.causes == ["taken_by_program"]
    found = report.findings[0]
    assert "camera/1.0" in found["found"]
    assert "answers 404: 'no /healthz here'" in found["found"]
    assert f"({os.getpid()})" in found["facts"]["process"]


@pytest.mark.parametrize(
    "body",
    ["[" * 100_000, '{"status": 7, "reasons": 5, "readers": {}, "endpoint": null}', "[]"],
    ids=["deep", "other types", "a list"],
)
def test_json_of_another_program_is_not_a_service(body):
    with pages(lambda _: (200, {"Content-Type": "application/json"}, body)) as port:
        report = doctor(**at(port))
        assert report.causes == ["taken_by_program"]
        report = doctor("--prometheus", f"http://{HOST}:{port}", OTEL_METRICS_EXPORTER="none")
    assert report.step("prometheus.connection")["cause"] == "not_prometheus"


@pytest.mark.parametrize(
    ("status", "cause"), [(302, "redirected"), (401, "prometheus_password"), (404, "not_prometheus"),
                          (502, "query_failed"), (503, "query_failed")]
)  # fmt: skip
def test_an_answer_of_prometheus_without_success_is_named(status, cause):
    with pages(lambda _: (status, {"Location": "https://elsewhere.example/?token=abcdef"}, "")) as port:
        report = doctor("--prometheus", f"http://{HOST}:{port}", OTEL_METRICS_EXPORTER="none")
    step = report.step("prometheus.connection")
    assert step["cause"] == cause
    assert "https://elsewhere.example" in step["found"]
    assert "abcdef" not in str(report.data)


def test_a_program_that_does_not_speak_http_is_quoted():
    with talking(b"SSH-2.0-OpenSSH_9.2\r\n") as port:
        report = doctor(**at(port))
    assert report.causes == ["taken_by_program"]
    assert "SSH-2.0-OpenSSH_9.2" in report.findings[0]["found"]


def test_a_port_that_another_service_of_otel_ha_has_is_taken():
    with service("the-other-one") as telemetry:
        report = doctor(OTEL_SERVICE_NAME=SERVICE, **at(port_of(telemetry)))
    assert report.causes == ["taken_by_service"]
    assert report.findings[0]["facts"] == {"service": "the-other-one", "expected": SERVICE}


def test_a_service_that_found_its_port_taken_says_so_where_it_is_asked():
    with service("first") as first:
        second = (
            "from otel_ha import setup_telemetry\n"
            "from wsgiref.simple_server import make_server, WSGIRequestHandler\n"
            "WSGIRequestHandler.log_message = lambda *_: None\n"
            "telemetry = setup_telemetry('second')\n"
            "server = make_server('127.0.0.1', 0, telemetry.wsgi_app)\n"
            "print(server.server_port, flush=True)\n"
            "server.serve_forever(0.05)"
        )
        with subprocess.Popen(
            [sys.executable, "-c", second],
            env={**os.environ, **at(port_of(first))},
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as process:
            port = process.stdout.readline().strip()
            report = doctor("--service-url", f"http://{HOST}:{port}", **SCRAPE_ONLY)
            process.terminate()
    assert report.causes == ["telemetry_degraded"]
    assert "cannot listen" in report.findings[0]["found"]
    assert "OTEL_EXPORTER_PROMETHEUS_PORT" in report.findings[0]["remedy"]
    assert "otel-ha doctor" not in report.findings[0]["remedy"]  # it runs already


def test_a_program_that_hangs_is_named():
    with talking(b"", hangs=True) as port:
        report = doctor("--timeout", "0.5", **at(port))
    assert report.causes == ["no_answer"]


def test_a_response_without_an_end_is_named():
    over = threading.Event()

    class Stream(socketserver.StreamRequestHandler):
        def handle(self):
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace\r\n\r\n")
            while not over.wait(0.05):
                self.wfile.write(b"x" * 1000)

    with serving(socketserver.ThreadingTCPServer((HOST, 0), Stream)) as port:
        report = doctor("--timeout", "0.5", **at(port))
        over.set()
    assert report.causes == ["no_answer"]


def test_a_missing_and_a_wrong_password_are_told_apart():
    with service(endpoint_username="me", endpoint_password="correct horse") as telemetry:
        url = ("--service-url", url_of(telemetry))
        assert doctor(*url, **SCRAPE_ONLY).causes == ["password_needed"]
        assert doctor(*url, "--username=me", "--password=wrong", **SCRAPE_ONLY).causes == ["password_wrong"]
        assert doctor(*url, "--username=me", "--password=correct horse", **SCRAPE_ONLY).causes == []
        in_url = url_of(telemetry).replace("://", "://me:correct%20horse@")
        report = doctor("--service-url", in_url, **SCRAPE_ONLY)
    assert report.causes == []
    assert "horse" not in str(report.data)


def test_the_password_in_the_env_file_is_used_and_not_shown(tmp_path):
    file = tmp_path / "service.env"
    with service(endpoint_username="me", endpoint_password="correct horse") as telemetry:
        file.write_text(
            f"OTEL_HA_ENDPOINT_USERNAME=me\nOTEL_HA_ENDPOINT_PASSWORD='correct horse'\n"
            f"OTEL_METRICS_EXPORTER=prometheus\nOTEL_EXPORTER_PROMETHEUS_PORT={port_of(telemetry)}\n"
        )
        report = doctor("--env-file", str(file))
    assert report.causes == []
    assert "horse" not in str(report.data)
    origins = {each["origin"] for each in report.step("settings.non_default")["facts"]["settings"].values()}
    assert origins == {str(file)}


def test_faults_of_tls_are_told_apart(tmp_path):
    pem = issue(tmp_path)
    tls = {"endpoint_certificate": pem.certificate, "endpoint_key": pem.key}
    with service(**tls) as telemetry:
        url = url_of(telemetry)
        assert doctor("--service-url", url, **SCRAPE_ONLY).causes == ["tls_certificate"]
        plain = url.replace("https://", "http://")
        assert doctor("--service-url", plain, **SCRAPE_ONLY).causes == ["tls_expected"]
        assert doctor("--service-url", url, "--ca", str(pem.authority), **SCRAPE_ONLY).causes == []
        settings = {"OTEL_HA_ENDPOINT_CERTIFICATE": str(pem.certificate), "OTEL_HA_ENDPOINT_KEY": str(pem.key)}
        assert doctor("--ca", str(pem.authority), **settings, **at(port_of(telemetry))).causes == []
    with service() as telemetry:
        secure = url_of(telemetry).replace("http://", "https://")
        assert doctor("--service-url", secure, **SCRAPE_ONLY).causes == ["tls_not_spoken"]


def test_a_missing_certificate_of_the_client_is_named(tmp_path):
    pem = issue(tmp_path)
    tls = {
        "endpoint_certificate": pem.certificate,
        "endpoint_key": pem.key,
        "endpoint_client_ca": pem.authority,
    }
    options = ("--ca", str(pem.authority))
    with service(**tls) as telemetry:
        assert doctor("--service-url", url_of(telemetry), *options, **SCRAPE_ONLY).causes == ["tls_client_certificate"]
        options += ("--client-certificate", str(pem.certificate), "--client-key", str(pem.key))
        assert doctor("--service-url", url_of(telemetry), *options, **SCRAPE_ONLY).causes == []


def test_a_name_that_the_endpoint_does_not_allow_is_named():
    with service(prometheus_host="0.0.0.0", endpoint_allowed_hosts=("metrics.example",)) as telemetry:
        report = doctor("--service-url", f"http://127.0.0.1:{port_of(telemetry)}", **SCRAPE_ONLY)
    assert report.causes == ["host_not_allowed"]
    assert "OTEL_HA_ENDPOINT_ALLOWED_HOSTS" in report.findings[0]["remedy"]


def push_to(port, **settings):
    """Settings of a service that pushes to this port, and has an endpoint."""
    url = f"http://{HOST}:{port}/v1/metrics"
    return {"metrics_exporters": ("otlp", "prometheus"), "otlp_endpoint": url, "export_timeout": 0.2, **settings}


def results(report, *topics):
    return {step["result"] for step in report.data["steps"] if step["id"].partition(".")[0] in topics}


def test_a_service_that_does_not_push_needs_no_collector():
    with service() as telemetry:
        report = doctor("--service-url", url_of(telemetry), canary=True)
    assert report.causes == []
    assert results(report, "collector", "canary") == {"skipped"}
    assert "does not push" in report.step("collector.address")["found"]


def test_settings_of_a_push_differ_from_a_service_that_does_not_push():
    with service() as telemetry:
        report = doctor("--service-url", url_of(telemetry), OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9")
    assert report.causes == ["settings_differ"]
    assert "does not push; the settings here push to http://127.0.0.1:9/v1/metrics" in report.findings[0]["found"]
    assert "--env-file" in report.findings[0]["remedy"]
    assert results(report, "collector") == {"skipped"}


def test_settings_of_a_push_differ_from_those_of_the_service():
    here, there = free_ports(2)
    with service(**push_to(there)) as telemetry:
        report = doctor("--service-url", url_of(telemetry), OTEL_EXPORTER_OTLP_ENDPOINT=f"http://{HOST}:{here}")
        same = doctor("--service-url", url_of(telemetry), OTEL_EXPORTER_OTLP_ENDPOINT=f"http://{HOST}:{there}")
        without = doctor("--service-url", url_of(telemetry), **SCRAPE_ONLY)
    assert report.causes[0] == "settings_differ"
    assert f":{there}/v1/metrics; the settings here push to http://{HOST}:{here}/" in report.findings[0]["found"]
    assert "settings_differ" not in same.causes
    assert without.causes == ["settings_differ"]


def test_reasons_of_a_degraded_service_come_with_what_to_do():
    [port] = free_ports(1)
    with service(**push_to(port)) as telemetry:
        telemetry.flush()
        report = doctor("--service-url", url_of(telemetry), **SCRAPE_ONLY)
    assert report.causes == ["settings_differ", "telemetry_degraded"]
    assert "refused" in report.findings[1]["found"]
    assert report.findings[1]["remedy"]


def test_a_push_that_fails_for_the_service_and_for_the_doctor_is_one_finding():
    [port] = free_ports(1)
    with service(**push_to(port)) as telemetry:
        telemetry.flush()
        push = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{HOST}:{port}"}
        report = doctor("--service-url", url_of(telemetry), **push)
    assert report.causes == ["connection_refused"]
    state = report.step("endpoint.health")
    assert (state["result"], state["cause"], state["remedy"]) == ("skipped", "", "")
    assert "refused" in state["found"]
    assert "the finding of collector.connection" in state["found"]


def test_a_push_that_fails_for_the_service_alone_is_a_finding(monkeypatch):
    state = Step(id="endpoint.health", title="", result=Result.FINDING, tried="", found="", cause="telemetry_degraded")

    def endpoint_steps(*_, **__):
        yield from ()
        return endpoint.Service(SERVICE, push_problem=state)

    def collector_steps(*_, **__):
        yield from ()

    monkeypatch.setattr(run, "endpoint_steps", endpoint_steps)
    monkeypatch.setattr(run, "collector_steps", collector_steps)
    assert state in list(run.examine(run.Questions(access=Access(), canary=False)))


def last_scrape(telemetry):
    [readers] = [each for each in telemetry.health()["readers"] if each["reader"] == "prometheus"]
    return readers["last_success"]


def test_a_scrape_of_the_doctor_is_not_taken_for_one_of_prometheus():
    with service() as telemetry:
        report = doctor("--service-url", url_of(telemetry), **SCRAPE_ONLY)
        assert report.step("endpoint.scrape_text")["result"] == "ok"
        assert last_scrape(telemetry) is None
        Access().client(url_of(telemetry)).text("metrics")
        assert last_scrape(telemetry) is None
        urllib3.request("GET", f"{url_of(telemetry)}/metrics", headers={"User-Agent": "Prometheus/3.0"})
        assert last_scrape(telemetry) is not None


def test_a_connection_that_is_down_is_named():
    with service() as telemetry:
        ingest.CONNECTIONS.add(1, kind="mqtt")
        ingest.CONNECTIONS.add(-1, kind="mqtt")
        report = doctor("--service-url", url_of(telemetry), **SCRAPE_ONLY)
    assert report.causes == ["connection_down"]
    assert report.findings[0]["facts"]["down"] == ["mqtt"]


def test_a_connection_that_is_down_comes_with_its_ends_and_errors():
    with service() as telemetry:
        ingest.CONNECTIONS.add(1, kind="mqtt")
        ingest.CONNECTIONS.add(-1, kind="mqtt")
        ingest.CONNECTIONS_CLOSED.add(2, kind="mqtt", reason="error")
        ingest.RECONNECTS.add(5, kind="mqtt")
        ingest.ERRORS.add(4, component="mqtt", error_type="ConnectionRefusedError", severity="error")
        report = doctor("--service-url", url_of(telemetry), **SCRAPE_ONLY)
    assert report.causes == ["connection_down"]
    found = report.findings[0]["found"]
    assert "mqtt: ended by error (2); attempts to reconnect: 5" in found
    assert "ConnectionRefusedError in mqtt (4)" in found


def test_settings_that_cannot_be_used_are_not_compared_with_the_service():
    [port] = free_ports(1)
    with service(**push_to(port)) as telemetry:
        report = doctor("--service-url", url_of(telemetry), OTEL_EXPORTER_OTLP_ENDPOINT="ftp://nowhere")
    assert report.causes[0] == "wrong_setting"
    assert "settings_differ" not in report.causes


def test_problems_of_recording_are_named():
    with service() as telemetry:
        ingest.DISCARDED.add(-1, source="mqtt", reason="duplicate")
        report = doctor("--service-url", url_of(telemetry), **SCRAPE_ONLY)
    assert "recording_problems" in report.causes


def test_accounts_that_do_not_add_up_are_found_by_source():
    with service() as telemetry:
        ingest.RECEIVED.add(2, source="websocket")
        report = doctor("--service-url", url_of(telemetry), **SCRAPE_ONLY)
    assert report.causes == ["accounts_differ"]
    assert report.findings[0]["facts"]["by_source"] == {"websocket": 2}


HEALTH = '{"status": "ok", "reasons": [], "readers": [], "endpoint": {}, "service": "behind-a-proxy"}'


@pytest.mark.parametrize(
    ("kind", "text", "cause"),
    [
        ("text/plain; version=0.0.4", "a_total 1\nthis is no metric {\n", "scrape_unreadable"),
        ("text/plain; version=0.0.4", 'a{b="c"} 1\na{b="c"} 2\n', "scrape_duplicates"),
        ("text/html", "<html>", "scrape_content_type"),
    ],
)
def test_a_scrape_that_a_proxy_has_spoilt_is_named(kind, text, cause):
    def answer(path):
        if path.startswith("/healthz"):
            return 200, {"Content-Type": "application/json"}, HEALTH
        return (200, {"Content-Type": kind}, text) if path.startswith("/metrics") else (404, {}, "")

    with pages(answer) as port:
        report = doctor(**at(port))
    assert report.causes == [cause]


@pytest.mark.parametrize(
    ("status", "cause"), [(301, "redirected"), (302, "redirected"), (502, "proxy_without_service")]
)
def test_a_proxy_in_front_of_the_service_is_named(status, cause):
    with pages(lambda _: (status, {"Location": "https://elsewhere.example/?token=abcdef"}, "")) as port:
        report = doctor(**at(port))
    assert report.causes == [cause]
    assert "abcdef" not in str(report.data)


def test_a_service_without_an_endpoint_is_skipped():
    report = doctor(OTEL_METRICS_EXPORTER="none")
    assert report.step("endpoint.address")["result"] == "skipped"
