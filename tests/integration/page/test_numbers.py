"""The page says what one summary says, with JavaScript and without."""

import re

import pytest

from tests.integration.page.numbers import numbers, paths, wrong
from tests.servers.browser import opened

pytestmark = [pytest.mark.servers, pytest.mark.timeout(180), pytest.mark.xdist_group("page: numbers")]

RANGES = {"5min": 300.0, "50min": 3000.0, "all": float("inf")}
CHARTS = 6
SCRIPTS = pytest.mark.parametrize("scripts", [True, False], ids=["with JavaScript", "without JavaScript"])


def within(summary, chosen: str) -> int:
    """Return the number of collections in a range."""
    taken = [figures["timestamp"] for figures in summary["history"]["performance"]]
    return sum(time >= summary["timestamp"] - RANGES[chosen] for time in taken)


@SCRIPTS
@pytest.mark.parametrize("chosen", RANGES)
def test_every_number_is_that_of_the_summary_whose_time_the_page_shows(browser, address, summary, chosen, scripts):
    with opened(browser, f"{address}?range={chosen}", java_script_enabled=scripts) as sight:
        shown = numbers(sight)
        assert float(sight.page.locator("#taken").get_attribute("data-timestamp")) == summary["timestamp"]
    assert wrong(shown, summary) == []


@pytest.mark.parametrize("part", ["accounts.total", "tables", "connections"])
def test_every_number_of_a_part_is_on_the_page(browser, address, summary, part):
    whole = summary
    for step in part.split("."):
        whole = whole[step]
    with opened(browser, address) as sight:
        shown = {number.path for number in numbers(sight)}
    expected = paths(whole, part)
    assert expected
    assert [path for path in expected if path not in shown] == []


def test_the_value_of_every_metric_is_on_the_page(browser, address, summary):
    with opened(browser, address) as sight:
        text = sight.page.locator("#metrics").text_content()
    missing = [metric["name"] for metric in summary["metrics"] if metric["name"] not in text]
    assert missing == []


@SCRIPTS
@pytest.mark.parametrize("chosen", RANGES)
def test_each_chart_has_as_many_points_as_the_history_has_in_its_range(browser, address, summary, chosen, scripts):
    with opened(browser, f"{address}?range={chosen}", java_script_enabled=scripts) as sight:
        points = sight.page.locator("[data-points]").evaluate_all("all => all.map(each => each.dataset.points)")
        titles = sight.page.locator("[data-points]").evaluate_all(
            "all => all.map(each => each.querySelectorAll('g > title').length)"
        )
    assert points == [str(within(summary, chosen))] * CHARTS
    assert titles == [within(summary, chosen)] * CHARTS


def test_without_a_choice_the_range_is_50_minutes(browser, address, summary):
    with opened(browser, address) as sight:
        assert sight.page.locator("[data-points]").first.get_attribute("data-points") == str(within(summary, "50min"))


@SCRIPTS
def test_links_choose_the_range(browser, address, summary, scripts):
    with opened(browser, address, java_script_enabled=scripts) as sight:
        for name, chosen in (("5 min", "5min"), ("all", "all"), ("50 min", "50min")):
            sight.page.get_by_role("link", name=re.compile(rf"^{name}", re.IGNORECASE)).first.click()
            sight.page.locator(f"[data-points='{within(summary, chosen)}']").first.wait_for()
            assert f"range={chosen}" in sight.page.url


def found(sight) -> list[str]:
    """Return the names of the metrics that can be seen, of which there is at least one."""
    rows = sight.page.locator("#metrics .metric:visible")
    rows.first.wait_for()
    return rows.evaluate_all("all => all.map(each => each.querySelector('.code').textContent)")


def test_the_search_shows_the_metrics_that_match_while_one_types(browser, address, summary):
    with opened(browser, address) as sight:
        search = sight.page.get_by_role("searchbox")
        search.press_sequentially("Window open")
        assert found(sight) == ["acme.window.openings"]
        search.fill("")
        assert found(sight) == [metric["name"] for metric in summary["metrics"]]


def test_without_javascript_the_search_is_a_form_that_keeps_the_range(browser, address, summary):
    with opened(browser, f"{address}?range=5min", java_script_enabled=False) as sight:
        sight.page.get_by_role("searchbox").fill("Window open")
        with sight.page.expect_navigation():
            sight.page.get_by_role("searchbox").press("Enter")
        assert found(sight) == ["acme.window.openings"]
        assert sight.page.get_by_role("searchbox").input_value() == "Window open"
        assert sight.page.locator("[data-points]").first.get_attribute("data-points") == str(within(summary, "5min"))
