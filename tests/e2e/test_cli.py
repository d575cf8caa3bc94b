"""The command `otel-ha`, run as a user runs it: its frame, `catalog`, `render` and `completion`."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from otel_ha.cli.options import VARIABLES
from otel_ha.render.catalogs import own_catalogs
from otel_ha.render.kinds import KINDS
from otel_ha.version import __version__
from tests.e2e.terminal import Terminal
from tests.pages import ROOT

PROGRAM = (sys.executable, "-m", "otel_ha.cli")
COMMANDS = ("doctor", "top", "run", "catalog", "render", "completion")
OURS = [each for source in own_catalogs() for each in source.catalog]


def run(*arguments: str, path: Path = ROOT, **options: object) -> subprocess.CompletedProcess[str]:
    variables = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error", "LANG": "C.UTF-8"}
    variables |= options.pop("environment", {})
    defaults = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "encoding": "utf-8"}
    command = [*options.pop("program", PROGRAM), *arguments]
    return subprocess.run(command, env=variables, cwd=path, check=False, timeout=60, **(defaults | options))


def a_module(folder: Path, code: str) -> str:
    (folder / "mine.py").write_text(code, encoding="utf-8")
    return "mine"


# The frame


def test_the_version_is_that_of_the_package():
    assert run("--version").stdout == f"otel-ha {__version__}\n"


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",)], ids=["nothing", "--help", "-h"])
def test_the_help_lists_every_command_and_has_examples_on_lines_of_their_own(arguments):
    done = run(*arguments)
    assert (done.returncode, done.stderr) == (0 if arguments else 2, "")
    assert all(re.search(rf"^  {name} ", done.stdout, re.MULTILINE) for name in COMMANDS)
    assert len(re.findall(r"^    otel-ha \w+", done.stdout, re.MULTILINE)) >= 4


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_a_command_has_examples_and_fits_80_columns(command):
    done = run(command, "--help", environment={"COLUMNS": "80"})
    assert done.returncode == 0, done.stderr
    assert len(re.findall(rf"^\s.*otel-ha {command}\b", done.stdout, re.MULTILINE)) >= 2
    assert [line for line in done.stdout.splitlines() if len(line) > 80] == []


@pytest.mark.parametrize("command", [each for each in COMMANDS if each != "run"])  # its output is the program's
def test_every_command_has_json(command):
    arguments = ("rules",) if command == "render" else ()
    assert "--json" in run(command, *arguments, "--help").stdout


MISTAKES: dict[str, tuple[Sequence[str], str]] = {
    "an unknown command": (["xyz"], "No such command 'xyz'. See otel-ha --help."),
    "a mistyped command": (["doctr"], "No such command 'doctr'. Did you mean 'doctor'? See otel-ha --help."),
    "a command in capitals": (["RUN", "app.py"], "Did you mean 'run'?"),
    "an unknown option": (["catalog", "--jsno"], "No such option"),
    "an unknown value": (["catalog", "--format", "x"], "'x' is not one of 'table', 'markdown', 'json'"),
    "a missing argument": (["completion"], "Missing argument"),
    "an unknown kind": (["render", "ruels"], "invalid choice: 'ruels'"),
    "an unknown option of a kind": (["render", "rules", "--x"], "unrecognized arguments: --x"),
    "an abbreviated option of a kind": (["render", "rules", "--cat", "x"], "unrecognized arguments: --cat x"),
    "a wrong value of a kind": (["render", "alerts", "--set", "lag=10"], "lag=10 is not a duration"),
    "no kind": (["render"], "the following arguments are required: KIND"),
    "no such module": (["catalog", "--catalog", "nowhere"], "cannot import 'nowhere': ModuleNotFoundError"),
    "no module": (["render", "rules", "--catalog", ":X"], "cannot import ''"),
    "no catalog": (["catalog", "--catalog", "otel_ha.errors"], "otel_ha.errors:CATALOG does not exist"),
    "no URL": (["top", "--once", "ftp://x"], "'ftp://x' is not a URL"),
    "a missing file": (["top", "--once", "--ca", "nowhere.pem"], "'nowhere.pem' does not exist"),
    "no number": (["top", "--once", "--timeout", "nan"], "'nan' is not a valid float"),
    "no interval": (["top", "--once", "--interval", "NaN"], "'NaN' is not a valid float"),
    "no time to wait": (["doctor", "--wait", "nan"], "'nan' is not a valid float"),
    "no pause": (["doctor", "--watch", "nan"], "'nan' is not a valid float"),
    "a wrong number": (["top", "--once", "--timeout", "soon"], "'soon' is not a valid float"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_and_exit_code_2(mistake):
    arguments, said = MISTAKES[mistake]
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("otel-ha: ")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("mistake", MISTAKES)
def test_with_json_a_mistake_is_json_on_standard_output(mistake):
    arguments, said = MISTAKES[mistake]
    done = run(*arguments, "--json")
    assert (done.returncode, done.stderr) == (2, "")
    assert said in json.loads(done.stdout)["error"]


def test_two_forms_at_once_are_refused():
    done = run("catalog", "--json", "--format", "markdown")
    assert done.returncode == 2
    assert "--json contradicts --format markdown" in json.loads(done.stdout)["error"]


def test_a_mistake_of_a_variable_is_one_line_too():
    done = run("top", "--once", environment={"OTEL_HA_CLI_TIMEOUT": "soon"})
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "'soon' is not a valid float" in done.stderr


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("raise RuntimeError('one\\ntwo')", "cannot import 'mine': RuntimeError: one two"),
        ("import sys; sys.exit('bye')", "cannot import 'mine': SystemExit: bye"),
        ("import click.nowhere", "cannot import 'mine': ModuleNotFoundError: No module named 'click.nowhere'"),
        ("def (", "cannot import 'mine': SyntaxError"),
        ("CATALOG = 3", "mine:CATALOG is not a Catalog but 3"),
    ],
)
@pytest.mark.parametrize("command", [("catalog",), ("render", "rules")], ids=["catalog", "render"])
def test_a_users_module_that_fails_is_one_line(tmp_path, command, code, said):
    done = run(*command, "--catalog", a_module(tmp_path, code), path=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("missing", ["click", "rich"])
@pytest.mark.parametrize("arguments", [("--version",), ("catalog",), ("catalog", "--json")], ids=" ".join)
def test_without_the_extra_one_line_names_it(tmp_path, missing, arguments):
    if missing == "rich" and arguments == ("--version",):
        pytest.skip("the version needs no rich")
    (tmp_path / f"{missing}.py").write_text(f"raise ModuleNotFoundError('missing', name={missing!r})", encoding="utf-8")
    done = run(*arguments, environment={"PYTHONPATH": os.pathsep.join((str(tmp_path), str(ROOT)))})
    assert done.returncode == 2
    said = json.loads(done.stdout)["error"] if "--json" in arguments else done.stderr
    assert f"{missing} is missing; install the extra cli: pip install 'otel-ha[cli]'" in said
    assert len((done.stdout + done.stderr).splitlines()) == 1


@pytest.mark.parametrize(
    "command", [("catalog",), ("catalog", "--json"), ("render", "rules"), ("--help",)], ids=" ".join
)
def test_a_reader_that_leaves_early_is_no_error_message(command):
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = run(*command, stdout=writer)
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("command", [("catalog",), ("render", "rules"), ("--version",)], ids=" ".join)
def test_a_full_disk_is_one_line(command):
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = run(*command, stdout=full)
    assert done.returncode == 2
    assert "cannot print: No space left on device" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_closed_output_is_no_traceback():
    done = run(program=("sh", "-c", f'exec "{sys.executable}" -m otel_ha.cli catalog >&- 2>&-'))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    "environment",
    [{"LC_ALL": "C"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, {"PYTHONIOENCODING": "ascii"}],
    ids=["C", "C without UTF-8", "ascii"],
)
@pytest.mark.parametrize(
    "command", [("catalog",), ("catalog", "--format", "markdown"), ("doctor", "--no-canary"), ("top", "--once")]
)
def test_an_output_that_is_not_utf_8_gets_characters_that_it_has(command, environment):
    done = run(*command, environment={"LANG": "", **environment})
    assert done.returncode in {0, 1}, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout


@pytest.mark.parametrize("command", ["catalog", "render rules", "doctor --no-canary", "top --once", "--help"])
def test_a_terminal_of_20_columns_shows_something(command):
    with Terminal([*PROGRAM, *command.split()], size=(20, 5), PYTHONPATH=str(ROOT)) as terminal:
        assert terminal.end() in {0, 1}
        assert "Traceback" not in terminal.written
        assert len(terminal.written) > 20


def test_a_terminal_gets_styles_unless_the_user_wants_none():
    for colours, environment in ((True, {}), (False, {"NO_COLOR": "1"}), (False, {"TERM": "dumb"})):
        with Terminal([*PROGRAM, "doctor", "--no-canary"], PYTHONPATH=str(ROOT), **environment) as terminal:
            terminal.end()
            assert bool(re.search(r"\x1b\[(?:\d+;)*3\d", terminal.written)) == colours, environment


def test_without_a_terminal_there_is_no_escape_sequence():
    assert "\x1b" not in run("catalog").stdout + run("doctor", "--no-canary").stdout + run("--help").stdout


def test_ctrl_c_ends_a_command_without_a_traceback(tmp_path):
    code = "import time; print('importing', flush=True)\ntime.sleep(30)"
    arguments = [*PROGRAM, "catalog", "--catalog", a_module(tmp_path, code)]
    with subprocess.Popen(
        arguments, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr.readline() == "importing\n"
        process.send_signal(signal.SIGINT)
        assert process.stderr.read().strip() == ""
        assert process.wait(10) == 130


# otel-ha catalog


def test_the_table_has_every_metric_and_fits_80_columns():
    lines = [line.rstrip() for line in run("catalog").stdout.splitlines()]
    assert [line for line in lines if len(line) > 80 or "…" in line[:3]] == []
    named = re.compile(r"^ (\w+) +(?:counter|gauge|histogram|updowncounter)$")
    names = [found[1] for line in lines if (found := named.match(line))]
    assert names == [each.prometheus_name for each in OURS]


def test_the_markdown_is_the_page_of_the_reference():
    page = (ROOT / "docs" / "reference" / "metrics.md").read_text(encoding="utf-8")
    assert run("catalog", "--format", "markdown").stdout == page


MINE = """
from otel_ha import Attribute, Catalog, Counter, Histogram, Objective, ObservableGauge
ROOM = Attribute("acme.room", "The room.", budget=50)
STATE = Attribute("acme.state", "Its state.", values=("open", "closed"))
OPENED = Counter("acme.opened", unit="{opening}", description="Opened [red]\\x1b[2J\\udc80.", attributes=(ROOM, STATE))
HEAT = Histogram("acme.heat", unit="s", description="Heating.", buckets=(0.5, 1.5), group="performance", series=7)
TEMPERATURE = ObservableGauge("acme.temperature", unit="Cel", description="Temperature.")
MINE = Catalog(OPENED, HEAT, TEMPERATURE, objectives=[Objective(HEAT, bound=1.5, target=0.9, description="Warm soon.")])
"""


def test_json_has_everything_that_a_metric_declares(tmp_path):
    done = run("catalog", "--catalog", f"{a_module(tmp_path, MINE)}:MINE", "--json", path=tmp_path)
    opened, heat, temperature = json.loads(done.stdout)["metrics"]
    assert opened == {
        "name": "acme.opened",
        "prometheus_name": "acme_opened_total",
        "kind": "counter",
        "unit": "{opening}",
        "description": "Opened [red]\x1b[2J\udc80.",
        "group": "business",
        "limit": 1000,
        "attributes": [
            {
                "name": "acme.room",
                "label": "acme_room",
                "keyword": "room",
                "values": None,
                "budget": 50,
                "description": "The room.",
            },
            {
                "name": "acme.state",
                "label": "acme_state",
                "keyword": "state",
                "values": ["open", "closed"],
                "budget": None,
                "description": "Its state.",
            },
        ],
        "buckets": None,
        "objectives": [],
        "catalog": "mine:MINE",
    }
    assert heat["objectives"] == [{"description": "Warm soon.", "bound": 1.5, "target": 0.9}]
    assert (heat["buckets"], heat["limit"]) == ([0.5, 1.5], 7)
    assert temperature["kind"] == "observable_gauge"


def test_a_description_cannot_steer_the_terminal(tmp_path):
    with Terminal([*PROGRAM, "catalog", "--catalog", "mine:MINE"], PYTHONPATH=f"{ROOT}:{tmp_path}") as terminal:
        a_module(tmp_path, MINE)
        assert terminal.end() == 0
    assert "Opened [red]\N{REPLACEMENT CHARACTER}[2J\N{REPLACEMENT CHARACTER}." in terminal.written


def test_json_is_the_same_by_its_two_names():
    assert run("catalog", "--json").stdout == run("catalog", "--format", "json").stdout


def test_several_catalogs_come_one_after_the_other(tmp_path):
    a_module(tmp_path, MINE)
    arguments = ("--catalog", "mine:MINE", "--catalog", "otel_ha.vocabulary.ingest", "--json")
    found = json.loads(run("catalog", *arguments, path=tmp_path).stdout)["metrics"]
    assert list(dict.fromkeys(each["catalog"] for each in found)) == ["mine:MINE", "otel_ha.vocabulary.ingest:CATALOG"]


# otel-ha render


@pytest.mark.parametrize("kind", KINDS)
def test_everything_is_rendered_as_by_the_module(kind):
    page = (ROOT / "docs" / "reference" / "api.md").read_text(encoding="utf-8")
    one = run("render", kind, input=page)
    other = run(kind, program=(sys.executable, "-m", "otel_ha.render"), input=page)
    assert (one.returncode, one.stdout, one.stderr) == (0, other.stdout, "")


def test_written_files_are_named_with_whether_they_changed(tmp_path):
    out = ("render", "registry", "--out", str(tmp_path / "out"))
    first, second = run(*out), run(*out)
    paths = sorted(map(str, (tmp_path / "out").iterdir()))
    assert sorted(first.stdout.splitlines()) == [f"{path}: written" for path in paths]
    assert sorted(second.stdout.splitlines()) == [f"{path}: unchanged" for path in paths]


@pytest.mark.parametrize(
    ("module", "kind", "extra"), [("yaml", "rules", "render"), ("grafana_foundation_sdk", "dashboards", "dashboards")]
)
def test_a_missing_extra_of_a_kind_is_one_line_that_names_it(tmp_path, module, kind, extra):
    (tmp_path / f"{module}.py").write_text(f"raise ModuleNotFoundError('missing', name={module!r})", encoding="utf-8")
    done = run("render", kind, environment={"PYTHONPATH": os.pathsep.join((str(tmp_path), str(ROOT)))})
    assert (done.returncode, done.stdout) == (2, "")
    assert f"otel-ha[{extra}]" in done.stderr
    assert len(done.stderr.splitlines()) == 1


# otel-ha completion


@pytest.fixture
def program(tmp_path) -> Path:
    """The command by its name, in a folder for PATH."""
    script = tmp_path / "bin" / "otel-ha"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m otel_ha.cli "$@"\n', encoding="utf-8")
    script.chmod(0o755)
    return script


SHELLS = {
    "bash": ("bash", "--norc", "--noprofile", "-i"),
    "zsh": ("zsh", "-f", "-i"),
    "fish": ("fish", "--no-config", "-i"),
}
LOADS = {
    "bash": 'eval "$(otel-ha completion bash)"',
    "zsh": 'autoload -U compinit && compinit -u -D && eval "$(otel-ha completion zsh)"',
    "fish": "otel-ha completion fish | source",
}


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("typed", "completed"), [("otel-ha do", "otel-ha doctor"), ("otel-ha render alertm", "otel-ha render alertmanager")]
)
def test_the_tab_key_completes(program, tmp_path, shell, typed, completed):
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    environment = {"PATH": f"{program.parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)}
    with Terminal(SHELLS[shell], size=(120, 24), PS1="$ ", TERM="dumb", **environment) as terminal:
        terminal.press(f"{LOADS[shell]}; echo loaded-$((1+1))\r")
        terminal.until_written("loaded-2")
        terminal.press(f"{typed}\t")
        terminal.until_written(completed)


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_is_json_on_request(shell):
    found = json.loads(run("completion", shell, "--json").stdout)
    assert found == {"shell": shell, "script": run("completion", shell).stdout.removesuffix("\n")}


# The reference


def test_the_command_s_own_variables_are_those_that_services_ignore():
    page = (ROOT / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")
    assert set(re.findall(r"OTEL_HA_CLI_\w+", page)) == VARIABLES


def test_the_reference_names_every_command_option_and_variable():
    page = (ROOT / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")
    for command in (*((name,) for name in COMMANDS), *(("render", kind) for kind in KINDS)):
        section = page.partition(f"## otel-ha {' '.join(command)}\n")[2].partition("\n## ")[0]
        words = set(re.findall(r"--[a-z][\w-]+|OTEL_\w+", run(*command, "--help").stdout))
        assert words <= set(re.findall(r"--[a-z][\w-]+|OTEL_\w+", section)), command
