"""The statements of the peers, by the statement of ours in whose place they stand.

Each is written as an engineer would write it by hand: `metrics` is the service's module of instruments. Decorators and
statements are found by their text, so a change of the ingestor that is missing here ends the import with an error.
"""

from __future__ import annotations

from typing import Final

OPENTELEMETRY, PROMETHEUS_CLIENT = "with_opentelemetry", "with_prometheus_client"

_TABLE: Final[dict[str, tuple[str, str]]] = {
    # For every message or event.
    "counted.bytes_received(self.kind, kind).add(size)": (
        "metrics.BYTES_RECEIVED.add(size, metrics.received_from(self.kind, kind))",
        "metrics.received_from(self.kind, kind).inc(size)",
    ),
    "counted.events(source).receive()": (
        "metrics.RECEIVED.add(1, metrics.SOURCE[source])\nmetrics.IN_FLIGHT.add(1, metrics.QUEUED[source])",
        "metrics.RECEIVED[source].inc()\nmetrics.QUEUED[source].inc()",
    ),
    "counted.events(source).discard(reason)": (
        "metrics.discard(source, reason)",
        "metrics.discard(source, reason)",
    ),
    "measured(ingest.QUEUED_EVENT, source=lambda _, event, __: event.source, "
    "domain=lambda _, event, __: event.domain, entity=lambda _, event, __: event.entity_id, "
    "outcome_of=lambda discarded: discarded)": ("metrics.event", "metrics.event"),
    "measured(ingest.TRANSFORM, transformer='line_protocol')": (
        "metrics.timed(metrics.TRANSFORM, metrics.TRANSFORMED)",
        "metrics.timed(metrics.TRANSFORM, metrics.TRANSFORMED, 'line_protocol')",
    ),
    "counted.lag(event.source, self._writer.name).record(event.age)": (
        "metrics.LAG.record(event.age, metrics.written(event.source, self._writer.name))",
        "metrics.written(event.source, self._writer.name).observe(event.age)",
    ),
    # For every batch.
    "ingest.BATCH_SIZE.record(len(batch), sink=self._writer.name)": (
        "metrics.BATCH.record(len(batch), metrics.batch(self._writer.name))",
        "metrics.batch(self._writer.name).observe(len(batch))",
    ),
    "measured(ingest.WRITE, system='file', operation='write')": (
        "metrics.timed(metrics.WRITE, metrics.WRITTEN)",
        "metrics.timed(metrics.WRITE, metrics.WRITTEN, 'file', 'write')",
    ),
    "ingest.DATA_SENT.add(len(data), sink=self.name, type='line_protocol')": (
        "metrics.BYTES_SENT.add(len(data), metrics.LINES[self.name])",
        "metrics.LINES[self.name].inc(len(data))",
    ),
    "ingest.POINTS_WRITTEN.add(number, sink=self._writer.name, measurement=measurement, outcome=outcome, "
    "error_type=error_type)": (
        "metrics.POINTS.add(number, metrics.points(self._writer.name, measurement, outcome, error_type))",
        "metrics.points(self._writer.name, measurement, outcome, error_type).inc(number)",
    ),
    # Read at every collection.
    "ingest.QUEUE_SIZE.observe(lambda: len(self), queue='ingest')": (
        "metrics.QUEUE_SIZE.append((lambda: len(self), {'homeassistant.queue': 'ingest'}))",
        "metrics.QUEUE_SIZE.labels('ingest').set_function(lambda: len(self))",
    ),
    "ingest.QUEUE_CAPACITY.observe(lambda: capacity, queue='ingest')": (
        "metrics.QUEUE_CAPACITY.append((lambda: capacity, {'homeassistant.queue': 'ingest'}))",
        "metrics.QUEUE_CAPACITY.labels('ingest').set_function(lambda: capacity)",
    ),
    "ingest.QUEUE_AGE.observe(self.oldest_age, queue='ingest')": (
        "metrics.QUEUE_AGE.append((self.oldest_age, {'homeassistant.queue': 'ingest'}))",
        "metrics.QUEUE_AGE.labels('ingest').set_function(self.oldest_age)",
    ),
    "ingest.QUEUE_SIZE.observe(self._points.qsize, queue='points')": (
        "metrics.QUEUE_SIZE.append((self._points.qsize, {'homeassistant.queue': 'points'}))",
        "metrics.QUEUE_SIZE.labels('points').set_function(self._points.qsize)",
    ),
    "ingest.QUEUE_CAPACITY.observe(lambda: self._points.maxsize, queue='points')": (
        "metrics.QUEUE_CAPACITY.append((lambda: self._points.maxsize, {'homeassistant.queue': 'points'}))",
        "metrics.QUEUE_CAPACITY.labels('points').set_function(lambda: self._points.maxsize)",
    ),
    "ingest.MESSAGE_AGE.observe(lambda: time.monotonic() - self._last_event, source=kind)": (
        "metrics.MESSAGE_AGE.append((lambda: time.monotonic() - self._last_event, {'homeassistant.source': kind}))",
        "metrics.MESSAGE_AGE.labels(kind).set_function(lambda: time.monotonic() - self._last_event)",
    ),
    # Rare.
    "counted.events(event.source).discard('overflow')": (
        "metrics.discard(event.source, 'overflow')",
        "metrics.discard(event.source, 'overflow')",
    ),
    "counted.events(event.source).discard('shutdown')": (
        "metrics.discard(event.source, 'shutdown')",
        "metrics.discard(event.source, 'shutdown')",
    ),
    "counted.resynchronized('mqtt').add(1)": (
        "metrics.RESYNCHRONIZED.add(1, metrics.SOURCE['mqtt'])",
        "metrics.RESYNCHRONIZED.labels('mqtt').inc()",
    ),
    "ingest.BROKER_DROPPED.add(0 if last is None else total - last if total >= last else total, source='mqtt')": (
        "metrics.broker_dropped(0 if last is None else total - last if total >= last else total)",
        "metrics.broker_dropped(0 if last is None else total - last if total >= last else total)",
    ),
    "ingest.CONNECTIONS.add(0, kind=kind)": (
        "metrics.CONNECTIONS.add(0, {metrics.KIND: kind})",
        "metrics.CONNECTIONS.labels(kind)",
    ),
    "ingest.CONNECTIONS.add(1, kind=self.kind)": (
        "metrics.CONNECTIONS.add(1, {metrics.KIND: self.kind})",
        "metrics.CONNECTIONS.labels(self.kind).inc()",
    ),
    "ingest.CONNECTIONS.add(-1, kind=self.kind)": (
        "metrics.CONNECTIONS.add(-1, {metrics.KIND: self.kind})",
        "metrics.CONNECTIONS.labels(self.kind).dec()",
    ),
    "ingest.CONNECTIONS_CLOSED.add(1, kind=self.kind, reason=reason)": (
        "metrics.CLOSED.add(1, {metrics.KIND: self.kind, 'homeassistant.connection.close.reason': reason})",
        "metrics.CLOSED.labels(self.kind, reason).inc()",
    ),
    "ingest.RECONNECTS.add(1, kind=self.kind)": (
        "metrics.RECONNECTS.add(1, {metrics.KIND: self.kind})",
        "metrics.RECONNECTS.labels(self.kind).inc()",
    ),
    "ingest.RETRIES.add(1, component=self._writer.name, operation='write')": (
        "metrics.RETRIES.add(1, {'homeassistant.component': self._writer.name, 'homeassistant.operation': 'write'})",
        "metrics.RETRIES.labels(self._writer.name, 'write').inc()",
    ),
    "ingest.ERRORS.add(1, component=self.kind, error_type='message', severity='error')": (
        "metrics.ERRORS.add(1, metrics.error(self.kind, 'message', 'error'))",
        "metrics.ERRORS.labels(self.kind, 'message', 'error').inc()",
    ),
    "ingest.ERRORS.add(1, component=self.kind, error_type=ended.reason, severity=severity)": (
        "metrics.ERRORS.add(1, metrics.error(self.kind, ended.reason, severity))",
        "metrics.ERRORS.labels(self.kind, ended.reason, severity).inc()",
    ),
    "ingest.ERRORS.add(1, component='mqtt', error_type='announcement', severity='warning')": (
        "metrics.ERRORS.add(1, metrics.error('mqtt', 'announcement', 'warning'))",
        "metrics.ERRORS.labels('mqtt', 'announcement', 'warning').inc()",
    ),
    "ingest.ERRORS.add(1, component=self._store, error_type=error.error_type, severity='error')": (
        "metrics.ERRORS.add(1, metrics.error(self._store, error.error_type, 'error'))",
        "metrics.ERRORS.labels(self._store, error.error_type, 'error').inc()",
    ),
    "ingest.ERRORS.add(1, component=self._writer.name, error_type=error_type, severity='error')": (
        "metrics.ERRORS.add(1, metrics.error(self._writer.name, error_type, 'error'))",
        "metrics.ERRORS.labels(self._writer.name, error_type, 'error').inc()",
    ),
}

STATEMENTS: Final = {
    peer: {ours: theirs[number] for ours, theirs in _TABLE.items()}
    for number, peer in enumerate((OPENTELEMETRY, PROMETHEUS_CLIENT))
}
"""The statements of each peer, by those of ours."""
