"""The container of this process: its memory and CPU limits, from the files of control groups (cgroup v2 and v1).

A container sees its own control group as the root of the cgroup file system. The root of a machine has no limits: with
v2 its files are missing, and with v1 the file release_agent marks it. There, nothing is reported.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from otel_ha.sources.recent import Recent
from otel_ha.vocabulary import runtime

ROOT = Path("/sys/fs/cgroup")

_NO_LIMIT = 2**60
"""v1 has the largest multiple of a page instead of no limit."""

_V1_CPU = ("cpu", "cpu,cpuacct")


def observe_container(root: Path = ROOT) -> Callable[[], None]:
    """Read the control group at every collection; return a function that stops that."""
    with ExitStack() as stack:
        stack.enter_context(runtime.CONTAINER_MEMORY_USAGE.observe(Recent(partial(memory_usage, root))))
        stack.enter_context(runtime.CONTAINER_MEMORY_LIMIT.observe(Recent(partial(memory_limit, root))))
        stack.enter_context(runtime.CONTAINER_CPU_LIMIT.observe(Recent(partial(cpu_limit, root))))
        return stack.pop_all().close


def memory_usage(root: Path = ROOT) -> int | None:
    """Return the memory that the container uses, in bytes; None outside a container."""
    return _number(root, "memory.current") if _is_v2(root) else _v1_number(root, "memory", "memory.usage_in_bytes")


def memory_limit(root: Path = ROOT) -> int | None:
    """Return the memory that the container may use, in bytes; None without a limit."""
    limit = _number(root, "memory.max") if _is_v2(root) else _v1_number(root, "memory", "memory.limit_in_bytes")
    return None if limit is None or limit >= _NO_LIMIT else limit


def cpu_limit(root: Path = ROOT) -> float | None:
    """Return the number of CPUs whose time the container may use; None without a limit."""
    if _is_v2(root):
        quota, _, period = (_text(root, "cpu.max") or "max").partition(" ")
        return None if quota == "max" else int(quota) / int(period)
    for controller in _V1_CPU:
        limit = _v1_number(root, controller, "cpu.cfs_quota_us")
        each = _v1_number(root, controller, "cpu.cfs_period_us")
        if limit is not None and each is not None:
            return limit / each if limit > 0 else None
    return None


def _is_v2(root: Path) -> bool:
    return (root / "cgroup.controllers").exists()


def _v1_number(root: Path, controller: str, name: str) -> int | None:
    return None if (root / controller / "release_agent").exists() else _number(root / controller, name)


def _number(directory: Path, name: str) -> int | None:
    text = _text(directory, name)
    return None if text is None or text == "max" else int(text)


def _text(directory: Path, name: str) -> str | None:
    """Return the content of a file; None if there is no such file. Other errors are the collection's to report."""
    try:
        return (directory / name).read_text(encoding="ascii").strip()
    except (FileNotFoundError, NotADirectoryError):
        return None
