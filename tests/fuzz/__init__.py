"""Fuzzing: random hostile input for a number of seconds per target, instead of a number of examples.

Hypothesis makes, shrinks and shows the input. A run is a series of rounds, each with a seed of its own, so that one
seed repeats a round. Tools that are led by coverage are not worth their weight here: atheris needs a compiler and
instruments each import, HypoFuzz brings a web application and holds each process for itself, and nearly all code that
takes input from outside is shallow. A finding is kept as a unit test of the code that it mends, and as an explicit
example of its target.
"""
