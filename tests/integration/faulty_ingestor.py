"""The example ingestor with a fault: it cannot transform the state "poison". Takes the ingestor's arguments."""

from __future__ import annotations

import sys

from examples.ingestor.__main__ import main
from examples.ingestor.event import Event
from examples.ingestor.line_protocol import Point
from examples.ingestor.transformer import Transformer

_point = Transformer.point


def _faulty(self: Transformer, event: Event) -> Point | None:
    if event.state == "poison":
        raise ValueError("poison")
    return _point(self, event)


Transformer.point = _faulty  # type: ignore[method-assign]

if __name__ == "__main__":
    sys.exit(main())
