"""Patches of a library: replaced, put back, and shared with other code that patches the same."""

import pytest

from otel_ha.instrumentation.patches import Patches, quietly


class Library:
    def work(self):
        return ["work"]


ORIGINAL = Library.work


@pytest.fixture(autouse=True)
def _put_back():
    yield
    Library.work = ORIGINAL


def adding(patches, name):
    """Return a function that replaces another one by one that adds a name to its result while the patches are on."""

    def make(original):
        def replacement(self):
            return [*original(self), name] if patches.is_on else original(self)

        return replacement

    return make


def on(patches, name):
    patches.is_on = True
    patches.replace(Library, "work", adding(patches, name))


def off(patches):
    patches.is_on = False
    patches.undo()


def test_an_undone_patch_leaves_the_original():
    patches = Patches()
    on(patches, "ours")
    assert Library().work() == ["work", "ours"]
    off(patches)
    assert Library.work is ORIGINAL


def test_what_is_missing_stays_missing():
    Patches().replace(Library, "rest", lambda original: original)
    assert not hasattr(Library, "rest")


def test_a_patch_is_made_once():
    patches = Patches()
    on(patches, "ours")
    on(patches, "ours")
    assert Library().work() == ["work", "ours"]


def test_a_patch_that_others_cover_counts_once_when_it_is_on_again():
    first, second = Patches(), Patches()
    on(first, "first")
    on(second, "second")
    off(first)
    assert Library().work() == ["work", "second"]
    on(first, "first")
    assert Library().work() == ["work", "first", "second"]
    off(second)
    off(first)
    assert Library.work is ORIGINAL


def test_a_patch_that_other_code_has_removed_is_made_again():
    patches = Patches()
    on(patches, "ours")
    Library.work = ORIGINAL
    off(patches)
    on(patches, "ours")
    assert Library().work() == ["work", "ours"]


def test_a_failing_function_of_ours_is_quiet():
    assert quietly(int, "no number") is None
    assert quietly(int, "7") == 7
