"""The space of local file systems.

Network file systems are not read: they are not this host's disks, and reading an unreachable one hangs. A local one can
hang too, when its disk fails; so each is read in its own thread, and omitted as long as it does not answer.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import psutil

from otel_ha.declare.ports import Point
from otel_ha.sources.recent import Recent
from otel_ha.vocabulary import runtime

PATIENCE = 0.5
"""Seconds that a collection waits for a file system; later collections do not wait for one that still hangs."""

LIFETIME = 0.9
"""Seconds that a reading is reused: less than a second, so that a reader with an interval of 1 s gets a new one."""

_MOUNTS = Path("/proc/self/mounts")
# Images are always full, because they cannot be written.
_IMAGES = frozenset({"squashfs", "erofs", "iso9660", "udf", "cramfs", "romfs"})
# The root of a container, on a disk of the host.
_LAYERED = frozenset({"overlay", "aufs", "fuse-overlayfs", "fuse.fuse-overlayfs"})


@dataclass(frozen=True, slots=True)
class Mount:
    """The device of a file system, and its mount points, the shortest path first."""

    device: str
    type: str
    mountpoints: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Space:
    """The space of one file system in bytes; `reserved` is free but reserved for the administrator."""

    mount: Mount
    mountpoint: str
    used: int
    free: int
    reserved: int


def observe_filesystems(readings: Readings | None = None) -> Callable[[], None]:
    """Read the local file systems at every collection; return a function that stops that."""
    readings = readings or Readings()

    def usage() -> list[Point]:
        return [
            (amount, {**_where(space), "state": state})
            for space in readings.spaces()
            for state, amount in (("used", space.used), ("free", space.free), ("reserved", space.reserved))
        ]

    def utilization() -> list[Point]:
        # Without the reserved space, as in df: at 1, a service cannot write anything more.
        return [(space.used / (space.used + space.free), _where(space)) for space in readings.spaces()]

    with ExitStack() as stack:
        stack.enter_context(runtime.SYSTEM_FILESYSTEM_USAGE.observe(usage))
        stack.enter_context(runtime.SYSTEM_FILESYSTEM_UTILIZATION.observe(utilization))
        return stack.pop_all().close


def _where(space: Space) -> dict[str, str]:
    return {"device": space.mount.device, "mountpoint": space.mountpoint, "type": space.mount.type}


def local_mounts() -> list[Mount]:
    """Return the local file systems, one entry for each device; reads no file system.

    These are file systems on disks, without images and loop devices, and the layered root of a container.
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


def current_mounts(table: Path = _MOUNTS) -> list[Mount]:
    """Return the local file systems, listed again only if the kernel's `table` of mounts has changed."""
    try:
        mounts = table.read_bytes()
    except OSError:  # not Linux
        return local_mounts()
    return _mounts_of(mounts)


@lru_cache(maxsize=1)
def _mounts_of(_: bytes) -> list[Mount]:
    return local_mounts()


def space_of(mount: Mount) -> Space | None:
    """Return the space of a file system; None if it has none or access is denied. Can hang."""
    for mountpoint in mount.mountpoints:
        with suppress(OSError):
            # Containers mount single files of the host, such as /etc/hosts.
            if not Path(mountpoint).is_dir():
                continue
            usage = psutil.disk_usage(mountpoint)
            if usage.used + usage.free > 0:
                reserved = max(usage.total - usage.used - usage.free, 0)
                return Space(mount, mountpoint, usage.used, usage.free, reserved)
    return None


class Readings:
    """Readings of file systems, each in its own thread, with a common deadline of `patience` seconds.

    A reading is reused for `lifetime` seconds: both instruments and all metric readers share it.
    """

    def __init__(
        self,
        mounts: Callable[[], Sequence[Mount]] = current_mounts,
        read: Callable[[Mount], Space | None] = space_of,
        *,
        patience: float = PATIENCE,
        lifetime: float = LIFETIME,
    ) -> None:
        self._mounts = mounts
        self._read = read
        self._patience = patience
        self._recent = Recent(self._read_all, lifetime)
        self._last: list[Space] = []
        self._pending: dict[Mount, _Reading] = {}

    def spaces(self) -> list[Space]:
        """Return the space of every file system that answers; if `mounts` raises, so does this."""
        return self._recent()

    def _read_all(self) -> list[Space]:
        # In a forked child the parent's threads are not alive, so none of its readings is pending.
        pending = {mount: reading for mount, reading in self._pending.items() if reading.is_alive()}
        started = {mount: _Reading(mount, self._read) for mount in self._mounts() if mount not in pending}
        try:
            for reading in started.values():
                reading.start()
        except RuntimeError:
            # At interpreter exit, when the last interval is pushed, Python 3.12 no longer starts threads.
            return self._last
        deadline = time.monotonic() + self._patience
        for reading in started.values():
            reading.join(max(deadline - time.monotonic(), 0))
        self._pending = pending | started
        self._last = [reading.space for reading in started.values() if reading.space is not None]
        return self._last


class _Reading(threading.Thread):
    """One reading of one file system."""

    def __init__(self, mount: Mount, read: Callable[[Mount], Space | None]) -> None:
        super().__init__(name=f"otel-ha-statvfs-{mount.device}", daemon=True)
        self._mount = mount
        self._read = read
        self.space: Space | None = None

    def run(self) -> None:
        """Read."""
        self.space = self._read(self._mount)
