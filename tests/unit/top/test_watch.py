"""Services are read side by side; one that hangs, lies or ends is a problem of its own row."""

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from otel_ha.cli.client import Access
from otel_ha.cli.top.reading import read
from otel_ha.cli.top.watch import Service, Watch
from tests.watched import TAKEN, service, summary

WITHIN = 30.0


@contextmanager
def answering(body: Callable[[], bytes]) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = body()
            self.send_response(200)
            self.send_header("Content-Length", str(len(found)))
            self.end_headers()
            self.wfile.write(found)

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def watch(*urls: str) -> Watch:
    return Watch([Access(timeout=WITHIN).client(url) for url in urls])


def asked(found: Watch) -> Service:
    """The first service that answers."""
    found.ask()
    return found.take(within=WITHIN)[0]


def test_a_service_answers_with_its_summary():
    with answering(lambda: json.dumps(summary()).encode()) as url:
        assert asked(watch(url)).reading == read(summary())


def test_a_service_that_hangs_does_not_delay_the_others():
    with socket.create_server(("127.0.0.1", 0)) as silent, answering(lambda: json.dumps(summary()).encode()) as url:
        found = watch(f"http://127.0.0.1:{silent.getsockname()[1]}", url)
        assert asked(found).url == url
        assert found.services[0].asked is not None


def test_a_service_that_hangs_is_not_asked_twice():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        found = watch(f"http://127.0.0.1:{silent.getsockname()[1]}")
        found.ask()
        since = found.services[0].asked
        found.ask()
        assert found.services[0].asked == since


def test_a_port_where_nobody_listens_is_a_problem_in_few_words():
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
    assert asked(watch(url)).problem.startswith("Connection refused")


def test_a_page_that_is_not_a_summary_is_a_problem():
    for body in (b"<html>", b"[]", b"{}", b"\xff", b"[" * 100_000):
        with answering(lambda body=body: body) as url:
            found = asked(watch(url))
            assert found.problem
            assert found.reading is None


def test_a_service_that_returns_has_no_problem_any_longer():
    found = service()
    found.failed("Connection refused", 1.0)
    found.failed("Connection refused", 3.0)
    assert found.problem_since == 1.0
    found.answered(read(summary()), 5.0)
    assert found.problem == ""


def test_a_restart_is_noticed_and_breaks_the_rate_between_two_readings():
    found = service()
    found.answered(read(summary(started=TAKEN - 1)), 5.0)
    assert found.restarted == 5.0
    assert found.rate_now is None


def test_the_rate_between_two_readings_is_that_of_the_events_between_them():
    found = service()
    later = summary(timestamp=TAKEN + 2)
    later["current"]["business"]["total_events_processed"] += 50
    found.answered(read(later), 5.0)
    assert found.rate_now == 25.0
