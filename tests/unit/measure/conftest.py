"""Shared by the tests of measured(): declarations, the fixture that records them, and ways to read the records."""

import traceback

import pytest

from otel_ha import Attribute, Histogram
from otel_ha.vocabulary import ingest
from tests.recorded import Recorded
from tests.traced import Traced

OUTCOME = Attribute("test.outcome", "How it ended.", values=("ok", "error", "cancelled"))
ERROR_TYPE = Attribute("error.type", "The error.", keyword="error_type", budget=3)
COLOUR = Attribute("test.colour", "A colour.", values=("red", "green"))
SHAPE = Attribute("test.shape", "A shape.")
WORK = Histogram("test.work", unit="s", description="Work.", attributes=(OUTCOME, ERROR_TYPE, COLOUR, SHAPE))

OK = (("outcome", "ok"),)
CANCELLED = (("outcome", "cancelled"),)
VALUE_ERROR = (("outcome", "error"), ("type", "ValueError"))


@pytest.fixture(params=["through the API", "bound"])
def recorded(request):
    with Recorded(WORK, catalog=ingest.CATALOG, journalled=request.param == "bound") as recorded:
        yield recorded


def counts(recorded, instrument=WORK):
    """Return {attributes by the last part of their names: count}."""
    return {
        tuple(sorted((key.rpartition(".")[2], value) for key, value in attributes)): distribution.count
        for attributes, distribution in recorded.series(instrument).items()
    }


def total(recorded):
    return sum(distribution.total for distribution in recorded.series(WORK).values())


def in_flight(recorded):
    return sum(recorded.series(ingest.IN_FLIGHT).values())


def boom(*_, **__):
    raise RuntimeError("boom")


def raising(error):
    raise error


def frames(error):
    return [frame.name for frame in traceback.extract_tb(error.__traceback__)]


@pytest.fixture
def traced():
    with Traced() as traced:
        yield traced
