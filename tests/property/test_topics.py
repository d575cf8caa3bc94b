"""Laws of the topic parser."""

import json

from hypothesis import example, given
from hypothesis import strategies as st
from slugify import slugify

from otel_ha.instrumentation.topics.entities import UNKNOWN, entity_of, slug
from otel_ha.instrumentation.topics.parser import Entity, TopicParser

WORDS = st.sampled_from(
    [
        "homeassistant",
        "light",
        "sensor",
        "device",
        "config",
        "state",
        "lamp",
        "",
        "tele",
        "SENSOR",
        "friendly_name",
        "é",
    ]
)
TOPICS = st.one_of(st.text(), st.lists(WORDS, max_size=7).map("/".join))
KEYS = st.sampled_from(
    ["stat_t", "~", "cmps", "dev", "name", "p", "rl", "ft", "t", "tp", "so", "obj_id", "ent_cat", "30"]
)
JSON = st.recursive(
    st.one_of(st.none(), st.integers(), st.floats(), TOPICS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=5)),
    max_leaves=12,
)
ANNOUNCEMENTS = st.sampled_from(
    ["homeassistant/light/x/config", "homeassistant/device/x/config", "tasmota/discovery/x/config", "a/lock/b/c/config"]
)
MESSAGES = st.one_of(
    st.tuples(TOPICS, st.binary()),
    st.tuples(ANNOUNCEMENTS, JSON.map(lambda value: json.dumps(value).encode())),
)


@given(st.lists(MESSAGES, max_size=20))
def test_whatever_arrives_the_answer_is_well_formed(messages):
    parser = TopicParser()
    for topic, payload in messages:
        found = parser.parse(topic, payload)
        assert isinstance(found, Entity)
        assert found == UNKNOWN or entity_of(found.entity or found.domain) == found


@given(st.one_of(st.text(), st.text(st.characters(max_codepoint=0x17F))))
@example("1,5 °C")
@example("A & B")
@example("it's")
@example("½ ²")
@example("&amp;")
@example("K")
def test_a_name_is_written_as_home_assistant_writes_it_or_unknown(name):
    assert slug(name) in {None, slugify(name, separator="_")}


@given(st.sampled_from(["topic", "payload"]), st.one_of(st.none(), st.integers(), st.lists(st.text())))
def test_arguments_of_another_type_do_not_raise(which, value):
    arguments = {"topic": "homeassistant/light/x/config", "payload": b"{}", which: value}
    assert isinstance(TopicParser().parse(**arguments), Entity)
