"""The tutorial, followed to the letter: every block of it runs, and the output that it shows appears."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pages import ROOT
from tests.reader import Reader, reading
from tests.servers.running import free_ports

pytestmark = [pytest.mark.servers, pytest.mark.timeout(240)]

PAGE = ROOT / "docs" / "tutorial.md"


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    with reading(tmp_path, ["prometheus", "promtool"]) as reader:
        yield reader


def test_following_the_tutorial_leads_to_numbers_in_prometheus(reader):
    scraped, asked = map(str, free_ports(2))
    reader.environment["OTEL_EXPORTER_PROMETHEUS_PORT"] = scraped
    kinds = reader.follow(PAGE.read_text(encoding="utf-8").replace("9464", scraped).replace("9090", asked))
    assert (kinds.count("python"), kinds.count("yaml")) == (2, 1)
    assert kinds.count("text") >= 8
    assert reader.terminals == {}
