"""A service on libraries in which one private name is another; prints what it exports, as JSON.

``python -m tests.e2e.renamed NAME`` renames NAME, an identifier or the last part of a module's name, wherever the
source of OpenTelemetry or of socketserver has it. Without NAME nothing is renamed.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from threading import Thread
from types import CodeType, ModuleType

LIBRARIES = ("opentelemetry", "socketserver")


class _Renaming(SourceFileLoader):
    """Compiles a module's source with one name replaced."""

    def __init__(self, fullname: str, path: str, name: str) -> None:
        super().__init__(fullname, path)
        self._pattern = re.compile(rf"\b{name}\b")
        self._new = f"{name}_renamed"

    def get_code(self, fullname: str) -> CodeType:
        return compile(self._pattern.sub(self._new, Path(self.path).read_text()), self.path, "exec")


class Finder(MetaPathFinder):
    """Finds modules of the libraries whose source has the name, and a module of that name by its new name only."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._new = f"{name}_renamed"

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.partition(".")[0] not in LIBRARIES:
            return None
        package, _, last = fullname.rpartition(".")
        if last == self._name:
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)
        spec = PathFinder.find_spec(f"{package}.{self._name}" if last == self._new else fullname, path, target)
        origin = spec.origin if spec else None
        if origin and origin.endswith(".py") and (last == self._new or self._name in Path(origin).read_text()):
            return spec_from_file_location(fullname, origin, loader=_Renaming(fullname, origin, self._name))
        return spec


async def run() -> dict[str, object]:
    """Record a little of everything; return the scrape, the push and the figures of the history."""
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer  # noqa: PLC0415 - after the finder is in place

    from opentelemetry.sdk.metrics.view import View  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415

    from otel_ha import TelemetryConfig, measured, setup_telemetry  # noqa: PLC0415
    from otel_ha.vocabulary import ingest  # noqa: PLC0415

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append((dict(self.headers), self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    @measured(ingest.EVENT, source="mqtt")
    def handle(number: int) -> None:
        if number == 3:
            raise ValueError

    received: list[tuple[dict[str, str], bytes]] = []
    receiver = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    Thread(target=receiver.serve_forever, daemon=True).start()
    config = TelemetryConfig(
        otlp_endpoint=f"http://127.0.0.1:{receiver.server_port}",
        otlp_headers={"x-mine": "1"},
        prometheus_port=0,
        entity_metrics=True,
    )
    viewed = View(instrument_name=ingest.BATCH_SIZE.name, attribute_keys=set())
    telemetry = setup_telemetry("renamed", config=config, views=[viewed])
    tracer = TracerProvider().get_tracer("renamed")
    bound = ingest.DATA_RECEIVED.bind(source="mqtt", type="state")
    ingest.QUEUE_SIZE.observe(lambda: 7, queue="ingest")
    for number in range(5):
        with suppress(ValueError):
            handle(number)
        bound.add(100)
        ingest.ENTITY_EVENTS.add(1, entity="light.a", domain="light")
        ingest.BATCH_SIZE.record(number, sink="influxdb")
        ingest.EVENT.receive(source="websocket")
        ingest.EVENT.discard("overflow", source="websocket")
    with tracer.start_as_current_span("sampled"):
        handle(9)
    await asyncio.sleep(0.1)  # the event loop is measured as well
    scraped = [await asyncio.to_thread(_scraped, telemetry.metrics_url) for _ in range(2)]
    flushed = await asyncio.to_thread(telemetry.flush)
    history = telemetry.history
    summary = await asyncio.to_thread(telemetry.summary)
    await asyncio.to_thread(telemetry.shutdown)
    receiver.shutdown()
    return {
        "scraped": scraped,
        "flushed": flushed,
        "pushed": _pushed(received[0][1]),
        "headers": sorted(name for name in map(str.lower, received[0][0]) if name.startswith("x-")),
        "history": history.totals(ingest.EVENT_DURATION, ingest.OUTCOME) if history else None,
        "processed": summary["current"]["business"]["total_events_processed"],
    }


def _scraped(url: str | None) -> dict[str, float]:
    from urllib.request import urlopen  # noqa: PLC0415

    with urlopen(url or "", timeout=10) as response:
        lines = response.read().decode().splitlines()
    samples = (line.rpartition(" ") for line in lines if line.startswith("homeassistant_"))
    return {series: float(value) for series, _, value in samples if not _is_timed(series)}


def _pushed(body: bytes) -> dict[str, float]:
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (  # noqa: PLC0415
        ExportMetricsServiceRequest,
    )

    request = ExportMetricsServiceRequest.FromString(body)
    found: dict[str, float] = {}
    for metric in request.resource_metrics[0].scope_metrics[0].metrics:
        data = getattr(metric, metric.WhichOneof("data"))
        for point in data.data_points:
            labels = ",".join(f"{pair.key}={pair.value.string_value}" for pair in sorted(point.attributes, key=str))
            name = f"{metric.name}{{{labels}}}"
            if metric.name.startswith("homeassistant.") and not _is_timed(name):
                value = point.count if hasattr(point, "count") else getattr(point, point.WhichOneof("value"))
                found[name] = float(value)
    return found


def _is_timed(series: str) -> bool:
    """Whether a series holds times, which differ in every run."""
    return "duration" in series and ("_bucket" in series or "_sum" in series)


def main() -> None:
    """Rename, run and print."""
    if len(sys.argv) > 1:
        sys.meta_path.insert(0, Finder(sys.argv[1]))
        sys.modules.pop("socketserver", None)
    sys.stdout.write(json.dumps(asyncio.run(run())))


if __name__ == "__main__":
    main()
