"""The command line: a mistake is quoted, but no secret in it."""

from __future__ import annotations

import pytest

from otel_ha.cli.commands import run

URL = "http://user:hunter2@127.0.0.1:1/?token=hunter2"


@pytest.mark.parametrize("arguments", [["completion", URL], [URL], ["top", "--interval", URL], ["top", "--sort", URL]])
def test_a_url_in_the_wrong_place_is_quoted_without_its_password(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2
    error = capsys.readouterr().err
    assert "127.0.0.1:1" in error
    assert "hunter2" not in error
