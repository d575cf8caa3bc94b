"""`otel-ha run`: it checks the settings, becomes the program, and says so where telemetry cannot start."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.instrumented import OURS, PATIENT, run, variables
from tests.pages import ROOT

pytestmark = PATIENT
RUN = "otel-ha run"
# A program that shows whether telemetry runs in it.
PROGRAM = """
import sys
telemetry = sys.modules.get("otel_ha.telemetry")
running = telemetry and telemetry.running_telemetry()
print(running.config.service_name if running else "without", *sys.argv[1:])
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A directory whose name has a space, with the program as app.py."""
    folder = tmp_path / "my programs"
    folder.mkdir()
    (folder / "app.py").write_text(PROGRAM)
    return folder


def a_script(folder: Path, first_lines: str, name: str = "service") -> Path:
    script = folder / name
    script.write_text(f"{first_lines}\n{PROGRAM}")
    script.chmod(0o755)
    return script


def other_environment(folder: Path, *options: str) -> Path:
    """The interpreter of an environment without otel-ha."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", *options, folder / "other"], check=True)
    return folder / "other" / "bin" / "python"


# What can be run


@pytest.mark.parametrize(
    "program",
    [
        ("app.py",),
        ("./app.py",),
        ("python", "app.py"),
        (sys.executable, "app.py"),
        ("python", "-m", "app"),
        ("python", "-W", "error", "-X", "dev", "-u", "app.py"),
        ("python", "-Wd", "app.py", "-I", "-E"),
        ("sh", "-c", "python app.py"),
        ("env", "python", "app.py"),
    ],
    ids=" ".join,
)
def test_telemetry_runs_in_the_program(folder, program):
    done = run(RUN, "--service", "kitchen", "--", *program, path=folder)
    assert (done.stdout.split()[0], done.stderr, done.returncode) == ("kitchen", "", 0)


def test_the_separator_is_not_needed_and_arguments_stay_as_they_are(folder):
    arguments = ["--service", "other", "--", "--json", "--help", "-x", "a b", ""]
    done = run(RUN, "--service", "kitchen", "app.py", *arguments, path=folder)
    assert done.stdout == f"kitchen {' '.join(arguments)}\n"


@pytest.mark.parametrize(
    "first_lines",
    [
        "#!{python}",
        "#!/usr/bin/env python",
        "#!/usr/bin/env -S python -u",
        # As pip writes it, if the path of the interpreter has a space or is too long.
        "#!/bin/sh\n'''exec' \"{python}\" \"$0\" \"$@\"\n' '''",
    ],
    ids=["path", "env", "env -S", "exec"],
)
def test_telemetry_runs_in_a_console_script(folder, first_lines):
    script = a_script(folder, first_lines.format(python=sys.executable))
    done = run(RUN, str(script), "--verbose", path=folder, OTEL_SERVICE_NAME="kitchen")
    assert (done.stdout, done.stderr) == ("kitchen --verbose\n", "")


def test_a_script_on_the_path_is_found(folder):
    a_script(folder, f"#!{sys.executable}")
    done = run(RUN, "service", path=ROOT, PATH=f"{folder}:/usr/bin:/bin", OTEL_SERVICE_NAME="kitchen")
    assert (done.stdout, done.stderr) == ("kitchen\n", "")


def test_the_name_overrides_the_variable_and_what_follows_it_stays(folder):
    code = "import os; print(os.environ['OTEL_SERVICE_NAME'], os.environ['PYTHONPATH'].split(':')[1:])"
    paths = [str(ROOT), "", str(folder)]
    environment = {"PYTHONPATH": os.pathsep.join(paths), "OTEL_SERVICE_NAME": "hall"}
    done = run(RUN, "--service", "kitchen", "python", "-c", code, path=folder, **environment)
    assert done.stdout == f"kitchen {paths}\n"


def test_an_instrumented_program_runs_another_one(folder):
    done = run(RUN, *OURS, "--service", "inner", "app.py", path=folder, OTEL_SERVICE_NAME="outer")
    assert (done.stdout, done.stderr) == ("inner\n", "")


# Where telemetry cannot start


@pytest.mark.parametrize("option", ["-I", "-E", "-S"])
@pytest.mark.parametrize(
    "before", [[], ["-u"], ["-X", "utf8"]], ids=["alone", "after another", "after one with a value"]
)
def test_an_option_that_keeps_telemetry_from_starting_is_named(folder, option, before):
    done = run(RUN, "python", *before, option, "app.py", path=folder)
    assert done.stdout == "without\n"
    assert done.stderr.count("\n") == 1
    assert f"runs Python with {option}" in done.stderr


