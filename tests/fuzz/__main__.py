"""Fuzz for some minutes: `make fuzz ARGS='--minutes 10 --target recording'`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import pytest

MINUTES = 5.0
HERE = Path(__file__).parent
PLACES = (HERE, HERE.parent / "integration" / "test_lines_in_influxdb.py")
"""The targets; the last one is skipped if InfluxDB is missing."""


def main() -> int:
    """Run the targets one after another, with progress; the exit status is that of pytest."""
    parser = argparse.ArgumentParser(prog="make fuzz", description="Try random hostile input on each target.")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="for all targets together (default %(default)g)")
    parser.add_argument("--target", action="append", default=[], help="a target by its name; may be repeated")
    parser.add_argument("--seed", type=int, help="the seed of the first round; a finding names it")
    parser.add_argument("--seconds", type=float, help="for each target; 0 repeats one round and makes a finding small")
    given = parser.parse_args()
    options = [f"--fuzz-target={name}" for name in given.target]
    if given.seed is not None:
        options.append(f"--fuzz-seed={given.seed}")
    if given.seconds is not None:
        options.append(f"--fuzz-seconds={given.seconds}")
    else:
        options.append(f"--fuzz-minutes={given.minutes}")
        unit = "minute" if given.minutes == 1 else "minutes"
        print(f"Fuzzing {', '.join(given.target) or 'all targets'} for {given.minutes:g} {unit} ...", flush=True)
    # One after another, so that each has the machine for itself; findings end their target, not the run.
    return pytest.main(["-n0", "--timeout=0", "-v", "--tb=short", *map(str, PLACES), *options])


if __name__ == "__main__":
    sys.exit(main())
