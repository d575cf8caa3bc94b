from decimal import Decimal
from fractions import Fraction

import pytest

from otel_ha import Attribute, Catalog, CatalogError, Counter, Gauge, Histogram, Objective, Rename, setup_telemetry
from otel_ha.testing import captured_metrics
from otel_ha.vocabulary import ingest

A = Counter("test.a", unit="1", description="A.")
B = Gauge("test.b", unit="1", description="B.")
WAIT = Histogram("test.wait", unit="s", description="Wait.", buckets=(0.25, 1.0, 1.5))


def objective(bound=0.25, target=0.99, histogram=WAIT):
    return Objective(histogram, bound=bound, target=target, description="Most are fast.")


def capture(catalog):
    with captured_metrics(catalog):
        ...


def test_a_catalog_holds_its_instruments_in_their_order():
    assert list(Catalog(B, A)) == [B, A]


def test_a_catalog_has_a_length():
    assert len(Catalog(A, B)) == 2


def test_an_instrument_is_found_by_name():
    assert Catalog(A)["test.a"] is A


def test_a_missing_name_is_a_key_error():
    with pytest.raises(KeyError):
        Catalog(A)["test.b"]


def test_a_catalog_contains_what_it_was_given():
    assert A in Catalog(A)


def test_a_catalog_does_not_contain_another_declaration_of_the_name():
    assert Counter("test.a", unit="1", description="A.") not in Catalog(A)


def test_a_catalog_does_not_contain_a_name():
    assert "test.a" not in Catalog(A)


def test_a_catalog_shows_its_names():
    assert repr(Catalog(A, B)) == "Catalog(test.a, test.b)"


@pytest.mark.parametrize(
    "combine",
    [
        lambda other: ingest.CATALOG | other,
        lambda other: other | ingest.CATALOG,
        lambda other: setup_telemetry("test", catalog=other),
        capture,
    ],
)
@pytest.mark.parametrize("other", [ingest.RECEIVED, [ingest.RECEIVED], None, {}])
def test_anything_but_a_catalog_is_refused(combine, other):
    with pytest.raises(CatalogError, match=r"is not a catalog; allowed: a Catalog, such as Catalog\(counter, gauge\)$"):
        combine(other)


def test_two_instruments_of_one_name_are_refused():
    with pytest.raises(CatalogError, match=r"two instruments are named 'test\.a'"):
        Catalog(A, Counter("test.a", unit="1", description="Another."))


def test_two_instruments_of_one_name_in_prometheus_are_refused():
    with pytest.raises(CatalogError, match="two instruments are named 'test_a_total'"):
        Catalog(A, Counter("test_a", unit="1", description="Another."))


def test_a_name_with_its_unit_may_not_be_the_name_of_another():
    fast = Gauge("test.speed", unit="m", description="Speed.")
    with pytest.raises(CatalogError, match="test_speed_meters"):
        Catalog(fast, Histogram("test_speed", unit="m", description="Speed."))


def test_catalogs_are_united():
    assert list(Catalog(A) | Catalog(B)) == [A, B]


def test_an_instrument_may_be_on_both_sides_of_a_union():
    assert list(Catalog(A, B) | Catalog(B, WAIT)) == [A, B, WAIT]


def test_a_union_leaves_its_sides_as_they_were():
    left, right = Catalog(A), Catalog(B)
    assert left | right
    assert (list(left), list(right)) == ([A], [B])


def test_a_union_of_different_instruments_of_one_name_is_refused():
    with pytest.raises(CatalogError, match=r"test\.a"):
        Catalog(A) | Catalog(Counter("test.a", unit="1", description="Another."))


def test_a_union_has_the_objectives_of_both_once():
    one, other = objective(), objective(1.5)
    united = Catalog(WAIT, objectives=[one]) | Catalog(WAIT, objectives=[other, one])
    assert united.objectives == (one, other)


