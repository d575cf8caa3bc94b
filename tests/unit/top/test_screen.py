"""The screen of `otel-ha top` fits into every terminal and shows the important first."""

import pytest
from rich.cells import cell_len

from otel_ha.cli.top.view import View
from otel_ha.cli.top.watch import Service
from tests.unit.top.drawn import SIZES, colored, lines, text
from tests.watched import HOSTILE, accounts, health, service, summary


def gone(since: float = -12.0, **changes: object) -> Service:
    found = service(**changes)
    found.failed("Connection refused", since)
    return found


def unreachable() -> Service:
    found = Service("http://10.0.0.1:9464")
    found.failed("/summary answers, but is not a service with otel-ha; check the URL", 0.0)
    return found


def several() -> list[Service]:
    push = health("degraded", reasons=["push: http://127.0.0.1:4318: connection refused"])
    writer = service("http://10.0.0.2:9464", name="writer", rate=130_000.0, health=push)
    return [service(), writer, gone(name="dedup"), unreachable(), Service("http://10.0.0.3:9464")]


NOTES = [f"connection hass-{number} is down" for number in range(9)]
EMPTY = dict.fromkeys(("current", "history", "accounts", "tables", "connections", "health"))
LARGE = {"total": {"received": 10**18, "processed": {"ok": 10**18}}}
VIEWS = {
    "one": lambda: View([service()]),
    "one with notes": lambda: View([service(health=health("degraded", reasons=["a" * 200, "b"], notes=NOTES))]),
    "one that is gone": lambda: View([gone()]),
    "one that never answered": lambda: View([unreachable()]),
    "one without figures": lambda: View([service(**EMPTY)]),
    "several": lambda: View(several()),
    "several, one open": lambda: View(several(), selected=1, is_open=True),
    "fifty": lambda: View([service(name=f"service-{number}", history=None) for number in range(50)], selected=42),
    "help": lambda: View([service()], help=True),
    "help of several": lambda: View(several(), help=True, paused=True),
    "large numbers": lambda: View([service(rate=1e12, accounts=LARGE)]),
}


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_no_line_is_wider_than_the_terminal_and_no_screen_is_higher(view, width, height):
    found = lines(view(), width, height)
    assert len(found) <= height
    assert max(map(cell_len, found)) <= width


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_ascii_takes_as_much_room_and_has_nothing_else(view, width, height):
    unicode, plain = (lines(view(), width, height, ascii_only=each) for each in (False, True))
    assert list(map(cell_len, plain)) == list(map(cell_len, unicode))
    assert all(map(str.isascii, plain))


def test_80x24_is_filled_to_the_last_line_and_has_every_part():
    found = text(View([service()]))
    assert len(found.split("\n")) == 24
    for part in ("Events", "P95", "Lag", "Queue", "CPU", "Memory", "Outcomes", "Sources", "Connections", "Discarded"):
        assert part in found
    for part in ("Sinks", "Errors", "Ways out", "in flight", "adds up", "q quit"):
        assert part in found


def test_figures_are_those_of_the_summary():
    found = text(View([service()]))
    for figure in ("12.3/s", "4.21 ms", "P50 820 µs", "P99 12.9 ms", "123 ms", "1.7 % full", "3.4 %", "81.5 MiB"):
        assert figure in found
    assert "150,020 received = 140,000 processed + 10,001 discarded + 19 in flight" in found


@pytest.mark.parametrize(("width", "height"), [(120, 40), (200, 60)])
def test_a_larger_terminal_shows_more_rows_and_longer_sparklines(width, height):
    small, large = text(View([service()])), text(View([service()]), width, height)
    assert "climate" in large
    assert "climate" not in small
    longest = [max(sum(each in "▁▂▃▄▅▆▇█" for each in line) for line in found.split("\n")) for found in (small, large)]
    assert longest[1] > longest[0]


def test_accounts_that_do_not_add_up_say_by_how_much():
    assert "differs by 3" in text(View([service(accounts={"total": accounts(difference=3)})]))


def test_a_terminal_that_is_too_small_is_told_to_the_person():
    assert "too small" in " ".join(text(View([service()]), 20, 6).split())


