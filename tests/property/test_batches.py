"""The law of the queues of spans and log records: each item arrives once and in order, or it is counted as dropped."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from otel_ha.config.sdk import Limits
from otel_ha.delivery import Delivery
from otel_ha.export.otlp.answer import Answer
from otel_ha.export.otlp.watch import Outages, Watch
from otel_ha.export.signals.batches import Batches

ANSWERS = {
    "stored": Answer(),
    "rejected": Answer(rejected=1, remark="too old"),
    "away": Answer("503", retryable=True, code="503"),
    "pause": Answer("the receiver has asked for a pause", skipped=True),
    "refused": Answer("400", code="400"),
}


class Receiver:
    """Answers as it is told, and raises for a batch with an item that cannot be encoded."""

    def __init__(self) -> None:
        self.answer = "stored"
        self.stored: list[int] = []
        self.rejected = 0

    def load(self) -> None:
        pass

    def push(self, data: Any) -> Answer:
        if any(item < 0 for item in data):
            raise ValueError("cannot be encoded")
        if self.answer in {"stored", "rejected"}:
            self.stored += data
            self.rejected += self.answer == "rejected"
        return ANSWERS[self.answer]

    def close_soon(self) -> None:
        pass

    def shutdown(self) -> None:
        pass


steps = st.one_of(
    st.tuples(st.just("add"), st.integers(1, 8)),
    st.tuples(st.just("unencodable"), st.just(1)),
    st.tuples(st.sampled_from(list(ANSWERS)), st.just(0)),
    st.tuples(st.just("flush"), st.just(0)),
)


@settings(max_examples=60)
@given(st.lists(steps, max_size=25), st.integers(1, 12), st.integers(1, 5))
def test_each_item_arrives_once_and_in_order_or_is_counted(
    taken: list[tuple[str, int]], most_waiting: int, most_at_once: int
) -> None:
    receiver, delivery = Receiver(), Delivery("otlp traces", "http://nowhere:4318/v1/traces")
    limits = Limits("OTEL_BSP", 3600.0, most_waiting, min(most_at_once, most_waiting))
    batches = Batches(receiver, Watch(delivery, Outages(), "traces"), limits)
    batches.start()
    added = 0
    for step, count in taken:
        if step in ANSWERS:
            receiver.answer = step
        elif step == "flush":
            batches.flush(30)
        else:
            for _ in range(count):
                added += 1
                batches.add(-added if step == "unencodable" else added)
    batches.close_soon()
    batches.close(30)
    batches.add(0)  # after the end: of nobody's account
    assert receiver.stored == sorted(set(receiver.stored))
    assert len(receiver.stored) - receiver.rejected + delivery.dropped == added
