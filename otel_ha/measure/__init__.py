"""Measuring: the measured() decorator and context manager, and the fast path of work that it has seen before."""
