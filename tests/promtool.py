"""Rules as promtool evaluates them over series that a test makes up."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml


class Phase(NamedTuple):
    """Some samples of a counter: how many, and how much it grows before each (None: they are missing)."""

    samples: int
    growth: float | None = 0.0
    reset: bool = False


def counter(*phases: Phase) -> str:
    """Return the samples of a counter that goes through these phases."""
    value, samples = 0.0, []
    for phase in phases:
        value = 0.0 if phase.reset else value
        for _ in range(phase.samples):
            value += phase.growth or 0
            samples.append("_" if phase.growth is None else f"{value:.10g}")
    return " ".join(samples)


def spelt(name: str, **labels: str) -> str:
    """Return a series as PromQL spells it; an empty label is none."""
    return name + "{" + ", ".join(f'{label}="{value}"' for label, value in labels.items() if value) + "}"


class Case(NamedTuple):
    """Series with their samples, and what must follow: samples of expressions at a time, and alerts."""

    series: Mapping[str, str]
    samples: Sequence[tuple[str, str, Mapping[str, float]]] = ()
    alerts: Sequence[Mapping[str, Any]] = ()

    def as_data(self, interval: str) -> dict[str, Any]:
        """Return the case as promtool reads it."""
        return {
            "interval": interval,
            "input_series": [{"series": series, "values": values} for series, values in self.series.items()],
            "promql_expr_test": [
                {
                    "expr": expression,
                    "eval_time": at,
                    "exp_samples": [{"labels": labels, "value": value} for labels, value in expected.items()],
                }
                for expression, at, expected in self.samples
            ],
            "alert_rule_test": list(self.alerts),
        }


def rules_give(promtool: Path, folder: Path, texts: Sequence[str], *cases: Case, interval: str = "30s") -> None:
    """Have promtool evaluate rules files over the series of each case, and compare; samples come at the interval."""
    files = [f"rules{number}.yml" for number in range(len(texts))]
    for file, text in zip(files, texts, strict=True):
        (folder / file).write_text(text, encoding="utf-8")
    test = {
        "rule_files": files,
        "evaluation_interval": interval,
        "fuzzy_compare": True,
        "tests": [case.as_data(interval) for case in cases],
    }
    (folder / "test.yml").write_text(yaml.safe_dump(test, width=1_000_000), encoding="utf-8")
    run(promtool, "test", "rules", str(folder / "test.yml"))


def run(program: Path, *arguments: str) -> str:
    """Run a program that must succeed, and return what it prints."""
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    return done.stdout + done.stderr
