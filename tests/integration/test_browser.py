"""The browser that tests of pages use."""

from pathlib import Path

import pytest

from tests.servers import fixtures
from tests.servers.browser import opened
from tests.servers.running import HOST, free_ports

pytestmark = [pytest.mark.servers, pytest.mark.timeout(180), pytest.mark.xdist_group("browser")]


@pytest.fixture
def address(tmp_path: Path) -> str:
    page = tmp_path / "page.html"
    page.write_text(
        "<p id=width></p><img src=picture.png>"
        "<script>width.textContent = innerWidth; console.error('lost', 1); nothing.here</script>"
    )
    return page.as_uri()


@pytest.mark.parametrize("width", [1280, 400])
def test_the_browser_sees_the_page_in_its_width_the_errors_and_the_requests(browser, address, width):
    with opened(browser, address, width=width) as sight:
        assert sight.page.locator("#width").inner_text() == str(width)
        lost, thrown, missing = sorted(sight.errors, key=lambda each: ("lost", "Refe", "Fail").index(each[:4]))
        assert lost == f"lost 1 ({address})"
        assert thrown == "ReferenceError: nothing is not defined"
        assert missing.startswith("Failed to load resource: net::ERR_FILE_NOT_FOUND")
        assert sight.requests == [address, address.replace("page.html", "picture.png")]


def test_each_page_has_a_profile_of_its_own(browser, address):
    for _ in range(2):
        with opened(browser, address) as sight:
            assert sight.page.evaluate("localStorage.length") == 0
            sight.page.evaluate("localStorage.setItem('seen', '1')")


def test_a_server_that_does_not_answer_is_an_error(browser):
    with (
        pytest.raises(Exception, match="ERR_CONNECTION_REFUSED"),
        opened(browser, f"http://{HOST}:{free_ports(1)[0]}"),
    ):
        pass


@pytest.mark.parametrize(("ci", "outcome"), [("", pytest.skip.Exception), ("true", pytest.fail.Exception)])
def test_without_the_driver_tests_are_skipped_and_fail_in_ci(monkeypatch, tmp_path, ci, outcome):
    program = tmp_path / "chromium"
    program.write_text("#!/bin/sh\necho Chromium 156.0\n")
    program.chmod(0o755)
    monkeypatch.setenv("CHROMIUM", str(program))
    monkeypatch.setenv("CI", ci)
    monkeypatch.setattr(fixtures, "find_spec", lambda _: None)
    with pytest.raises(outcome, match="playwright: the package is not installed"):
        fixtures.browser_program()


@pytest.mark.parametrize(("ci", "outcome"), [("", pytest.skip.Exception), ("true", pytest.fail.Exception)])
def test_without_the_program_tests_are_skipped_and_fail_in_ci(monkeypatch, tmp_path, ci, outcome):
    monkeypatch.setenv("CHROMIUM", str(tmp_path / "nowhere"))
    monkeypatch.setenv("CI", ci)
    with pytest.raises(outcome, match=r"CHROMIUM=.*nowhere names no executable file"):
        fixtures.browser_program()
