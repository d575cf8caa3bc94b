"""Logs from the same call: the records that reach the root logger arrive, and the program's logging stays as it is."""

import contextlib
import io
import logging
import logging.config
import logging.handlers
import queue
import threading

import pytest
from opentelemetry import trace
from opentelemetry.instrumentation.logging.handler import LoggingHandler

from otel_ha import ConfigError, TelemetryConfig
from otel_ha.errors import TelemetryError
from tests.receivers import answer
from tests.unit.signals.conftest import lines

logger = logging.getLogger("mine.part")


@pytest.fixture(autouse=True)
def _root_as_before():
    """Restore the root logger's handlers and level."""
    root = logging.getLogger()
    handlers, level, original = root.handlers[:], root.level, logging.Logger.callHandlers
    yield
    root.handlers[:], root.level = handlers, level
    assert logging.Logger.callHandlers is original


def bodies(receiver):
    return [each.item.body.string_value for each in receiver.records()]


def test_a_record_arrives_with_level_message_logger_and_extra_attributes(start):
    telemetry, receiver = start()
    logger.warning("took %d s", 3, extra={"queue": "ingest", "size": 5, "kinds": ["a", 1], "rate": 0.5, "on": True})
    assert telemetry.flush(30)
    (sent,) = receiver.records()
    assert sent.item.body.string_value == "took 3 s"
    assert (sent.item.severity_number, sent.item.severity_text, sent.scope) == (13, "WARN", "mine.part")
    assert {"queue": "ingest", "size": 5, "rate": 0.5, "on": True}.items() <= sent.attributes.items()
    assert sent.item.time_unix_nano


def test_a_record_within_a_span_has_its_ids(start):
    telemetry, receiver = start()
    with trace.get_tracer("mine").start_as_current_span("work"):
        logger.error("failed")
    logger.error("outside")
    assert telemetry.flush(30)
    (span,) = receiver.spans()
    inside, outside = receiver.records()
    assert (inside.item.trace_id, inside.item.span_id) == (span.item.trace_id, span.item.span_id)
    assert outside.item.trace_id == b""


def test_an_exception_arrives_with_its_type_message_and_traceback(start):
    telemetry, receiver = start()
    try:
        {}["gone"]
    except KeyError:
        logger.exception("failed")
    assert telemetry.flush(30)
    (sent,) = receiver.records()
    assert sent.attributes["exception.type"] == "KeyError"
    assert sent.attributes["exception.message"] == "gone"
    assert "test_logs.py" in sent.attributes["exception.stacktrace"]


def test_records_below_the_level_of_their_logger_do_not_arrive(start):
    telemetry, receiver = start()
    logging.getLogger("mine.quiet").setLevel(logging.ERROR)
    logging.getLogger("mine.quiet").warning("below")
    logging.getLogger("mine.quiet").error("above")
    assert telemetry.flush(30)
    assert bodies(receiver) == ["above"]


def test_records_that_do_not_reach_the_root_logger_do_not_arrive(start):
    telemetry, receiver = start()
    private = logging.getLogger("mine.private")
    private.propagate = False
    try:
        private.error("kept")
        logging.getLogger("mine.private.part").error("kept as well")
        logger.error("sent")
        assert telemetry.flush(30)
        assert bodies(receiver) == ["sent"]
    finally:
        private.propagate = True


def basic():
    logging.basicConfig(stream=io.StringIO(), force=True)


def dictionary():
    logging.config.dictConfig({"version": 1, "disable_existing_loggers": False, "root": {"handlers": []}})


def replaced():
    logging.getLogger().handlers = []


def removed():
    for handler in logging.getLogger().handlers[:]:
        logging.getLogger().removeHandler(handler)


@pytest.mark.parametrize("configure", [basic, dictionary, replaced, removed])
@pytest.mark.parametrize("when", ["before", "after"])
def test_records_arrive_however_and_whenever_logging_is_configured(start, configure, when):
    if when == "before":
        configure()
    telemetry, receiver = start()
    if when == "after":
        configure()
    logger.error("sent")
    assert telemetry.flush(30)
    assert bodies(receiver) == ["sent"]


def test_basic_config_after_set_up_configures_as_without_telemetry(start):
    root = logging.getLogger()
    root.handlers[:] = []
    start()
    assert root.handlers == []
    stream = io.StringIO()
    logging.basicConfig(stream=stream, format="%(message)s")
    logger.error("written")
    assert stream.getvalue() == "written\n"


def test_warnings_of_a_program_without_handlers_are_still_printed(start, capsys, monkeypatch):
    logging.getLogger().handlers[:] = []
    start()
    monkeypatch.setattr(logging.lastResort, "_stderr", None, raising=False)
    logger.warning("printed")
    assert "printed" in capsys.readouterr().err


def test_the_shut_down_telemetry_takes_its_hook_with_it(start):
    original = logging.Logger.callHandlers
    telemetry, receiver = start()
    assert logging.Logger.callHandlers is not original
    logger.error("sent")
    telemetry.shutdown()
    assert logging.Logger.callHandlers is original
    logger.error("late")
    assert bodies(receiver) == ["sent"]


