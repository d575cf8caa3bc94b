"""The bounds of the histograms, as written by hand; a test keeps them equal to those of our vocabulary."""

from __future__ import annotations

from typing import Final

PROCESSING: Final = (
    0.00005,
    0.0001,
    0.00025,
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.5,
    5.5,
)
LAG: Final = (0.005, 0.025, 0.1, 0.25, 0.5, 1.5, 2.5, 5.5, 10.5, 30.5, 60.5, 300.5)
WRITE: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.5, 2.5, 5.5, 10.5)
BATCH: Final = (1.5, 5.5, 10.5, 50.5, 100.5, 500.5, 1000.5, 5000.5)
LOOP_DELAY: Final = (0.001, 0.0025, 0.005, 0.1, 0.25, 0.5, 1.5, 2.5, 5.5)
