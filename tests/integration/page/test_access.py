"""Everybody can read the page: on small screens, in the dark, by keyboard, and with a screen reader."""

import pytest

from tests.integration.page.running import serving
from tests.servers.browser import opened

pytestmark = [pytest.mark.servers, pytest.mark.timeout(180), pytest.mark.xdist_group("page: access")]

WIDTHS = pytest.mark.parametrize("width", [360, 1400])
SCHEMES = pytest.mark.parametrize("scheme", ["light", "dark"])


def found_by_axe(page) -> list[str]:
    """Return a line for each thing that axe finds."""
    pytest.importorskip("axe_playwright_python")
    from axe_playwright_python.sync_playwright import Axe  # noqa: PLC0415

    return [
        f"{violation['id']}: {node['target']} {node['html'][:200]} {node['failureSummary']}"
        for violation in Axe().run(page).response["violations"]
        for node in violation["nodes"]
    ]


@WIDTHS
@SCHEMES
@pytest.mark.parametrize("chosen", ["5min", "50min", "all"])
def test_axe_finds_nothing(browser, address, width, scheme, chosen):
    # axe needs the CSP out of its way: it evaluates a text.
    url = f"{address}?range={chosen}"
    with opened(browser, url, width=width, color_scheme=scheme, bypass_csp=True) as sight:
        assert found_by_axe(sight.page) == []


@WIDTHS
def test_axe_finds_nothing_in_a_page_without_history(browser, summary, width):
    absent = dict.fromkeys(("current", "history", "roll_ups", "accounts", "tables"))
    with (
        serving({**summary, **absent, "connections": [], "metrics": []}) as url,
        opened(browser, url, width=width, bypass_csp=True) as sight,
    ):
        assert found_by_axe(sight.page) == []


def test_axe_finds_what_is_wrong(browser):
    with opened(browser, "about:blank") as sight:
        sight.page.set_content("<img src=nothing.png>")
        assert any(line.startswith("image-alt") for line in found_by_axe(sight.page))


@WIDTHS
@pytest.mark.parametrize("chosen", ["5min", "all"])
def test_nothing_is_wider_than_the_window(browser, address, width, chosen):
    with opened(browser, f"{address}?range={chosen}", width=width) as sight:
        assert sight.page.evaluate("document.scrollingElement.scrollWidth") <= width


@SCHEMES
def test_the_page_has_the_colours_that_the_reader_wishes(browser, address, scheme):
    with opened(browser, address, color_scheme=scheme) as sight:
        red, green, blue = sight.page.evaluate(
            "getComputedStyle(document.body).backgroundColor.match(/[\\d.]+/g).slice(0, 3).map(Number)"
        )
    assert (red + green + blue > 3 * 128) is (scheme == "light")


def test_the_keyboard_reaches_the_search_and_every_range(browser, address):
    with opened(browser, address) as sight:
        reached = []
        for _ in range(100):
            sight.page.keyboard.press("Tab")
            reached.append(
                sight.page.evaluate(
                    "(each => each.type === 'search' ? 'search' : each.getAttribute('href') || each.id)"
                    "(document.activeElement)"
                )
            )
            if reached[-1] == "search":
                break
        assert reached[-1] == "search"
        assert [
            chosen for chosen in ("5min", "50min", "all") if not any(f"range={chosen}" in each for each in reached)
        ] == []


def test_a_range_opens_by_the_enter_key(browser, address):
    with opened(browser, address) as sight:
        sight.page.locator("a[href*='range=5min']").first.focus()
        sight.page.keyboard.press("Enter")
        sight.page.wait_for_url("**range=5min*")


def test_the_value_under_the_pointer_shows(browser, address):
    with opened(browser, address, width=1400) as sight:
        chart = sight.page.locator("[data-points]").first
        chart.scroll_into_view_if_needed()
        for number in (3, 40):
            point = chart.locator("g:has(> title)").nth(number)
            title = point.locator("title").text_content()
            point.hover(force=True)
            assert chart.locator("output").text_content() == title


def test_without_javascript_the_browser_shows_the_value_as_a_tool_tip(browser, address):
    with opened(browser, address, width=1400, java_script_enabled=False) as sight:
        chart = sight.page.locator("[data-points]").first
        chart.scroll_into_view_if_needed()
        point = chart.locator("g:has(> title)").nth(40)
        box = point.bounding_box()
        under = sight.page.evaluate(
            "([x, y]) => document.elementFromPoint(x, y).closest('g:has(> title)').querySelector('title').textContent",
            [box["x"] + box["width"] / 2, box["y"] + box["height"] / 2],
        )
        assert under == point.locator("title").text_content()
