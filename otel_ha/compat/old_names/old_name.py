"""OldName: what an earlier Prometheus name is made of now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from otel_ha.declare.instruments import Instrument

PREFIX: Final = "ha_ingestor_"


@dataclass(frozen=True, slots=True, kw_only=True)
class OldName:
    """An earlier Prometheus name, less PREFIX.

    `calls` feed it: they record to `told`; `derived` is what it is made of where they do not. `series` says how, in
    PromQL, by what is added to the name (a histogram has three series, anything else one, ""). `prefer` says what to
    read in its place.
    """

    name: str
    kind: str
    labels: Sequence[str] = ()
    calls: Sequence[str] = ()
    told: Sequence[Instrument] = ()
    derived: Sequence[Instrument] = ()
    series: Mapping[str, str]
    prefer: str = ""
