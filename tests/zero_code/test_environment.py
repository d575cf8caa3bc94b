"""The environments of the other tests in this folder, and the simplest program under both commands."""

import signal

import pytest

from tests.zero_code.recipes import BESIDE, NEWEST, OLDEST


def test_an_unmodified_program_serves_its_metrics(environment, command):
    program = environment.start(command, "sleeping.py", OTEL_HA_SYSTEM_METRICS="true", OTEL_SERVICE_NAME="sleeper")
    program.wait_for(
        lambda scrape: scrape.total("process_threads") and scrape.total("target_info", service_name="sleeper")
    )
    assert program.stop(signal.SIGTERM) == -signal.SIGTERM
    assert program.output == ""


@pytest.mark.parametrize("name", [NEWEST, OLDEST, "appdaemon", *BESIDE])
def test_an_environment_has_the_wheel_and_all_that_it_requires(make_environment, name):
    made = make_environment(name)
    found = made.run("python", "-c", "import otel_ha; print(otel_ha.__file__)")
    assert found.stdout.startswith(str(made.directory)), found.stderr
