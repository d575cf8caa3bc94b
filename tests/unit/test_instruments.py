import dataclasses
import enum
import gc
import math
import sys
import weakref

import pytest

from otel_ha import (
    SUB_SECOND,
    Attribute,
    CatalogError,
    Counter,
    Gauge,
    Histogram,
    ObservableCounter,
    ObservableGauge,
    ObservableUpDownCounter,
    UpDownCounter,
    state_set,
)
from otel_ha.vocabulary import ingest
from tests.recorded import Recorded

COLOUR = Attribute("test.colour", "A colour.")
KINDS = [Counter, UpDownCounter, Gauge, Histogram, ObservableCounter, ObservableUpDownCounter, ObservableGauge]
VERBS = [(Counter, "add"), (UpDownCounter, "add"), (Gauge, "set"), (Histogram, "record")]


def declare(kind=Counter, name="test.thing", **arguments):
    return kind(name, **{"unit": "1", "description": "Things."} | arguments)


# Attributes


def test_an_attribute_is_given_by_the_last_part_of_its_name():
    assert Attribute("homeassistant.entity_id", "The entity.").keyword == "entity_id"


def test_an_attribute_is_given_by_the_keyword_that_it_declares():
    assert Attribute("homeassistant.entity_id", "The entity.", keyword="entity").keyword == "entity"


def test_attributes_that_are_declared_alike_are_equal():
    assert Attribute("test.colour", "A colour.") == COLOUR


@pytest.mark.parametrize("wrong", [{"name": 5}, {"keyword": b"x"}, {"budget": "5"}, {"name": ["x"]}, {"budget": 2.5}])
def test_an_attributes_arguments_have_their_types(wrong):
    (name, value) = next(iter(wrong.items()))
    with pytest.raises(CatalogError) as caught:
        Attribute(**{"name": "test.colour", "description": "A colour.", **wrong})
    assert f"{name} is {value!r}; allowed: a" in str(caught.value)


@pytest.mark.parametrize("name", ["", "Colour", "1st", "test colour", "test."])
def test_an_attribute_needs_a_key(name):
    with pytest.raises(CatalogError, match="invalid name; use lower-case words"):
        Attribute(name, "A colour.")


@pytest.mark.parametrize("description", ["", " ", 5, None])
def test_an_attribute_needs_a_description(description):
    with pytest.raises(CatalogError, match=r"the description is .*; describe it in a sentence"):
        Attribute("test.colour", description)


@pytest.mark.parametrize("values", [(1, 2), ("on", 1), ("on", "on"), "on", 5, [["on"]]])
def test_the_values_of_an_attribute_are_distinct_texts(values):
    with pytest.raises(CatalogError, match="allowed: a tuple of distinct texts"):
        Attribute("test.colour", "A colour.", values=values)


class Colour(str, enum.Enum):  # noqa: UP042 - a user may have one
    RED = "red"
    BLUE = "blue"


def test_members_of_an_enum_become_plain_values():
    found = Attribute("test.colour", "A colour.", values=tuple(Colour)).values
    assert [(type(value), value) for value in found] == [(str, "red"), (str, "blue")]


@pytest.mark.parametrize("keyword", ["not a name", "1st", "class", "a.b"])
def test_an_attribute_needs_a_keyword_that_python_can_call_with(keyword):
    with pytest.raises(CatalogError, match="cannot be a keyword argument; choose another keyword="):
        Attribute("test.colour", "A colour.", keyword=keyword)


def test_an_attribute_whose_name_ends_in_a_word_of_python_needs_a_keyword():
    with pytest.raises(CatalogError, match="'class' cannot be a keyword argument"):
        Attribute("test.class", "A class.")


RESERVED = ["le", "quantile", "job", "instance", "via", "otel.scope.name", "otel_scope_name", "otel.scope_version"]


