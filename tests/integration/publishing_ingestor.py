"""The example ingestor as a service that also sends messages to a broker. Takes the ingestor's arguments."""

from __future__ import annotations

import sys
import threading
from time import sleep

from examples.ingestor.__main__ import main
from otel_ha.vocabulary import messaging


def _send() -> None:
    while True:
        messaging.SENT.add(1, system="mqtt", operation="publish")
        messaging.OPERATION_DURATION.record(0.004, system="mqtt", operation="publish")
        sleep(0.2)


if __name__ == "__main__":
    threading.Thread(target=_send, daemon=True).start()
    sys.exit(main())
