"""Stand-ins for the servers around a service: an OTLP receiver that answers 200, and a scraper like Prometheus."""

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
"""Headers that Prometheus 3 sends."""


@dataclass(frozen=True, slots=True)
class Scrape:
    """One scrape: its begin and end (monotonic clock, seconds), and the bytes of the text and of the response body."""

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


def text(url: str) -> str:
    """Return the metrics in Prometheus's own format."""
    with urlopen(url, timeout=60) as answer:
        return str(answer.read(), "utf-8")


@contextmanager
def scraping(url: str, every: float = 1.0) -> Iterator[list[Scrape]]:
    """Scrape in a thread, now and every so many seconds, until the block ends or the service is gone."""
    ending, done = threading.Event(), list[Scrape]()

    def keep_scraping() -> None:
        began = time.monotonic()
        with suppress(OSError):
            while True:
                done.append(scrape(url))
                if ending.wait(max(began + len(done) * every - time.monotonic(), 0.0)):
                    return

    thread = threading.Thread(target=keep_scraping, daemon=True)
    thread.start()
    try:
        yield done
    finally:
        ending.set()
        thread.join(10)


class _Receiver(BaseHTTPRequestHandler):
    """Accepts every push."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Read the request and answer 200."""
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@contextmanager
def receiver() -> Iterator[str]:
    """Receive pushes in a thread until the block ends; yield the address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Receiver) as server:
        server.daemon_threads = True
        server.block_on_close = False
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
