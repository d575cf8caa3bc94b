"""How many points a text in line protocol has."""

import pytest

from otel_ha.instrumentation.influxdb.line_protocol import count_points


@pytest.mark.parametrize(
    ("body", "points"),
    [
        (b"", 0),
        (b"\n", 0),
        (b" \r\n\t\n", 0),
        (b"# a comment", 0),
        (b"m v=1", 1),
        (b"m v=1\n", 1),
        (b"m v=1\nm v=2", 2),
        (b"m v=1\r\nm v=2\r\n", 2),
        (b"\n\nm v=1\n\n\nm v=2\n \n", 2),
        (b"# one\nm v=1\n  # two\n  m v=2\n#", 2),
        (b"m,unit=#1 v=1\nm v=2", 2),
        (b'm v="a\nb"', 1),
        (b'm v="a\nb" 1\nm v="c\n\n#d"\nm v=3', 3),
        (b'm v="say \\"\n\\""\nm v=2', 2),
        (b'm v="a\\\\"\nm v=2', 2),
        (b'm v="",w="\n"\nm v=2', 2),
        (b'm,room=5" v=1\nm,room=6" v=2', 2),
        (b'm,a=b\\ "c v=1\nm,a="b v="\n"', 2),
        (b'm v="never closed\nm v=2', 2),
        (b"m\\", 1),
        (b"m v=1\\", 1),
        ("m v=1\nm v=2", 2),
        ('m v="ü\nß"', 1),
        ("m v=\udc80", 1),
        (None, 0),
        ([b"m v=1"], 0),
    ],
)
def test_points_are_lines_but_for_breaks_within_quotes(body, points):
    assert count_points(body) == points


def test_many_quoted_lines_are_counted():
    assert count_points(b"\n".join([b'state,entity=a value="on\noff",x=1 5'] * 2_000)) == 2_000


def test_text_that_is_no_line_protocol_is_read_once():
    # Exponential or quadratic work would not end within the time that a test has.
    for text in (b'="' * 200_000, b'a ="\\"' * 100_000, b"\\" * 300_000, b' ="\\' * 100_000, b'"\n' * 200_000):
        count_points(text + b'\n"')
