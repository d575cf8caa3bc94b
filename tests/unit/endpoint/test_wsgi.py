"""The endpoint as a WSGI application."""

from contextlib import closing
from types import SimpleNamespace
from wsgiref.validate import validator

import pytest

from otel_ha.serve.application import Endpoint
from tests.unit.endpoint.conftest import endpoint


def ask_wsgi(served: Endpoint, path: str, script_name: str = "") -> tuple[str, bytes]:
    statuses: list[str] = []
    environ = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": script_name,
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": SimpleNamespace(read=bytes, readline=bytes, readlines=list, __iter__=iter),
        "wsgi.errors": SimpleNamespace(flush=list, write=list, writelines=list),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    result = validator(served.wsgi_app)(environ, lambda status, *_: statuses.append(status) or list)
    with closing(result):
        return statuses[0], b"".join(result)


@pytest.mark.parametrize("script_name", ["", "/telemetry", "/a/b"])
def test_the_wsgi_application_is_valid_and_works_under_a_prefix(registry, script_name):
    status, body = ask_wsgi(endpoint(registry), "/metrics", script_name)
    assert status == "200 OK"
    assert b"event_total{" in body


def test_a_wsgi_application_mounted_at_metrics_serves_the_metrics(registry):
    assert b"event_total{" in ask_wsgi(endpoint(registry), "", "/metrics")[1]
