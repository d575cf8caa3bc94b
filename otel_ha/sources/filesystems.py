"""File systems: how full the local ones are.

Network file systems are left out: they are somebody else's disk, and one that is unreachable hangs whoever asks for
its size. A local one can hang too, when its disk dies; each is asked in a thread of its own, and one that does not
answer is left out until it does.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import psutil

from otel_ha.declare.ports import Point
from otel_ha.vocabulary import runtime

PATIENCE = 0.5
"""Seconds that a collection waits for a file system, once: while the question is open, later ones don't wait."""

FRESH = 0.9
"""Seconds that a reading serves. Less than a second, so that who asks every second gets a new one each time."""

_MOUNTS = Path("/proc/self/mounts")
# Images: always full, as they cannot be written.
_IMAGES = frozenset({"squashfs", "erofs", "iso9660", "udf", "cramfs", "romfs"})
# What a container has for its root, on some disk of the host.
_LAYERED = frozenset({"overlay", "aufs", "fuse-overlayfs", "fuse.fuse-overlayfs"})


Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Mount:
    """One device that holds a file system, and where it is mounted, the shortest path first."""

    device: str
    type: str
    mountpoints: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Space:
    """The space of one file system in bytes; `reserved` is free for the administrator alone."""

    mount: Mount
    mountpoint: str
    used: int
    free: int
    reserved: int


def observe_filesystems() -> Callable[[], None]:
    """Read the local file systems at every collection, into the connected declarations; returns what ends that."""
    readings = Readings()

    def usage() -> list[Point]:
        return [
            (amount, {**_where(space), "state": state})
            for space in readings.spaces()
            for state, amount in (("used", space.used), ("free", space.free), ("reserved", space.reserved))
        ]

    def utilization() -> list[Point]:
        # As df: of what a service could have, so that 1 means that it can write nothing more.
        return [(space.used / (space.used + space.free), _where(space)) for space in readings.spaces()]

    with ExitStack() as stack:
        stack.enter_context(runtime.SYSTEM_FILESYSTEM_USAGE.observe(usage))
        stack.enter_context(runtime.SYSTEM_FILESYSTEM_UTILIZATION.observe(utilization))
        return stack.pop_all().close


def _where(space: Space) -> dict[str, str]:
    return {"device": space.mount.device, "mountpoint": space.mountpoint, "type": space.mount.type}


def local_mounts() -> list[Mount]:
    """Return the local file systems, each device once however often it is mounted; reads no file system.

    Those on disks, less images and loop devices; and the root, where a container's is made of layers.
    """
    mountpoints: dict[tuple[str, str], set[str]] = {}
    for partition in psutil.disk_partitions(all=False):
        if partition.fstype not in _IMAGES and not partition.device.startswith("/dev/loop"):
            # All datasets of a ZFS pool share its space.
            device = partition.device.partition("/")[0] if partition.fstype == "zfs" else partition.device
            mountpoints.setdefault((device, partition.fstype), set()).add(partition.mountpoint)
    for partition in psutil.disk_partitions(all=True):
        if partition.mountpoint == "/" and partition.fstype in _LAYERED:
            mountpoints[partition.device, partition.fstype] = {"/"}
    return [
        Mount(device, type_, tuple(sorted(paths, key=lambda path: (len(path), path))))
        for (device, type_), paths in mountpoints.items()
    ]


def current_mounts() -> list[Mount]:
    """Return the local file systems; they are looked for anew when the kernel's table of mounts has changed."""
    try:
        table = _MOUNTS.read_bytes()
    except OSError:  # not Linux
        return local_mounts()
    return _mounts_of(table)


@lru_cache(maxsize=1)
def _mounts_of(_: bytes) -> list[Mount]:
    return local_mounts()


def space_of(mount: Mount) -> Space | None:
    """Return the space of a file system; None where it has none or may not be asked. Can hang."""
    for mountpoint in mount.mountpoints:
        with suppress(OSError):
            # A container has single files of the host mounted, such as /etc/hosts.
            if not Path(mountpoint).is_dir():
                continue
            usage = psutil.disk_usage(mountpoint)
            if usage.used + usage.free > 0:
                reserved = max(usage.total - usage.used - usage.free, 0)
                return Space(mount, mountpoint, usage.used, usage.free, reserved)
    return None


class Readings:
    """Reads file systems, each in a thread of its own, and waits for none of them longer than `patience` seconds."""

    def __init__(
        self,
        mounts: Callable[[], Sequence[Mount]] = current_mounts,
        read: Callable[[Mount], Space | None] = space_of,
        *,
        patience: float = PATIENCE,
        seconds: float = FRESH,
    ) -> None:
        self._mounts = mounts
        self._read = read
        self._patience = patience
        self._asking: dict[Mount, _Question] = {}
        self._spaces: list[Space] = []
        self.spaces = fresh(self._ask, seconds)
        """Returns the space of every file system that answers; both instruments and all readers share a reading."""

    def _ask(self) -> list[Space]:
        # After a fork the parent's threads are not alive here, so nothing is taken for still open.
        still_open = {mount: question for mount, question in self._asking.items() if question.is_alive()}
        asked = {mount: _Question(mount, self._read) for mount in self._mounts() if mount not in still_open}
        try:
            for question in asked.values():
                question.start()
        except RuntimeError:
            # At the end of the interpreter, where the last interval is pushed, Python 3.12 starts no threads any more.
            return self._spaces
        deadline = time.monotonic() + self._patience
        for question in asked.values():
            question.join(max(deadline - time.monotonic(), 0))
        self._asking = still_open | asked
        self._spaces = [question.space for question in asked.values() if question.space is not None]
        return self._spaces


class _Question(threading.Thread):
    """Asks one file system for its space."""

    def __init__(self, mount: Mount, read: Callable[[Mount], Space | None]) -> None:
        super().__init__(name=f"otel-ha-statvfs-{mount.device}", daemon=True)
        self._mount = mount
        self._of = read
        self.space: Space | None = None

    def run(self) -> None:
        """Ask."""
        self.space = self._of(self._mount)


def fresh(read: Callable[[], Value], seconds: float = FRESH) -> Callable[[], Value]:
    """Return what gives the last reading while it is fresh, and else reads; in a forked child it begins anew.

    What `read` raises is raised, and not kept.
    """
    last: tuple[float, int, Value] | None = None

    def reading() -> Value:
        nonlocal last
        now, process = time.monotonic(), os.getpid()
        if last is None or now - last[0] >= seconds or last[1] != process:
            last = now, process, read()
        return last[2]

    return reading
