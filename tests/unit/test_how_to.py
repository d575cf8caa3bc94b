"""The how-to pages: their programs run, and their tables match the code."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from otel_ha.compat.old_names.page import render_page
from otel_ha.render.__main__ import main
from otel_ha.render.alertmanager import SETTINGS
from otel_ha.render.receivers import RECEIVERS

PAGES = Path(__file__).parents[2] / "docs" / "how-to"
MOVE = PAGES / "move-from-ha-ingestor.md"


def blocks(page: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", (PAGES / page).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def run(code: str) -> None:
    quiet = {"OTEL_METRICS_EXPORTER": "prometheus", "OTEL_EXPORTER_PROMETHEUS_PORT": "0"}
    command = [sys.executable, "-W", "error", "-c", code]
    environment = {**os.environ, **quiet}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""  # neither a warning nor a problem


def test_metrics_of_your_own_is_one_program():
    assert len(blocks("metrics-of-your-own.md")) >= 5
    run("\n".join(blocks("metrics-of-your-own.md")))


@pytest.mark.parametrize("number", range(2))
def test_each_block_on_moving_over_is_a_program(number):
    assert len(blocks(MOVE.name)) == 2
    run(blocks(MOVE.name)[number])


def test_the_tables_on_disk_are_up_to_date():
    page = MOVE.read_text(encoding="utf-8")
    assert page.count("<!-- rendered: ") == 2
    assert render_page(page) == page, "run `make docs`"


def test_running_the_package_prints_the_page_with_its_tables():
    page = MOVE.read_text(encoding="utf-8")
    without = re.sub(r"(<!-- rendered: \w+ -->\n).*?(<!-- end -->)", r"\1\2", page, flags=re.DOTALL)
    assert without != page
    command = [sys.executable, "-m", "otel_ha.compat.old_names", "page"]
    done = subprocess.run(command, input=without, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == page


def test_an_unknown_table_is_an_error():
    with pytest.raises(ValueError, match="'<!-- rendered: nonsense -->' names an unknown table; allowed: names, calls"):
        render_page("<!-- rendered: nonsense -->\n<!-- end -->")


@pytest.mark.parametrize("page", ["metrics-of-your-own.md", "move-from-ha-ingestor.md"])
def test_every_link_leads_somewhere(page):
    links = re.findall(r"\]\(([^)#]+)\)", (PAGES / page).read_text(encoding="utf-8"))
    assert [link for link in links if not (PAGES / link).exists()] == []


def test_each_command_on_notifications_renders_a_configuration(capsys):
    page = (PAGES / "notifications.md").read_text(encoding="utf-8").replace("\\\n", " ")
    commands = re.findall(r"^ {4}otel-ha render (alertmanager [^>\n]*)", page, re.MULTILINE)
    assert len(commands) == 3
    for command in commands:
        assert main(command.split()) == 0
        assert yaml.safe_load(capsys.readouterr().out)["route"]


def test_the_page_on_notifications_names_every_receiver_secret_and_setting():
    page = (PAGES / "notifications.md").read_text(encoding="utf-8")
    secrets = [f"{name}-{secret.name}" for name, receiver in RECEIVERS.items() for secret in receiver.secrets]
    missing = [word for word in (*secrets, *SETTINGS, *RECEIVERS) if not re.search(rf"\b{word}\b", page)]
    assert missing == []
