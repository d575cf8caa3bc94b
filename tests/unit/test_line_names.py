"""Names of fields and tags that differ in characters which a line cannot have."""

from examples.ingestor.line_protocol import line


def test_of_two_names_that_become_the_same_in_a_line_the_last_one_counts():
    written = line("sensor", {"a\n": "x", "a\t": "y"}, {"b\n": 1.0, "b\t": 2.0}, 7)
    assert written == r"sensor,a\ =y b\ =2.0 7"