def test_the_figures_of_several_services_are_not_cut_off():
    figures = {"error_rate": 0.000312, "queue_depth": 123_456, "event_processing_rate": 1.0}
    busy = service(current={"performance": figures, "system": {"process_cpu_percent": 0.8432}})
    row = text(View([busy, service(name="other")])).split("\n")[2]
    assert row.split()[2:] == ["ok", "1/s", "-", "0.03%", "-", "123,456", "0.8%", *row.split()[9:]]


@pytest.mark.parametrize(("share", "shown"), [(0.0, "0%"), (1e-9, "0.01%"), (0.1234567, "12.3%"), (1.0, "100%")])
def test_a_share_is_0_only_if_nothing_failed(share, shown):
    failing = service(current={"performance": {"error_rate": share}})
    assert f" {shown} " in text(View([failing, service(name="other")])).split("\n")[2]


def test_a_service_that_is_gone_says_since_when_and_why_and_keeps_its_last_values():
    found = text(View([service(), gone(name="dedup")]))
    assert "gone since 12 s: connection refused" in found
    assert found.count("12.3/s") == 2


def test_the_last_values_of_a_service_that_is_gone_are_dimmed():
    row = next(each for each in colored(View([gone(name="dedup")], help=True), 80, 24).split("\n") if "12.3/s" in each)
    bright = next(each for each in colored(View([service(name="dedup")]), 80, 24).split("\n") if "12.3/s" in each)
    assert "\x1b[1;2m12.3/s" in row
    assert "\x1b[1;2m" not in bright


def test_a_problem_stands_in_the_row_if_there_is_no_room_below_it():
    many = [gone(name=f"service-{number}") for number in range(7)]
    assert text(View(many), 80, 10).count("gone since 12 s") == 7


def test_a_service_that_never_answered_is_a_row_with_the_reason():
    assert "/summary answers, but is not a service with otel-ha" in text(View(several()))


def test_a_restart_is_news_for_a_minute():
    restarted = service()
    restarted.answered(service(started=1_005_000.0).reading, now=100.0)
    assert "restarted 5 s ago" in text(View([restarted]), now=105.0)
    assert "restarted" not in text(View([restarted]), now=161.0)


def test_reasons_come_before_notes():
    state = health("degraded", reasons=["push: refused"], notes=["connection hass is down"])
    found = text(View([service(health=state)]))
    assert 0 < found.index("push: refused") < found.index("connection hass is down")


def test_another_major_version_is_told_and_a_minor_one_is_not():
    assert "schema 3.0" in text(View([service(schema_version="3.0")]))
    assert "schema" not in text(View([service(schema_version="2.7")]))


def test_a_summary_of_schema_2_0_has_dashes_and_its_sources():
    old = summary(schema_version="2.0")
    for added in ("started", "health", "accounts", "tables", "connections", "metrics"):
        del old[added]
    old["current"]["business"] = {"events_by_source": {"mqtt": 7}, "events_by_domain": {"light": 7}}
    found = text(View([service(**{**dict.fromkeys(summary()), **old, "name": "old"})]))
    assert "up -" in found
    assert "mqtt" in found
    assert "schema" not in found


def test_services_of_one_name_are_told_apart_by_their_ports():
    found = text(View([service("http://127.0.0.1:9464"), service("http://127.0.0.1:9465")]))
    assert ":9464" in found
    assert ":9465" in found


def test_a_selected_service_is_visible_among_fifty():
    assert "service-42" in text(VIEWS["fifty"]())


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE)
def test_hostile_names_are_text_and_change_no_width(name):
    row = {"name": name, "rate": 1.0, "component": name}
    tables = {each: [row] for each in ("sources", "domains", "reasons", "sinks", "errors")}
    state = health("degraded", reasons=[name], notes=[name])
    hostile = service(name=name, health=state, tables=tables, connections=[{"name": name, "up": 1}])
    hostile.failed(name, 0.0)
    for view in (View([hostile]), View([hostile, service()])):
        for width, height in SIZES:
            found = lines(view, width, height)
            assert len(found) <= height
            assert max(map(cell_len, found)) <= width
            assert all(each.isprintable() for line in found for each in line)
