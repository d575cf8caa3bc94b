"""The command `otel-ha top`: a live screen of running services, or plain lines."""

from __future__ import annotations

import click

from otel_ha.cli.client import Access
from otel_ha.cli.options import Seconds, access_options, json_option
from otel_ha.cli.top.live import can_show, show_live
from otel_ha.cli.top.plain import print_lines, print_once
from otel_ha.cli.top.view import SORTS

__all__ = ["command"]

_DEFAULT = "http://127.0.0.1:9464"
_EXAMPLES = """\b
Examples:
  otel-ha top
  otel-ha top http://10.0.0.5:9464 http://10.0.0.6:9464 --sort rate
  otel-ha top --once | grep -o 'p95=[^ ]*'
  otel-ha top --json >> figures.jsonl
"""


@click.command(epilog=_EXAMPLES)
@click.argument("urls", metavar="[URL]...", nargs=-1)
@click.option(
    "--interval", type=Seconds(0.1, 3600), default=2.0, show_default=True, help="Seconds between two readings."
)
@click.option("--once", is_flag=True, help="Print one line for each service, and end.")
@click.option(
    "--sort", type=click.Choice(SORTS), default=SORTS[0], show_default=True, help="The order of several services."
)
@json_option
@access_options
def command(urls: tuple[str, ...], interval: float, *, once: bool, sort: str, as_json: bool, access: Access) -> int:
    """Watch running services: rates, percentiles, lag, queues, connections, and their past.

    URL is the address of a service's endpoint, http://127.0.0.1:9464 unless one is given. On a terminal, top fills the
    screen; ? shows the keys, q quits. Elsewhere, and with --json, it prints a line for each service and interval.

    With --once, the exit code is 1 if a service does not answer.
    """
    clients = list({client.url: client for client in map(access.client, urls or (_DEFAULT,))}.values())
    if once:
        return print_once(clients, sort=sort, as_json=as_json, timeout=access.timeout)
    if as_json or not can_show():
        print_lines(clients, interval, as_json=as_json)
    else:
        show_live(clients, interval, sort)
    return 0
