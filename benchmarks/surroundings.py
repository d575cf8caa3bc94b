"""Surroundings: an OTLP receiver that answers 200, and a Prometheus that scrapes every second."""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.request import Request, urlopen

SCRAPE_HEADERS = {
    "Accept": "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
    "Accept-Encoding": "gzip",
}
"""What Prometheus 3 asks for."""


@dataclass(frozen=True, slots=True)
class Scrape:
    """One scrape: when it began and ended (monotonic clock, seconds), the bytes of the text, and as they were sent."""

    began: float
    ended: float
    text: int
    sent: int


def scrape(url: str) -> Scrape:
    """Fetch the metrics as Prometheus does."""
    began = time.monotonic()
    with urlopen(Request(url, headers=SCRAPE_HEADERS), timeout=60) as answer:
        body = answer.read()
        ended = time.monotonic()
        packed = answer.headers.get("Content-Encoding") == "gzip"
    return Scrape(began, ended, len(gzip.decompress(body) if packed else body), len(body))


@contextmanager
def scraping(url: str, every: float = 1.0, health: str | None = None) -> Iterator[list[Scrape]]:
    """Scrape in a thread, and ask for `health` if that is a page, until the block ends, or nobody listens any more."""
    ending, done = threading.Event(), list[Scrape]()

    def keep_scraping() -> None:
        with suppress(OSError):
            while not ending.wait(every):
                done.append(scrape(url))
                if health:
                    with urlopen(health, timeout=60) as answer:
                        answer.read()

    thread = threading.Thread(target=keep_scraping, daemon=True)
    thread.start()
    try:
        yield done
    finally:
        ending.set()
        thread.join(10)


class _Receiver(BaseHTTPRequestHandler):
    """Takes whatever is pushed."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Read it and answer that all is well."""
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def receiver() -> Iterator[str]:
    """Receive pushes in a thread until the block ends; gives the address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Receiver) as server:
        server.daemon_threads = True
        server.block_on_close = False
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
