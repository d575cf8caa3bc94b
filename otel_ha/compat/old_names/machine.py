"""The earlier names for the machine: the values that the service pushes, or else those that telemetry measures."""

from __future__ import annotations

from typing import Final

from otel_ha.compat.old_names.old_name import OldName
from otel_ha.compat.old_names.promql import of_host, or_else, rate, renamed
from otel_ha.declare.instruments import Attribute, Instrument
from otel_ha.vocabulary import ha_ingestor, runtime

_MACHINE_LABELS: Final = {runtime.MOUNTPOINT: "mountpoint"}
_USED: Final = f'{{{runtime.MEMORY_STATE.prometheus_label}="used"}}'


def _machine(gauge: Instrument, derived: str, *attributes: Attribute) -> dict[str, str]:
    """Return the series that update_system_metrics() pushes, or else the measured ones."""
    names = {"hostname": ha_ingestor.HOST, **{_MACHINE_LABELS[each]: each for each in attributes}}
    return {"": or_else(renamed(gauge.prometheus_name, names), of_host(derived))}


def _machine_total(pushed: Instrument, measured: Instrument, direction: Attribute, way: str) -> dict[str, str]:
    only = f'{{{direction.prometheus_label}="{way}"}}'
    names = {"interface": runtime.INTERFACE} if runtime.INTERFACE in measured.attributes else {}
    given = renamed(pushed.prometheus_name + only, {"hostname": ha_ingestor.HOST, **names}, direction)
    return {"": or_else(given, of_host(renamed(measured.prometheus_name + only, names, direction, runtime.DEVICE)))}


_IDLE: Final = rate(f'{runtime.SYSTEM_CPU_TIME.prometheus_name}{{{runtime.CPU_MODE.prometheus_label}=~"idle|iowait"}}')
_CPU_PERCENT: Final = (
    f"clamp_min(100 * (1 - {renamed(renamed(_IDLE, {}, runtime.CPU_MODE), {}, runtime.CPU_NUMBER, how='avg')}), 0)"
)
_FILESYSTEM_PERCENT: Final = "100 * " + renamed(
    runtime.SYSTEM_FILESYSTEM_UTILIZATION.prometheus_name,
    {"mountpoint": runtime.MOUNTPOINT},
    runtime.DEVICE,
    runtime.FILESYSTEM_TYPE,
    how="max",
)
_SYSTEM: Final = ("HAIngestorCollector.update_system_metrics",)

MACHINE: Final = (
    OldName(
        name="system_cpu_percent",
        labels=("hostname",),
        calls=_SYSTEM,
        recorded=(ha_ingestor.CPU,),
        derived=(runtime.SYSTEM_CPU_TIME,),
        series=_machine(ha_ingestor.CPU, _CPU_PERCENT),
        prefer="1 minus the rate of idle and iowait of `system_cpu_time_seconds_total`",
    ),
    OldName(
        name="system_memory_percent",
        labels=("hostname",),
        calls=_SYSTEM,
        recorded=(ha_ingestor.MEMORY,),
        derived=(runtime.SYSTEM_MEMORY_UTILIZATION,),
        series=_machine(
            ha_ingestor.MEMORY,
            f"100 * {renamed(runtime.SYSTEM_MEMORY_UTILIZATION.prometheus_name + _USED, {}, runtime.MEMORY_STATE)}",
        ),
        prefer="`system_memory_utilization_ratio`, measured at every collection",
    ),
    OldName(
        name="system_memory_used_bytes",
        labels=("hostname",),
        calls=_SYSTEM,
        recorded=(ha_ingestor.MEMORY_USED,),
        derived=(runtime.SYSTEM_MEMORY_USAGE,),
        series=_machine(
            ha_ingestor.MEMORY_USED,
            renamed(runtime.SYSTEM_MEMORY_USAGE.prometheus_name + _USED, {}, runtime.MEMORY_STATE),
        ),
        prefer="`system_memory_usage_bytes`, measured at every collection",
    ),
    OldName(
        name="system_disk_usage_percent",
        labels=("hostname", "mountpoint"),
        calls=_SYSTEM,
        recorded=(ha_ingestor.FILESYSTEM,),
        derived=(runtime.SYSTEM_FILESYSTEM_UTILIZATION,),
        series=_machine(ha_ingestor.FILESYSTEM, _FILESYSTEM_PERCENT, runtime.MOUNTPOINT),
        prefer="`system_filesystem_utilization_ratio`: every local file system",
    ),
    *(
        OldName(
            name=f"system_disk_io_{way}_bytes_total",
            labels=("hostname",),
            calls=_SYSTEM,
            recorded=(ha_ingestor.DISK_IO,),
            derived=(runtime.SYSTEM_DISK_IO,),
            series=_machine_total(ha_ingestor.DISK_IO, runtime.SYSTEM_DISK_IO, runtime.DISK_DIRECTION, way),
            prefer="`system_disk_io_bytes_total`: every disk",
        )
        for way in ("read", "write")
    ),
    *(
        OldName(
            name=f"system_network_io_{old}_bytes_total",
            labels=("hostname", "interface"),
            calls=_SYSTEM,
            recorded=(ha_ingestor.NETWORK_IO,),
            derived=(runtime.SYSTEM_NETWORK_IO,),
            series=_machine_total(ha_ingestor.NETWORK_IO, runtime.SYSTEM_NETWORK_IO, runtime.NETWORK_DIRECTION, way),
            prefer="`system_network_io_bytes_total`: every interface",
        )
        for old, way in (("sent", "transmit"), ("recv", "receive"))
    ),
)
