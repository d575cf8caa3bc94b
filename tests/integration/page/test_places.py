"""The page works wherever it is served: below a path, behind a password, by TLS; and asks nobody else for anything."""

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import pytest
import trustme
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount

from tests.integration.page.numbers import numbers, wrong
from tests.integration.page.running import endpoint, serving
from tests.servers.browser import opened
from tests.servers.running import HOST

pytestmark = [pytest.mark.servers, pytest.mark.timeout(180), pytest.mark.xdist_group("page: places")]


@contextmanager
def mounted_asgi(summary) -> Iterator[str]:
    application = Starlette(routes=[Mount("/a/telemetry", endpoint(summary).asgi_app)])
    server = uvicorn.Server(uvicorn.Config(application, log_level="error"))
    listening = socket.create_server((HOST, 0))
    with closing(listening):
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            yield f"http://{HOST}:{listening.getsockname()[1]}/a/telemetry"
        finally:
            server.should_exit = True
            thread.join()


class Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def mounted_wsgi(summary) -> Iterator[str]:
    served = endpoint(summary).wsgi_app

    def application(environ, start_response):
        assert environ["PATH_INFO"].startswith("/a/telemetry")
        environ["SCRIPT_NAME"], environ["PATH_INFO"] = "/a/telemetry", environ["PATH_INFO"][len("/a/telemetry") :]
        return served(environ, start_response)

    class Threaded(ThreadingMixIn, WSGIServer):
        """A browser opens a connection that it may need later, and keeps a single thread waiting."""

        daemon_threads = True

    with make_server(HOST, 0, application, Threaded, Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://{HOST}:{server.server_port}/a/telemetry"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def at_the_root(summary) -> Iterator[str]:
    with serving(summary) as url:
        yield url


@contextmanager
def behind_a_password(summary) -> Iterator[str]:
    with serving(summary, "prometheus", "s3cret") as url:
        yield url


@contextmanager
def by_tls(summary, folder) -> Iterator[str]:
    chain = folder / "server.pem"
    trustme.CA().issue_cert(HOST).private_key_and_cert_chain_pem.write_to_path(chain)
    with serving(summary, certificate=chain) as url:
        yield url


@pytest.fixture(params=["at the root", "ASGI", "WSGI", "password", "TLS"])
def place(request, summary, tmp_path) -> Iterator[tuple[str, dict]]:
    """The URL of a page, and the settings of a browser that may see it."""
    password = {"http_credentials": {"username": "prometheus", "password": "s3cret"}}
    served, settings = {
        "at the root": (at_the_root(summary), {}),
        "ASGI": (mounted_asgi(summary), {}),
        "WSGI": (mounted_wsgi(summary), {}),
        "password": (behind_a_password(summary), password),
        "TLS": (by_tls(summary, tmp_path), {"ignore_https_errors": True}),
    }[request.param]
    with served as url:
        yield url, settings


def test_the_page_is_complete_follows_and_asks_its_own_server_alone(browser, place, summary):
    url, settings = place
    with opened(browser, "about:blank", **settings) as sight:
        violations = []
        sight.page.expose_function("violated", lambda violation: violations.append(violation))  # noqa: PLW0108 - not a built-in
        sight.page.add_init_script(
            "addEventListener('securitypolicyviolation', event => violated(event.violatedDirective + event.blockedURI))"
        )
        sight.page.clock.install()
        del sight.requests[:]
        sight.page.goto(url)
        assert sight.page.url == f"{url.rstrip('/')}/"
        assert wrong(numbers(sight), summary) == []
        sheets = sight.page.evaluate("[...document.styleSheets].map(sheet => sheet.cssRules.length)")
        with sight.page.expect_response(f"{url.rstrip('/')}/") as answered:
            sight.page.clock.run_for(10_000)
        assert answered.value.status == 200
        assert [requested for requested in sight.requests if not requested.startswith(url)] == []
        assert len(sheets) == 2
        assert all(sheets)
        assert violations == []
        assert sight.errors == []


def test_without_the_password_there_is_no_page(browser, summary):
    with (
        behind_a_password(summary) as url,
        pytest.raises(Exception, match="ERR_INVALID_AUTH_CREDENTIALS"),
        opened(browser, url),
    ):
        pass


def test_every_link_of_the_page_leads_somewhere(browser, place):
    url, settings = place
    with opened(browser, url, **settings) as sight:
        links = sight.page.locator("a[href], link[href], script[src], img[src]").evaluate_all(
            "all => all.map(each => [each.getAttribute('href') || each.getAttribute('src'), each.href || each.src])"
        )
        absolute = [written for written, _ in links if written.startswith("/") or "://" in written]
        assert absolute == []
        for _, target in links:
            assert sight.page.request.get(target).ok, target


def test_a_page_may_not_be_framed(browser, address, tmp_path):
    frame = tmp_path / "frame.html"
    frame.write_text(f"<iframe src='{address}'></iframe>")
    with opened(browser, frame.as_uri()) as sight:
        assert any("frame-ancestors" in error for error in sight.errors)


def test_a_page_that_was_opened_with_a_password_in_its_address_is_searched_and_changes_its_range(browser, summary):
    with behind_a_password(summary) as url, opened(browser, "about:blank") as sight:
        sight.page.goto(url.replace("://", "://prometheus:s3cret@"))
        sight.page.get_by_role("searchbox").fill("no such metric")
        sight.page.locator("#metrics-shown").get_by_text("0 of").wait_for()
        with sight.page.expect_response("**range=5min**") as answered:
            sight.page.locator("a[href*='range=5min']").click()
        assert answered.value.status == 200
        sight.page.locator("a[href*='range=5min'][aria-current]").wait_for()
        assert sight.errors == []


def test_a_mounted_page_says_that_telemetry_was_shut_down_and_not_that_the_service_restarted(browser, summary):
    served = dict(summary)
    stopped = {**summary["health"], "status": "failed", "reasons": ["it was shut down"], "remedies": ["start it"]}
    with mounted_wsgi(served) as url, opened(browser, url) as sight:
        served |= {"started": None, "health": stopped}
        sight.page.locator("#state").get_by_text("Telemetry does not run").wait_for()
        assert sight.page.locator("#banner").inner_text() == ""
