"""The page follows a running service."""

import json

import pytest

from tests.servers.browser import opened
from tests.servers.running import get_json

pytestmark = [pytest.mark.servers, pytest.mark.timeout(180), pytest.mark.xdist_group("page: live")]

# The page is fetched each 2 s. A clock of the test's own runs only when the test says so.
MINUTE = 60_000


def taken(sight) -> float:
    return float(sight.page.locator("#taken").get_attribute("data-timestamp"))


def wait_for_another(sight, before: float) -> float:
    """Wait until the page shows another summary, and return its time."""
    sight.page.locator(f"#taken:not([data-timestamp='{before!r}'])").wait_for()
    return taken(sight)


def be(sight, state: str) -> None:
    """Let the page believe that it is hidden, or visible again."""
    sight.page.evaluate(
        """state => {
          Object.defineProperty(document, 'visibilityState', {value: state, configurable: true});
          Object.defineProperty(document, 'hidden', {value: state === 'hidden', configurable: true});
          document.dispatchEvent(new Event('visibilitychange'));
        }""",
        state,
    )


def test_the_page_shows_later_summaries_without_being_loaded_again(browser, new_service):
    service = new_service().start()
    with opened(browser, service.url) as sight:
        sight.page.evaluate("window.mine = true")
        first = taken(sight)
        second = wait_for_another(sight, first)
        third = wait_for_another(sight, second)
        assert first < second < third
        assert sight.page.evaluate("window.mine")
        assert sight.errors == []
        assert {url.partition("?")[0].rpartition("/")[0] + "/" for url in sight.requests} == {service.url}


def test_a_hidden_page_asks_for_nothing_and_one_that_is_seen_again_asks_at_once(browser, new_service):
    service = new_service().start()
    with opened(browser, "about:blank") as sight:
        sight.page.clock.install()
        sight.page.goto(service.url)
        first = taken(sight)
        be(sight, "hidden")
        asked = len(sight.requests)
        sight.page.clock.run_for(10 * MINUTE)
        assert sight.requests[asked:] == []
        be(sight, "visible")
        wait_for_another(sight, first)
        assert len(sight.requests[asked:]) == 1


def test_the_page_says_that_the_service_is_gone_and_follows_the_one_that_starts_there(browser, new_service):
    service = new_service().start()
    with opened(browser, service.url) as sight:
        before = taken(sight)
        process = get_json(f"{service.url}summary")["system_info"]["process_id"]
        service.kill()
        sight.page.get_by_role("status").get_by_text("does not answer").wait_for()
        assert sight.page.locator(f"data[value='{process}']").first.is_visible()
        service.start()
        another = wait_for_another(sight, before)
        sight.page.get_by_text("does not answer").wait_for(state="detached")
        process = get_json(f"{service.url}summary")["system_info"]["process_id"]
        sight.page.locator(f"data[value='{process}']").first.wait_for()
        assert another > before


def test_the_chosen_range_and_the_search_stay_when_the_page_follows(browser, new_service):
    service = new_service().start()
    with opened(browser, f"{service.url}?range=5min") as sight:
        search = sight.page.get_by_role("searchbox")
        search.press_sequentially("window")
        wait_for_another(sight, taken(sight))
        assert search.input_value() == "window"
        assert search.evaluate("box => box === document.activeElement")
        assert sight.page.locator("#metrics .metric:visible").count() == 1
        assert all("range=5min" in url for url in sight.requests if url.endswith("/") or "?" in url)


def test_two_pages_at_once_follow_the_service(browser, new_service):
    service = new_service().start()
    with opened(browser, service.url) as one, opened(browser, f"{service.url}?range=all") as other:
        for sight in (one, other, one, other):
            wait_for_another(sight, taken(sight))
        assert one.errors + other.errors == []


def test_the_page_reads_one_summary_for_each_look(browser, new_service):
    """The numbers of a page that follows are those of one moment: received is what the accounts add up to."""
    service = new_service().start()
    with opened(browser, service.url) as sight:
        wait_for_another(sight, taken(sight))
        difference = sight.page.locator("[data-key='accounts.total.difference'] data").first
        assert json.loads(difference.get_attribute("value")) == 0
