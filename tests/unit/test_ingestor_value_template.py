import pytest

from examples.ingestor.event import InvalidEventError
from examples.ingestor.value_template import MissingValueError, UnsupportedTemplateError, parse


@pytest.mark.parametrize(
    ("template", "payload", "text"),
    [
        ("{{ value }}", b"21", "21"),
        ("{{value|float|round(1)}}", b"21.56", "21.6"),
        ("{{ value_json }}", b"21.5", "21.5"),
        ("{{ value_json.temperature }}", b'{"temperature": 21.5}', "21.5"),
        ("{{value_json['AM2301'].Temperature}}", b'{"AM2301": {"Temperature": 20.6}}', "20.6"),
        ('{{ value_json["a b"][1] }}', b'{"a b": [1, 2]}', "2"),
        ("{{- value_json.occupancy -}}", b'{"occupancy": true}', "True"),
        ("{{ value_json.x }}", b'{"x": null}', "None"),
        ("{{ value_json.x | int }}", b'{"x": "21.9"}', "21"),
        ("{{ value_json.x | float(0) }}", b'{"x": "none"}', "0"),
        ("{{ value_json.x | round }}", b'{"x": 2.7}', "3"),
        ("{{ value_json.x | default('idle') }}", b"{}", "idle"),
        ("{{ value_json.x | upper }}", b'{"x": "on"}', "ON"),
        ("{{ value_json.x | is_defined }}", b'{"x": 1}', "1"),
        ("\n{{ value_json.state }}\n", b'{"state": "ON"}', "ON"),
    ],
)
def test_a_template_reads_one_value(template, payload, text):
    assert parse(template).render(payload) == text


@pytest.mark.parametrize(
    "template",
    [
        "{{ value_json.power * 0.1 }}",
        "{% if value_json.x %}on{% endif %}",
        "{{ states('sensor.a') }}",
        "{{ value_json.x | regex_replace('a', 'b') }}",
        "{{ value_json.x | round(n) }}",
        "{{ value_json.s | default([]) }}",
        "{{ value_json.s | default({}) }}",
        "{{ value_json.s | default({1}) }}",
        "{{ value_json.s | default(b'x') | string('foo') }}",
        "{{ value_json.s | default(1j) }}",
        "{{ value_json.s | default(" + "-" * 900 + "1) }}",
        "{{ value_json.s | default(" + "[" * 900 + ") }}",
        "{{ value }} W",
        "value",
        "{{ value_json." + "a" * 2000 + " }}",
    ],
)
def test_a_template_that_does_more_is_not_supported(template):
    with pytest.raises(UnsupportedTemplateError):
        parse(template)


@pytest.mark.parametrize("payload", [b"{}", b'{"a": []}', b'{"a": {"b": 1}}', b"5", b'{"a": "text"}'])
def test_a_value_can_be_missing(payload):
    with pytest.raises(MissingValueError):
        parse("{{ value_json.a[0] }}").render(payload)


@pytest.mark.parametrize(
    ("template", "payload"),
    [
        ("{{ value_json.a }}", b"not JSON"),
        ("{{ value }}", b"\xff"),
        ("{{ value | float }}", b"x"),
        ("{{ value | int }}", b"inf"),
        ("{{ value_json.a }}", b'{"a": [1]}'),
        ("{{ value_json }}", b"{}"),
    ],
)
def test_a_payload_can_be_malformed(template, payload):
    with pytest.raises(InvalidEventError):
        parse(template).render(payload)