def test_a_replacement_by_other_code_stays_and_ours_ends(start, monkeypatch):
    telemetry, receiver = start()
    inner = logging.Logger.callHandlers
    seen = []

    def theirs(self, record):
        seen.append(record.getMessage())
        inner(self, record)

    monkeypatch.setattr(logging.Logger, "callHandlers", theirs)
    logger.error("sent")
    telemetry.shutdown()
    assert logging.Logger.callHandlers is theirs
    logger.error("late")
    assert seen == ["sent", "late"]
    assert bodies(receiver) == ["sent"]
    monkeypatch.undo()
    logging.Logger.callHandlers = _original_below(inner)


def _original_below(replacement):
    contents = [each.cell_contents for each in replacement.__closure__]
    (original,) = (each for each in contents if getattr(each, "__name__", "") == "callHandlers")
    return original


class Hostile:
    def __str__(self):
        raise ValueError("no text")

    __repr__ = __str__


class HostileError(Exception):
    def __str__(self):
        raise ValueError("no text")


@pytest.mark.parametrize(
    "log",
    [
        lambda: logger.error("%s", Hostile()),
        lambda: logger.error("%d", "x"),
        lambda: logger.error(Hostile()),
        lambda: logger.error("x", extra={"it": Hostile(), "": 1, "deep": {"a": [Hostile()]}, "none": None}),
        lambda: logger.error("x", extra={"it": {1: 2, None: 3}, "set": {1, 2}, "bytes": b"\xff", "text": "\ud800"}),
        lambda: logger.error("\ud800"),
        lambda: logger.error("x", exc_info=(HostileError, HostileError(Hostile()), None)),
        lambda: logger.error("x", exc_info=HostileError()),
        lambda: logger.log(999_999, "x"),
        lambda: logger.error("x" * 1_000_000),
        lambda: logger.error("x", extra={"otel.event.name": Hostile()}),
    ],
)
def test_a_log_call_never_raises_nor_prints_and_the_next_record_arrives(start, log, capsys, monkeypatch):
    monkeypatch.setattr(logging, "raiseExceptions", False)
    logging.getLogger().handlers[:] = []
    logging.getLogger().addHandler(logging.NullHandler())
    telemetry, receiver = start()
    logger.setLevel(logging.DEBUG)
    log()
    telemetry.flush(30)
    logger.error("next")
    telemetry.flush(30)
    assert bodies(receiver)[-1] == "next"
    assert capsys.readouterr().err == ""


def test_the_records_of_a_push_are_not_pushed(start):
    transports = [logging.getLogger(name) for name in ("urllib3", "otel_ha", "opentelemetry")]
    for each in transports:
        each.setLevel(logging.DEBUG)
    try:
        telemetry, receiver = start()
        logger.error("sent")
        for _ in range(3):
            assert telemetry.flush(30)
        assert bodies(receiver) == ["sent"]
        assert len(receiver.requests) == 1
    finally:
        for each in transports:
            each.setLevel(logging.NOTSET)


def test_a_handler_of_opentelemetry_at_the_root_logger_sends_instead_of_ours(start):
    telemetry, receiver = start()
    logging.getLogger().addHandler(LoggingHandler())
    logger.error("once")
    assert telemetry.flush(30)
    assert bodies(receiver) == ["once"]


def test_a_handler_that_logs_sends_both_records_once(start):
    class Nested(logging.Handler):
        def emit(self, record):
            if record.name == "mine.part":
                logging.getLogger("mine.other").error("inner")

    telemetry, receiver = start()
    logging.getLogger().addHandler(Nested())
    logger.error("outer")
    assert telemetry.flush(30)
    assert bodies(receiver) == ["outer", "inner"]


def test_a_queue_handler_gets_the_record_as_it_was(start):
    telemetry, receiver = start()
    waiting = queue.SimpleQueue()
    logging.getLogger().addHandler(logging.handlers.QueueHandler(waiting))
    extra = Hostile()
    logger.error("sent", extra={"it": extra})
    assert waiting.get_nowait().it is extra
    assert telemetry.flush(30)
    assert bodies(receiver) == ["sent"]


def test_each_record_of_many_threads_arrives_once(start, monkeypatch):
    telemetry, receiver = start(traces_exporters=())

    def work(worker):
        for number in range(100):
            logger.error("%d %d", worker, number)

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert telemetry.flush(30)
    assert sorted(bodies(receiver)) == sorted(f"{worker} {number}" for worker in range(4) for number in range(100))


def test_records_that_the_receiver_refuses_are_counted(start, caplog):
    telemetry, _ = start(answer("413 Content Too Large"))
    logger.error("large")
    assert not telemetry.flush(30)
    (state,) = (each for each in telemetry.health()["readers"] if each["reader"] == "otlp logs")
    assert state["dropped"] == 1
    assert len(lines(caplog, "failed: 413")) == 1


def test_without_the_extra_logs_are_a_mistake_that_names_it(monkeypatch):
    monkeypatch.setattr("otel_ha.config.telemetry_config._can_send_logs", lambda: False)
    with pytest.raises(ConfigError, match=r"OTEL_LOGS_EXPORTER is otlp.*pip install 'otel-ha\[logs\]'"):
        TelemetryConfig(environ={"OTEL_LOGS_EXPORTER": "otlp"})
    TelemetryConfig(environ={"OTEL_LOGS_EXPORTER": "otlp", "OTEL_SDK_DISABLED": "true"})


def test_no_log_call_fails_after_an_error_of_set_up():
    with contextlib.suppress(TelemetryError):
        TelemetryConfig(logs_exporters=("zipkin",), environ={})
    logger.error("as ever")
