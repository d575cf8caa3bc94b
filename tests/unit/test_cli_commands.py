"""The command line: a mistake is quoted, but no secret in it."""

from __future__ import annotations

import io
import sys

import pytest

from otel_ha.cli.commands import run
from otel_ha.cli.top.live import can_show

URL = "http://user:hunter2@127.0.0.1:1/?token=hunter2"


@pytest.mark.parametrize("arguments", [["completion", URL], [URL], ["top", "--interval", URL], ["top", "--sort", URL]])
def test_a_url_in_the_wrong_place_is_quoted_without_its_password(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2
    error = capsys.readouterr().err
    assert "127.0.0.1:1" in error
    assert "hunter2" not in error


@pytest.mark.parametrize("stdin", [None, io.StringIO("a page")], ids=["closed", "without a file"])
def test_a_page_that_cannot_be_read_is_one_line(monkeypatch, capsys, stdin):
    monkeypatch.setattr(sys, "stdin", stdin)
    assert run(["render", "api"]) == 2
    said = "otel-ha: standard input cannot be read; give it the page: otel-ha render api < FILE\n"
    assert capsys.readouterr() == ("", said)


@pytest.mark.parametrize("stream", ["stdin", "stdout"])
def test_top_has_no_screen_if_the_caller_has_closed_a_stream(monkeypatch, stream):
    monkeypatch.setattr(sys, stream, None)
    assert not can_show()