def test_an_objective_is_on_an_instrument_of_the_catalog():
    with pytest.raises(CatalogError, match="the catalog lacks this histogram"):
        Catalog(A, objectives=[objective()])


def test_an_objectives_bound_is_a_bucket():
    with pytest.raises(CatalogError, match=r"bound is 0\.3; allowed: its bucket bounds"):
        objective(0.3)


@pytest.mark.parametrize("bound", [1.0, 1])
def test_an_objectives_bound_is_not_an_integer(bound):
    with pytest.raises(CatalogError, match="is an integer"):
        objective(bound)


@pytest.mark.parametrize("target", [0, 1, 99, -0.5, float("nan")])
def test_an_objectives_target_is_a_share(target):
    with pytest.raises(CatalogError, match="allowed: a share between 0 and 1"):
        objective(target=target)


class Spelled(float):
    """Like a number of numpy, which does not spell itself as a literal."""

    def __repr__(self) -> str:
        return f"spelled({float(self)!r})"


@pytest.mark.parametrize("wrong", [{"bound": Decimal("0.25")}, {"bound": Fraction(1, 4)}, {"target": Decimal("0.99")},
                                   {"target": Fraction(99, 100)}, {"target": "0.99"}])  # fmt: skip
def test_an_objectives_numbers_are_ones_that_every_format_can_write(wrong):
    with pytest.raises(
        CatalogError, match=r"objective on 'test\.wait': bound is .*, target is .*; allowed: two floats"
    ):
        objective(**wrong)


def test_an_objectives_numbers_become_plain_ones():
    found = objective(Spelled(0.25), Spelled(0.99))
    assert (repr(found.bound), repr(found.target)) == ("0.25", "0.99")


def test_an_objective_is_data():
    assert (objective().histogram, objective().bound, objective().target) == (WAIT, 0.25, 0.99)


def test_a_catalog_of_a_list_is_a_clear_error():
    with pytest.raises(CatalogError, match=r"is not an instrument; write Catalog\(ONE, OTHER\)"):
        Catalog([Counter("test.things", unit="{thing}", description="Things.")])


def test_an_attribute_in_place_of_a_tuple_is_a_clear_error():
    with pytest.raises(CatalogError, match=r"attributes is Attribute.*; allowed: a tuple of Attribute declarations"):
        Counter("test.things", unit="{thing}", description="Things.", attributes=Attribute("test.room", "A room."))


ROOM = Attribute("test.room", "The room.")
OPENED = Counter("test.opened", unit="1", description="Opened.", attributes=(ROOM,))


def test_a_union_keeps_the_renames_of_both_once():
    of_a, of_b = Rename("a_before", A), Rename("b_before", B)
    both = Catalog(A, renames=[of_a]) | Catalog(A, B, renames=[of_a, of_b])
    assert both.renames == (of_a, of_b)


@pytest.mark.parametrize("name", ["", "a-b", "1a", "acme.calls"])
def test_an_earlier_name_is_one_that_prometheus_can_have(name):
    with pytest.raises(CatalogError, match="not a name in Prometheus"):
        Rename(name, A)


def test_an_earlier_name_is_not_the_present_one():
    with pytest.raises(CatalogError, match="has this name now"):
        Rename("test_a_total", A)


@pytest.mark.parametrize("times", [0, -1, float("nan"), float("inf"), Decimal(1000), Fraction(1, 2), "1000"])
def test_earlier_values_were_a_positive_multiple_of_the_present_ones(times):
    with pytest.raises(CatalogError, match="times is"):
        Rename("a_before", A, times=times)


def test_a_histogram_of_another_unit_cannot_keep_its_earlier_name():
    with pytest.raises(CatalogError, match="converts no buckets"):
        Rename("wait_before", WAIT, times=1000)


