"""The command otel-ha with hostile arguments: an exit code and at most one line of error, never a traceback."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest
from hypothesis import strategies as st

from otel_ha.cli.commands import COMMANDS, run
from tests.fuzz.budget import Fuzz

CODES = {0, 1, 2, 130}


@pytest.fixture
def no_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no name server be asked: one that does not answer would take seconds for each example."""
    look_up = socket.getaddrinfo

    def look_up_address(host: str, *arguments: Any, **more: Any) -> Any:
        more["flags"] = more.get("flags", 0) | socket.AI_NUMERICHOST
        return look_up(host, *arguments[:4], **more)

    monkeypatch.setattr(socket, "getaddrinfo", look_up_address)


OPTIONS = [
    *("--json", "--once", "--interval", "--sort", "--timeout", "--username", "--password", "--ca", "--client-key"),
    *("--client-certificate", "--catalog", "--format", "--out", "--service", "--help", "-h", "--version", "--", "-x"),
    *("--wait", "--no-such-option", "--timeout=0.1", "--json=1", "--format=json", "--catalog=os:sep", "-"),
]
VALUES = [
    *(
        "0.1",
        "nan",
        "inf",
        "-1",
        "1e999",
        "",
        " ",
        "rate",
        "json",
        "markdown",
        "/",
        "/nowhere/x",
        "\x00",
        "a\nb",
    ),
    *(
        "otel_ha.vocabulary.ingest:CATALOG",
        "otel_ha.vocabulary.ingest",
        "os:path",
        "no.such:thing",
        ":",
        "..:x",
        "a:b:c",
    ),
    *(
        "http://",
        "http:/x",
        "ftp://x",
        "http://[::1",
        "http://x:99999",
        "http://user:hunter2@127.0.0.1:1/?token=hunter2",
    ),
    *(
        "http://127.0.0.1:1",
        "http://\u2028",
        "http://%zz",
        "://",
        "http://é",
        "x" * 10_000,
        "dashboards",
        "rules",
        "alerts",
    ),
    *(
        "reference",
        "registry",
        "alertmanager",
        "alerts-reference",
        "api",
        "grafana",
        "bash",
        "zsh",
        "fish",
        "vmui",
        "none",
    ),
]
WORDS = st.sampled_from(OPTIONS) | st.sampled_from(VALUES) | st.text(max_size=10)
# Those that start programs, or watch services without an end, have tests of their own.
CALLS = st.tuples(
    st.sampled_from(
        [name for name in COMMANDS if name not in {"run", "doctor"}] + ["tpo", "", "TOP", "\x00", "--json"]
    ),
    st.lists(WORDS, max_size=5),
)


@pytest.mark.usefixtures("no_names")
def test_commands(fuzz: Fuzz, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)

    def check(call: tuple[str, list[str]]) -> None:
        name, arguments = call
        if name == "top":
            arguments = ["--once", "--timeout", "0.1", *arguments]
        try:
            code = run([name, *arguments])
        except SystemExit as ended:  # --help of argparse
            code = ended.code
        out, error = capsys.readouterr()
        assert code in CODES
        assert "Traceback" not in out + error
        assert "hunter2" not in error
        lines = error.splitlines()
        if code == 2:
            said = json.loads(out)["error"] if not lines and "--json" in [name, *arguments] else error
            assert said, (out, error)
        assert len(lines) <= 2, error

    known = [("render", ["api"]), ("completion", ["http://user:hunter2@127.0.0.1:1/?token=hunter2"])]
    fuzz(check, CALLS, known=known)
