"""The machine of a run, and the versions of the packages."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = (
    "otel-ha",
    "opentelemetry-api",
    "opentelemetry-sdk",
    "opentelemetry-exporter-otlp-proto-http",
    "opentelemetry-exporter-prometheus",
    "prometheus-client",
    "protobuf",
    "psutil",
)


def machine() -> dict[str, str]:
    """Return a description of this machine."""
    return {
        "CPU": _cpu(),
        "Cores": str(os.cpu_count()),
        "Load average before": f"{os.getloadavg()[0]:.2f}",
        "System": f"{platform.system()} {platform.release().partition('-')[0]}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "Date": f"{datetime.now(UTC):%Y-%m-%d}",
    }


def versions() -> dict[str, str]:
    """Return the installed versions of the packages that matter."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def _cpu() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return model or platform.processor() or platform.machine()
