"""The pytest plugin, as a user gets it with the wheel: under pytest 8 and 9, in parallel and in random order."""

from __future__ import annotations

import re

import pytest

from tests.pages import ROOT, appears, blocks
from tests.servers.running import HOST

PAGE = ROOT / "docs" / "how-to" / "test-your-metrics.md"
WITHOUT = ("-p", "no:randomly", "-p", "no:xdist", "-p", "no:asyncio", "-p", "no:anyio")
LOOPS = ("-o", "asyncio_default_fixture_loop_scope=function")
FAILING = """\
    def test_a_duplicate_is_discarded(metrics):
        seen = set()
        handle("light.kitchen is on", seen)
        handle("light.kitchen is on", seen)
>       metrics.assert_recorded(ingest.DISCARDED, 1, reason="filtered")
E       AssertionError: homeassistant.event.discarded: expected 1 with reason='filtered', nothing is recorded
E       nearest:
E         1 with reason='duplicate', source='mqtt': reason differs

test_failing.py:10: AssertionError
"""


@pytest.fixture(params=["pytest-8", "pytest-9"])
def environment(request, make_environment):
    return make_environment(request.param)


@pytest.fixture
def files(tmp_path):
    """The Python files of the page, by name, in the folder of the test."""
    found = {re.match(r"# (\w+\.py)\n", block)[1]: block for block in blocks(PAGE)}
    for name, text in found.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return found


@pytest.mark.parametrize(
    "arguments",
    [
        WITHOUT,
        ("-p", "randomly", *LOOPS),
        ("-n", "2", "-p", "randomly", *LOOPS),
    ],
    ids=["alone", "in random order", "in parallel and random order"],
)
def test_a_users_test_passes_and_fails_as_it_should(environment, files, arguments, tmp_path):
    text = files["test_service.py"]
    (tmp_path / "test_failing.py").write_text(text.replace('"duplicate"', '"filtered"'), encoding="utf-8")
    (tmp_path / "test_again.py").write_text(text, encoding="utf-8")
    names = ("test_service.py", "test_failing.py", "test_again.py")
    done = environment.run("pytest", "-W", "error", *arguments, *names)
    assert re.search(r"=+ 1 failed, 2 passed in .*=$", done.stdout.strip()), done.stdout + done.stderr
    assert FAILING in done.stdout
    assert appears(done.stdout, blocks(PAGE, "text")[0])
    assert (done.returncode, done.stderr) == (1, "")


def test_every_test_of_the_page_passes(environment, files, mosquitto, tmp_path):
    found = files["test_mqtt.py"]
    there = found.replace('"localhost", 1883', f'"{HOST}", {mosquitto.port}')
    assert there != found
    (tmp_path / "test_mqtt.py").write_text(there, encoding="utf-8")
    done = environment.run("pytest", "-W", "error", "-n", "2", "-p", "randomly", *LOOPS)
    assert f" {''.join(files.values()).count('def test_')} passed in " in done.stdout, done.stdout + done.stderr


def test_a_run_without_the_fixture_loads_little_and_rewrites_nothing(environment, tmp_path):
    (tmp_path / "test_loaded.py").write_text(
        "import sys\n"
        "\n"
        "def test_loaded():\n"
        "    ours = {name for name in sys.modules if name.split('.')[0] in {'otel_ha', 'opentelemetry'}}\n"
        "    names = {'', '.version', '.testing', '.testing.plugin', '.config', '.config.under_test'}\n"
        "    assert ours == {f'otel_ha{name}' for name in names}\n"
        "    import otel_ha.errors, otel_ha.telemetry\n",
        encoding="utf-8",
    )
    done = environment.run("pytest", "-W", "error", *WITHOUT)
    assert " 1 passed in " in done.stdout, done.stdout + done.stderr
    rewritten = {
        path.name.split(".")[0] for path in environment.directory.glob("lib/*/site-packages/otel_ha/**/*pytest*.pyc")
    }
    assert not rewritten & {"errors", "telemetry"}


def test_pytest_under_our_command_warns_of_nothing(environment, files):
    done = environment.run(
        "otel-ha", "run", "--", "pytest", "-W", "error", *WITHOUT, "test_service.py", OTEL_METRICS_EXPORTER="none"
    )
    assert " 1 passed in " in done.stdout, done.stdout + done.stderr
