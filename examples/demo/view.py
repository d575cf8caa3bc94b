"""The view of the running demo: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import math
from collections import deque
from typing import Self

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from examples.demo.reading import Reading

LINE_EVERY = 5.0
SPAN = 10
OTHER_LINES = 13
"""The lines of the live table besides those of counts, and the line of the cursor."""
TITLES = {
    "process": "time to process an event",
    "transform": "time to transform an event",
    "write": "time to write a batch",
    "lag": "lag from state to store",
}


class View:
    """Shows readings; a context manager. Rates cover the last SPAN readings.

    The live table fits into a terminal of 80x24: where it has too many rows, it adds up the rarest reasons of discards.
    `page` is the address of the status page, which stays in sight.
    """

    def __init__(self, console: Console, duration: float, page: str) -> None:
        self._console = console
        self._page = page
        self.duration = duration
        self._past: deque[Reading] = deque(maxlen=SPAN)
        self._next_line = 0.0
        clock = TextColumn("{task.completed:.0f} of {task.total:.0f} s")
        self._progress = Progress(clock, BarColumn(None), expand=True)
        self._task = self._progress.add_task("demo", total=duration)
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None

    def __enter__(self) -> Self:
        """Start the live table."""
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the live table and leave the last reading on the screen."""
        if self._live is not None:
            self._live.stop()

    def show(self, now: Reading, elapsed: float, *, last: bool = False) -> None:
        """Show a reading taken `elapsed` seconds after the start. Without a terminal only some get a line."""
        self._past.append(now)
        before = self._past[0]
        if self._live is not None:
            self._progress.update(self._task, completed=elapsed)
            self._live.update(Group(*self._parts(now, before)), refresh=True)
        elif last or elapsed >= self._next_line:
            self._console.print(
                f"[{elapsed:4.0f} s] {line(now, before)}", highlight=False, markup=False, soft_wrap=True
            )
            self._next_line = elapsed + LINE_EVERY

    def _parts(self, now: Reading, before: Reading) -> list[RenderableType]:
        return [table(now, before, self._page, self._console.height), footer(now, before), self._progress]


def table(now: Reading, before: Reading, page: str, height: int) -> Table:
    """Return the live table, for a terminal of this height."""
    heading = Text(page, no_wrap=True, overflow="fold")
    rows = Table(title=heading, box=box.HORIZONTALS, show_edge=False, expand=True)
    for column in ("", "total", "per second", "P50", "P95", "P99"):
        rows.add_column(column, justify="right" if column else "left", no_wrap=True)
    rare = rarest(counts(now), height - OTHER_LINES)
    earlier = folded(counts(before), rare)
    for name, count in folded(counts(now), rare).items():
        rows.add_row(name, f"{count:,}", f"{rate(count, earlier.get(name, 0), now, before):,.1f}")
    rows.add_row("in flight", f"{now.accounting.in_flight:,}")
    received = rate(now.bytes_in, before.bytes_in, now, before)
    rows.add_row("data received, KiB", f"{now.bytes_in / 1024:,.0f}", f"{received / 1024:,.1f}", end_section=True)
    for name, title in TITLES.items():
        rows.add_row(title, "", "", *(duration(value) for value in now.quantiles[name].values()))
    return rows


def footer(now: Reading, before: Reading) -> str:
    """Return the state of the queue and of this process, in a line."""
    queue = f"{now.queued:,.0f} events, the oldest for {duration(now.oldest)}" if now.queued else "empty"
    return f"Queue: {queue}.  Memory: {memory(now)}.  CPU: {cpu(now, before)}."


def line(now: Reading, before: Reading) -> str:
    """Return the most important values in a line."""
    account = now.accounting
    received = rate(account.received, before.accounting.received, now, before)
    process, lag = now.quantiles["process"], now.quantiles["lag"]
    return (
        f"{account.received:,} received ({received:,.0f}/s), {account.processed.total():,} processed"
        f" (P95 {duration(process[0.95])}), {account.discarded.total():,} discarded, {account.in_flight} in flight,"
        f" {account.points['ok']:,} points written (P95 of the lag {duration(lag[0.95])});"
        f" {memory(now)} of memory, {cpu(now, before)} CPU"
    )


def counts(reading: Reading) -> dict[str, int]:
    """Return the counts of the accounting by the title of their row."""
    account = reading.accounting
    rows = {"events received": account.received}
    for title, parts in (
        ("processed", account.processed),
        ("discarded", account.discarded),
        ("points written", account.points),
    ):
        rows |= {f"{title}, {part}": count for part, count in sorted(parts.items())}
    return rows


def rarest(rows: dict[str, int], room: int) -> set[str]:
    """Return the rows of the rarest reasons, which share one row so that all rows have room; none if they have."""
    surplus = len(rows) - room
    reasons = sorted((name for name in rows if name.startswith("discarded, ")), key=lambda name: rows[name])
    return set(reasons[: surplus + 1]) if surplus > 0 else set()


def folded(rows: dict[str, int], rare: set[str]) -> dict[str, int]:
    """Return the rows with one row in place of the rare ones."""
    shown: dict[str, int] = {}
    for name, count in rows.items():
        title = "discarded, other reasons" if name in rare else name
        shown[title] = shown.get(title, 0) + count
    return shown


def rate(count: float, earlier: float, now: Reading, before: Reading) -> float:
    """Return the growth of a count per second."""
    return (count - earlier) / elapsed if (elapsed := now.time - before.time) > 0 else 0.0


def cpu(now: Reading, before: Reading) -> str:
    """Return the used share of one CPU, or "-" if the system metrics are off."""
    share = 100 * rate(now.cpu, before.cpu, now, before)
    return "-" if math.isnan(share) else f"{share:.0f} %"


def memory(now: Reading) -> str:
    """Return the used memory, or "-" if the system metrics are off."""
    return "-" if math.isnan(now.memory) else f"{now.memory / 2**20:,.0f} MiB"


def duration(seconds: float) -> str:
    """Return a time in a suitable unit, or "-" for NaN."""
    if math.isnan(seconds):
        return "-"
    for unit, factor in (("s", 1.0), ("ms", 1e3), ("µs", 1e6)):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return "0 s"
