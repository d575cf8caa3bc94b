"""Time to import and set up in a fresh process. Run as a module, it does both once and prints the seconds."""

from __future__ import annotations

import time
from collections import defaultdict

from benchmarks import children
from benchmarks.tables import Table

COLUMN = "ms"


def measure(receiver: str, *, quick: bool) -> list[Table]:
    """Measure and return the table."""
    runs = 5 if quick else 15
    about = (
        "Each run is a fresh process, with compiled modules. The first setup_telemetry() imports the SDK and two "
        "exporters; the first collection, which is not measured here, imports OpenTelemetry's system metrics. The "
        "second setup_telemetry(), after shutdown(), imports nothing. It pushes by http/protobuf, listens at a free "
        "port, and has default settings otherwise."
    )
    children.progress(f"startup: {runs} runs")
    found: dict[str, list[float]] = defaultdict(list)
    for number in range(runs + 1):
        for step, seconds in children.run("startup", OTEL_EXPORTER_OTLP_ENDPOINT=receiver).items():
            if number:  # the first run may have compiled modules
                found[step].append(1e3 * seconds)
    table = Table("startup", "Import and set-up", about, (COLUMN,))
    for step, samples in found.items():
        table.put(step, COLUMN, samples)
    return [table]


def steps() -> dict[str, float]:
    """Import and set up; return the seconds that each step took."""
    found, began = {}, time.perf_counter()

    def done(step: str) -> None:
        nonlocal began
        found[step] = time.perf_counter() - began
        began = time.perf_counter()

    import opentelemetry.metrics  # noqa: F401, PLC0415 - timed

    done("import opentelemetry.metrics")
    import otel_ha.vocabulary.ingest  # noqa: PLC0415 - timed
    from otel_ha import TelemetryConfig, measured  # noqa: F401, PLC0415 - imported on first use

    done("import otel_ha and its vocabulary, after that")
    config = TelemetryConfig(prometheus_port=0, otlp_protocol="http/protobuf")
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
