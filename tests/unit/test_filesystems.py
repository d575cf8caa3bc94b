"""File systems: which ones are read, their space, and how long a reading is reused."""

import os
import signal
import threading
from contextlib import ExitStack
from types import SimpleNamespace

import psutil
import pytest

from otel_ha.sources.filesystems import (
    LIFETIME,
    Mount,
    Readings,
    Space,
    current_mounts,
    local_mounts,
    observe_filesystems,
    space_of,
)
from otel_ha.testing import captured_metrics
from otel_ha.vocabulary import runtime


def partition(device: str, mountpoint: str, fstype: str = "ext4") -> SimpleNamespace:
    return SimpleNamespace(device=device, mountpoint=mountpoint, fstype=fstype, opts="rw")


@pytest.fixture
def mounted(monkeypatch):
    """Return a function that replaces the mounts of the host; those in its first list are on disks."""

    def mount(on_disks: list[SimpleNamespace], others: list[SimpleNamespace] = ()) -> list[Mount]:
        monkeypatch.setattr(psutil, "disk_partitions", lambda *, all: [*on_disks, *others] if all else on_disks)  # noqa: A006
        return local_mounts()

    return mount


def test_a_device_is_listed_once_by_its_shortest_mount(mounted):
    found = mounted(
        [partition("/dev/sda1", "/var/lib/docker"), partition("/dev/sda1", "/"), partition("/dev/sda2", "/b")]
    )
    assert found == [
        Mount("/dev/sda1", "ext4", ("/", "/var/lib/docker")),
        Mount("/dev/sda2", "ext4", ("/b",)),
    ]


def test_images_and_loop_devices_are_omitted(mounted):
    images = [partition("/dev/loop1", "/snap/core", "squashfs"), partition("/dev/sr0", "/media/cd", "iso9660")]
    assert mounted([*images, partition("/dev/loop2", "/mnt/image")]) == []


def test_the_root_of_a_container_is_listed(mounted):
    others = [
        partition("overlay", "/", "overlay"),
        partition("overlay", "/var/lib/x", "overlay"),
        partition("tmpfs", "/tmp", "tmpfs"),
    ]
    assert mounted([partition("/dev/sda1", "/etc/hosts")], others) == [
        Mount("/dev/sda1", "ext4", ("/etc/hosts",)),
        Mount("overlay", "overlay", ("/",)),
    ]


def test_a_file_system_is_seen_when_the_table_of_mounts_changes(mounted, tmp_path):
    table = tmp_path / "mounts"
    table.write_text("one")
    mounted([partition("/dev/sda1", "/")])
    before = current_mounts(table)
    mounted([partition("/dev/sda1", "/"), partition("/dev/sdb1", "/mnt")])
    assert current_mounts(table) == before
    table.write_text("one and another")
    assert len(current_mounts(table)) == 2


def test_without_a_table_of_mounts_file_systems_are_listed_each_time(mounted, tmp_path):
    for devices in ("a", "ab"):
        mounted([partition(f"/dev/sd{device}1", f"/mnt/{device}") for device in devices])
        assert len(current_mounts(tmp_path / "none")) == len(devices)


def test_network_file_systems_are_omitted(mounted):
    assert mounted([], [partition("nas:/volume", "/mnt/nas", "nfs4"), partition("//nas/x", "/mnt/x", "cifs")]) == []


def test_the_datasets_of_a_pool_are_listed_as_one_file_system(mounted):
    found = mounted([partition("rpool/ROOT/a", "/", "zfs"), partition("rpool/data", "/data", "zfs")])
    assert found == [Mount("rpool", "zfs", ("/", "/data"))]


def test_a_mounted_single_file_is_skipped(tmp_path):
    (tmp_path / "hosts").touch()
    assert space_of(Mount("/dev/sda1", "ext4", (str(tmp_path / "hosts"),))) is None
    assert space_of(Mount("/dev/sda1", "ext4", (str(tmp_path / "hosts"), str(tmp_path)))).mountpoint == str(tmp_path)