def test_an_option_among_others_and_in_a_scripts_first_line_is_named(folder):
    done = run(RUN, str(a_script(folder, f"#!{sys.executable} -uEs")))
    assert (done.stdout, "runs Python with -E" in done.stderr) == ("without\n", True)


@pytest.mark.parametrize("way", ["command", "script"])
def test_a_python_without_otel_ha_is_named(folder, way):
    other = other_environment(folder)
    program = (str(other), "app.py") if way == "command" else (str(a_script(folder, f"#!/usr/bin/env {other.name}")),)
    path = f"{other.parent}:{os.environ['PATH']}"
    done = run(RUN, *program, path=folder, PATH=path)
    assert (done.stdout, done.stderr.count("\n")) == ("without\n", 1)
    assert f"otel-ha is not installed for {other}" in done.stderr


def test_telemetry_runs_in_another_python_that_has_otel_ha(folder):
    other = other_environment(folder)
    packages = next(Path(sys.prefix).glob("lib/python*/site-packages"))
    (next(other.parent.parent.glob("lib/python*/site-packages")) / "ours.pth").write_text(f"{packages}\n")
    done = run(RUN, "--service", "kitchen", str(other), "app.py", path=folder)
    assert (done.stdout, done.stderr) == ("kitchen\n", "")


# Mistakes


def test_wrong_settings_are_one_line_and_the_program_does_not_run(folder):
    wrong = {"OTEL_EXPORTER_PROMETHEUS_PORT": "http", "OTEL_METRIC_EXPORT_INTERVAL": "30s"}
    done = run(RUN, "app.py", "--json", path=folder, **wrong)
    assert (done.stdout, done.stderr.count("\n"), done.returncode) == ("", 1, 2)
    assert all(name in done.stderr for name in wrong)


@pytest.mark.parametrize(
    "arguments", [(), ("--",), ("",), ("--service", " ", "app.py"), ("--unknown", "app.py")], ids=str
)
def test_wrong_usage_is_one_line_that_names_the_help(folder, arguments):
    done = run(RUN, *arguments, path=folder)
    assert (done.stdout, done.stderr.count("\n"), done.returncode) == ("", 1, 2)
    assert done.stderr.endswith("See otel-ha run --help.\n")


@pytest.mark.parametrize(
    ("program", "code"),
    [("nonexistent", 127), ("./nonexistent", 127), ("app.py/x", 127), (".", 126), ("./plain", 126), ("./nothing", 126)],
)
def test_a_command_that_cannot_run_is_one_line_with_a_shells_exit_code(folder, program, code):
    (folder / "plain").write_text("not executable")
    a_script(folder, "no first line", "nothing")
    done = run(RUN, program, path=folder)
    assert (done.stdout, done.stderr.count("\n"), done.returncode) == ("", 1, code)
    assert done.stderr.startswith(f"otel-ha: {program}: ")


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("nosuch.py", "no such file"),
        ("nosuch.pyz", "no such file"),
        ("nosuch", "command not found"),
        ("./nosuch.py", "No such file or directory"),
    ],
)
def test_a_program_that_does_not_exist_is_called_a_file_or_a_command(folder, program, reason):
    assert run(RUN, "--", program, path=folder).stderr == f"otel-ha: {program}: {reason}\n"


def test_a_configuration_file_that_does_not_exist_is_one_line(folder):
    done = run(RUN, "app.py", path=folder, OTEL_CONFIG_FILE="missing.yaml")
    assert (done.stdout, done.stderr.count("\n"), done.returncode) == ("", 1, 2)


