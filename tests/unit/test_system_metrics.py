"""Readings of the host and the process, and the selection of devices."""

import gc
import os
import re
import signal
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import metrics
from opentelemetry.instrumentation.system_metrics import SystemMetricsInstrumentor
from opentelemetry.semconv._incubating import attributes as semconv_attributes
from opentelemetry.semconv._incubating import metrics as semconv_metrics
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from otel_ha.export.pipeline import Pipeline
from otel_ha.sources import system
from otel_ha.sources.devices import real_disks, real_interfaces
from otel_ha.sources.filesystems import observe_filesystems
from otel_ha.sources.system import instrument_system
from otel_ha.vocabulary import runtime
from tests.unit.conftest import config

OF_A_CONTAINER = {"container_memory_usage_bytes", "container_memory_limit_bytes", "container_cpu_limit"}


@pytest.fixture
def pipeline() -> Iterator[Pipeline]:
    """The runtime vocabulary, connected to a real SDK with a Prometheus reader."""
    pipeline = Pipeline(config(system_metrics=True), runtime.CATALOG)
    pipeline.connect()
    yield pipeline
    pipeline.disconnect()
    pipeline.shutdown(1)


@pytest.fixture
def observed(pipeline: Pipeline) -> Iterator[Pipeline]:
    undo = [instrument_system(), observe_filesystems()]
    yield pipeline
    for each in undo:
        each()


def scrape(pipeline: Pipeline) -> str:
    return generate_latest(pipeline.scrape.registry).decode()


