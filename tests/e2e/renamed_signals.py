"""A service with traces and logs on libraries in which one private name is another; prints what arrives, as JSON.

``python -m tests.e2e.renamed_signals NAME`` renames NAME as tests.e2e.renamed does.
"""

import json
import logging
import sys

from tests.e2e.renamed import Finder


def main() -> None:
    """Rename, run and print."""
    if len(sys.argv) > 1:
        sys.meta_path.insert(0, Finder(sys.argv[1]))
    from opentelemetry import trace  # noqa: PLC0415 - after the finder is in place

    from otel_ha import TelemetryConfig, setup_telemetry  # noqa: PLC0415
    from tests.receivers import answer, receiving  # noqa: PLC0415

    with receiving(answer()) as receiver:
        config = TelemetryConfig(
            environ={},
            metrics_exporters=(),
            system_metrics=False,
            otlp_endpoint=receiver.url,
            traces_exporters=("otlp",),
            logs_exporters=("otlp",),
        )
        for _ in range(2):
            with setup_telemetry("renamed", config=config), trace.get_tracer("mine").start_as_current_span("work"):
                logging.getLogger("mine").error("failed")
        spans = [each.item.name for each in receiver.spans()]
        records = [each.item.body.string_value for each in receiver.records()]
    sys.stdout.write(json.dumps({"spans": spans, "records": records}))


if __name__ == "__main__":
    main()
