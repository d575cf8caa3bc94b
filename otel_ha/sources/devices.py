"""Selection of a host's physical disks and network interfaces, so that no traffic is counted twice.

On Linux a physical device has a link named "device" in sysfs, to its real or emulated hardware; a partition, a loop
device, a bridge or a bond has none: its traffic is counted on the devices below it.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

_SYS = Path("/sys")

# Removable media and the small boot areas of eMMC chips are hardware, but not worth watching.
_NOT_WATCHED = re.compile(r"sr\d+|fd\d+|mmcblk\d+(boot\d+|rpmb)")
# For hosts without information in sysfs.
_VIRTUAL_DISK = re.compile(r"(loop|ram|zram|dm-|md|nbd|zd|drbd)\d+")
_VIRTUAL_INTERFACE = re.compile(
    r"(veth|docker|hassio|br-|br\d|bridge|virbr|vnet|vmnet|lxc|lxd|cni|cali|flannel|kube|podman|bond|team|dummy|ifb"
    r"|tun|tap|utun|wg|tailscale|zt|sit|gre|ip6|ipip|awdl|llw|gif|stf|anpi|ap\d).*"
    r"|.*\.\d+"
)
_LOOPBACK = re.compile(r"lo\d*")


def real_disks(names: Collection[str], sys: Path = _SYS) -> frozenset[str]:
    """Return those of `names` that are whole physical disks.

    If sysfs knows none of them, as in some containers, names decide: a name that extends another one ("sda1",
    "nvme0n1p2") is a partition of it.
    """
    # sysfs writes a "/" in a device's name as "!".
    real = {name for name in names if (sys / "block" / name.replace("/", "!") / "device").exists()}
    if not real:
        real = {name for name in names if not _VIRTUAL_DISK.match(name) and not _is_partition(name, names)}
    return frozenset(name for name in real if not _NOT_WATCHED.fullmatch(name))


def _is_partition(name: str, names: Collection[str]) -> bool:
    whole = re.sub(r"(?<=\d)p\d+$|(?<=[a-z])\d+$", "", name)
    return whole != name and whole in names


def real_interfaces(names: Collection[str], sys: Path = _SYS) -> frozenset[str]:
    """Return those of `names` that are physical network interfaces.

    A container has none: its only interface, eth0, is one end of a virtual cable. So without hardware, interfaces
    whose name does not look virtual are returned; if there are none either, as with the tap0 of a rootless container,
    all but the loopback interface.
    """
    real = {name for name in names if (sys / "class" / "net" / name / "device").exists()}
    remote = {name for name in names if not _LOOPBACK.fullmatch(name)}
    return frozenset(real or {name for name in remote if not _VIRTUAL_INTERFACE.fullmatch(name)} or remote)
