"""Measured methods, class methods and static methods, in both orders of the decorators."""

import asyncio

import pytest

from otel_ha import measured
from tests.unit.measure.conftest import OK, WORK, counts


class Methods:
    @measured(WORK)
    def method(self, a):
        return self, a

    @measured(WORK)
    @classmethod
    def outside_class(cls, a):
        return cls, a

    @classmethod
    @measured(WORK)
    def inside_class(cls, a):
        return cls, a

    @measured(WORK)
    @staticmethod
    def outside_static(a):
        return a

    @staticmethod
    @measured(WORK)
    def inside_static(a):
        return a

    @measured(WORK, shape=lambda self: self.shape)
    def of_itself(self):
        return self.shape

    @property
    @measured(WORK)
    def shape(self):
        return "round"

    @measured(WORK)
    @classmethod
    async def asynchronous(cls):
        return cls


def test_a_method_is_measured(recorded):
    methods = Methods()
    assert methods.method(1) == (methods, 1)
    assert counts(recorded) == {OK: 1}


@pytest.mark.parametrize("name", ["outside_class", "inside_class"])
@pytest.mark.parametrize("owner", [Methods, Methods()], ids=["class", "instance"])
def test_a_class_method_is_measured_in_both_orders(recorded, name, owner):
    assert getattr(owner, name)(1) == (Methods, 1)
    assert counts(recorded) == {OK: 1}


@pytest.mark.parametrize("name", ["outside_static", "inside_static"])
@pytest.mark.parametrize("owner", [Methods, Methods()], ids=["class", "instance"])
def test_a_static_method_is_measured_in_both_orders(recorded, name, owner):
    assert getattr(owner, name)(1) == 1
    assert counts(recorded) == {OK: 1}


def test_a_class_method_may_be_a_coroutine(recorded):
    assert asyncio.run(Methods.asynchronous()) is Methods
    assert counts(recorded) == {OK: 1}


def test_an_attribute_is_computed_from_a_methods_self(recorded):
    Methods().of_itself()
    assert counts(recorded)[(("outcome", "ok"), ("shape", "round"))] == 1
