"""Run the home stack: `python -m examples.stack --help`."""

from __future__ import annotations

import argparse
import glob
import os
import signal
import socket
import sys
from contextlib import ExitStack
from dataclasses import fields
from pathlib import Path
from tempfile import TemporaryDirectory

from examples.stack import commands
from examples.stack.commands import Addresses
from examples.stack.parts import Part, Settings, StackError, StoppedError, parts_of
from tests.servers.running import HOST, ServerError, free_ports

CHECK_EVERY = 0.5


def main(arguments: list[str] | None = None) -> int:
    """Run until a signal. Return 0 after a signal, 1 if a server fails, 2 if the stack cannot start."""
    options = parser().parse_args(arguments)
    at = free_addresses() if options.free_ports else Addresses()
    settings = Settings(at, options.alertmanager_config, options.rules, options.traces_logs)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: settings.stopping.set())
    try:
        check(settings)
        with TemporaryDirectory(prefix="otel-ha-stack-") as directory:
            run(settings, Path(directory))
    except StackError as error:
        print(f"stack: {error}", file=sys.stderr)
        return 2
    except ServerError as error:
        print(f"stack: {error}", file=sys.stderr)
        return 1
    except StoppedError:
        pass
    print("The stack has ended.", flush=True)
    return 0


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m examples.stack",
        description="Run VictoriaMetrics, vmalert and Alertmanager with the example ingestor on a synthetic home, "
        "until Ctrl-C. The data is in a temporary directory, which is deleted at the end.",
    )
    parser.add_argument("--free-ports", action="store_true", help="take free ports instead of the usual ones")
    parser.add_argument("--traces-logs", action="store_true", help="also run Jaeger and VictoriaLogs, and trace")
    parser.add_argument(
        "--alertmanager-config",
        type=absolute,
        metavar="FILE",
        default=commands.ALERTMANAGER,
        help="Alertmanager's configuration (default: the one in collector-config)",
    )
    parser.add_argument(
        "--rules",
        type=absolute,
        metavar="GLOB",
        default=commands.RULES,
        help="files with rules and alerts (default: every otel_ha*.yml in collector-config/prometheus)",
    )
    return parser


def free_addresses() -> Addresses:
    """Return a free port for each address."""
    return Addresses(*(f"{HOST}:{port}" for port in free_ports(len(fields(Addresses)))))


def absolute(text: str) -> Path:
    """Return the full path: each server runs in a directory of its own, where a relative path means something else."""
    return Path(text).absolute()


def check(settings: Settings) -> None:
    """Raise StackError if a file is missing or a port is taken."""
    if not settings.alertmanager_config.is_file():
        raise StackError(f"there is no file {settings.alertmanager_config}; give --alertmanager-config FILE")
    if not glob.glob(str(settings.rules)):  # noqa: PTH207 - the pattern is absolute
        raise StackError(f"no file matches {settings.rules}; give --rules GLOB")
    for name, address in settings.at.used(traces_logs=settings.traces_logs).items():
        check_port(name.replace("_", "-"), address)


def check_port(name: str, address: str) -> None:
    """Raise StackError if a port cannot be opened."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_server((host, int(port))).close()
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        remedy = "end the program that uses it, or give --free-ports (make stack ARGS=--free-ports)"
        raise StackError(f"port {port} of {name} cannot be opened ({reason}); {remedy}") from None


def run(settings: Settings, directory: Path) -> None:
    """Start every part, run until a signal, and end every part, the last one first."""
    with ExitStack() as running:
        running.callback(print, "Stopping ...", flush=True)
        parts = parts_of(settings, directory)
        for part in parts:
            print(f"Starting {part.name} ...", flush=True)
            running.callback(part.stop)
            part.start()
        print(where_to_look(settings, directory, parts[-1]), flush=True)
        watch(settings, parts)


def where_to_look(settings: Settings, directory: Path, service: Part) -> str:
    """Return the addresses of everything there is to see."""
    at = settings.at
    more = f"""
  traces         http://{at.jaeger}/ (built by make servers, it has no pages, only /api/traces?service=ha-ingestor-demo)
  log records    http://{at.victoria_logs}/select/vmui"""
    return f"""
  dashboards     http://{at.victoria_metrics}/vmui/#/dashboards?g0.range_input=5m
  alerts, rules  http://{at.victoria_metrics}/vmui/#/rules
  Alertmanager   http://{at.alertmanager}/#/alerts (built by make servers, it has no pages, only /api/v2/alerts)
  the service    http://{at.service}/metrics, /summary, /healthz{more if settings.traces_logs else ""}
  logs           {directory}/*.log

The first numbers appear after 20 seconds. `kill {service.pid}` ends the service; its alerts fire some minutes later.
Ctrl-C ends the stack and deletes its data.
"""


def watch(settings: Settings, parts: list[Part]) -> None:
    """Wait for a signal. Raise ServerError if a server ends; the service may end."""
    *servers, service = parts
    served = True
    while not settings.stopping.wait(CHECK_EVERY):
        for server in servers:
            if not server.running:
                raise ServerError(f"{server.name} has ended:\n{server.log_tail()}")
        if served and not service.running:
            served = False
            print(f"The service has ended; the servers keep running.\n{service.log_tail(3)}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