def samples(pipeline: Pipeline, name: str) -> dict[tuple[str, ...], float]:
    """Return the samples of one metric by the values of their own labels, in the order of the labels' names."""
    return {
        tuple(value for _, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(scrape(pipeline))
        for sample in family.samples
        if sample.name == name
    }


# Readings


def test_two_cpus_cost_at_most_60_series(observed):
    runtime.EVENT_LOOP_DELAY.record(0.001)
    fixed, per_device = 0, {}
    for line in scrape(observed).splitlines():
        if device := re.search(r'(cpu_logical_number|system_device|network_interface_name)="(.*?)"', line):
            per_device.setdefault((device[1], line.startswith("system_filesystem")), {}).setdefault(
                device[2], []
            ).append(line)
        elif not line.startswith(("#", "target_info")):
            fixed += 1
    cost = {kind: max(len(lines) for lines in devices.values()) for kind, devices in per_device.items()}
    assert cost[("cpu_logical_number", False)] == 6
    # Two CPUs, one disk, one network interface and two file systems.
    assert fixed + 2 * 6 + 4 + 4 + 2 * 4 <= 60
    assert max(cost.values()) <= 6


def test_every_declaration_of_the_group_is_read(observed):
    exposed = {family.name for family in text_string_to_metric_families(scrape(observed))}
    declared = {i.prometheus_name.removesuffix("_total") for i in runtime.CATALOG if i.group == "system"}
    # A container may have no disk to itself, and a machine is no container.
    assert declared - exposed <= {"system_disk_io_bytes", "system_disk_operations", *OF_A_CONTAINER}


def test_uptime_is_the_age_of_the_process(observed):
    (uptime,) = samples(observed, "process_uptime_seconds").values()
    assert 0 < uptime <= time.time() - psutil.Process().create_time()


def test_uptime_does_not_jump_when_the_clock_of_the_host_is_set(observed, monkeypatch):
    (before,) = samples(observed, "process_uptime_seconds").values()
    clock = SimpleNamespace(time=lambda: time.time() + 1e6, monotonic=time.monotonic)
    monkeypatch.setattr(system, "time", clock)
    (after,) = samples(observed, "process_uptime_seconds").values()
    assert before < after < before + 1e5


def test_reading_reports_no_problems(observed, caplog):
    scrape(observed)
    assert "otel_ha_recording_problems" not in scrape(observed)
    assert caplog.records == []


def conventions(package, names: list[str]) -> dict[str, str]:
    """Return the names that the semantic conventions define, with their documentation."""
    found: dict[str, str] = {}
    for name in names:
        source = (Path(package.__path__[0]) / f"{name}.py").read_text()
        found |= dict(re.findall(r'^[A-Z_0-9]+: Final = "(.+?)"\n"""(.*?)"""', source, re.MULTILINE | re.DOTALL))
    return found


# Names that promtool refuses: "_count" is a part of a histogram.
OTHERWISE = {
    "process.threads": "process.thread.count",
    "process.unix.file_descriptors": "process.unix.file_descriptor.count",
}


# The conventions have limits only for a container in Kubernetes.
OURS = {"container.memory.limit", "container.cpu.limit"}


def test_no_name_is_deprecated_in_the_semantic_conventions():
    known = conventions(semconv_metrics, ["system_metrics", "container_metrics", "process_metrics", "cpython_metrics"])
    for instrument in runtime.CATALOG:
        if instrument.group == "system" and instrument.name not in OURS:
            name = OTHERWISE.get(instrument.name, instrument.name)
            assert "Deprecated" not in known[name]
            assert f"Unit: {instrument.unit}" in known[name]
            assert f"Instrument: {type(instrument).kind}" in known[name]


def test_no_attribute_is_deprecated_in_the_semantic_conventions():
    names = [f"{name}_attributes" for name in ("system", "process", "cpython", "cpu", "disk", "network")]
    known = conventions(semconv_attributes, names)
    for instrument in runtime.CATALOG:
        if instrument.group == "system":
            for attribute in instrument.attributes:
                assert "Deprecated" not in known[attribute.name]


def test_cpus_are_counted_from_0(observed):
    cpus = {cpu for cpu, _ in samples(observed, "system_cpu_time_seconds_total")}
    assert cpus == {str(number) for number in range(len(psutil.cpu_times(percpu=True)))}


def of_disks(part: str) -> dict[tuple[str, ...], float]:
    found = psutil.disk_io_counters(perdisk=True) or {}
    return {(way, disk): getattr(found[disk], f"{way}_{part}") for disk in found for way in ("read", "write")}


def of_interfaces(transmit: str, receive: str) -> dict[tuple[str, ...], float]:
    ways = {"transmit": transmit, "receive": receive}
    found = psutil.net_io_counters(pernic=True)
    return {(name, way): getattr(found[name], field) for name in found for way, field in ways.items()}


def of_cpus() -> dict[tuple[str, ...], float]:
    found = enumerate(psutil.cpu_times(percpu=True))
    return {(str(number), mode): value for number, times in found for mode, value in times._asdict().items()}


@pytest.mark.parametrize(
    ("name", "of_psutil"),
    [
        ("system_disk_io_bytes_total", partial(of_disks, "bytes")),
        ("system_disk_operations_total", partial(of_disks, "count")),
        ("system_network_io_bytes_total", partial(of_interfaces, "bytes_sent", "bytes_recv")),
        ("system_network_errors_total", partial(of_interfaces, "errout", "errin")),
        ("system_cpu_time_seconds_total", of_cpus),
    ],
)
def test_counters_are_those_of_psutil(observed, name, of_psutil):
    before, found, after = of_psutil(), samples(observed, name), of_psutil()
    assert {key: value for key, value in found.items() if not before[key] <= value <= after[key]} == {}


def test_each_collection_reads_counters_again(observed):
    before = samples(observed, "cpython_gc_collections_total")[("2",)]
    gc.collect()
    assert samples(observed, "cpython_gc_collections_total")[("2",)] > before


def test_collections_in_quick_succession_share_amounts(observed, monkeypatch):
    readings = []
    read = psutil.Process.num_threads
    monkeypatch.setattr(psutil.Process, "num_threads", lambda process: readings.append(process) or read(process))
    scrapes = (scrape(observed) for _ in range(40))
    assert any(len(readings) < number for number, _ in enumerate(scrapes, 1))


def lacking(name: str, monkeypatch) -> None:
    """Let psutil know nothing of a part, as on some platforms."""

    def not_there(*_: object) -> None:
        raise NotImplementedError

    if name == "context switches":
        monkeypatch.setattr(psutil.Process, "num_ctx_switches", not_there)
    else:
        monkeypatch.setattr(psutil, "disk_io_counters", lambda **_: {})


@pytest.mark.parametrize("part", ["context switches", "disks"])
def test_a_part_that_the_platform_lacks_is_left_out_without_a_problem(pipeline, monkeypatch, caplog, part):
    lacking(part, monkeypatch)
    undo = instrument_system()
    text = scrape(pipeline)
    undo()
    assert "system_cpu_time" in text
    assert ("process_context_switches" in text) == (part != "context switches")
    assert ("system_disk" in text) == (part != "disks" and bool(psutil.disk_io_counters(perdisk=True)))
    assert caplog.records == []


def test_the_process_is_this_one(observed):
    assert samples(observed, "process_threads") == {(): psutil.Process().num_threads()}


def test_after_it_is_stopped_nothing_is_read(pipeline):
    undo = [instrument_system(), observe_filesystems()]
    assert "system_cpu_time" in scrape(pipeline)
    for each in undo:
        each()
    assert scrape(pipeline) == ""


def test_it_can_be_stopped_twice(pipeline):
    undo = instrument_system()
    undo()
    undo()


def test_it_can_be_started_again(pipeline):
    for _ in range(3):
        undo = [instrument_system(), observe_filesystems()]
        assert len(samples(pipeline, "process_cpu_time_seconds_total")) == 2
        for each in undo:
            each()


def test_without_telemetry_nothing_happens():
    instrument_system()()
    observe_filesystems()()


def test_the_instrumentor_of_the_service_is_not_affected(pipeline):
    own = SystemMetricsInstrumentor(config={"process.thread.count": None})
    own.instrument(meter_provider=metrics.NoOpMeterProvider())
    try:
        undo = instrument_system()
        assert "system_cpu_time" in scrape(pipeline)
        assert SystemMetricsInstrumentor() is own
        assert own.is_instrumented_by_opentelemetry
        undo()
    finally:
        own.uninstrument()
        SystemMetricsInstrumentor._instance = None


def test_a_forked_child_reads_its_own_process(observed):
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(50)]
    read, write = os.pipe()
    in_parent = samples(observed, "process_unix_file_descriptors")[()]
    pid = os.fork()
    if not pid:
        signal.alarm(20)
        for descriptor in held:
            os.close(descriptor)
        os.write(write, str(samples(observed, "process_unix_file_descriptors")[()]).encode())
        os._exit(0)
    os.waitpid(pid, 0)
    in_child = float(os.read(read, 100))
    for descriptor in (*held, read, write):
        os.close(descriptor)
    assert in_child < in_parent - 40