@pytest.mark.parametrize(
    "wrong",
    [
        {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_BSP_MAX_QUEUE_SIZE": "hunter2!"},
        {"OTEL_LOGS_EXPORTER": "otlp", "OTEL_BLRP_SCHEDULE_DELAY": "hunter2!"},
        {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_SPAN_EVENT_COUNT_LIMIT": "hunter2!"},
        {"OTEL_LOGS_EXPORTER": "otlp", "OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT": "hunter2!"},
        {"OTEL_TRACES_EXPORTER": "console", "OTEL_TRACES_SAMPLER": "hunter2!"},
        {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "hunter2!"},
        {"OTEL_PROPAGATORS": "hunter2!"},
        {"OTEL_PYTHON_EXPORTER_OTLP_HTTP_CREDENTIAL_PROVIDER": "hunter2!"},
    ],
    ids=lambda wrong: list(wrong)[-1],
)
def test_a_mistake_in_a_variable_of_opentelemetrys_libraries_is_one_line_as_well(folder, wrong):
    done = run(RUN, "app.py", path=folder, OTEL_METRICS_EXPORTER="otlp", **wrong)
    assert (done.stdout, done.stderr.count("\n"), done.returncode) == ("", 1, 2)
    assert list(wrong)[-1] in done.stderr
    assert "hunter2" not in done.stderr


def test_settings_of_telemetry_that_is_off_are_not_checked(folder):
    off = {"OTEL_SDK_DISABLED": "true", "OTEL_PROPAGATORS": "acme", "OTEL_CONFIG_FILE": "missing.yaml"}
    done = run(RUN, "sh", "-c", "echo ran", path=folder, **off)
    assert (done.stdout, done.stderr.count("\n"), done.returncode) == ("ran\n", 1, 0)


OFF = {
    "OTEL_SDK_DISABLED": ({"OTEL_SDK_DISABLED": "True"}, "nothing is measured or exported"),
    "no exporter": ({"OTEL_METRICS_EXPORTER": "none"}, "nothing is exported"),
}


@pytest.mark.parametrize("off", OFF)
def test_settings_that_turn_everything_off_are_one_line_and_the_program_runs(folder, off):
    settings, said = OFF[off]
    done = run(RUN, "python", "-c", "print('ran')", path=folder, **settings)
    assert (done.stdout, done.stderr.count("\n"), done.returncode) == ("ran\n", 1, 0)
    assert said in done.stderr
    assert all(name in done.stderr for name in settings)


@pytest.mark.parametrize("signal", ["TRACES", "LOGS"])
def test_settings_that_export_one_signal_are_not_remarked(folder, signal):
    settings = {"OTEL_METRICS_EXPORTER": "none", f"OTEL_{signal}_EXPORTER": "console"}
    assert "nothing" not in run(RUN, "python", "-c", "print('ran')", path=folder, **settings).stderr


# Selectors


def test_the_value_of_a_selector_that_may_be_a_secret_is_not_shown():
    done = run(RUN, "true", OTEL_PYTHON_DISTRO="hunter2!")
    assert "OTEL_PYTHON_DISTRO=***: your choice wins" in done.stderr


@pytest.mark.parametrize("selectors", [("OTEL_PYTHON_DISTRO",), ("OTEL_PYTHON_DISTRO", "OTEL_PYTHON_CONFIGURATOR")])
def test_selectors_of_the_user_win_with_one_warning(folder, selectors):
    code = "import os; print([os.environ[name] for name in ('OTEL_PYTHON_DISTRO', 'OTEL_PYTHON_CONFIGURATOR')])"
    done = run(RUN, "python", "-S", "-c", code, path=folder, **dict.fromkeys(selectors, "acme"))
    expected = ["acme", "acme" if len(selectors) > 1 else "otel_ha"]
    assert done.stdout == f"{expected}\n"
    warnings = [line for line in done.stderr.splitlines() if "wins" in line]
    assert len(warnings) == 1
    assert all(f"{name}=acme" in warnings[0] for name in selectors)


@pytest.mark.parametrize("value", ["", "otel_ha"])
def test_selectors_that_are_empty_or_ours_need_no_warning(folder, value):
    selectors = {"OTEL_PYTHON_DISTRO": value, "OTEL_PYTHON_CONFIGURATOR": value}
    done = run(RUN, "app.py", path=folder, **selectors, OTEL_SERVICE_NAME="kitchen")
    assert (done.stdout, done.stderr) == ("kitchen\n", "")


def test_settings_are_not_checked_for_another_configurator(folder):
    # A value that is right for OpenTelemetry's own exporters: it is in seconds there.
    done = run(
        RUN, "python", "-S", "-c", "print(1)", OTEL_PYTHON_CONFIGURATOR="acme", OTEL_EXPORTER_OTLP_TIMEOUT="0.05"
    )
    assert (done.stdout, done.returncode) == ("1\n", 0)


# It becomes the program


def test_input_output_and_exit_code_are_the_programs_own():
    code = "import sys; print(sys.stdin.read().upper()); print('mine', file=sys.stderr); sys.exit(7)"
    done = run(RUN, "python", "-c", code, stdin="hello")
    assert (done.stdout, done.stderr, done.returncode) == ("HELLO\n", "mine\n", 7)


def test_the_process_is_the_programs_own_and_ends_by_its_signal():
    code = "import os, time; print(os.getpid(), flush=True); time.sleep(300)"
    command = [*OURS, "--", "python", "-c", code]
    with subprocess.Popen(command, env=variables(), cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert int(process.stdout.readline()) == process.pid
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=240) == -signal.SIGTERM
        finally:
            process.kill()


@pytest.mark.skipif(shutil.which("sh") is None, reason="needs a shell")
def test_a_program_that_is_not_python_gets_the_usual_signals():
    # Python ignores SIGPIPE, and a program would inherit that: yes(1) would complain.
    done = run(RUN, "sh", "-c", "yes | head -n 1")
    assert (done.stdout, done.stderr) == ("y\n", "")
