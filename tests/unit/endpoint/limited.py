"""A process of few file descriptors that serves the endpoint, and counts until a line of input arrives."""

import json
import resource
import sys
import threading
from contextlib import suppress
from pathlib import Path

from prometheus_client import CollectorRegistry

from otel_ha.serve.application import Endpoint
from otel_ha.serve.server import Server

DESCRIPTORS = 256


def main(settings: dict[str, str]) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))
    served = Endpoint(CollectorRegistry(), lambda: {"status": "ok"}, dict, username="a", password="b")
    server = Server(served, "127.0.0.1", 0, **settings)
    server.start()
    print(server.port, flush=True)
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.readline(), ended.set()), daemon=True).start()
    most = {"threads": 0, "descriptors": 0, "failures": 0}
    while not ended.wait(0.002):
        most["threads"] = max(most["threads"], threading.active_count())
        try:
            most["descriptors"] = max(most["descriptors"], len(list(Path("/proc/self/fd").iterdir())))
        except OSError:
            most["failures"] += 1
    server.stop()
    with suppress(BrokenPipeError):
        print(json.dumps(most), flush=True)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
