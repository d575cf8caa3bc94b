"""QuestionError: the failure of a question that cannot have an answer, whatever is recorded."""

from __future__ import annotations


class QuestionError(AssertionError):
    """A mistake in a test's question: it fails at once, also in a condition that the test waits for."""
