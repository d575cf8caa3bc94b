"""The status page at the endpoint: who gets it, with which headers, and where it is mounted."""

import gzip
import subprocess
import sys
import threading
import urllib.request
from contextlib import contextmanager
from wsgiref.simple_server import WSGIRequestHandler, make_server
from wsgiref.validate import validator

import pytest
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.routing import Mount

from otel_ha.serve.application import Endpoint
from tests.unit.endpoint.conftest import HEALTHY, basic, endpoint, fetch, header, in_thread, serving
from tests.unit.endpoint.test_asgi import ask_asgi, uvicorn_serving
from tests.unit.page.example import example

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
HTML = {"Accept": BROWSER}
FILES = {"page.css": "text/css", "charts.css": "text/css", "page.js": "text/javascript", "favicon.svg": "image/svg+xml"}


def site(**more: object) -> Endpoint:
    return Endpoint(CollectorRegistry(), lambda: HEALTHY, example, **{"username": None, "password": None} | more)


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (BROWSER, "html"),
        ("text/html", "html"),
        ("TEXT/HTML", "html"),
        ("text/html, text/plain", "html"),
        ("text/html, */*", "html"),
        ("text/html;q=0.1", "html"),
        ("text/html; charset=utf-8", "html"),
        ("text/html;q=0.5, text/plain;q=0.4", "html"),
        ("text/plain;q=0.5, text/*;q=0.9, text/html", "html"),
        ("text/html;q=0.5, text/plain;q=much", "html"),
        ("*/*;q=0, text/html", "html"),
        ("text/plain;q=0, */*", "html"),
        ("", "plain"),
        ("*/*", "plain"),
        ("text/*", "plain"),
        ("text/plain", "plain"),
        ("text/html;q=0", "plain"),
        ("text/html;q=0, */*", "plain"),
        ("text/html;q=0.0, text/plain;q=0.1", "plain"),
        ("text/html;q=0.4, text/plain;q=0.5", "plain"),
        ("text/html;q=0.9, */*", "plain"),
        ("text/html;q=much", "plain"),
        ("text/html;level=1", "plain"),
        ("text/html5, xtext/html", "plain"),
        ("application/json", "plain"),
        ("text/plain;q=0", None),
        ("text/html;q=0, text/plain;q=0, */*", None),
        ("*/*;q=0", None),
    ],
)
def test_a_client_that_names_html_gets_the_page_and_others_the_index(accept, expected):
    response = site().respond("GET", "/", {"Accept": accept})
    assert response.status == (406 if expected is None else 200)
    if expected is not None:
        assert header(response, "Content-Type") == f"text/{expected}; charset=utf-8"
        assert header(response, "Vary") == "Accept"
        assert header(response, "Cache-Control") == "no-store"
        assert response.body.startswith({"html": b"<!DOCTYPE html>", "plain": b"otel-ha\n"}[expected])


def test_the_index_lists_every_page():
    index = site().respond("GET", "/", {}).body.decode()
    missing = site().respond("GET", "/nothing", {}).body.decode()
    for page in missing.removeprefix("Not found; try ").rstrip(".\n").split(", "):
        assert f"\n{page.removeprefix('/') or '/'} " in index


@pytest.mark.parametrize("path", ["/", *(f"/{name}" for name in FILES)])
def test_browsers_are_forbidden_everything_that_the_page_does_not_need(path):
    response = site().respond("GET", path, HTML)
    assert header(response, "Content-Security-Policy") == (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )
    assert header(response, "X-Content-Type-Options") == "nosniff"
    assert header(response, "Referrer-Policy") == "no-referrer"


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("GET", "/summary", {}),
        ("GET", "/metrics", {}),
        ("GET", "/healthz", {}),
        ("GET", "/<script>", {}),
        ("POST", "/", {}),
        ("GET", "/", {"Accept": "image/png, */*;q=0"}),
    ],
)
def test_browsers_take_no_answer_for_another_type_than_it_states(method, path, headers):
    response = site().respond(method, path, headers)
    assert [value for name, value in response.headers if name == "X-Content-Type-Options"] == ["nosniff"]


