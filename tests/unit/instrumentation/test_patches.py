"""Functions of a library that are replaced, and put back."""

import functools

import wrapt

from otel_ha.instrumentation.patches import Patches


class Library:
    """A library's class."""

    def __init__(self):
        self.calls = []

    def call(self):
        self.calls.append("original")


ORIGINAL = Library.call


def instrument(patches):
    """Let calls be noted while the patches are on."""

    def make(original):
        @functools.wraps(original)
        def call(library):
            if patches.is_on:
                library.calls.append("noted")
            return original(library)

        return call

    patches.is_on = True
    patches.replace(Library, "call", make)


def uninstrument(patches):
    patches.is_on = False
    patches.undo()


def called():
    library = Library()
    library.call()
    return library.calls


def test_a_function_is_replaced_and_put_back():
    patches = Patches()
    instrument(patches)
    assert called() == ["noted", "original"]
    uninstrument(patches)
    assert Library.call is ORIGINAL


def test_a_function_that_other_code_has_wrapped_is_not_replaced_twice():
    patches = Patches()
    try:
        instrument(patches)
        wrapt.wrap_function_wrapper(Library, "call", lambda function, _, args, kwargs: function(*args, **kwargs))
        uninstrument(patches)
        assert called() == ["original"]
        instrument(patches)
        assert called() == ["noted", "original"]
    finally:
        uninstrument(patches)
        Library.call = ORIGINAL


def test_a_function_that_other_code_has_put_back_is_replaced_again():
    patches = Patches()
    instrument(patches)
    Library.call = ORIGINAL
    uninstrument(patches)
    instrument(patches)
    assert called() == ["noted", "original"]
    uninstrument(patches)
    assert Library.call is ORIGINAL
