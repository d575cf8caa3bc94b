"""Keys choose the order of services, the one that is open, and the end."""

import pytest

from otel_ha.cli.top.view import SORTS, View
from otel_ha.cli.top.watch import Service
from tests.unit.top.drawn import text
from tests.watched import figures, service


def view() -> View:
    slow = figures(1.0)
    slow["performance"] |= {"p95_processing_time": 500.0, "error_rate": 0.5, "p95_lag": 9_000.0, "queue_depth": 99}
    slow["system"]["process_cpu_percent"] = 80.0
    busy = service("http://b:1", name="busy", rate=900.0)
    return View([service("http://a:1", name="calm", current=slow), Service("http://c:1"), busy])


def places(shown: View) -> list[int]:
    return [place for place, _ in shown.ordered()]


def test_the_order_is_that_of_the_command_line_at_first():
    assert places(view()) == [0, 1, 2]


@pytest.mark.parametrize(
    ("key", "order"),
    [
        ("N", [2, 0, 1]),
        ("R", [2, 0, 1]),
        ("P", [0, 2, 1]),
        ("E", [0, 2, 1]),
        ("L", [0, 2, 1]),
        ("Q", [0, 2, 1]),
        ("C", [0, 2, 1]),
    ],
)
def test_a_letter_sorts_by_its_figure_and_unknown_ones_come_last(key, order):
    shown = view()
    shown.press(key)
    assert places(shown) == order


def test_r_reverses_but_leaves_unknown_figures_last():
    shown = view()
    for key in "Rr":
        shown.press(key)
    assert places(shown) == [0, 2, 1]


def test_s_goes_through_all_orders_and_back():
    shown = view()
    seen = []
    for _ in SORTS:
        shown.press("s")
        seen.append(shown.sort)
    assert sorted(seen) == sorted(SORTS)
    assert shown.sort == "given"


def test_the_screen_names_the_order():
    shown = view()
    shown.press("L")
    shown.press("r")
    assert "by lag, reversed" in text(shown)


@pytest.mark.parametrize("key", ["q", "eof"])
def test_q_and_the_end_of_the_terminal_quit(key):
    assert not view().press(key)


@pytest.mark.parametrize("key", ["x", "\x1b[99~", "\x00", "²", "9", "0", "é"])
def test_other_keys_do_nothing(key):
    shown = view()
    before = vars(shown).copy()
    assert shown.press(key)
    assert vars(shown) == before


def test_a_digit_opens_the_service_of_that_number_and_escape_goes_back():
    shown = view()
    shown.press("3")
    assert shown.opened.name == "busy"
    shown.press("escape")
    assert shown.opened is None


def test_arrows_follow_the_order_on_the_screen_and_enter_opens():
    shown = view()
    shown.selected = 2
    for key in ("R", "down", "enter"):
        shown.press(key)
    assert shown.opened.name == "calm"


def test_arrows_stop_at_the_ends():
    shown = view()
    shown.press("up")
    assert shown.selected == 0
    for _ in range(5):
        shown.press("down")
    assert shown.selected == 2


def test_a_single_service_is_always_open():
    shown = View([service()])
    for key in ("escape", "enter", "down", "1"):
        shown.press(key)
    assert shown.opened is shown.services[0]


def test_sorting_an_open_service_orders_its_rows():
    shown = View([service()])
    by_rate = text(shown, 120, 40)
    for key in "Nr":
        shown.press(key)
    by_name = text(shown, 120, 40)
    assert by_rate.index("binary_sensor") > by_rate.index("sensor  ")
    assert by_name.index("weather") < by_name.index("binary_sensor")


def test_pause_and_help_are_switches():
    shown = view()
    for key in "p?":
        shown.press(key)
    assert (shown.paused, shown.help) == (True, True)
    assert "paused" in text(shown)
    for key in "p?":
        shown.press(key)
    assert (shown.paused, shown.help) == (False, False)