@pytest.mark.parametrize(("name", "kind"), FILES.items())
def test_the_files_of_the_page_have_their_types_and_are_asked_for_again(name, kind):
    response = site().respond("GET", f"/{name}", {})
    assert response.status == 200
    assert header(response, "Content-Type").partition(";")[0] == kind
    assert header(response, "Cache-Control") == "no-cache"
    assert len(response.body) > 100


@pytest.mark.parametrize(
    "path", ["/page.py", "/html.py", "/__init__.py", "/../page.css", "/page/page.css", "/page.css/x"]
)
def test_no_other_file_is_served(path):
    assert site().respond("GET", path, {}).status == 404


@pytest.mark.parametrize("path", ["//page.css", "//page.css/", "page.css"])
def test_the_links_of_a_page_that_was_asked_for_with_two_slashes_lead_to_its_files(path):
    assert site().respond("GET", path, {}).status == 200


@pytest.mark.parametrize("path", ["/", *(f"/{name}" for name in FILES)])
def test_the_page_and_its_files_need_the_password(path):
    served = site(username="home", password="secret")
    assert served.respond("GET", path, HTML).status == 401
    assert served.respond("GET", path, HTML | basic("home", "secret")).status == 200


@pytest.mark.parametrize("path", ["/", *(f"/{name}" for name in FILES)])
def test_the_page_and_its_files_answer_head_and_refuse_post(path):
    got, head = (site().respond(method, path, HTML) for method in ("GET", "HEAD"))
    assert (head.status, head.body) == (200, b"")
    assert header(head, "Content-Length") == str(len(got.body))
    assert site().respond("POST", path, HTML).status == 405


@pytest.mark.parametrize("path", ["/", *(f"/{name}" for name in FILES)])
def test_the_page_and_its_files_are_packed_for_clients_that_insist(path):
    response = site().respond("GET", path, HTML | {"Accept-Encoding": "gzip, identity;q=0"})
    assert header(response, "Content-Encoding") == "gzip"
    assert gzip.decompress(response.body) == site().respond("GET", path, HTML).body


def test_the_query_chooses_the_range_and_the_search():
    page = site().respond("GET", "/", HTML, "range=5min&range=all&search=a%22%3Cb&search=%FF&other=1").body.decode()
    assert '<input type="hidden" name="range" value="all">' in page
    assert 'value="\N{REPLACEMENT CHARACTER}"' in page


@pytest.mark.parametrize(
    "query", ["%", "range", "&&;=", "range=%00", "search=" + "x" * 10_000, "\udcff=\udcff&search=\udcff"]
)
def test_every_query_gets_the_page(query):
    assert site().respond("GET", "/", HTML, query).status == 200


def test_a_summary_that_fails_is_a_server_error_without_its_text(caplog):
    def broken() -> dict:
        raise RuntimeError("secret detail")

    served = Endpoint(None, lambda: HEALTHY, broken, username=None, password=None)
    response = served.respond("GET", "/", HTML)
    assert response.status == 500
    assert b"secret" not in response.body


