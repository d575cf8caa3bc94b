"""Which of a host's disks and network interfaces are real, so that nothing is counted twice or for nothing.

On Linux a real device has a link named "device" in sysfs, to its hardware, real or emulated; a partition, a loop
device, a bridge or a bond has none. What such a device carries is counted on the devices below it.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

_SYS = Path("/sys")

# Removable media and the small boot areas of eMMC chips have hardware behind them, but nothing to watch.
_NOT_WATCHED = re.compile(r"sr\d+|fd\d+|mmcblk\d+(boot\d+|rpmb)")
# Used where sysfs says nothing.
_VIRTUAL_DISK = re.compile(r"(loop|ram|zram|dm-|md|nbd|zd|drbd)\d+")
_VIRTUAL_INTERFACE = re.compile(
    r"(veth|docker|hassio|br-|br\d|bridge|virbr|vnet|vmnet|lxc|lxd|cni|cali|flannel|kube|podman|bond|team|dummy|ifb"
    r"|tun|tap|utun|wg|tailscale|zt|sit|gre|ip6|ipip|awdl|llw|gif|stf|anpi|ap\d).*"
    r"|.*\.\d+"
)
_LOOPBACK = re.compile(r"lo\d*")


def real_disks(names: Collection[str], sys: Path = _SYS) -> frozenset[str]:
    """Return those of `names` that are whole disks with hardware behind them.

    Where sysfs knows none of them, as in some containers, names decide, and a name that continues another one ("sda1",
    "nvme0n1p2") is a partition of it.
    """
    # A "/" in a device's name is a "!" in sysfs.
    real = {name for name in names if (sys / "block" / name.replace("/", "!") / "device").exists()}
    if not real:
        real = {name for name in names if not _VIRTUAL_DISK.match(name) and not _is_partition(name, names)}
    return frozenset(name for name in real if not _NOT_WATCHED.fullmatch(name))


def _is_partition(name: str, names: Collection[str]) -> bool:
    whole = re.sub(r"(?<=\d)p\d+$|(?<=[a-z])\d+$", "", name)
    return whole != name and whole in names


def real_interfaces(names: Collection[str], sys: Path = _SYS) -> frozenset[str]:
    """Return those of `names` that are network interfaces with hardware behind them.

    A container has none: its eth0 is one end of a virtual cable, and yet all that it has. So where there is no
    hardware, what is not named like something virtual is taken; where nothing is left of that either, as with the tap0
    of a rootless container, everything but the loopback interface.
    """
    real = {name for name in names if (sys / "class" / "net" / name / "device").exists()}
    remote = {name for name in names if not _LOOPBACK.fullmatch(name)}
    return frozenset(real or {name for name in remote if not _VIRTUAL_INTERFACE.fullmatch(name)} or remote)