def test_a_mount_that_is_gone_is_skipped(tmp_path):
    assert space_of(Mount("/dev/sda1", "ext4", (str(tmp_path / "gone"),))) is None


def test_the_states_of_a_file_system_add_up_to_its_size(tmp_path):
    space = space_of(Mount("/dev/sda1", "ext4", (str(tmp_path),)))
    size = psutil.disk_usage(str(tmp_path)).total
    assert space.used + space.free + space.reserved == size


def test_utilization_is_the_share_of_the_space_for_all_users():
    mount = Mount("/dev/of-a-test", "ext4", ("/",))
    readings = Readings(lambda: [mount], lambda _: Space(mount, "/", 60, 20, 30))
    with captured_metrics(system_metrics=True) as metrics, ExitStack() as stack:
        stack.callback(observe_filesystems(readings))
        place = {"device": "/dev/of-a-test", "mountpoint": "/", "type": "ext4"}
        metrics.assert_recorded(runtime.SYSTEM_FILESYSTEM_UTILIZATION, 0.75, **place)
        for state, amount in (("used", 60), ("free", 20), ("reserved", 30)):
            metrics.assert_recorded(runtime.SYSTEM_FILESYSTEM_USAGE, amount, state=state, **place)


# Readings


FINE = Mount("/dev/sda1", "ext4", ("/",))
HUNG = Mount("/dev/sdb1", "ext4", ("/mnt",))


def reading(_: Mount) -> Space:
    return Space(FINE, "/", 1, 1, 0)


def test_a_file_system_that_hangs_does_not_hide_the_others():
    asked, release = [], threading.Event()

    def read(mount: Mount) -> Space:
        asked.append(mount)
        if mount is HUNG:
            release.wait()
        return Space(mount, mount.mountpoints[0], 1, 1, 0)

    readings = Readings(lambda: [HUNG, FINE], read, patience=0.05, lifetime=0)
    assert [space.mount for space in readings.spaces()] == [FINE]
    assert [space.mount for space in readings.spaces()] == [FINE]
    assert asked.count(HUNG) == 1  # it is not read again while a reading is pending
    release.set()
    for thread in threading.enumerate():
        if thread.name == f"otel-ha-statvfs-{HUNG.device}":
            thread.join()
    assert [space.mount for space in readings.spaces()] == [HUNG, FINE]


def test_a_reading_is_reused_during_its_lifetime():
    asked = []
    readings = Readings(lambda: [FINE], asked.append, lifetime=3600)
    readings.spaces()
    readings.spaces()
    assert asked == [FINE]


def test_after_its_lifetime_a_reading_is_replaced():
    asked = []
    readings = Readings(lambda: [FINE], asked.append, lifetime=0)
    readings.spaces()
    readings.spaces()
    assert asked == [FINE, FINE]


def test_a_reader_with_an_interval_of_one_second_gets_a_new_reading_each_time():
    assert LIFETIME < 1


def test_an_exception_passes_through_and_is_not_reused():
    answers = iter([OSError("away"), [FINE]])

    def mounts() -> list[Mount]:
        answer = next(answers)
        if isinstance(answer, OSError):
            raise answer
        return answer

    readings = Readings(mounts, reading, lifetime=3600)
    with pytest.raises(OSError, match="away"):
        readings.spaces()
    assert [space.mount for space in readings.spaces()] == [FINE]


def test_a_forked_child_reads_for_itself():
    readings = Readings(lambda: [FINE], lambda mount: Space(mount, "/", os.getpid(), 1, 0), lifetime=3600)
    readings.spaces()
    pid = os.fork()
    if not pid:
        signal.alarm(20)
        os._exit(0 if [space.used for space in readings.spaces()] == [os.getpid()] else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_the_last_reading_is_reused_if_no_thread_can_be_started(monkeypatch):
    readings = Readings(lambda: [FINE], reading, lifetime=0)
    before = readings.spaces()
    assert before

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert readings.spaces() == before
