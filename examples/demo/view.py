"""What the demo shows while it runs: a live table, or plain lines where there is no terminal."""

from __future__ import annotations

import math
from collections import deque
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from examples.demo.figures import Figures

LINE_EVERY = 5.0
SPAN = 10
NAMES = {"process": "process an event", "transform": "transform it", "write": "write a batch", "lag": "lag to write"}


class View:
    """Shows figures; a context manager. Rates are those over the last SPAN of them."""

    def __init__(self, console: Console, duration: float) -> None:
        self._console = console
        self.duration = duration
        self._past: deque[Figures] = deque(maxlen=SPAN)
        self._next_line = 0.0
        self._progress = Progress(TextColumn("{task.description}"), BarColumn(None), TimeRemainingColumn(), expand=True)
        self._task = self._progress.add_task("demo", total=duration)
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None

    def __enter__(self) -> Self:
        """Begin to show."""
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the last figures on the screen."""
        if self._live is not None:
            self._live.stop()

    def show(self, now: Figures, elapsed: float, *, last: bool = False) -> None:
        """Show figures that were read `elapsed` seconds after the start; the last ones in any case."""
        self._past.append(now)
        before = self._past[0]
        if self._live is not None:
            self._progress.update(self._task, completed=elapsed)
            self._live.update(Group(table(now, before), self._progress), refresh=True)
        elif last or elapsed >= self._next_line:
            self._console.print(
                f"[{elapsed:4.0f} s] {line(now, before)}", highlight=False, markup=False, soft_wrap=True
            )
            self._next_line = elapsed + LINE_EVERY


def table(now: Figures, before: Figures) -> Table:
    """Return the live table."""
    shown = Table(title="The ingestor, by its own metrics", expand=True)
    for column in ("", "total", "per second", "P50", "P95", "P99"):
        shown.add_column(column, justify="right" if column else "left")
    earlier = counts(before)
    for name, count in counts(now).items():
        shown.add_row(name, f"{count:,}", f"{rate(count, earlier.get(name, 0), now, before):,.1f}")
    shown.add_row("in flight", f"{now.accounting.in_flight:,}")
    shown.add_section()
    for name, title in NAMES.items():
        shown.add_row(title, "", "", *(duration(value) for value in now.quantiles[name].values()))
    shown.add_section()
    shown.add_row("waiting in the queue", f"{now.queued:,.0f}", "", "the oldest for", duration(now.oldest))
    received = rate(now.bytes_in, before.bytes_in, now, before)
    shown.add_row("data received", f"{now.bytes_in / 1024:,.0f} KiB", f"{received / 1024:,.1f} KiB")
    shown.add_row("memory and CPU of this process", memory(now), "", cpu(now, before))
    return shown


def line(now: Figures, before: Figures) -> str:
    """Return the most important figures in a line."""
    account = now.accounting
    received = rate(account.received, before.accounting.received, now, before)
    process, lag = now.quantiles["process"], now.quantiles["lag"]
    return (
        f"{account.received:,} received ({received:,.0f}/s), {account.processed.total():,} processed"
        f" (P95 {duration(process[0.95])}), {account.discarded.total():,} discarded, {account.in_flight} in flight,"
        f" {account.points['ok']:,} points written (lag P95 {duration(lag[0.95])});"
        f" {memory(now)}, {cpu(now, before)} CPU"
    )


def counts(figures: Figures) -> dict[str, int]:
    """Return what the accounting counts, by the name of its row."""
    account = figures.accounting
    rows = {"received": account.received}
    for name, parts in (("processed", account.processed), ("discarded", account.discarded), ("points", account.points)):
        rows |= {f"{name}: {part}": count for part, count in sorted(parts.items())}
    return rows


def rate(count: float, earlier: float, now: Figures, before: Figures) -> float:
    """Return how much a count has grown in a second."""
    return (count - earlier) / elapsed if (elapsed := now.time - before.time) > 0 else 0.0


def cpu(now: Figures, before: Figures) -> str:
    """Return the share of one CPU that was in use; none where the metrics of the system are off."""
    share = 100 * rate(now.cpu, before.cpu, now, before)
    return "-" if math.isnan(share) else f"{share:.0f} %"


def memory(now: Figures) -> str:
    """Return the memory in use; none where the metrics of the system are off."""
    return "-" if math.isnan(now.memory) else f"{now.memory / 2**20:,.0f} MiB"


def duration(seconds: float) -> str:
    """Return a time in a unit that suits it."""
    if math.isnan(seconds):
        return "-"
    for unit, factor in (("s", 1.0), ("ms", 1e3)):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e6:.3g} µs"
