"""The command `otel-ha doctor`."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path

import click

from otel_ha.cli.client import Access
from otel_ha.cli.doctor.output import as_data, changes, echo, findings, show, show_all, verdict, wait, wrapped
from otel_ha.cli.doctor.reach import client_for
from otel_ha.cli.doctor.run import Questions, examine
from otel_ha.cli.doctor.step import Step
from otel_ha.cli.options import Seconds, access_options, json_option
from otel_ha.cli.output import print_json

__all__ = ["command"]

_EXAMPLES = """\b
Examples:
  otel-ha doctor
  otel-ha doctor --prometheus http://127.0.0.1:9090
  otel-ha doctor --env-file /etc/ha-ingestor.env --no-canary
  otel-ha doctor --json | jq '.steps[] | select(.result == "finding")'
  otel-ha doctor --watch 60
"""


@click.command("doctor", epilog=_EXAMPLES)
@click.option("--service-url", metavar="URL", help="The service's endpoint.  [default: that of the settings]")
@click.option("--prometheus", metavar="URL", help="A Prometheus or VictoriaMetrics that should have the metrics.")
@click.option(
    "--collector-metrics",
    metavar="URL",
    help="The Prometheus exporter of the Collector.  [default: http://<the Collector's host>:8889/metrics]",
)
@click.option(
    "--env-file",
    type=click.Path(path_type=Path),
    help="The service's file of variables; those of the environment override it.",
)
@click.option("--no-canary", is_flag=True, help="Push nothing, not even a metric of the doctor's own.")
@click.option(
    "--wait",
    "patience",
    type=Seconds(0, 3600),
    default=30.0,
    show_default=True,
    help="Seconds to wait for the canary to arrive.",
)
@click.option(
    "--watch",
    type=Seconds(1, 86_400),
    is_flag=False,
    flag_value=30.0,
    metavar="[SECONDS]",
    help="Repeat, 30 seconds after the previous time unless another number is given; Ctrl-C ends it.",
)
@click.option("--verbose", is_flag=True, help="Show also what was tried in the steps that are fine.")
@json_option
@access_options
def command(
    *,
    access: Access,
    service_url: str | None,
    prometheus: str | None,
    collector_metrics: str | None,
    env_file: Path | None,
    no_canary: bool,
    patience: float,
    watch: float | None,
    verbose: bool,
    as_json: bool,
) -> int:
    """Explain why no data arrives, in the order in which data flows.

    Run it where the service runs, with the service's environment and packages. It reads settings, asks the service, the
    Collector and Prometheus, and pushes a metric of its own, the canary. It never touches the service's series.

    The exit code is 0 without a finding, 1 with one, and 2 for wrong usage.
    """
    for url in (service_url, prometheus, collector_metrics):
        if url is not None:
            client_for(url, access, shares_password=False)  # a wrong one is a mistake on the command line
    access.context()  # so is a certificate that cannot be used
    questions = Questions(
        access=access,
        service_url=service_url,
        prometheus=prometheus,
        collector_metrics=collector_metrics,
        env_file=env_file,
        canary=not no_canary,
        patience=patience,
        progress=(lambda _: None) if as_json else wait,
    )
    look = partial(_look, questions, as_json=as_json, verbose=verbose)
    if watch is not None:
        return _watch(look, watch, as_json=as_json)
    steps = look()
    if as_json:
        print_json(as_data(steps))
    else:
        echo("", *wrapped(verdict(steps)))
    return _code(steps)


def _look(questions: Questions, *, as_json: bool, verbose: bool, quiet: bool = False) -> list[Step]:
    """Take all steps, and print each one while it happens unless the output is JSON."""
    if as_json or quiet:
        return list(examine(questions))
    steps: list[Step] = []

    def taken() -> Iterator[Step]:
        for step in examine(questions):
            steps.append(step)
            yield step

    show_all(taken(), verbose=verbose)
    return steps


def _watch(look: Callable[..., list[Step]], pause: float, *, as_json: bool) -> int:
    """Look again and again until Ctrl-C; after the first time, print what has changed only."""
    steps: list[Step] = []
    try:
        while True:
            before, steps = steps, look(quiet=bool(steps))
            if as_json:
                click.echo(json.dumps({"timestamp": time.time(), **as_data(steps)}))
            elif before:
                _show_changes(before, steps)
            else:
                echo("", *wrapped(verdict(steps)), f"Again every {pause:g} s; Ctrl-C ends it.")
            sys.stdout.flush()
            time.sleep(pause)
    except KeyboardInterrupt:
        if not steps:  # in the first look, so that nothing is known
            raise
        return _code(steps)


def _show_changes(before: Sequence[Step], after: Sequence[Step]) -> None:
    new, over = changes(before, after)
    moment = datetime.now().astimezone().strftime("%H:%M:%S")
    if new or over:
        for step in over:
            echo(*wrapped(f"{moment} over: {step.id} [{step.cause}]"))
        for step in new:
            echo(f"{moment} new:")
            show(step)
        echo(*wrapped(f"{moment} {verdict(after)}"))
    else:
        found = len(findings(after))
        echo(f"{moment} no change, {found} finding{'' if found == 1 else 's'}")


def _code(steps: Sequence[Step]) -> int:
    return 1 if findings(steps) else 0
