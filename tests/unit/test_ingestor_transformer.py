from examples.ingestor import text_labels
from examples.ingestor.event import Event
from examples.ingestor.text_labels import TextLabels
from examples.ingestor.transformer import Transformer


def lines(transformer: Transformer, *states: str, entity_id: str = "climate.x", **attributes: object) -> list[str]:
    """The lines of each state; the n-th state has the timestamp n."""
    events = [Event("mqtt", entity_id, state, number, attributes) for number, state in enumerate(states)]
    return [point.line for event in events if (point := transformer.point(event)) is not None]


def test_attributes_are_chosen_by_the_first_part_of_the_entity():
    transformer = Transformer((("climate.*", ("temperature", "mode")), ("light.*", ("brightness",))))
    assert lines(transformer, "5", temperature=21, mode="eco", brightness=3) == [
        'climate,entity_id=x temperature=21.0,mode_str="eco",value=5.0 0'
    ]


def test_the_attributes_of_all_matching_globs_are_written_once():
    transformer = Transformer((("*", ("a", "b")), ("climate.x", ("b", "c"))))
    assert lines(transformer, "5", a=1, b=2, c=3) == ["climate,entity_id=x a=1.0,b=2.0,c=3.0,value=5.0 0"]


def test_a_store_without_text_gets_the_value_alone_of_a_two_valued_state():
    assert lines(Transformer(text=False), "heat", "off", "inf", "nan", "5") == [
        "climate,entity_id=x value=0.0 1",
        "climate,entity_id=x value=5.0 4",
    ]


def test_a_store_without_text_gets_the_numeric_attributes_of_a_text_state():
    transformer = Transformer((("*", ("a", "b")),), text=False)
    assert lines(transformer, "heat", a=21, b="eco") == ["climate,entity_id=x a=21.0 0"]


def test_text_becomes_a_label_with_1_and_the_replaced_label_gets_0():
    transformer = Transformer(text=False, labels=TextLabels(10))
    assert lines(transformer, "heat", "heat", "cool", "off", "cool") == [
        "climate,entity_id=x,state=heat state=1.0 0",
        "climate,entity_id=x,state=heat state=1.0 1",
        "climate,entity_id=x,state=heat state=0.0 2\nclimate,entity_id=x,state=cool state=1.0 2",
        "climate,entity_id=x value=0.0 3\nclimate,entity_id=x,state=cool state=0.0 3",
        "climate,entity_id=x,state=cool state=1.0 4",
    ]


def test_the_replaced_label_gets_0_under_the_tags_that_it_had():
    transformer = Transformer(tags=("friendly_name",), text=False, labels=TextLabels(10))
    lines(transformer, "heat", friendly_name="old")
    [found] = lines(transformer, "cool", friendly_name="new")
    assert found.splitlines() == [
        "climate,entity_id=x,friendly_name=old,state=heat state=0.0 0",
        "climate,entity_id=x,friendly_name=new,state=cool state=1.0 0",
    ]


def test_words_for_numbers_that_are_not_finite_become_labels_too():
    transformer = Transformer(text=False, labels=TextLabels(10))
    assert lines(transformer, "inf") == ["climate,entity_id=x,state=inf state=1.0 0"]


def test_a_number_in_a_domain_of_text_is_a_label():
    transformer = Transformer(text=False, labels=TextLabels(10))
    assert lines(transformer, "5", entity_id="input_text.x") == ["input_text,entity_id=x,state=5 state=1.0 0"]


def test_text_without_a_visible_character_has_no_label():
    assert lines(Transformer(text=False, labels=TextLabels(10)), " \n") == []


def test_a_label_has_no_attributes_so_its_series_stays_the_same():
    transformer = Transformer((("*", ("a",)),), text=False, labels=TextLabels(10))
    assert lines(transformer, "heat", a=1) == [
        "climate,entity_id=x a=1.0 0\nclimate,entity_id=x,state=heat state=1.0 0"
    ]


def test_each_entity_has_a_budget_of_labels_and_a_warning_when_it_is_used_up(caplog):
    labels = TextLabels(2)
    found = [labels.change("sensor.a", text, {}) for text in ("a", "b", "c", "d", "a")]
    assert [{tags["state"]: value for tags, value in changed} for changed in found] == [
        {"a": 1.0},
        {"a": 0.0, "b": 1.0},
        {"b": 0.0, "_OTHER": 1.0},
        {"_OTHER": 1.0},
        {"_OTHER": 0.0, "a": 1.0},
    ]
    assert labels.change("sensor.b", "e", {}) == [({"state": "e"}, 1.0)]
    [message] = caplog.messages
    assert message.startswith("sensor.a has more than 2 texts; later ones become the label _OTHER. --text-labels sets")


def test_the_entities_with_labels_are_limited_and_a_warning_says_so_once(caplog, monkeypatch):
    monkeypatch.setattr(text_labels, "MOST_ENTITIES", 2)
    labels = TextLabels(5)
    found = [labels.change(f"sensor.s{number}", "a", {}) for number in (0, 1, 2, 3, 0)]
    assert found == [[({"state": "a"}, 1.0)], [({"state": "a"}, 1.0)], [], [], [({"state": "a"}, 1.0)]]
    assert caplog.messages == [
        "sensor.s2 and further entities have no labels, because 2 have; --exclude leaves entities out"
    ]
