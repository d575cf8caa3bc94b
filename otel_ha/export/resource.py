"""The Resource: the attributes of the service, process and host in every metric."""

from __future__ import annotations

import os
import platform
import socket
import sys
import uuid
from importlib import metadata
from pathlib import Path

from opentelemetry.sdk.resources import Resource

from otel_ha.config.telemetry_config import TelemetryConfig
from otel_ha.version import DISTRO, SCHEMA_URL, __version__


def resource(config: TelemetryConfig, *, forked: bool = False) -> Resource:
    """Return the Resource of this process.

    Configured resource attributes override these, except service.name, which has its own setting, and
    service.instance.id in a `forked` child, whose counts must not be mistaken for its parent's. The command line is
    left out, because it may contain secrets.
    """
    executable = Path(sys.executable).name or "python"
    given = dict(config.resource_attributes)
    if forked:
        given.pop("service.instance.id", None)
    attributes = {
        "service.name": f"unknown_service:{executable}",
        "service.instance.id": str(uuid.uuid4()),
        "telemetry.sdk.name": "opentelemetry",
        "telemetry.sdk.language": "python",
        "telemetry.sdk.version": metadata.version("opentelemetry-sdk"),
        "telemetry.distro.name": DISTRO,
        "telemetry.distro.version": __version__,
        "host.name": socket.gethostname(),
        "host.arch": platform.machine(),
        "os.type": sys.platform,
        "process.pid": os.getpid(),
        "process.executable.name": executable,
        "process.runtime.name": sys.implementation.name,
        "process.runtime.version": platform.python_version(),
        **given,
    }
    if config.service_name:
        attributes["service.name"] = config.service_name
    return Resource(attributes, schema_url=SCHEMA_URL)
