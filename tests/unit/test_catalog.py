import pytest

from otel_ha import Attribute, Catalog, CatalogError, Counter, Gauge, Histogram, Objective

A = Counter("test.a", unit="1", description="A.")
B = Gauge("test.b", unit="1", description="B.")
WAIT = Histogram("test.wait", unit="s", description="Wait.", buckets=(0.25, 1.0, 1.5))


def objective(bound=0.25, target=0.99, histogram=WAIT):
    return Objective(histogram, bound=bound, target=target, description="Most are fast.")


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


def test_an_objective_is_data():
    assert (objective().histogram, objective().bound, objective().target) == (WAIT, 0.25, 0.99)


def test_a_catalog_of_a_list_is_a_clear_error():
    with pytest.raises(CatalogError, match=r"is not an instrument; write Catalog\(ONE, OTHER\)"):
        Catalog([Counter("test.things", unit="{thing}", description="Things.")])


def test_an_attribute_in_place_of_a_tuple_is_a_clear_error():
    with pytest.raises(CatalogError, match=r"attributes is Attribute.*; allowed: a tuple of Attribute declarations"):
        Counter("test.things", unit="{thing}", description="Things.", attributes=Attribute("test.room", "A room."))
