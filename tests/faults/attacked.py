"""The measured program with large answers: its metrics have some MB, more than the sockets of a connection hold."""

from __future__ import annotations

from otel_ha.vocabulary import ingest
from tests.faults import service

ENTITIES, LENGTH = 100, 40_000
"""Entities with very long names: few series, so that making an answer is quick, and long lines."""
SETTINGS = {
    "OTEL_HA_ENTITY_METRICS": "true",
    "OTEL_HA_ATTRIBUTE_VALUE_LENGTH_LIMIT": str(LENGTH + 100),
    # A push has the same size: only the last one, at the end.
    "OTEL_METRIC_EXPORT_INTERVAL": "60000",
    # The C library gives large blocks back at once; otherwise it keeps some, which would hide a leak.
    "MALLOC_MMAP_THRESHOLD_": "1000000",
}


class Service(service.Service):
    """Counts the entities before it handles events."""

    async def run(self) -> None:
        """Count the entities, and handle events."""
        for number in range(ENTITIES):
            ingest.ENTITY_EVENTS.add(1, entity=f"sensor.{'x' * LENGTH}{number}", domain="sensor")
        await super().run()


if __name__ == "__main__":
    service.Service = Service
    service.main()
