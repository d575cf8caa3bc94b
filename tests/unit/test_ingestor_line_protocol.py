import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples.ingestor.event import Event, InvalidEventError, nanoseconds
from examples.ingestor.line_protocol import NUMBERS, TEXTS, line, named_fields, number, state_fields, to_point

SLUGS = st.from_regex(r"[a-z0-9_]{1,20}", fullmatch=True)
STATES = st.text(min_size=1, max_size=255)

# The grammar of InfluxDB's parser: in names a backslash escapes the next character.
NAME = r"(?:\\.|[^\\, =])+"
LINE = re.compile(
    rf"(?P<measurement>{NAME})(?P<tags>(?:,{NAME}={NAME})*) "
    r'(?:value=(?P<value>[^ ,]+))?,?(?:state="(?P<state>(?:\\[\\"]|[^\\"])*)")? (?P<timestamp>\d+)'
)


def read(line: str) -> re.Match[str]:
    match = LINE.fullmatch(line)
    assert match, line
    return match


def line_of(state: str = "1", entity_id: str = "sensor.a", **attributes: object) -> str:
    return to_point(Event("mqtt", entity_id, state, 7, attributes)).line


@given(domain=SLUGS, name=SLUGS, state=STATES, unit=st.text(), timestamp=st.integers(0, 2**63 - 1))
def test_every_event_becomes_one_line_that_can_be_parsed(domain, name, state, unit, timestamp):
    event = Event("mqtt", f"{domain}.{name}", state, timestamp, {"unit_of_measurement": unit})
    line = to_point(event).line
    match = read(line)
    assert "\n" not in line
    assert (match["measurement"], int(match["timestamp"])) == (domain, timestamp)
    assert match["tags"].startswith(f",entity_id={name}")


@given(STATES)
def test_text_is_preserved_except_for_control_characters(state):
    if number(state) is None:
        written = re.sub(r'\\([\\"])', r"\1", read(line_of(state))["state"])
        assert written == re.sub(r"[\x00-\x1f]", " ", state)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_is_preserved_exactly(value):
    assert float(read(line_of(repr(value)))["value"]) == value


@given(st.text())
def test_a_written_number_is_finite(state):
    value = number(state)
    assert value is None or math.isfinite(value)


def test_a_numeric_state_is_a_float():
    assert line_of("21") == "sensor,entity_id=a value=21.0 7"


def test_every_state_of_a_thermostat_has_its_text():
    assert [state_fields(state, "climate")["state"] for state in ("heat", "off", "heat")] == ["heat", "off", "heat"]


@pytest.mark.parametrize("word", NUMBERS)
def test_a_two_valued_state_is_written_in_both_forms(word):
    assert state_fields(word, "sensor") == {"value": NUMBERS[word], "state": word}


@pytest.mark.parametrize("state", ["ON", "On", "on\n", " on ", "\tON\r\n"])
def test_a_two_valued_word_is_recognised_in_any_case_and_with_space_around_it(state):
    assert line_of(state) == 'sensor,entity_id=a value=1.0,state="on" 7'


@pytest.mark.parametrize("state", ["LOCKED", "True", "Open", "HOME\n", "UNLOCKED", "FALSE", "Not_Home"])
def test_the_text_of_a_two_valued_word_is_in_lower_case(state):
    assert state_fields(state, "sensor")["state"] == state.strip().lower()


@pytest.mark.parametrize("state", ["Heat", "on hold", "ontario", "offline", "idle\n"])
def test_a_text_that_is_not_two_valued_stays_as_it_is(state):
    assert state_fields(state, "sensor") == {"state": state}


@pytest.mark.parametrize("domain", sorted(TEXTS))
def test_a_number_in_a_domain_of_text_is_text(domain):
    assert line_of("5", f"{domain}.a") == f'{domain},entity_id=a state="5" 7'


def test_an_empty_state_has_no_field():
    assert to_point(Event("mqtt", "input_text.a", "", 7)) is None


def test_any_other_state_is_quoted_text():
    assert line_of('say "hi" \\ bye') == r'sensor,entity_id=a state="say \"hi\" \\ bye" 7'


def test_text_that_only_python_accepts_as_a_number_stays_text():
    assert [number(text) for text in ("1_000", "nan", "inf", "1e999", "١٢")] == [None] * 5


def test_a_unit_is_a_tag_with_escaped_special_characters():
    assert line_of(unit_of_measurement="a b,c=d\\") == r"sensor,entity_id=a,unit=a\ b\,c\=d/ value=1.0 7"


def test_an_empty_unit_is_omitted():
    assert line_of(unit_of_measurement="") == "sensor,entity_id=a value=1.0 7"


