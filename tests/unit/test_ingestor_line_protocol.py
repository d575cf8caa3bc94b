import math
import re

from hypothesis import given
from hypothesis import strategies as st

from examples.ingestor.event import Event
from examples.ingestor.line_protocol import field, number, to_point

SLUGS = st.from_regex(r"[a-z0-9_]{1,20}", fullmatch=True)
STATES = st.text(min_size=1, max_size=255)

# The grammar of InfluxDB's parser: in names a backslash escapes the next character.
NAME = r"(?:\\.|[^\\, =])+"
LINE = re.compile(
    rf"(?P<measurement>{NAME})(?P<tags>(?:,{NAME}={NAME})*) "
    r'(?:value=(?P<value>[^ ]+)|state="(?P<state>(?:\\[\\"]|[^\\"])*)") (?P<timestamp>\d+)'
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


def test_a_binary_state_is_a_number():
    assert [field(state) for state in ("on", "off", "open", "not_home")] == [
        "value=1.0",
        "value=0.0",
        "value=1.0",
        "value=0.0",
    ]


def test_any_other_state_is_quoted_text():
    assert field('say "hi" \\ bye') == r'state="say \"hi\" \\ bye"'


def test_text_that_only_python_accepts_as_a_number_stays_text():
    assert [number(text) for text in ("1_000", "nan", "inf", "1e999", "١٢")] == [None] * 5


def test_a_unit_is_a_tag_with_escaped_special_characters():
    assert line_of(unit_of_measurement="a b,c=d\\") == r"sensor,entity_id=a,unit=a\ b\,c\=d/ value=1.0 7"


def test_an_empty_unit_is_omitted():
    assert line_of(unit_of_measurement="") == "sensor,entity_id=a value=1.0 7"
