"""A service for the tests of the status page, which records something of everything until it is ended.

Run as `python -m tests.integration.page.service [NAMES]`; NAMES, a JSON object, replaces the names of sources, domains
and so on. The environment configures telemetry. It prints "ready" and the URL of its metrics.
"""

from __future__ import annotations

import itertools
import json
import random
import sys
import time
from contextlib import suppress

from otel_ha import Attribute, Catalog, Counter, Objective, measured, setup_telemetry
from otel_ha.vocabulary import ingest

NAMES = {
    "service": "ha-ingestor",
    "source": "mqtt",
    "domain": "light",
    "reason": "duplicate",
    "sink": "influxdb",
    "component": "writer",
    "error_type": "TimeoutError",
    "queue": "ingest",
    "room": "kitchen",
}
PAUSE = 0.005

ROOM = Attribute("acme.room", "The room <b>of</b> the house & more.", budget=3)
OPENINGS = Counter("acme.window.openings", unit="{opening}", description='"Opened" <windows>.', attributes=(ROOM,))
# It is missed: every event takes longer.
HASTY = Objective(ingest.EVENT_DURATION, bound=0.00025, target=0.99, description="99 % of events take 250 µs.")
CATALOG = ingest.CATALOG | Catalog(ingest.EVENT_DURATION, OPENINGS, objectives=[HASTY])


def main(names: dict[str, str]) -> None:
    with setup_telemetry(names["service"], catalog=CATALOG) as telemetry:
        ingest.CONNECTIONS.add(1, kind=names["source"])
        ingest.CONNECTIONS.add(0, kind="websocket")
        ingest.CONNECTIONS_CLOSED.add(1, kind="websocket", reason=names["reason"])
        ingest.RECONNECTS.add(2, kind="websocket")
        last = [time.monotonic()]
        ingest.QUEUE_SIZE.observe(lambda: 7, queue=names["queue"])
        ingest.QUEUE_CAPACITY.observe(lambda: 50, queue=names["queue"])
        ingest.MESSAGE_AGE.observe(lambda: time.monotonic() - last[0], source=names["source"])
        for name in (names["source"], "websocket"):
            ingest.EVENT.receive(source=name)  # stays in the queue
        sys.stdout.write(f"ready {telemetry.metrics_url}\n")
        sys.stdout.flush()
        chance = random.Random(1)
        for number in itertools.count():
            live(names, number, chance)
            last[0] = time.monotonic()
            time.sleep(PAUSE)


def live(names: dict[str, str], number: int, chance: random.Random) -> None:
    """Handle an event of each source, and write its point."""
    for source, domain in ((names["source"], names["domain"]), ("websocket", "sensor")):
        with suppress(Exception), measured(ingest.EVENT, source=source, domain=domain) as event:
            ingest.DATA_RECEIVED.add(chance.randrange(200, 400), source=source, type="state")
            if number % 5 == 0:
                event.discard(names["reason"] if number % 2 else "filtered")
            elif number % 7 == 0:
                fail(names)
            else:
                time.sleep(chance.uniform(0.0005, 0.002))
        ingest.LAG_TO_WRITE.record(chance.uniform(0.1, 2), source=source, sink=names["sink"])
    lost = {"outcome": "error", "error_type": names["error_type"]} if number % 9 == 0 else {"outcome": "ok"}
    ingest.POINTS_WRITTEN.add(2, sink=names["sink"], measurement=names["domain"], **lost)
    ingest.DATA_SENT.add(160, sink=names["sink"], type="line_protocol")
    with measured(ingest.WRITE, system=names["sink"], operation="write", server_address="127.0.0.1"):
        pass
    OPENINGS.add(1, room=names["room"] if number % 2 else f"room {number % 6}")


def fail(names: dict[str, str]) -> None:
    ingest.ERRORS.add(1, component=names["component"], error_type=names["error_type"], severity="error")
    raise type(names["error_type"], (Exception,), {})


if __name__ == "__main__":
    main(NAMES | json.loads(sys.argv[1] if sys.argv[1:] else "{}"))
