"""Cost of recording, compared with peers.

All ways are timed in turn, round after round, so that a drift of the machine's speed affects them alike; ratios are
taken within a round. A process has one telemetry at a time, so blocks of rounds with 0, 1, 2 and 3 readers take turns.
Run as a module, it measures in its own process and prints the samples.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections import defaultdict, deque
from collections.abc import Callable
from contextlib import nullcontext

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON

from benchmarks import children, targets, ways
from benchmarks.tables import Table, ratios
from otel_ha import TelemetryConfig, setup_telemetry
from otel_ha.declare.spans import SPANS
from otel_ha.telemetry import Telemetry

CALLS = 500
CALLS_TO_COLLECT = 5000
ROUNDS_TO_COLLECT = 15
DAY = 86_400.0
EXPORTERS = ("prometheus", "otlp", "console")
"""One reader each; none of them collects by itself during a block."""

READERS = (targets.INERT, "1 reader", targets.TWO_READERS, "3 readers")
COLLECTED = targets.COLLECTED
TRACES_OFF = "otel-ha: measured(), traces on and off again"
SPAN = "otel-ha: measured(), with a span"
NOT_SAMPLED = "otel-ha: measured(), with a span that is not sampled"
APART = frozenset({COLLECTED, TRACES_OFF, SPAN, NOT_SAMPLED})
"""Ways that are timed in rounds of their own."""
VERSUS = (ways.OTEL, ways.OTEL_USUAL, ways.PROMETHEUS, ways.PROMETHEUS_USUAL)

Samples = dict[str, list[list[float]]]
"""Microseconds per call, by way: for each block, a list with one sample per round."""


def measure(receiver: str, *, quick: bool) -> list[Table]:
    """Measure and return the tables."""
    blocks, seconds = (2, 1.2) if quick else (6, 3.0)
    found: dict[str, Samples] = children.run("recording", receiver, blocks, seconds)
    return [_times_the_wrapper(found), _beside_peers(found), _microseconds(found)]


def _times_the_wrapper(found: dict[str, Samples]) -> Table:
    about = (
        "Ratios to a decorator that only reads the clock before and after the call, which is the lower limit, "
        f"taken within rounds of {CALLS} calls. An event measured in full is counted as received and in flight, then "
        "with its duration by outcome, and as no longer in flight. Inert means without telemetry. Metrics are "
        "collected between rounds, outside the timing; the row with a share of a collection includes the work that a "
        "call leaves to the collection. A block is built each time, unless its row says otherwise. The rows about "
        "traces have rounds of their own, with a tracer of the SDK that exports nothing."
    )
    table = Table("recording", "Recording, in wrappers", about, READERS)
    for readers, samples in found.items():
        for way, blocks in samples.items():
            wrapped = samples[ways.WRAPPER]
            if way in APART:
                wrapped = [[statistics.median(block)] * len(own) for block, own in zip(wrapped, blocks, strict=True)]
            table.put(way, readers, ratios(_flat(blocks), _flat(wrapped)))
    inert = {way: _flat(blocks) for way, blocks in found[targets.INERT].items()}
    for way in (ways.OURS, ways.OURS_COUNTER):
        less_bare = [max(a - b, 0.0) for a, b in zip(inert[way], inert[ways.BARE], strict=True)]
        table.put(f"{way}{targets.LESS_BARE}", targets.INERT, ratios(less_bare, inert[ways.WRAPPER]))
    return table


def _beside_peers(found: dict[str, Samples]) -> Table:
    about = "An event measured in full: otel-ha's time divided by the peer's in the same round."
    table = Table("peers", "Recording, as a share of the peers' time", about, READERS[1:])
    for readers in READERS[1:]:
        for peer in VERSUS:
            samples = found[readers]
            table.put(f"measured() / {peer}", readers, ratios(_flat(samples[ways.OURS]), _flat(samples[peer])))
    medians = {readers: [statistics.median(block) for block in _by_wrapper(found[readers])] for readers in READERS[1:]}
    for readers in READERS[1:]:
        table.put(targets.TO_ONE_READER, readers, ratios(medians[readers], medians[READERS[1]]))
    return table


def _microseconds(found: dict[str, Samples]) -> Table:
    about = f"Every row includes the loop around the calls, which takes about as long as {ways.BARE}."
    columns = tuple(f"{readers}, µs" for readers in READERS)
    table = Table("microseconds", "Recording, in microseconds per call", about, columns)
    for readers, column in zip(READERS, columns, strict=True):
        for way, blocks in found[readers].items():
            table.put(way, column, _flat(blocks))
    return table


def _by_wrapper(samples: Samples) -> list[list[float]]:
    return [ratios(*pair) for pair in zip(samples[ways.OURS], samples[ways.WRAPPER], strict=True)]


def _flat(blocks: list[list[float]]) -> list[float]:
    return [sample for block in blocks for sample in block]


def samples_of(receiver: str, blocks: int, seconds: float) -> dict[str, Samples]:
    """Measure in this process: so many blocks for each number of readers, each of so many seconds."""
    found: dict[str, Samples] = {readers: defaultdict(list) for readers in READERS}
    peers = [{}, *({**ways.opentelemetry(n), **ways.prometheus()} for n in range(1, len(READERS)))]
    for block in range(blocks):
        children.progress(f"recording: block {block + 1} of {blocks}")
        for count, readers in enumerate(READERS):
            with _telemetry(receiver, count) as telemetry:
                collect = telemetry.prometheus_text if telemetry is not None else lambda: ""
                timed = rounds({**ways.limits(), **ways.ours(), **peers[count]}, seconds, collect)
                timed |= with_traces(ways.ours()[ways.OURS], seconds / 6, collect)
                if telemetry is not None:
                    timed[COLLECTED] = with_collections(ways.ours()[ways.OURS], telemetry)
            for way, samples in timed.items():
                found[readers][way].append(samples)
    return found


def _telemetry(receiver: str, readers: int) -> Telemetry | nullcontext[None]:
    if not readers:
        return nullcontext()
    config = TelemetryConfig(
        environ={},
        metrics_exporters=EXPORTERS[:readers],
        otlp_endpoint=receiver,
        export_interval=DAY,
        prometheus_port=0,
        system_metrics=False,
    )
    return setup_telemetry("benchmark", config=config)


def rounds(known: ways.Ways, seconds: float, collect: Callable[[], object]) -> dict[str, list[float]]:
    """Return microseconds per call of each way, one sample per round; each round ends with a collection."""
    runs = {name: repeated_coroutine(way) if name in ways.COROUTINES else repeated(way) for name, way in known.items()}
    found: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        run()
    collect()
    end = time.perf_counter() + seconds
    order = deque(runs.items())
    while time.perf_counter() < end:
        for name, run in order:
            found[name].append(_timed(run) / CALLS)
        collect()
        # Side effects of one way, such as cold caches, must not always hit the same other way.
        order.rotate(1)
    return found


def with_collections(way: Callable[[], object], telemetry: Telemetry) -> list[float]:
    """Return microseconds per call of a way, including the time that it adds to the next collection."""
    run = repeated(way, CALLS_TO_COLLECT)
    found = []
    for _ in range(ROUNDS_TO_COLLECT):
        calls = _timed(run) + _timed(telemetry.prometheus_text)
        found.append((calls - _timed(telemetry.prometheus_text)) / CALLS_TO_COLLECT)
    return found


def with_traces(way: Callable[[], object], seconds: float, collect: Callable[[], object]) -> dict[str, list[float]]:
    """Return microseconds per call of a way with spans, without sampled ones, and after that without traces."""
    found: dict[str, list[float]] = {}
    for name, sampler in ((SPAN, ALWAYS_ON), (NOT_SAMPLED, ALWAYS_OFF), (TRACES_OFF, None)):
        provider = TracerProvider(sampler=sampler, shutdown_on_exit=False)
        SPANS.open_by(None if sampler is None else provider.get_tracer("benchmark"))
        try:
            found |= rounds({name: way}, seconds, collect)
        finally:
            SPANS.open_by(None)
    return found


def _timed(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return (time.perf_counter() - started) * 1e6


def repeated(way: Callable[[], object], calls: int = CALLS) -> Callable[[], object]:
    """Return a function that calls a way many times."""

    def run() -> None:
        for _ in range(calls):
            way()

    return run


def repeated_coroutine(way: Callable[[], object]) -> Callable[[], object]:
    """Return a function that awaits a way many times; nothing suspends in it, so it needs no event loop."""

    async def awaited() -> None:
        for _ in range(CALLS):
            await way()  # type: ignore[misc]  # this way returns a coroutine

    def run() -> None:
        try:
            awaited().send(None)
        except StopIteration:
            return

    return run


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("receiver")
    parser.add_argument("blocks", type=int)
    parser.add_argument("seconds", type=float)
    arguments = parser.parse_args()
    children.say(samples_of(arguments.receiver, arguments.blocks, arguments.seconds))