def test_the_page_is_not_loaded_before_someone_looks():
    program = (
        "import sys; from otel_ha.serve.application import Endpoint;"
        "loaded = lambda: any(name.startswith('otel_ha.serve.page') for name in sys.modules);"
        "served = Endpoint(None, dict, dict, username=None, password=None);"
        "served.respond('GET', '/', {}); before = loaded();"
        "served.respond('GET', '/', {'Accept': 'text/html'}); print(before, loaded())"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout == "False True\n"


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def dispatching(mounts):
    """Serve WSGI applications below prefixes, as Werkzeug's DispatcherMiddleware does, and return the port."""

    def dispatch(environ, start_response):
        path = environ["PATH_INFO"]
        prefix = next(each for each in mounts if path == each or path.startswith(f"{each}/"))
        environ |= {"SCRIPT_NAME": environ["SCRIPT_NAME"] + prefix, "PATH_INFO": path[len(prefix) :]}
        return mounts[prefix](environ, start_response)

    with make_server("127.0.0.1", 0, validator(dispatch), handler_class=_Quiet) as server, in_thread(server):
        yield server.server_port


class _Port:
    def __init__(self, port: int) -> None:
        self.port, self.url = port, f"http://127.0.0.1:{port}"


PLACES = pytest.mark.parametrize("place", ["/otel", "/a/b", "/a%20b", "/a:b", "/%C3%BC"])


@PLACES
def test_a_wsgi_mount_without_slash_redirects_to_the_same_with_one_and_keeps_the_query(place):
    with dispatching({urllib.request.unquote(place).encode().decode("latin-1"): site().wsgi_app}) as port:
        assert_redirects(_Port(port), place)


@PLACES
def test_an_asgi_mount_without_slash_redirects_to_the_same_with_one_and_keeps_the_query(place):
    async def below(scope, receive, send):
        """Mount it as servers and frameworks do that leave the redirect to the application."""
        root = urllib.request.unquote(place)
        await served.asgi_app({**scope, "root_path": root} if scope["type"] == "http" else scope, receive, send)

    served = site()
    with uvicorn_serving(below) as server:
        assert_redirects(server, place)


def assert_redirects(server, place: str) -> None:
    below, _, last = place.replace(":", "%3A").rpartition("/")
    status, headers, _ = fetch(server, f"{place}?range=5min&search=%22a+b", headers=HTML)
    assert (status, headers["Location"]) == (307, f"{last}/?range=5min&search=%22a+b")
    assert fetch(server, place, "HEAD")[0] == 307
    assert fetch(server, place, "POST")[0] == 405
    with urllib.request.urlopen(urllib.request.Request(f"{server.url}{place}", headers=HTML)) as response:
        assert response.url == f"{server.url}{below}/{last}/"
        assert b"<!DOCTYPE html>" in response.read()
    assert fetch(server, f"{place}/page.css")[0] == 200


def test_the_page_works_below_a_mount_of_starlette():
    with uvicorn_serving(Starlette(routes=[Mount("/otel", site().asgi_app)])) as server:
        with urllib.request.urlopen(urllib.request.Request(f"{server.url}/otel?range=all", headers=HTML)) as response:
            assert response.url == f"{server.url}/otel/?range=all"
            assert b"<!DOCTYPE html>" in response.read()
        assert fetch(server, "/otel/page.js")[0] == 200


async def test_a_root_that_ends_with_a_slash_needs_no_redirect():
    assert (await ask_asgi(site(), "/otel/", "/otel/"))[0] == 200
    with dispatching({"/otel/": site().wsgi_app}) as port:
        assert fetch(_Port(port), "/otel/")[0] == 200


def test_a_mount_at_metrics_serves_metrics_and_no_redirect():
    with dispatching({"/metrics": endpoint().wsgi_app}) as port:
        for path in ("/metrics", "/metrics/"):
            status, headers, _ = fetch(_Port(port), path, headers=HTML)
            assert (status, headers["Content-Type"].partition(";")[0]) == (200, "text/plain")


def test_a_mount_behind_a_password_redirects_only_who_has_it():
    with dispatching({"/otel": site(username="a", password="b").wsgi_app}) as port:
        assert fetch(_Port(port), "/otel")[0] == 401
        assert fetch(_Port(port), "/otel", headers=basic("a", "b"))[0] == 307


def test_the_server_of_our_own_serves_the_page():
    with serving(site()) as server:
        status, headers, body = fetch(server, "/?range=all", headers=HTML)
        assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
        assert body.rstrip().endswith(b"</html>")


def test_pages_at_once_are_each_complete():
    served = site()
    bodies: list[bytes] = []
    threads = [threading.Thread(target=lambda: bodies.append(served.respond("GET", "/", HTML).body)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(bodies) == 4
    assert len(set(bodies)) == 1