@pytest.mark.parametrize(
    "name", [*RESERVED, "otel_scope.x", "otel__scope__name", "otel.scope.schema_url", "otel_scope_"]
)
def test_an_attribute_whose_label_a_way_to_prometheus_sets_itself_is_rejected(name):
    with pytest.raises(CatalogError, match=r"sets the label '\w+' itself.*; put a namespace before the name"):
        Attribute(name, "A part.", keyword="part")


@pytest.mark.parametrize(
    "name", ["homeassistant.job", "cron.job", "le.x", "jobs", "otel.scope", "otel_scoped", "via_x"]
)
def test_an_attribute_whose_label_only_resembles_a_reserved_one_is_accepted(name):
    assert Attribute(name, "A part.", keyword="part").name == name


@pytest.mark.parametrize("budget", [0, -1])
def test_a_budget_is_at_least_one(budget):
    with pytest.raises(CatalogError, match=r"budget is .*; allowed: at least 1"):
        Attribute("test.colour", "A colour.", budget=budget)


@pytest.mark.parametrize("values", ["red", ("red", "red")])
def test_a_closed_set_is_a_tuple_of_different_values(values):
    with pytest.raises(CatalogError, match="allowed: a tuple of distinct texts"):
        Attribute("test.colour", "A colour.", values=values)


# Instruments


@pytest.mark.parametrize("kind", KINDS)
def test_a_declaration_is_frozen(kind):
    with pytest.raises(dataclasses.FrozenInstanceError):
        declare(kind).name = "other"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "wrong", [{"name": 5}, {"unit": -1}, {"group": ["business"]}, {"series": "5"}, {"series": 2.5}]
)
def test_an_instruments_arguments_have_their_types(kind, wrong):
    (name, value) = next(iter(wrong.items()))
    with pytest.raises(CatalogError) as caught:
        declare(kind, **wrong)
    assert f"{name} is {value!r}; allowed: " in str(caught.value)


@pytest.mark.parametrize("expires", ["5", None, 0, -1, float("nan"), float("inf")])
def test_a_counter_expires_after_seconds(expires):
    with pytest.raises(CatalogError, match=r"expires is .*; allowed: True, False, or seconds above 0"):
        declare(expires=expires)


@pytest.mark.parametrize("wrong", [{"buckets": None}, {"buckets": 5}, {"buckets": "12"}, {"count_group": ["business"]}])
def test_a_histograms_arguments_have_their_types(wrong):
    (name, value) = next(iter(wrong.items()))
    with pytest.raises(CatalogError) as caught:
        declare(Histogram, **wrong)
    assert f"{name} is {value!r}; allowed: " in str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["", "1st", "Upper", "two words", "ä", "x" * 256])
def test_an_instrument_needs_a_name_within_opentelemetrys_rules(kind, name):
    with pytest.raises(CatalogError, match="invalid name; use up to 255"):
        declare(kind, name)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["events.total", "wait_seconds", "data.bytes", "wait.ms"])
def test_an_instruments_name_has_neither_total_nor_a_unit(kind, name):
    with pytest.raises(CatalogError, match="the name contains"):
        declare(kind, name)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["thread.count", "thread_sum", "thread-bucket", "count"])
def test_an_instruments_name_does_not_end_like_a_part_of_a_histogram(kind, name):
    with pytest.raises(CatalogError, match="the name ends in"):
        declare(kind, name)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("unit", ["", "seconds", "KB", "events"])
def test_an_instruments_unit_is_one_of_ucum(kind, unit):
    with pytest.raises(CatalogError, match="is not UCUM"):
        declare(kind, unit=unit)


@pytest.mark.parametrize("kind", KINDS)
def test_an_instrument_needs_a_description(kind):
    for description in ("", " ", 5, None):
        with pytest.raises(CatalogError, match=r"the description is .*; describe it in a sentence"):
            declare(kind, description=description)


@pytest.mark.parametrize("kind", KINDS)
def test_an_instruments_group_is_one_that_can_be_switched(kind):
    with pytest.raises(CatalogError, match="group is 'fun'; allowed: system, performance"):
        declare(kind, group="fun")