@pytest.mark.parametrize(
    ("labels", "problem"),
    [
        ({"a-b": ROOM}, "cannot be an attribute's"),
        ({"job": ROOM}, "cannot be an attribute's"),
        ({"test_room": ROOM}, "has the label 'test_room' now"),
        ({"floor": Attribute("test.floor", "The floor.")}, "is not an attribute of 'test.opened'"),
    ],
)
def test_an_earlier_label_stands_for_an_attribute_of_the_instrument(labels, problem):
    with pytest.raises(CatalogError, match=problem):
        Rename("opened_before", OPENED, labels=labels)


def test_a_rename_needs_a_declaration():
    with pytest.raises(CatalogError, match="is not an instrument"):
        Rename("a_before", "test.a")


def test_a_rename_of_an_instrument_outside_the_catalog_is_an_error():
    with pytest.raises(CatalogError, match=r"the catalog lacks 'test\.b'"):
        Catalog(A, renames=[Rename("b_before", B)])


@pytest.mark.parametrize("renames", [[Rename("test_b_ratio", A)], [Rename("x", A), Rename("x", B)]])
def test_an_earlier_name_that_is_in_use_is_an_error(renames):
    with pytest.raises(CatalogError, match="another instrument has or had this name"):
        Catalog(A, B, renames=renames)


@pytest.mark.parametrize("name", ["test_wait_seconds_count", "test_wait_seconds_bucket", "test_wait_seconds_sum"])
def test_an_earlier_name_that_is_a_series_of_a_histogram_is_an_error(name):
    with pytest.raises(CatalogError, match="another instrument has or had this name"):
        Catalog(A, WAIT, renames=[Rename(name, A)])


@pytest.mark.parametrize(
    "renames", [[Rename("x", WAIT), Rename("x_sum", A)], [Rename("x_count", A), Rename("x", WAIT)]]
)
def test_an_earlier_name_that_is_an_earlier_series_of_a_histogram_is_an_error(renames):
    with pytest.raises(CatalogError, match="another instrument has or had this name"):
        Catalog(A, WAIT, renames=renames)


def test_a_histogram_and_its_earlier_names_are_in_one_catalog():
    renames = (Rename("x", WAIT), Rename("y", WAIT))
    assert Catalog(WAIT, renames=renames).renames == renames


@pytest.mark.parametrize("description", [" ", "\n", 5, None, b"Most are fast."])
def test_the_description_of_an_objective_is_a_text(description):
    with pytest.raises(
        CatalogError, match=r"objective on 'test\.wait': the description is .*; describe it in a sentence"
    ):
        Objective(WAIT, bound=0.25, target=0.99, description=description)


def test_an_objective_needs_a_description():
    fast = Histogram("acme.took", unit="s", description="Took.", buckets=(0.25,))
    with pytest.raises(CatalogError, match=r"objective on 'acme.took': the description is empty; describe it"):
        Objective(fast, bound=0.25, target=0.99, description="")


@pytest.mark.parametrize("histogram", [A, None, "test.wait"])
def test_an_objective_is_on_a_histogram(histogram):
    with pytest.raises(CatalogError, match=r"objective on .*; allowed: a declared Histogram"):
        objective(histogram=histogram)


@pytest.mark.parametrize("argument", ["objectives", "renames"])
@pytest.mark.parametrize("given", [None, 5, WAIT, ["x"], [None]])
def test_a_catalog_has_lists_of_objectives_and_renames(argument, given):
    with pytest.raises(CatalogError, match=rf"{argument} is .*; allowed: declarations of"):
        Catalog(WAIT, **{argument: given})


@pytest.mark.parametrize(("argument", "value"), [("name", 5), ("labels", None), ("labels", [("x", 1)])])
def test_a_renames_arguments_have_their_types(argument, value):
    with pytest.raises(CatalogError, match=rf"{argument} is .*; allowed: "):
        Rename(**{"name": "old_a", "instrument": A, argument: value})


def test_the_earlier_label_of_a_rename_is_a_text():
    with pytest.raises(CatalogError, match="label 1 cannot be an attribute's"):
        Rename("old_a", A, labels={1: Attribute("test.colour", "A colour.")})
