"""`otel-ha run`: starts a program with telemetry in it, and becomes that program."""

from __future__ import annotations

import errno
import os
import re
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import click

from otel_ha.cli.failures import tell
from otel_ha.cli.interpreter import interpreter_of, start_folder
from otel_ha.config.declarative import file_of, load_file
from otel_ha.config.otlp import SIGNALS
from otel_ha.config.sdk import check_variables
from otel_ha.config.telemetry_config import TelemetryConfig
from otel_ha.errors import ConfigError
from otel_ha.export.otlp.senders import sender_of
from otel_ha.scrub import MASK

__all__ = ["command"]

_SELECTORS: Final = ("OTEL_PYTHON_DISTRO", "OTEL_PYTHON_CONFIGURATOR")
_NAME: Final = "otel_ha"
# A value of another kind may be a secret in the wrong place.
_PLAIN: Final = re.compile(r"[A-Za-z_.-]{1,40}")
_NOT_FOUND: Final = 127
_NOT_EXECUTABLE: Final = 126
_SCRIPTS: Final = (".py", ".pyw", ".pyz")

_HELP: Final = """\b
Examples:
  otel-ha run app.py
  otel-ha run --service ha-ingestor -- python -m ingestor --verbose
  otel-ha run gunicorn --workers 4 app:application

Then open http://127.0.0.1:9464/ in a browser: the status page shows what is measured (OTEL_EXPORTER_PROMETHEUS_HOST
and _PORT set another address). Name the service by --service: otherwise it is called unknown_service.

The settings (OTEL_* and OTEL_HA_*) are checked first: a wrong one is reported in one line, with exit code 2. Then
otel-ha becomes the program, so signals, the exit code, standard input and output are the program's own. A command that
does not exist ends with 127, one that cannot be executed with 126, as in a shell.

Telemetry starts before the program's first line, by the environment. Supported libraries are measured as soon as the
program imports them; OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=aiomqtt,paho-mqtt leaves some out, and * all of them. The
program's own setup_telemetry() takes over. OTEL_SDK_DISABLED=true turns everything off, which otel-ha says in one line.

OTEL_PYTHON_DISTRO and OTEL_PYTHON_CONFIGURATOR select otel-ha, whatever else is installed, unless you set them.

A script that is not executable runs in the Python of otel-ha. Any other Python needs otel-ha in its own environment,
and must not run with -I, -E or -S, which ignore PYTHONPATH: otherwise otel-ha says so, and the program runs without
telemetry. Processes that the program starts inherit the instrumentation: each pushes for itself, and those that find
the port of the endpoint in use listen at a free one."""


@click.command("run", epilog=_HELP, context_settings={"allow_interspersed_args": False})
@click.option("--service", metavar="NAME", help="The service's name, instead of that in OTEL_SERVICE_NAME.")
@click.argument("program", metavar="COMMAND [ARGUMENT]...", nargs=-1, required=True, type=click.UNPROCESSED)
def command(*, service: str | None, program: Sequence[str]) -> int:
    """Run a program that does not know of telemetry, with it."""
    environment = dict(os.environ)
    if service is not None:
        if not service.strip():
            raise click.BadParameter("the name is empty.", param_hint="--service")
        environment["OTEL_SERVICE_NAME"] = service
    if not program[0]:
        raise click.BadParameter("the command is empty.", param_hint="COMMAND")
    program = _with_python(program)
    _select(environment)
    if environment[_SELECTORS[1]] == _NAME:
        _check(environment)
    _inject(environment, program)
    return _become(program, environment)


def _check(environment: Mapping[str, str]) -> None:
    """Raise ConfigError for a mistake in the settings, before the program starts; say if they turn everything off."""
    config = TelemetryConfig(environ=environment)
    if not config.enabled:
        tell("OTEL_SDK_DISABLED is true: nothing is measured or exported", as_json=False)
        return
    if (path := file_of(environment)) is not None:
        load_file(path)
        return
    chosen = {name: getattr(config, f"{name}_exporters") for name in SIGNALS}
    check_variables(environment, [name for name in ("traces", "logs") if chosen[name]])
    for name, exporters in chosen.items():
        if "otlp" in exporters and isinstance(error := sender_of(config.otlp(name)), ConfigError):
            raise error
    if not any(chosen.values()):
        tell(
            "OTEL_METRICS_EXPORTER is none, and traces and logs are off: nothing is exported, unless the program sets "
            "telemetry up itself",
            as_json=False,
        )


def _with_python(program: Sequence[str]) -> Sequence[str]:
    """Put our Python before a script that is not a command by itself."""
    name = program[0]
    is_command = os.sep in name and os.access(name, os.X_OK)
    is_script = name.endswith(_SCRIPTS) and Path(name).is_file()
    return [sys.executable, *program] if is_script and not is_command else program


def _select(environment: dict[str, str]) -> None:
    """Select our distro and configurator; those that the user has selected win."""
    chosen = {name: value for name in _SELECTORS if (value := environment.get(name, "").strip())}
    others = [
        f"{name}={value if _PLAIN.fullmatch(value) else MASK}" for name, value in chosen.items() if value != _NAME
    ]
    if others:
        tell(f"{' and '.join(others)}: your choice wins; unset it to select otel-ha", as_json=False)
    environment.update({name: chosen.get(name, _NAME) for name in _SELECTORS})


def _inject(environment: dict[str, str], program: Sequence[str]) -> None:
    """Let the Python of the program find the module that starts telemetry; say so if it will not."""
    python = interpreter_of(program, environment.get("PATH", os.defpath))
    if python is not None and (option := python.ignoring) is not None:
        tell(
            f"{program[0]} runs Python with {option}, which keeps telemetry from starting: the program runs without; "
            f"leave {option} out",
            as_json=False,
        )
        return
    folder = start_folder() if python is None else python.start_folder(environment)
    if python is not None and folder is None:
        tell(
            f"otel-ha is not installed for {python.path}: the program runs without telemetry; install it there, or use "
            f"{sys.executable}",
            as_json=False,
        )
        return
    inherited = environment.get("PYTHONPATH", "")
    others = [each for each in inherited.split(os.pathsep) if each != folder] if inherited else []
    environment["PYTHONPATH"] = os.pathsep.join([str(folder), *others])


def _become(program: Sequence[str], environment: dict[str, str]) -> int:
    """Replace this process by the program; return an exit code only if that fails."""
    for name in ("SIGPIPE", "SIGXFSZ"):  # Python ignores them, and a program inherits that
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_DFL)
    try:
        os.execvpe(program[0], list(program), environment)  # noqa: S606 - that is this command's purpose
    except OSError as error:
        missing = error.errno in {errno.ENOENT, errno.ENOTDIR}
        reason = error.strerror or str(error)
        if missing and os.sep not in program[0]:
            reason = "no such file" if program[0].endswith(_SCRIPTS) else "command not found"
        tell(f"{program[0]}: {reason}", as_json=False)
        return _NOT_FOUND if missing else _NOT_EXECUTABLE