@pytest.mark.parametrize("kind", KINDS)
def test_an_instrument_has_at_least_one_series(kind):
    with pytest.raises(CatalogError, match=r"series is .*; allowed: at least 1"):
        declare(kind, series=0)


@pytest.mark.parametrize("kind", KINDS)
def test_an_attribute_is_declared_once(kind):
    with pytest.raises(CatalogError, match="attribute 'test_colour' is declared twice"):
        declare(kind, attributes=(COLOUR, Attribute("test.colour", "Another colour.", keyword="other")))


def test_two_attributes_do_not_become_one_label():
    with pytest.raises(CatalogError, match="declared twice"):
        declare(attributes=(COLOUR, Attribute("test_colour", "A colour.", keyword="other")))


def test_two_attributes_are_not_given_by_one_keyword():
    with pytest.raises(CatalogError, match="keyword 'colour' is declared twice"):
        declare(attributes=(COLOUR, Attribute("other.colour", "A colour.")))


@pytest.mark.parametrize("buckets", [(2.5, 1.5), (1.5, 1.5), ()])
def test_bounds_ascend(buckets):
    with pytest.raises(CatalogError, match="ascend"):
        declare(Histogram, buckets=buckets)


@pytest.mark.parametrize("buckets", [(1, 2), (1.5, math.inf), (math.nan,), (True,), ("1.5",)])
def test_bounds_are_finite_floats(buckets):
    with pytest.raises(CatalogError, match="finite floats"):
        declare(Histogram, buckets=buckets)


def test_the_default_bounds_serve_an_objective():
    assert not any(bound.is_integer() for bound in SUB_SECOND)


def test_an_error_names_the_kind_and_the_instrument():
    with pytest.raises(CatalogError, match=r"^Gauge 'test\.thing': "):
        declare(Gauge, unit="percent")


@pytest.mark.parametrize(
    ("kind", "exposed"),
    [
        (Counter, "test_thing_total"),
        (ObservableCounter, "test_thing_total"),
        (UpDownCounter, "test_thing"),
        (ObservableUpDownCounter, "test_thing"),
        (Gauge, "test_thing_ratio"),
        (ObservableGauge, "test_thing_ratio"),
        (Histogram, "test_thing"),
    ],
)
def test_an_instrument_knows_its_name_in_prometheus(kind, exposed):
    assert declare(kind).prometheus_name == exposed


# Verbs


@pytest.mark.parametrize(("kind", "verb"), VERBS)
def test_a_verb_takes_attributes_by_keyword(kind, verb):
    instrument = declare(kind, attributes=(COLOUR,))
    with Recorded(instrument) as recorded:
        getattr(instrument, verb)(2, colour="red")
        ((attributes, _),) = recorded.series(instrument).items()
    assert attributes == {("test.colour", "red")}


def test_an_attribute_may_be_called_as_a_parameter_is():
    attributes = tuple(Attribute(f"test.{name}", "A name.", keyword=name) for name in ("self", "amount"))
    counter = declare(attributes=attributes)
    with Recorded(counter) as recorded:
        counter.add(1, self="a", amount="b")
        assert recorded.value(counter, self="a", amount="b") == 1


def test_a_series_may_be_given_up_by_an_attribute_that_is_called_self():
    counter = declare(attributes=(Attribute("test.self", "A name."),), expires=True)
    with Recorded(counter) as recorded:
        counter.add(1, self="a")
        counter.forget(self="a")
        assert recorded.series(counter) == {}


def test_an_attribute_that_is_none_is_left_out():
    counter = declare(attributes=(COLOUR,))
    with Recorded(counter) as recorded:
        counter.add(1, colour=None)
        assert recorded.value(counter) == 1


def test_a_counter_adds():
    counter = declare()
    with Recorded(counter) as recorded:
        counter.add(2)
        counter.add(0.5)
        assert recorded.value(counter) == 2.5


