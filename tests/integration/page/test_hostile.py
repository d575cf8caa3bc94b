"""Names from outside are text: they run nothing, and change nothing around them."""

import copy

import pytest

from tests.integration.page.numbers import numbers, wrong
from tests.integration.page.running import Service, serving, stretched
from tests.servers.browser import opened

pytestmark = [pytest.mark.servers, pytest.mark.timeout(180), pytest.mark.xdist_group("page: hostile")]

SCRIPT = "<script>window.harmed = 1; alert('script')</script>"
QUOTES = """"'><img src=x onerror="window.harmed = 2"> &lt;b&gt; &amp;"""
BACKWARDS = "\u202e\u2067gnp.exe \u0627\u0644\u0636\u0648\u0621"
LONG = "x" * 10_000
CONTROLS = "a\x00b\x1b[31mc\x9f\ufffe"
URL = "javascript:window.harmed=3"
TEXTS = {"script": SCRIPT, "quotes": QUOTES, "backwards": BACKWARDS, "long": LONG, "controls": CONTROLS, "url": URL}


@pytest.fixture(scope="module", params=TEXTS)
def text(request) -> str:
    return TEXTS[request.param]


@pytest.fixture(scope="module")
def recorded(text, tmp_path_factory):
    """A summary of a service whose every name is this text."""
    kept = text.replace("\x00", "\x01")  # an argument of a process cannot hold it
    names = dict.fromkeys(("source", "domain", "reason", "sink", "component", "error_type", "queue", "room"), kept)
    service = Service(tmp_path_factory.mktemp("service"), names)
    try:
        return stretched(service.start().summary())
    finally:
        service.stop()


def told(summary, text: str):
    """Return the summary with this text in every place that has words of others."""
    made = copy.deepcopy(summary)
    made["service"] = made["service_version"] = made["health"]["service"] = text
    for texts in ("reasons", "remedies", "notes"):
        made["health"][texts] = [text]
    for reader in made["health"]["readers"]:
        reader["target"] = reader["last_error"] = text
    for name in ("hostname", "platform", "processor"):
        made["system_info"][name] = text
    return made


def seen(sight, url: str) -> list[str]:
    """Open a page, let it fetch itself again, and return everything that it should not have done."""
    sight.page.on("dialog", lambda dialog: (sight.errors.append(f"a dialog says {dialog.message}"), dialog.dismiss()))
    sight.page.clock.install()
    sight.page.goto(url)
    with sight.page.expect_response(url):
        sight.page.clock.run_for(10_000)
    foreign = [requested for requested in sight.requests if not requested.startswith((url, "about:"))]
    harmed = sight.page.evaluate("window.harmed")
    return [*sight.errors, *foreign, *([f"window.harmed is {harmed}"] if harmed else [])]


def test_names_and_words_of_others_are_text(browser, recorded, text):
    with serving(told(recorded, text)) as url, opened(browser, "about:blank") as sight:
        assert seen(sight, url) == []
        assert sight.page.locator("main script, main img, main [onerror], main [style]").count() == 0
        shown = sight.page.locator("h1").first.text_content()
        assert shown.strip()[:500] in sight.page.evaluate("text => text", text.translate(_REPLACED))


_REPLACED = {ord(each): "\N{REPLACEMENT CHARACTER}" for each in CONTROLS if each not in "abc[31m"}


def test_the_numbers_beside_hostile_names_are_those_of_the_summary(browser, recorded, text):
    summary = told(recorded, text)
    with serving(summary) as url, opened(browser, url) as sight:
        found = [number for number in numbers(sight) if "\N{REPLACEMENT CHARACTER}" not in number.path]
        assert wrong(found, summary) == []
        assert len(found) > 50


@pytest.mark.parametrize("width", [360, 1400])
def test_no_name_makes_the_page_wider(browser, recorded, text, width):
    with serving(told(recorded, text)) as url, opened(browser, url, width=width) as sight:
        assert sight.page.evaluate("document.scrollingElement.scrollWidth") <= width


def test_a_name_that_runs_backwards_leaves_its_surroundings_alone(browser, summary):
    """Each name is isolated: the element that holds it has a direction of its own."""
    with serving(told(summary, BACKWARDS)) as url, opened(browser, url) as sight:
        loose = sight.page.evaluate(
            """text => {
              const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
              const found = [];
              for (let node = walker.nextNode(); node; node = walker.nextNode()) {
                if (node.data.includes(text) && !node.parentElement.closest('bdi, title, option')) {
                  found.push(node.parentElement.outerHTML.slice(0, 200));
                }
              }
              return found;
            }""",
            BACKWARDS,
        )
        assert loose == []
        assert sight.page.locator("bdi", has_text=BACKWARDS).count() > 3
