"""The real command `otel-ha doctor`, run as a process, and services for it to look at."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trustme

from otel_ha import TelemetryConfig, measured, setup_telemetry
from otel_ha.telemetry import Telemetry
from otel_ha.vocabulary import ingest

ROOT = Path(__file__).parents[2]
SERVICE = "ha-ingestor"
# For tests without a push: otherwise the doctor would look for the user's own Collector.
SCRAPE_ONLY = {"OTEL_METRICS_EXPORTER": "prometheus"}


@dataclass(frozen=True, repr=False)
class Report:
    """The output of --json, with the exit code."""

    code: int
    data: dict[str, Any]

    def __repr__(self) -> str:
        return "; ".join(f"{step['id']} [{step['cause']}] {step['found']}" for step in self.findings) or "no finding"

    @property
    def findings(self) -> list[dict[str, Any]]:
        """The steps that are findings, in their order."""
        return [step for step in self.data["steps"] if step["result"] == "finding"]

    @property
    def causes(self) -> list[str]:
        """The causes of the findings."""
        return [step["cause"] for step in self.findings]

    def step(self, name: str) -> dict[str, Any]:
        """The only step with this id."""
        [found] = [step for step in self.data["steps"] if step["id"] == name]
        return found


def run(*options: str, canary: bool = False, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the doctor with these variables only."""
    kept = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "PYTHONPATH"}}
    command = [sys.executable, "-W", "error", "-m", "otel_ha.cli", "doctor", *options]
    command += [] if canary else ["--no-canary"]
    return subprocess.run(
        command, env={**kept, **variables}, cwd=ROOT, capture_output=True, text=True, check=False, timeout=100
    )


def doctor(*options: str, canary: bool = False, **variables: str) -> Report:
    """Run the doctor with --json, and read what it reports."""
    done = run("--json", *options, canary=canary, **variables)
    assert done.stderr == ""
    report = Report(done.returncode, json.loads(done.stdout))
    assert report.code == (1 if report.findings else 0)
    assert report.data["ok"] == (not report.findings)
    assert report.data["findings"] == len(report.findings)
    return report


@contextmanager
def service(name: str = SERVICE, *, events: int = 3, **settings: Any) -> Iterator[Telemetry]:
    """Run a service in this process that has processed some events, at a free port; it pushes nowhere unless asked."""
    given = {"prometheus_port": 0, "metrics_exporters": ("prometheus",), "system_metrics": False, **settings}
    config = TelemetryConfig(environ={}, **given)
    with setup_telemetry(name, config=config) as telemetry:
        for _ in range(events):
            with measured(ingest.EVENT, source="mqtt"):
                pass
        yield telemetry


def url_of(telemetry: Telemetry) -> str:
    """The URL of a service's endpoint, without the page."""
    assert telemetry.metrics_url is not None
    return telemetry.metrics_url.removesuffix("/metrics")


def target_of(telemetry: Telemetry) -> str:
    """The host and the port of a service's endpoint."""
    return url_of(telemetry).partition("://")[2]


def port_of(telemetry: Telemetry) -> str:
    """The port of a service's endpoint."""
    return target_of(telemetry).rpartition(":")[2]


@dataclass(frozen=True)
class Pem:
    """Files: an authority, a certificate for 127.0.0.1, and its key."""

    authority: Path
    certificate: Path
    key: Path


def issue(folder: Path) -> Pem:
    """Make an authority of one's own, and let it issue a certificate."""
    made = Pem(folder / "authority.pem", folder / "certificate.pem", folder / "key.pem")
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(made.authority)
    issued.cert_chain_pems[0].write_to_path(made.certificate)
    issued.private_key_pem.write_to_path(made.key)
    return made
