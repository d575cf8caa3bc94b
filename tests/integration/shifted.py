"""A proxy in front of a Prometheus that shows its clock at another time."""

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate, parsedate_to_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@contextmanager
def shifted(url: str, seconds: float) -> Iterator[str]:
    """Give the URL of a proxy that adds seconds to the header Date, and to the results of the query time()."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            try:
                with _opener.open(url + self.path, timeout=30) as answer:
                    status, headers, body = answer.status, answer.headers, answer.read()
            except urllib.error.HTTPError as error:
                with error:
                    status, headers, body = error.code, error.headers, error.read()
            if self.path.endswith("query=time()"):
                body = _later(body, seconds)
            moment = parsedate_to_datetime(headers["Date"]).timestamp() + seconds
            self.send_response_only(status)
            self.send_header("Date", formatdate(moment, usegmt=True))
            self.send_header("Content-Type", headers["Content-Type"])
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _later(body: bytes, seconds: float) -> bytes:
    found = json.loads(body)
    if found["data"]["resultType"] == "scalar":
        moment, value = found["data"]["result"]
        found["data"]["result"] = [moment + seconds, repr(float(value) + seconds)]
    return json.dumps(found).encode()
