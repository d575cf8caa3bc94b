"""Declarations with hostile names and arguments: each is refused by a CatalogError, or valid and can be exported."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from otel_ha import (
    Attribute,
    Catalog,
    CatalogError,
    Counter,
    Gauge,
    Histogram,
    Objective,
    ObservableCounter,
    ObservableGauge,
    ObservableUpDownCounter,
    Operation,
    Rename,
    UpDownCounter,
    measured,
    setup_telemetry,
)
from otel_ha.vocabulary import ingest
from tests.fuzz.budget import Fuzz
from tests.fuzz.instruments import COLOUR, CONFIG, DEPTH, THINGS, WAIT
from tests.fuzz.values import Value, exactly, plain
from tests.hostile import Colour

# A declaration is a literal in code: it may have a wrong type, but no object that raises when it is looked at.
TAME = st.sampled_from(
    [Value(each.__name__, each) for each in (object, list, dict, set, tuple, Decimal, Fraction, type)[:7]]
    + [Value("Colour", lambda: Colour.RED), Value("Attribute", lambda: COLOUR), Value("Counter", lambda: THINGS)]
    + [Value("Histogram", lambda: WAIT), Value("range", lambda: range(3)), Value("int", lambda: int)]
)
SYNCHRONOUS = [Counter, UpDownCounter, Gauge, Histogram]
KINDS = [*SYNCHRONOUS, ObservableCounter, ObservableGauge, ObservableUpDownCounter]
NAMES = st.sampled_from(
    [
        *("a", "a.b", "a-b", "a/b", "a_", "a__b", "a.total", "x.ratio", "a.seconds", "le", "x" * 255),
        *("x" * 256, "1a", "A", "é", "a b", "a\n", "", "__a", "a:b", "a.bucket", "otel_scope_x", "job"),
        *("a.job", "class", "a.class", "self", "a.İ"),
    ]
) | st.from_regex(r"[a-z][a-z0-9_./-]{0,20}", fullmatch=True)
UNITS = st.sampled_from(
    [
        *("s", "ms", "By", "1", "%", "{event}", "{}", "{é}", "m/s", "/s", "s/", "", "KiBy", "m2", "m.s-1"),
        *("[degF]", "Cel", "By/s", "kB", "{a}/{b}", "{a", "1/1", ".", "s" * 1000, "{event}\n", "{ev{ent}"),
        *("\x00", "dB", "/", "1{x}"),
    ]
)


def value_of(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Value]:
    """Return a strategy of usual values, and sometimes hostile ones."""
    usual = strategy.map(lambda each: Value(ascii(each)[:100], lambda: each))
    return st.one_of(usual, usual, usual, usual, plain | TAME)


TEXTS = st.sampled_from(["A thing.", "", " ", "A\nB.", "\ud800", 'a "b" \\ c', "x" * 10_000, "# HELP x"])
ATTRIBUTES = st.fixed_dictionaries(
    {"name": value_of(NAMES), "description": value_of(TEXTS)},
    optional={
        "keyword": value_of(NAMES),
        "values": value_of(st.sampled_from([(), ("a", "b"), ("a", "a"), "ab", ("\ud800",), ("",), ["x"], {"a"}, (1,)])),
        "budget": value_of(st.sampled_from([None, 1, 0, -1, 5.5, 10**400, True])),
    },
)
INSTRUMENTS = st.fixed_dictionaries(
    {"name": value_of(NAMES), "unit": value_of(UNITS), "description": value_of(TEXTS)},
    optional={
        "group": value_of(st.sampled_from(["business", "system", "none", ""])),
        "series": value_of(st.sampled_from([1, 0, -5, 10**9, 2.5, True])),
        "expires": value_of(st.sampled_from([True, False, 5, 0, -1, 0.5, 1e400, 10**400])),
        "buckets": value_of(
            st.sampled_from([(), (0.5,), (1, 2), (2.5, 0.5), [0.5, 1.5], (float("nan"),), (0.1, 0.1), "12"])
        ),
        "count_group": value_of(st.sampled_from(["", "business", "operations", "x"])),
    },
)

OBJECTIVES = st.fixed_dictionaries(
    {
        "histogram": value_of(st.sampled_from([WAIT, THINGS, ingest.EVENT])),
        "bound": value_of(st.sampled_from([0.5, 1, 1.5, -1.0, 10**400])),
        "target": value_of(st.sampled_from([0.99, 0, 1, 2, -0.5])),
        "description": value_of(TEXTS),
    }
)
RENAMES = st.fixed_dictionaries(
    {"name": value_of(NAMES), "instrument": value_of(st.sampled_from([WAIT, THINGS]))},
    optional={
        "labels": value_of(
            st.sampled_from([{}, {"x": COLOUR}, {"le": COLOUR}, {1: COLOUR}, {"x": 1}, [("x", COLOUR)]])
        ),
        "times": value_of(st.sampled_from([1, 1000.0, 0, -1, 10**400])),
    },
)
PARTS = value_of(st.sampled_from([None, *(each.duration for each in (ingest.EVENT,)), WAIT, THINGS, DEPTH]))
OPERATIONS = st.fixed_dictionaries(
    {"duration": PARTS},
    optional=dict.fromkeys(("in_flight", "received", "discarded", "occurrences"), PARTS)
    | {"queued": value_of(st.booleans())},
)
Given = dict[str, Value]


def made(kind: Any, given: Given) -> Any:
    """Return what is declared with these arguments, or None if it is refused."""
    arguments = {name: value.make() for name, value in given.items()}
    try:
        return kind(**arguments)
    except CatalogError as error:
        message = str(error)
        assert ";" in message, message
        assert len(message) < 1000, message
        return None


def check_instrument(given: tuple[Any, Given, list[Given], Value]) -> None:
    """Declare an instrument with attributes, and export it if it is valid."""
    kind, arguments, of_attributes, value = given
    names = set(kind.__dataclass_fields__)
    attributes = tuple(each for one in of_attributes if (each := made(Attribute, one)) is not None)
    arguments = {name: each for name, each in arguments.items() if name in names}
    instrument = made(kind, {**arguments, "attributes": Value("attributes", lambda: attributes)})
    if instrument is None:
        return
    with setup_telemetry("fuzz", config=CONFIG, catalog=Catalog(instrument)) as running:
        use(instrument, {each.keyword: value.make() for each in attributes})
        families = list(text_string_to_metric_families(running.prometheus_text()))
        running.summary()
    assert sum(instrument.prometheus_name.removesuffix("_total") == each.name for each in families) == 1


def use(instrument: Any, attributes: dict[str, Any]) -> None:
    if isinstance(instrument, Gauge):
        instrument.set(1, **attributes)
    elif isinstance(instrument, Histogram):
        instrument.record(1, **attributes)
    elif hasattr(instrument, "add"):
        instrument.add(1, **attributes)
    else:
        instrument.observe(lambda: 1, **attributes)


def check_catalog(given: tuple[list[Given], list[Given], list[Given], list[Value]]) -> None:
    of_objectives, of_renames, of_operations, others = given
    objectives = [made(Objective, each) for each in of_objectives]
    renames = [made(Rename, each) for each in of_renames]
    for each in of_operations:
        if (operation := made(Operation, each)) is not None:
            made(lambda: measured(operation, x=1), {})
    made(lambda: Catalog(WAIT, THINGS, objectives=objectives, renames=renames), {})
    made(lambda: Catalog(*(each.make() for each in others)), {})
    made(lambda: Catalog(WAIT, objectives=others[0].make(), renames=others[-1].make()), {})
    made(lambda: measured(others[0].make()), {})


def test_instruments(fuzz: Fuzz) -> None:
    known = [
        (Counter, {"name": exactly("a"), "description": exactly("A."), **others}, [], exactly(1))
        for others in ({"unit": exactly(-1)}, {"unit": exactly("1"), "description": exactly("\ud800")})
    ]
    values = st.tuples(st.sampled_from(KINDS), INSTRUMENTS, st.lists(ATTRIBUTES, max_size=3), plain)
    fuzz(check_instrument, values, known=known, most=10)


def test_catalogs(fuzz: Fuzz) -> None:
    lists = (st.lists(each, max_size=2) for each in (OBJECTIVES, RENAMES, OPERATIONS))
    fuzz(check_catalog, st.tuples(*lists, st.lists(plain | TAME, min_size=1, max_size=3)), most=50)