# Disks


def hardware(root: Path, *links: str) -> Path:
    """Return a sysfs in which these devices have hardware, except those that end in "-"."""
    for link in links:
        (root / link.removesuffix("-")).mkdir(parents=True)
        if not link.endswith("-"):
            (root / link / "device").mkdir()
    return root


def test_a_disk_with_hardware_is_physical_and_its_partitions_are_not(tmp_path):
    sys = hardware(tmp_path, "block/sda", "block/nvme0n1", "block/loop0-", "block/dm-0-", "block/zram0-", "block/md0-")
    names = ["sda", "sda1", "sda2", "nvme0n1", "nvme0n1p1", "loop0", "dm-0", "zram0", "md0"]
    assert real_disks(names, sys) == {"sda", "nvme0n1"}


def test_a_disk_with_hardware_is_physical_although_its_name_looks_like_a_partition(tmp_path):
    assert real_disks(["xvda1"], hardware(tmp_path, "block/xvda1")) == {"xvda1"}


def test_a_disk_with_a_slash_in_its_name_is_found_in_sysfs(tmp_path):
    assert real_disks(["cciss/c0d0"], hardware(tmp_path, "block/cciss!c0d0")) == {"cciss/c0d0"}


def test_optical_drives_and_boot_areas_are_not_watched(tmp_path):
    names = ["mmcblk0", "mmcblk0boot0", "mmcblk0boot1", "sr0", "fd0"]
    assert real_disks(names, hardware(tmp_path, *(f"block/{name}" for name in names))) == {"mmcblk0"}


def test_without_sysfs_disks_are_recognized_by_name(tmp_path):
    names = [
        "sda",
        "sda1",
        "vda",
        "nvme0n1",
        "nvme0n1p2",
        "mmcblk0",
        "mmcblk0p1",
        "loop3",
        "ram0",
        "zram0",
        "dm-0",
        "sr0",
    ]
    assert real_disks(names, tmp_path) == {"sda", "vda", "nvme0n1", "mmcblk0"}


def test_the_disks_of_this_host_are_whole_disks(observed):
    disks = {device for _, device in samples(observed, "system_disk_io_bytes_total")}
    assert not [name for name in disks if re.match(r"loop|ram|zram|dm-", name)]
    assert not [name for name in disks if any(name != other and name.startswith(other) for other in disks)]


# Network interfaces


def test_an_interface_with_hardware_is_physical_and_interfaces_on_top_of_it_are_not(tmp_path):
    sys = hardware(tmp_path, *(f"class/net/{name}" for name in ("eth0", "wlan0", "lo-", "br0-", "bond0-", "eth0.10-")))
    names = ["lo", "eth0", "wlan0", "br0", "bond0", "eth0.10", "docker0", "vethab12cd3", "hassio"]
    assert real_interfaces(names, sys) == {"eth0", "wlan0"}


def test_a_container_keeps_its_eth0(tmp_path):
    sys = hardware(tmp_path, "class/net/eth0-", "class/net/lo-")
    assert real_interfaces(["lo", "eth0", "tunl0"], sys) == {"eth0"}


def test_a_rootless_container_keeps_its_tap0(tmp_path):
    assert real_interfaces(["lo", "tap0"], tmp_path) == {"tap0"}


def test_the_loopback_interface_is_never_physical(tmp_path):
    assert real_interfaces(["lo"], tmp_path) == frozenset()
    assert real_interfaces(["lo0"], tmp_path) == frozenset()


@given(
    st.sets(st.sampled_from(["lo", "eth0", "enp3s0", "wlan0", "docker0", "veth1", "br-12ab", "virbr0", "tun0", "wg0"]))
)
def test_interfaces_named_like_hardware_take_precedence(names):
    selected = real_interfaces(names, Path("/nowhere"))
    named_like_hardware = names & {"eth0", "enp3s0", "wlan0"}
    assert selected == (named_like_hardware or names - {"lo"})
