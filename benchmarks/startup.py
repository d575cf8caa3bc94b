"""What importing and setting up take in a fresh process. Run as a module, it does so once and prints the seconds."""

from __future__ import annotations

import time
from collections import defaultdict

from benchmarks import children
from benchmarks.figures import Table

COLUMN = "ms"


def measure(receiver: str, *, quick: bool) -> list[Table]:
    """Return the table."""
    runs = 5 if quick else 15
    about = (
        "Each in a fresh process, compiled modules at hand. The first setup_telemetry() imports the SDK, both "
        "exporters; OpenTelemetry's system metrics are imported by the first collection, which is not in it. A second "
        "one, after shutdown(), shows what is left without that. It pushes by http/protobuf, is scraped at a port of "
        "its own, and has the default settings otherwise."
    )
    children.progress(f"startup: {runs} runs")
    found: dict[str, list[float]] = defaultdict(list)
    for number in range(runs + 1):
        for what, seconds in children.run("startup", OTEL_EXPORTER_OTLP_ENDPOINT=receiver).items():
            if number:  # the first one may have compiled
                found[what].append(1e3 * seconds)
    table = Table("startup", "Import and set-up", about, (COLUMN,))
    for what, samples in found.items():
        table.put(what, COLUMN, samples)
    return [table]


def steps() -> dict[str, float]:
    """Import and set up, and return the seconds of each step."""
    found, began = {}, time.perf_counter()

    def done(what: str) -> None:
        nonlocal began
        found[what] = time.perf_counter() - began
        began = time.perf_counter()

    import opentelemetry.metrics  # noqa: F401, PLC0415 - timed

    done("import opentelemetry.metrics")
    import otel_ha.vocabulary.ingest  # noqa: PLC0415 - timed

    done("import otel_ha and its vocabulary, after that")
    config = otel_ha.TelemetryConfig(prometheus_port=0, otlp_protocol="http/protobuf")
    began = time.perf_counter()
    telemetry = otel_ha.setup_telemetry("benchmark", config=config)
    done("the first setup_telemetry(), imports included")
    telemetry.shutdown()
    began = time.perf_counter()
    again = otel_ha.setup_telemetry("benchmark", config=config)
    done("another setup_telemetry()")
    again.shutdown()
    return found


if __name__ == "__main__":
    children.say(steps())
