"""The judgement of the long runs: a leak is found, noise and warm-up are not taken for one."""

import random

import pytest

from tests.faults.flatness import ALLOWED, MIB, Size, assert_flat, growth, summary


def sizes(number: int = 40, **more) -> list[Size]:
    """Return the sizes of a program that grows while it warms up, and whose memory is noisy."""
    noise = random.Random(1)
    flat = {
        "blocks": lambda n: 200_000 + 5_000 * (n < 5) * n + noise.randrange(300),
        "resident": lambda n: 50 * MIB + noise.randrange(2 * MIB) + (n == 30) * 40 * MIB,
        "descriptors": lambda _: 10 + noise.randrange(2),
        "threads": lambda n: 5 + (n % 7 == 0),
    } | more
    return [Size(came=1000 * n, **{name: int(value(n)) for name, value in flat.items()}) for n in range(number)]


def test_noise_and_warm_up_are_flat():
    assert_flat(sizes())


@pytest.mark.parametrize(
    ("measure", "value"),
    [
        ("blocks", lambda n: 200_000 + 60 * n),
        ("resident", lambda n: 50 * MIB + n * MIB // 2),
        ("descriptors", lambda n: 10 + n // 5),
        ("threads", lambda n: 5 + n // 5),
    ],
)
def test_a_leak_is_found_and_named(measure, value):
    with pytest.raises(AssertionError, match=f"these grew: {{'{measure}': "):
        assert_flat(sizes(**{measure: value}))


def test_a_busy_program_may_have_more_blocks_at_some_readings():
    sometimes = sizes(blocks=lambda n: 200_000 + 1_000 * (n >= 30))
    with pytest.raises(AssertionError, match="'blocks'"):
        assert_flat(sometimes)
    assert_flat(sometimes, busy=1_200)


def test_too_few_readings_are_no_proof():
    with pytest.raises(AssertionError, match="only 4 readings, 8 are needed"):
        assert_flat(sizes(4))


def test_the_growth_is_that_of_the_second_half():
    grown = growth(sizes(blocks=lambda n: 1000 * min(n, 20)))
    assert grown["blocks"] == 0
    assert set(grown) == set(ALLOWED)


def test_the_summary_has_each_growth_with_its_limit():
    grown = sizes(blocks=lambda n: 200_000 + 2 * n, resident=lambda _: 50 * MIB)
    came, memory, blocks, descriptors, threads = summary(grown, busy=100)
    assert memory == "+0.0 of 4.0 MiB"
    assert blocks.startswith("+")
    assert blocks.endswith(" of 500")
    assert (descriptors, threads) == ("+0 of 0", "+0 of 0")
    assert int(came.replace(",", "")) == grown[-1].came - grown[len(grown) // 2].came
