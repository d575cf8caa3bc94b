"""The current context, read in the fastest way available."""

from contextvars import ContextVar

from opentelemetry import context
from opentelemetry.context import attach, detach, get_current, set_value

from otel_ha.declare.context import current_context, reader_of


class OtherRuntime:
    """A runtime context of another kind, as can be configured, which keeps something else under the same name."""

    def __init__(self) -> None:
        self._current_context = ContextVar("other")


def test_the_current_context_is_the_public_one():
    token = attach(set_value("key", "value"))
    try:
        assert current_context() is get_current()
    finally:
        detach(token)


def test_without_a_span_the_current_context_is_empty():
    assert not current_context()


def test_the_variable_is_read_if_the_api_keeps_the_context_in_one():
    assert reader_of(context._RUNTIME_CONTEXT) == context._RUNTIME_CONTEXT._current_context.get


def test_a_runtime_of_another_kind_is_read_through_the_public_api():
    assert reader_of(OtherRuntime()) is get_current


def test_a_runtime_whose_variable_is_elsewhere_is_read_through_the_public_api():
    runtime = type(context._RUNTIME_CONTEXT)()
    del runtime._current_context
    assert reader_of(runtime) is get_current
    assert reader_of(None) is get_current
