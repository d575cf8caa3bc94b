"""The page on zero-code instrumentation, followed to the letter, and the example in README."""

import re

from packaging.requirements import Requirement

from tests.pages import ROOT, blocks
from tests.reader import reading
from tests.servers.running import HOST, free_ports
from tests.zero_code.environment import PROGRAMS
from tests.zero_code.recipes import instrumentors

PAGE = ROOT / "docs" / "how-to" / "zero-code.md"
TEXT = PAGE.read_text(encoding="utf-8")
INSTALL = """\
python3 -m venv .venv
.venv/bin/pip install --quiet '../otel-ha[cli]' 'paho-mqtt>=2'
"""
LIBRARY = re.compile(r"^\| `([\w-]+)` \| ([\w-]+) (\d[\d.]*)", re.MULTILINE)


def test_following_the_page_shows_a_message_under_both_commands(environment, tmp_path):
    port, broker = map(str, free_ports(2))
    assert INSTALL in TEXT
    page = TEXT.replace(INSTALL, f"ln -s {environment.directory} .venv\n")
    page = page.replace("9464", port).replace('"localhost", 1883', f'"{HOST}", {broker}')
    page = page.replace("-p 1883", f"-p {broker}").replace(
        "retain=True", f'retain=True, hostname="{HOST}", port={broker}'
    )
    with reading(tmp_path, ["mosquitto"]) as reader:
        reader.environment["OTEL_EXPORTER_PROMETHEUS_PORT"] = port
        kinds = reader.follow(page)
    assert [kinds.count(kind) for kind in ("python", "sh", "text")] == [3, 10, 5]
    assert reader.terminals == {}


def test_the_page_lists_every_instrumentor_with_its_library_and_its_oldest_version():
    listed = {name: (library, version) for name, library, version in LIBRARY.findall(TEXT)}
    assert {name: library for name, (library, _) in listed.items()} == {
        name: Requirement(each.library).name for name, each in instrumentors().items()
    }
    for name, each in instrumentors().items():
        assert Requirement(each.library).specifier.contains(listed[name][1]), name
        assert f">={listed[name][1]}" in str(Requirement(each.library).specifier), name


def test_the_example_in_readme_measures_a_program(environment, tmp_path):
    (line,) = (block for block in blocks(ROOT / "README.md", "sh") if block.startswith("otel-ha run"))
    (tmp_path / "app.py").write_text((PROGRAMS / "sleeping.py").read_text(encoding="utf-8"), encoding="utf-8")
    program = environment.type(line, OTEL_HA_SYSTEM_METRICS="true")
    program.wait_for(lambda scrape: scrape.total("target_info", service_name="ha-ingestor") == 1)
