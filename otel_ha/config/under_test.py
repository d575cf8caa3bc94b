"""Whether this process runs tests: metrics are then exported only if somebody asks for it.

The pytest plugin sets it. This module imports nothing, since every run of pytest where otel-ha is installed loads it.
"""

from __future__ import annotations


class Defaults:
    """The defaults that a test run changes."""

    exports_metrics = True
    """Whether metrics are exported if neither an argument nor a variable says so."""


DEFAULTS = Defaults()
