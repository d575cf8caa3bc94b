"""A disk that is full under the Collector's queue."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.faults.stored import in_store
from tests.servers.fixtures import lacking, needed
from tests.servers.otelcol import Collector
from tests.servers.prometheus import Scrape
from tests.servers.running import HOST, eventually

pytestmark = [pytest.mark.servers, pytest.mark.timeout(180)]

# A file system of the process's own, which nobody else sees and which ends with it.
PRIVATE = ("unshare", "--map-root-user", "--mount")
MOUNT = 'mount -t tmpfs -o size=192k tmpfs "$0" && exec "$@"'


class OnSmallDisk(Collector):
    """A Collector whose queue has 192 KiB of disk."""

    def command(self) -> Sequence[str | Path]:
        """The agent, in a namespace of its own; a user may have one without being root."""
        storage = Path(self.variables["OTELCOL_STORAGE"])
        storage.mkdir(exist_ok=True)
        return [*PRIVATE, "sh", "-c", MOUNT, storage, *super().command()]


@pytest.fixture
def small_collector(server_directory, keep_server, make_prometheus):
    """A running Collector on a small disk, and the Prometheus to which it pushes."""
    if (
        shutil.which(PRIVATE[0]) is None
        or subprocess.run([*PRIVATE, "true"], capture_output=True, check=False).returncode
    ):
        lacking("this system does not let a user mount a file system in a namespace of their own (unshare)")
    prometheus = make_prometheus([Scrape("unused", f"{HOST}:1")]).start()
    collector = OnSmallDisk(needed("otelcol"), server_directory("otelcol"), upstream=prometheus.otlp_endpoint)
    keep_server(collector)
    return collector.start(), prometheus


def test_a_full_disk_under_the_queue_of_the_collector_loses_nothing(small_collector, start, table):
    collector, prometheus = small_collector
    service = start("--rate=1000", OTEL_EXPORTER_OTLP_ENDPOINT=collector.otlp_http_endpoint)
    service.wait_for(lambda: service.check_now(lambda: in_store(prometheus.url)).received > 0)
    prometheus.kill()
    eventually(lambda: "no space left" in collector.log.read_text(encoding="utf-8"))
    service.wait_for_log("failed")
    service.wait_for_events(2000)
    assert len(service.log_lines()) == 1
    prometheus.start()
    service.wait_for_log("works again")
    service.check_now(lambda: in_store(prometheus.url))
    account = service.stop()
    stored = eventually(lambda: in_store(prometheus.url), lambda found: account.lost(found) == 0)
    lines = service.log_lines()
    assert "no space left on device" in lines[0]
    note = "the Collector refuses what it cannot keep, and the log quotes it: no space left on device"
    table.add(
        account.outcome("Disk full under the Collector's queue", "Servers", stored, log_lines=len(lines), note=note)
    )