@pytest.mark.parametrize("spelling", ["\u00b5g/m\u00b3", "\u03bcg/m\u00b3"])
def test_both_characters_for_micro_are_the_same_unit(spelling):
    assert line_of(unit_of_measurement=spelling) == "sensor,entity_id=a,unit=\u03bcg/m\u00b3 value=1.0 7"


@pytest.mark.parametrize(("first", "second"), [("\u2126", "\u03a9"), ("\u212a", "K"), ("A\u030a", "\u00c5")])
def test_characters_that_look_alike_are_the_same_unit(first, second):
    assert line_of(unit_of_measurement=first) == line_of(unit_of_measurement=second)


def test_attributes_become_fields():
    def brightness(value: int) -> str:
        return to_point(Event("mqtt", "light.a", "on", 7, {"brightness": value}), ["brightness"]).line

    assert brightness(100) == 'light,entity_id=a brightness=100.0,value=1.0,state="on" 7'
    assert brightness(200) == 'light,entity_id=a brightness=200.0,value=1.0,state="on" 7'


def test_an_attribute_that_is_missing_is_left_out():
    assert to_point(Event("mqtt", "light.a", "5", 7), ["brightness"]).line == "light,entity_id=a value=5.0 7"


def test_named_values_are_numbers_text_or_both():
    assert named_fields({"a": 1, "b": "2.5", "c": "heating", "d": "ON\n", "e": True, "f": [1, "x"]}) == {
        "a": 1.0,
        "b": 2.5,
        "c_str": "heating",
        "d": 1.0,
        "d_str": "on",
        "e": 1.0,
        "e_str": "true",
        "f_str": '[1, "x"]',
    }


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 10**400, None])
def test_a_value_that_is_no_finite_number_is_left_out(value):
    assert named_fields({"a": value, "b": 1}) == {"b": 1.0}


def test_a_reserved_name_gets_an_underscore():
    assert named_fields({"time": 1, "value": 2, "state": "x", "entity_id": "y", "a_str": 3}) == {
        "time_": 1.0,
        "value_": 2.0,
        "state__str": "x",
        "entity_id__str": "y",
        "a_str_": 3.0,
    }


def test_special_characters_are_escaped_in_the_names_of_fields():
    assert line("m", {}, {"a b,c=d\\": 1.0}, 7) == r"m a\ b\,c\=d/=1.0 7"


def test_half_of_a_surrogate_pair_in_an_attribute_is_replaced():
    point = to_point(Event("mqtt", "light.a", "5", 7, {"x": "\ud800"}), ["x"], ["x"])
    assert point.line.encode() == b'light,entity_id=a,x=? x_str="?",value=5.0 7'


def test_a_long_tag_is_cut():
    point = to_point(Event("mqtt", "light.a", "5", 7, {"friendly_name": "x" * 9000}), tags=["friendly_name"])
    assert point.line == f"light,entity_id=a,friendly_name={'x' * 255} value=5.0 7"


def test_chosen_attributes_become_tags():
    attributes = {"friendly_name": "Living room, lamp", "device_class": None}
    point = to_point(Event("mqtt", "light.a", "5", 7, attributes), tags=["friendly_name", "device_class"])
    assert point.line == r"light,entity_id=a,friendly_name=Living\ room\,\ lamp value=5.0 7"


@given(
    st.sampled_from(["a", "a_str", "time", "_str"]),
    st.one_of(st.text(), st.floats(), st.integers(), st.booleans(), st.none()),
)
def test_a_field_never_changes_its_type_and_never_is_infinite(name, value):
    for key, written in named_fields({name: value}).items():
        assert isinstance(written, str) if key.endswith("_str") else math.isfinite(written)


@pytest.mark.parametrize("entity_id", [".a", "sensor.", "sensor", "", "#sensor.a", "sensor." + "a" * 249])
def test_an_id_that_would_make_a_line_unreadable_is_invalid(entity_id):
    with pytest.raises(InvalidEventError, match=r"must be domain\.object"):
        Event("mqtt", entity_id, "1", 7)


@pytest.mark.parametrize(
    "time",
    [
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "1969-12-31T23:59:59Z",
        "2262-04-11T23:47:17Z",
    ],
)
def test_a_time_out_of_the_range_of_a_store_counts_as_unknown(time):
    assert nanoseconds(time) is None


def test_a_time_within_the_range_of_a_store_is_kept():
    assert nanoseconds("2262-04-11T23:47:16.854775Z") == 9_223_372_036_854_775_000
    assert nanoseconds("1970-01-01T00:00:01+00:00") == 1_000_000_000