def test_an_updowncounter_goes_down():
    load = declare(UpDownCounter)
    with Recorded(load) as recorded:
        load.add(1)
        load.add(-3)
        assert recorded.value(load) == -2


def test_a_gauge_keeps_the_last_value():
    level = declare(Gauge)
    with Recorded(level) as recorded:
        level.set(1)
        level.set(-3.5)
        assert recorded.value(level) == -3.5


def test_a_histogram_counts_in_its_own_buckets():
    wait = declare(Histogram, buckets=(0.1, 1.5))
    with Recorded(wait) as recorded:
        for amount in (0.1, 0.2, 2):
            wait.record(amount)
        assert recorded.value(wait) == (3, pytest.approx(2.3), (1, 1, 1))


@pytest.mark.parametrize("kind", [ObservableCounter, ObservableUpDownCounter, ObservableGauge])
def test_an_observable_is_read_at_every_collection(kind):
    depth = declare(kind, attributes=(COLOUR,))
    values = iter((1, 5))
    with Recorded(depth) as recorded:
        depth.observe(lambda: next(values), colour="red")
        assert [recorded.value(depth, colour="red") for _ in range(2)] == [1, 5]


# Before and after


class Thing:
    """An object whose garbage collection can be observed."""

    def __call__(self):
        return 1


@pytest.mark.parametrize(("kind", "verb"), VERBS)
def test_before_and_after_telemetry_a_verb_does_nothing(kind, verb):
    instrument = declare(kind, attributes=(COLOUR,))
    record = getattr(instrument, verb)
    record(1, colour="before", nonsense=object())
    with Recorded(instrument) as recorded:
        pass
    record(1, colour="after")
    with Recorded(instrument) as recorded:
        assert recorded.series(instrument) == {}
        assert recorded.problems() == {}


@pytest.mark.parametrize(("kind", "verb"), VERBS)
def test_an_inert_verb_keeps_nothing(kind, verb):
    instrument, thing = declare(kind, attributes=(COLOUR,)), Thing()
    end = weakref.ref(thing)
    getattr(instrument, verb)(1, colour=thing)
    del thing
    assert end() is None


def test_an_inert_verb_allocates_nothing_that_stays():
    counter = declare(attributes=(COLOUR,))
    counter.add(1, colour="red")
    gc.collect()
    before = sys.getallocatedblocks()
    for _ in range(10_000):
        counter.add(1, colour="red")
    assert sys.getallocatedblocks() - before < 1000


def test_an_inert_observable_keeps_no_source():
    depth, source = declare(ObservableGauge), Thing()
    end = weakref.ref(source)
    depth.observe(source).stop()
    del source
    assert end() is None


def test_a_source_that_was_given_before_telemetry_is_not_read():
    depth = declare(ObservableGauge)
    depth.observe(lambda: 1)
    with Recorded(depth) as recorded:
        assert recorded.series(depth) == {}


def test_a_declaration_records_again_when_telemetry_is_set_up_again():
    counter = declare()
    for _ in range(2):
        with Recorded(counter) as recorded:
            counter.add(1)
            assert recorded.value(counter) == 1


# State sets


def test_a_state_set_is_one_for_the_current_state_and_zero_for_the_others():
    assert state_set(ingest.CIRCUIT_STATE, "open") == [
        (0.0, {"state": "closed"}),
        (0.0, {"state": "half_open"}),
        (1.0, {"state": "open"}),
    ]


def test_a_state_set_can_be_observed():
    with Recorded(ingest.CIRCUIT_BREAKER) as recorded:
        ingest.CIRCUIT_BREAKER.observe(lambda: state_set(ingest.CIRCUIT_STATE, "open"), component="sink")
        states = [recorded.value(ingest.CIRCUIT_BREAKER, component="sink", state=s) for s in ("closed", "open")]
    assert states == [0, 1]
