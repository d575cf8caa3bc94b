"""The container's own memory and limits, from files of control groups as Docker, Kubernetes and LXC show them."""

import re
from pathlib import Path

import pytest

from otel_ha import setup_telemetry
from otel_ha.sources import automatic, container
from otel_ha.vocabulary import runtime
from tests.unit.conftest import config

MB = 1024 * 1024
V2 = {"cgroup.controllers": "cpu io memory pids\n", "cgroup.procs": "1\n"}
V2_CONTAINER = {**V2, "memory.current": f"{64 * MB}\n", "memory.max": f"{256 * MB}\n", "cpu.max": "150000 100000\n"}
V2_UNLIMITED = {**V2, "memory.current": f"{64 * MB}\n", "memory.max": "max\n", "cpu.max": "max 100000\n"}
V2_OLD_KERNEL = {**V2, "memory.current": f"{64 * MB}\n", "memory.max": f"{256 * MB}\n", "cpu.max": "max\n"}
V1_CONTAINER = {
    "memory/memory.usage_in_bytes": f"{64 * MB}\n",
    "memory/memory.limit_in_bytes": f"{256 * MB}\n",
    "cpu,cpuacct/cpu.cfs_quota_us": "150000\n",
    "cpu,cpuacct/cpu.cfs_period_us": "100000\n",
}
V1_UNLIMITED = {
    "memory/memory.usage_in_bytes": f"{64 * MB}\n",
    "memory/memory.limit_in_bytes": "9223372036854771712\n",
    "cpu/cpu.cfs_quota_us": "-1\n",
    "cpu/cpu.cfs_period_us": "100000\n",
}
V1_MACHINE = {**V1_UNLIMITED, "memory/release_agent": "", "cpu/release_agent": ""}
HYBRID = {**V1_CONTAINER, "unified/cgroup.controllers": "", "unified/cgroup.procs": "1\n"}

USED, LIMIT, CPUS = 64 * MB, 256 * MB, 1.5
SEEN = {
    "v2 with limits": (V2_CONTAINER, (USED, LIMIT, CPUS)),
    "v2 without limits": (V2_UNLIMITED, (USED, None, None)),
    "v2 without a period": (V2_OLD_KERNEL, (USED, LIMIT, None)),
    "v2 on a machine": (V2, (None, None, None)),
    "v1 with limits": (V1_CONTAINER, (USED, LIMIT, CPUS)),
    "v1 without limits": (V1_UNLIMITED, (USED, None, None)),
    "v1 on a machine": (V1_MACHINE, (None, None, None)),
    "v1 and v2": (HYBRID, (USED, LIMIT, CPUS)),
    "no control groups": ({}, (None, None, None)),
}
INSTRUMENTS = (runtime.CONTAINER_MEMORY_USAGE, runtime.CONTAINER_MEMORY_LIMIT, runtime.CONTAINER_CPU_LIMIT)


def control_groups(root: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return root


def exposed(text: str) -> tuple[float | None, ...]:
    """Return the values of the three metrics, which Prometheus has to see as gauges."""
    found: list[float | None] = []
    for instrument in INSTRUMENTS:
        name = instrument.prometheus_name
        value = re.search(rf"^{name} (\S+)$", text, re.MULTILINE)
        assert value is None or f"# TYPE {name} gauge" in text
        found.append(None if value is None else float(value[1]))
    return tuple(found)


@pytest.fixture
def scraped(monkeypatch):
    """Return a scrape, a summary's system metrics and the problems, with these control groups."""

    def scrape(root: Path):
        monkeypatch.setattr(automatic, "observe_container", lambda: container.observe_container(root))
        with setup_telemetry("test", config=config(system_metrics=True, endpoint_server=False)) as telemetry:
            summary = telemetry.summary()
            return telemetry.prometheus_text(), summary["current"]["system"]

    return scrape


@pytest.mark.parametrize("seen", SEEN)
def test_the_limits_of_a_container_are_metrics_and_in_the_summary(scraped, tmp_path, seen):
    files, expected = SEEN[seen]
    text, system = scraped(control_groups(tmp_path, files))
    assert exposed(text) == expected
    used, limit, cpus = (system[f"container_{name}"] for name in ("memory_used_mb", "memory_limit_mb", "cpu_limit"))
    assert (used and used * MB, limit and limit * MB, cpus) == expected
    assert "otel_ha_recording_problems" not in text


@pytest.mark.parametrize("broken", ["", "many", "1 2 3"])
@pytest.mark.parametrize("name", ["memory.current", "memory.max", "cpu.max"])
def test_a_file_that_makes_no_sense_costs_its_metric_alone(scraped, tmp_path, name, broken):
    text, system = scraped(control_groups(tmp_path, {**V2_CONTAINER, name: broken}))
    wrong = ["memory.current", "memory.max", "cpu.max"].index(name)
    expected = [USED, LIMIT, CPUS]
    expected[wrong] = None
    if not (name == "cpu.max" and not broken):  # an empty file states no limit
        assert 'otel_ha_problem_reason="source_failed"' in text
    assert exposed(text) == tuple(expected)
    assert system["memory_percent"] > 0


def test_a_file_that_cannot_be_read_costs_its_metric_alone(scraped, tmp_path):
    root = control_groups(tmp_path, V2_CONTAINER)
    (root / "memory.max").unlink()
    (root / "memory.max").mkdir()
    text, _ = scraped(root)
    assert exposed(text) == (USED, None, CPUS)


def test_a_quota_without_a_period_of_its_own_is_not_divided_by_zero(tmp_path):
    files = {**V1_CONTAINER, "cpu,cpuacct/cpu.cfs_period_us": "0\n"}
    with pytest.raises(ZeroDivisionError):  # reported as a failed source, as any other error
        container.cpu_limit(control_groups(tmp_path, files))


def test_this_process_can_be_read():
    for read in (container.memory_usage, container.memory_limit, container.cpu_limit):
        value = read()
        assert value is None or value > 0
