"""A catalog with every kind of instrument, and settings with which nothing is opened or pushed."""

from otel_ha import (
    Attribute,
    Catalog,
    Counter,
    Gauge,
    Histogram,
    ObservableCounter,
    ObservableGauge,
    ObservableUpDownCounter,
    TelemetryConfig,
    UpDownCounter,
)
from otel_ha.vocabulary import ingest

COLOUR = Attribute("fuzz.colour", "A colour.", values=("red", "green"))
SHAPE = Attribute("fuzz.shape", "A shape.", budget=5)
SIZE = Attribute("fuzz.size", "A size.")
EVERY = (COLOUR, SHAPE, SIZE)
THINGS = Counter("fuzz.things", unit="1", description="Things.", attributes=EVERY, series=10)
LOAD = UpDownCounter("fuzz.load", unit="1", description="Load.", attributes=EVERY)
LEVEL = Gauge("fuzz.level", unit="1", description="Level.", attributes=EVERY)
WAIT = Histogram("fuzz.wait", unit="s", description="Wait.", attributes=EVERY)
EXPIRING = Counter("fuzz.expiring", unit="1", description="Things.", attributes=EVERY, expires=True)
DEPTH = ObservableGauge("fuzz.depth", unit="m", description="Depth.", attributes=EVERY)
ODOMETER = ObservableCounter("fuzz.odometer", unit="1", description="Turns.", attributes=EVERY)
PLACES = ObservableUpDownCounter("fuzz.places", unit="1", description="Places.", attributes=EVERY)
CATALOG = ingest.CATALOG | Catalog(THINGS, LOAD, LEVEL, WAIT, EXPIRING, DEPTH, ODOMETER, PLACES)
CONFIG = TelemetryConfig(
    metrics_exporters=("prometheus",),
    endpoint_server=False,
    history_length=5,
    history_interval=3600,
    system_metrics=False,
    entity_metrics=True,
    handle_sigterm=False,
    environ={},
)
