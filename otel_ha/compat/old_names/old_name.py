"""OldName: an earlier Prometheus name, and the metrics that it is computed from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from otel_ha.declare.instruments import Instrument

PREFIX: Final = "ha_ingestor_"


@dataclass(frozen=True, slots=True, kw_only=True)
class OldName:
    """An earlier Prometheus name, without PREFIX.

    The `calls` that fed it record to the instruments `recorded`; without such calls, it is computed from `derived`.
    `series` has the PromQL expressions by the suffix of the name: three for a histogram, otherwise one, for "".
    `prefer` recommends a replacement.
    """

    name: str
    labels: Sequence[str] = ()
    calls: Sequence[str] = ()
    recorded: Sequence[Instrument] = ()
    derived: Sequence[Instrument] = ()
    series: Mapping[str, str]
    prefer: str = ""
    is_registered: bool = False
    """Whether the name is one of the 49 of the metrics collector, and not one of the Prometheus collector's."""
