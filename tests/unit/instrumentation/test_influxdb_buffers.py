"""The buffer of a batching client of InfluxDB: what waits in it, and what never leaves it."""

import subprocess
import sys
import threading

import pytest

from tests.receivers import answer, receiving
from tests.servers.running import eventually
from tests.unit.instrumentation.influxdb_clients import LIBRARIES
from tests.unit.instrumentation.watched_writes import watching

# Both clients read a header of urllib3 in a way that urllib3 2.0 warns of.
pytestmark = pytest.mark.filterwarnings("ignore:HTTPResponse.getheader:DeprecationWarning")

OK = answer("204 No Content")
PATIENT = {"batch_size": 3}
"""A batch begins when it has three items."""


@pytest.fixture(params=LIBRARIES, ids=lambda library: library.name)
def library(request):
    return request.param


@pytest.fixture
def writes(library):
    with watching(library.instrumentor()) as writes:
        yield writes


def test_items_wait_until_their_batch_begins(library, writes):
    with receiving(OK) as server, library.client(server.url, "batching", options=PATIENT) as client:
        client.write(["state value=1", "state value=2"])
        assert writes.waiting == {library.name: 2}
        client.write(["state value=3", "state value=4\nstate value=5"])
        eventually(lambda: writes.waiting == {library.name: 1})
        client.close()
        assert (writes.waiting, writes.points) == ({library.name: 0}, {("ok", None): 5})


def test_batches_that_wait_for_a_slow_store_are_in_the_buffer(library, writes):
    go_on = threading.Event()

    def slow(connection, ended):
        go_on.wait(50)
        OK(connection, ended)

    with receiving(slow) as server, library.client(server.url, "batching", options=PATIENT) as client:
        client.write(f"state value={value}" for value in range(9))
        eventually(lambda: writes.waiting == {library.name: 6})
        go_on.set()
        client.close()
    assert (writes.waiting, writes.points) == ({library.name: 0}, {("ok", None): 9})


def test_no_buffer_is_reported_without_a_batching_client(library, writes):
    with receiving(OK) as server, library.client(server.url) as client:
        client.write("state value=1")
    assert writes.waiting == {}


def test_buffers_of_several_clients_add_up(library, writes):
    with receiving(OK) as server:
        with library.client(server.url, "batching", options=PATIENT) as one:
            with library.client(server.url, "batching", options=PATIENT) as other:
                one.write("state value=1")
                other.write("state value=2")
                assert writes.waiting == {library.name: 2}
            assert writes.waiting == {library.name: 1}
        assert writes.waiting == {library.name: 0}


def test_points_written_to_a_closed_client_are_lost(library, writes):
    with receiving(OK) as server, library.client(server.url, "batching", options=PATIENT) as client:
        client.write("state value=1")
        client.close()
        with pytest.raises(AttributeError):
            client.write("state value=2")
    assert writes.points == {("ok", None): 1, ("error", "AttributeError"): 1}
    assert writes.waiting == {library.name: 0}


def test_points_that_come_while_a_client_closes_are_lost(library, writes):
    with receiving(OK) as server, library.client(server.url, "batching", options=PATIENT) as client:
        client.write("state value=1")
        client.api._subject.on_completed()  # the first step of close(); the library drops what comes next
        client.write(["state value=2", "state value=3\nstate value=4"])
        client.close()
    assert writes.points == {("ok", None): 1, ("error", "closed"): 3}
    assert (writes.errors, writes.waiting) == ({"closed": 1}, {library.name: 0})


def test_points_whose_request_cannot_be_made_are_lost(library, writes):
    with receiving(OK) as server, library.client(server.url, "batching", options=PATIENT) as client:
        client.api._write_options.max_retry_time = "ever"
        client.write("state value=1")
        client.close()
    assert (writes.points, writes.requests) == ({("error", "TypeError"): 1}, {})


def test_points_without_an_organization_are_lost():
    library = LIBRARIES[0]
    with watching(library.instrumentor()) as writes, receiving(OK) as server:
        with library.client(server.url, "batching", org=None) as client:
            client.write("state value=1")
            client.close()
        with library.client(server.url, org=None) as client, pytest.raises(ValueError, match="org"):
            client.write("state value=2")
        assert (writes.points, writes.requests) == ({("error", "ValueError"): 2}, {})


def test_a_client_that_is_closed_keeps_no_buffer(library, writes):
    with receiving(OK) as server, library.client(server.url, "batching", options=PATIENT) as client:
        client.write("state value=1")
    assert writes.waiting == {library.name: 0}
    assert library.instrumentor()._buffers._waiting == {}


def test_a_client_that_is_garbage_keeps_no_buffer(library, writes):
    class Client:
        """A client that leaves without a word, as one whose close() fails."""

    library.point(1)  # imports the library, which is patched then
    client = Client()
    library.instrumentor()._buffers.enter(client, 1)
    assert writes.waiting == {library.name: 1}
    del client
    assert writes.waiting == {library.name: 0}


def test_a_flush_writes_what_waits_and_the_client_goes_on():
    library = LIBRARIES[1]
    library.since("0.17")
    with watching(library.instrumentor()) as writes, receiving(OK) as server:
        with library.client(server.url, "batching", options=PATIENT) as client:
            client.write("state value=1")
            client.api.flush()
            assert (writes.waiting, writes.points) == ({library.name: 0}, {("ok", None): 1})
            client.write("state value=2")
            client.close()
        assert writes.points == {("ok", None): 2}


FORKING = """
import os, sys
from otel_ha import TelemetryConfig, setup_telemetry
from tests.unit.instrumentation.influxdb_clients import LIBRARIES
[library] = [each for each in LIBRARIES if each.name == sys.argv[1]]
url = sys.argv[2]
library.instrumentor().instrument()
config = TelemetryConfig(metrics_exporters=("prometheus",), prometheus_port=0, system_metrics=False)
def counts(telemetry):
    lines = telemetry.prometheus_text().splitlines()
    names = ("homeassistant_queue_size{", "homeassistant_point_written_total{")
    return [line.rsplit(" ", 1)[1] for line in lines if line.startswith(names)]
patient = {"batch_size": 3}
with (
    setup_telemetry("forking", config=config) as telemetry,
    library.client(url, "batching", options=patient) as client,
    library.client(url) as other,  # made here: gRPC, which influxdb3-python uses, does not begin in a forked child
):
    client.write(["state value=1", "state value=2"])
    child = os.fork()
    if child == 0:
        other.write(["state value=3", "state value=4", "state value=5"])
        print("child", *sorted(counts(telemetry)), flush=True)
        os._exit(0)
    os.waitpid(child, 0)
    client.close()
    print("parent", *sorted(counts(telemetry)), flush=True)
"""


def test_a_forked_child_counts_its_own_points_and_buffers(library):
    with receiving(OK) as server:
        command = [sys.executable, "-W", "ignore", "-c", FORKING, library.name, server.url]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=50)
    assert (done.stdout.splitlines(), done.stderr) == (["child 0.0 3.0", "parent 0.0 2.0"], "")
    assert b"\n".join(each.body for each in server.requests).count(b"value=") == 5
