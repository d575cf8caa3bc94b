"""Writes of both client libraries of InfluxDB to a scripted store: each point counts once, by its outcome."""

import gzip
import json
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
import urllib3

from otel_ha.vocabulary import ingest
from tests.receivers import answer, hanging_up, receiving, silent
from tests.servers.running import eventually
from tests.traced import Traced
from tests.unit.instrumentation.influxdb_clients import LIBRARIES, MODES
from tests.unit.instrumentation.watched_writes import watching

# Both clients read a header of urllib3 in a way that urllib3 2.0 warns of.
pytestmark = pytest.mark.filterwarnings("ignore:HTTPResponse.getheader:DeprecationWarning")

OK = answer("204 No Content")
UNAVAILABLE = answer("503 Service Unavailable", b'{"code":"unavailable","message":"starting"}')
TOO_MANY = answer("429 Too Many Requests", Retry_After="0")


@pytest.fixture(params=LIBRARIES, ids=lambda library: library.name)
def library(request):
    return request.param


@pytest.fixture(params=MODES)
def mode(request):
    return request.param


@pytest.fixture
def writes(library):
    with watching(library.instrumentor()) as writes:
        yield writes


def bodies(server):
    return [
        gzip.decompress(each.body) if each.headers.get("content-encoding") == "gzip" else each.body
        for each in server.requests
    ]


def test_points_given_in_any_form_count_once(library, mode, writes):
    with receiving(OK) as server, library.client(server.url, mode) as client:
        client.write(library.point(1))
        client.write("state value=2")
        client.write(b"state value=3\nstate value=4")
        client.write({"measurement": "state", "fields": {"value": 5}})
        client.write([library.point(6), "state value=7", [b"state value=8"]])
        client.write(library.point(value) for value in range(9, 12))
        client.write(library.point(12).field("text", "two\nlines"))
        client.close()
    assert writes.points == {("ok", None): 12}
    assert b"\n".join(bodies(server)).count(b"value=") == 12


def test_an_observable_counts_each_of_its_points(library, writes):
    reactivex = pytest.importorskip("reactivex")
    with receiving(OK) as server, library.client(server.url, "batching") as client:
        client.write(reactivex.from_iterable(["state value=1", "state value=2"]))
        client.close()
    assert writes.points == {("ok", None): 2}


def test_a_data_frame_counts_each_of_its_rows(library, mode, writes):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"value": range(12)}, index=pandas.date_range("2026-01-01", periods=12, freq="s"))
    with receiving(OK) as server, library.client(server.url, mode) as client:
        client.write(frame, data_frame_measurement_name="state")
        client.close()
    assert writes.points == {("ok", None): 12}


def test_a_request_is_one_operation_on_a_host(library, mode, writes):
    with receiving(OK) as server, library.client(server.url, mode) as client:
        client.write(["state value=1", "state value=2"])
        client.close()
    writes.metrics.assert_recorded(
        ingest.WRITE_DURATION, 1, system="influxdb", operation="write", server_address="127.0.0.1", outcome="ok"
    )


def test_the_size_of_each_batch_is_recorded(library, writes):
    with receiving(OK) as server, library.client(server.url, "batching") as client:
        client.write(f"state value={value}" for value in range(12))
        client.close()
    size = writes.metrics[ingest.BATCH_SIZE]
    assert (size.count(), size.total()) == (len(server.requests), 12)


@pytest.mark.parametrize("compressed", [False, True])
def test_bytes_are_those_of_the_bodies_as_sent(library, mode, writes, compressed):
    with receiving(OK) as server, library.client(server.url, mode, enable_gzip=compressed) as client:
        client.write(["state value=1" * 50, "state value=2"])
        client.close()
    assert writes.sent == sum(len(each.body) for each in server.requests)
    assert writes.points == {("ok", None): 2}
    assert (server.requests[0].headers.get("content-encoding") == "gzip") is compressed


def test_writes_by_the_api_of_influxdb_3_count_as_well(mode):
    library = LIBRARIES[1]
    library.since("0.20")
    with watching(library.instrumentor()) as writes, receiving(OK) as server:
        with library.client(server.url, mode) as client:
            client.write(["state value=1", "state value=2"], no_sync=True, use_v2_api=False)
            client.close()
        assert (writes.points, writes.requests) == ({("ok", None): 2}, {("ok", None): 1})
    assert server.requests[0].target.startswith("/api/v3/write_lp?")


def test_nothing_is_counted_without_points(library, mode, writes):
    with receiving(OK) as server, library.client(server.url, mode) as client:
        client.write([])
        client.write(None)
        client.close()
    assert (writes.points, writes.requests, server.requests) == ({}, {}, [])


def test_a_write_of_empty_text_is_a_request_without_points(library, writes):
    with receiving(OK) as server, library.client(server.url) as client:
        client.write("")
    assert (writes.points, writes.requests) == ({}, {("ok", None): 1})


def test_retries_that_succeed_lose_nothing(library, writes):
    with receiving(UNAVAILABLE, TOO_MANY, OK) as server, library.client(server.url, "batching") as client:
        client.write("state value=1")
        client.close()
    assert (writes.points, writes.requests) == ({("ok", None): 1}, {("ok", None): 1})
    assert (writes.retries, writes.errors) == (2, {})
    assert writes.sent == 3 * len(b"state value=1")


def test_points_are_lost_with_the_last_retry(library, writes):
    with receiving(UNAVAILABLE) as server, library.client(server.url, "batching") as client:
        client.write(f"state value={value}" for value in range(3))
        client.close()
    assert len(server.requests) == 3
    assert (writes.points, writes.errors) == ({("error", "503"): 3}, {"503": 1})
    assert writes.retries == 2


@pytest.mark.parametrize("status", ["401 Unauthorized", "404 Not Found", "413 Too Large", "500 Internal Server Error"])
def test_rejected_points_have_the_status_as_their_error(library, mode, writes, status):
    with receiving(answer(status)) as server, library.client(server.url, mode, options={"max_retries": 0}) as client:
        if mode == "batching":
            client.write("state value=1")
            client.close()
        else:
            with pytest.raises(Exception, match=status[:3]):
                client.write("state value=1")
    assert writes.points == writes.requests == {("error", status[:3]): 1}
    assert writes.errors == {status[:3]: 1}


PARTIAL = {
    "InfluxDB 1, conflict": ("400 Bad Request", {"error": "partial write: field type conflict dropped=2"}, 2),
    "InfluxDB 1, unreadable": (
        "400 Bad Request",
        {"error": "partial write: unable to parse 'a': missing\nunable to parse 'b': missing dropped=0"},
        2,
    ),
    "InfluxDB 2, conflict": (
        "422 Unprocessable Entity",
        {"code": "unprocessable entity", "message": "failure writing points: partial write: conflict dropped=1"},
        1,
    ),
    "InfluxDB 2, unreadable": ("400 Bad Request", {"code": "invalid", "message": "unable to parse 'a': missing"}, 5),
    "InfluxDB Cloud": (
        "400 Bad Request",
        {"code": "invalid", "message": "partial write error (4 accepted): 1 out of 5 points rejected"},
        1,
    ),
    "InfluxDB 3": (
        "400 Bad Request",
        {
            "error": "partial write of line protocol occurred",
            "data": [{"error_message": "no", "line_number": 2, "original_line": "a"}] * 3,
        },
        3,
    ),
    "InfluxDB 3, none accepted": (
        "400 Bad Request",
        {
            "error": "parsing failed for write_lp endpoint",
            "data": {"error_message": "no", "line_number": 2, "original_line": "a"},
        },
        5,
    ),
    "more than there are": ("400 Bad Request", {"error": "partial write: dropped=99"}, 5),
    "no JSON": ("400 Bad Request", "<html>partial write dropped=1</html>", 5),
    "another JSON": ("400 Bad Request", ["partial write dropped=1"], 5),
    "another status": ("403 Forbidden", {"error": "partial write: dropped=1"}, 5),
}


@pytest.mark.parametrize("said", PARTIAL)
def test_points_that_a_partial_write_has_stored_are_ok(library, mode, writes, said):
    status, body, rejected = PARTIAL[said]
    text = (body if isinstance(body, str) else json.dumps(body)).encode()
    with receiving(answer(status, text)) as server, library.client(server.url, mode) as client:
        record = [f"state value={value}" for value in range(5)]
        if mode == "batching":
            client.write(record)
            client.close()
        else:
            with pytest.raises(Exception):  # noqa: B017 - each library has its own
                client.write(record)
    stored = {} if rejected == 5 else {("ok", None): 5 - rejected}
    assert writes.points == {("error", status[:3]): rejected, **stored}
    assert writes.requests == {("error", status[:3]): 1}


@pytest.mark.parametrize(
    ("reply", "timeout", "error_type"),
    [
        (silent, 300, "urllib3.exceptions.ReadTimeoutError"),
        (hanging_up, 20_000, "urllib3.exceptions.ProtocolError"),
    ],
)
def test_a_write_without_an_answer_is_an_error_and_sends_no_bytes_for_sure(library, writes, reply, timeout, error_type):
    with (
        receiving(reply) as server,
        library.client(server.url, timeout=timeout) as client,
        pytest.raises(urllib3.exceptions.HTTPError),
    ):
        client.write("state value=1")
    assert (writes.points, writes.sent) == ({("error", error_type): 1}, 0)


def test_a_cut_connection_is_tried_again(library, writes):
    with receiving(hanging_up, OK) as server, library.client(server.url, "batching") as client:
        client.write("state value=1")
        client.close()
    assert (writes.points, writes.retries) == ({("ok", None): 1}, 1)
    assert writes.sent == len(b"state value=1")


@pytest.mark.parametrize("mode", ["synchronous", "batching"])
def test_a_store_that_is_down_is_an_error_by_its_last_exception(library, mode, writes):
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # it does not listen: connections are refused
        with library.client(f"http://127.0.0.1:{bound.getsockname()[1]}", mode) as client:
            if mode == "batching":
                client.write("state value=1")
                client.close()
            else:
                with pytest.raises(urllib3.exceptions.HTTPError):
                    client.write("state value=1")
    assert writes.points == {("error", "urllib3.exceptions.NewConnectionError"): 1}
    assert writes.retries == (2 if mode == "batching" else 0)


def test_retries_of_a_program_s_own_are_counted(library, writes):
    retries = urllib3.Retry(3, status_forcelist=[503], allowed_methods=None)
    with receiving(UNAVAILABLE, UNAVAILABLE, OK) as server, library.client(server.url, retries=retries) as client:
        client.write("state value=1")
    assert (writes.points, writes.retries) == ({("ok", None): 1}, 2)


def test_a_redirect_is_not_a_retry(library, writes):
    with receiving(OK) as store:
        moved = answer("307 Temporary Redirect", Location=f"{store.url}/api/v2/write")
        with receiving(moved) as server, library.client(server.url, retries=urllib3.Retry(2)) as client:
            client.write("state value=1")
    assert (writes.points, writes.retries) == ({("ok", None): 1}, 0)


def test_retries_of_other_requests_are_not_counted(library, writes):
    retries = urllib3.Retry(2, status_forcelist=[503])
    with receiving(UNAVAILABLE, OK) as server, library.client("http://127.0.0.1:1"), urllib3.PoolManager() as pool:
        assert pool.request("GET", server.url, retries=retries).status == 204
    assert writes.retries == 0


def test_a_write_within_a_write_counts_apart(library, writes):
    with receiving(UNAVAILABLE, OK) as server, library.client(server.url) as other:
        report = {"retry_callback": lambda *_: other.write("retries value=1")}
        with library.client(server.url, "batching", options=report) as client:
            client.write(["state value=1", "state value=2"])
            client.close()
    assert (writes.points, writes.retries) == ({("ok", None): 3}, 1)


def test_an_exception_of_a_callback_passes_through_and_loses_the_points(library, writes):
    class StrangeError(Exception):
        @property
        def status(self):
            raise RuntimeError

    def fail(*_):
        raise StrangeError

    failures = []
    callbacks = {"retry_callback": fail, "error_callback": lambda *args: failures.append(args[2])}
    with receiving(UNAVAILABLE) as server, library.client(server.url, "batching", options=callbacks) as client:
        client.write("state value=1")
        client.close()
    assert [type(each) for each in failures] == [StrangeError]
    [(outcome, error_type)] = writes.points
    assert (outcome, error_type.rpartition(".")[2]) == ("error", "StrangeError")


def test_many_threads_and_clients_lose_no_count(library, mode, writes):
    def run(client):
        for value in range(20):
            client.write([f"state value={value}", library.point(value)])
        client.close()

    with receiving(OK) as server, ExitStack() as stack, ThreadPoolExecutor(4) as pool:
        clients = [stack.enter_context(library.client(server.url, mode)) for _ in range(4)]
        list(pool.map(run, clients))
    assert writes.points == {("ok", None): 160}
    assert writes.waiting in ({}, {library.name: 0})


def test_a_client_from_before_is_measured(library, mode):
    with (
        receiving(OK) as server,
        library.client(server.url, mode) as client,
        watching(library.instrumentor()) as writes,
    ):
        client.write("state value=1")
        client.close()
        assert writes.points == {("ok", None): 1}


def test_uninstrumenting_leaves_nothing_behind_and_may_be_repeated(library, mode):
    before = {kind: dict(vars(kind)) for kind in (*library.classes, urllib3.Retry)}
    with receiving(OK) as server, library.client(server.url, mode) as client:
        for _ in range(2):
            with watching(library.instrumentor()) as writes:
                client.write("state value=1")
                assert any(vars(kind)[name] is not was for kind in before for name, was in before[kind].items())
            client.write("state value=2")
        assert {kind: dict(vars(kind)) for kind in before} == before
        with watching(library.instrumentor()) as writes:
            client.write([f"state value={value}" for value in range(3)])
            client.close()
            expected = 2 * 2 + 3 if mode == "batching" else 3  # the batch holds those from before as well
            assert writes.points == {("ok", None): expected}
            assert sum(writes.waiting.values()) == 0


def test_both_libraries_at_once_count_each_point_once_and_leave_nothing_behind():
    before = dict(vars(urllib3.Retry))
    with watching(*(library.instrumentor() for library in LIBRARIES)) as writes, receiving(UNAVAILABLE, OK) as server:
        for library in LIBRARIES:
            with library.client(server.url, "batching") as client:
                client.write(["state value=1", "state value=2"])
                client.close()
        assert (writes.points, writes.retries) == ({("ok", None): 4}, 1)
    assert dict(vars(urllib3.Retry)) == before


def test_a_version_without_a_function_is_named(library, caplog):
    instrumentor = library.instrumentor()
    with watching(instrumentor):
        instrumentor.patch_posts(object, "post_write")
    assert "this version of the library has no object.post_write" in caplog.text
    assert instrumentor.library in caplog.text


def test_each_write_has_a_span_where_spans_are_on(library, mode, writes):
    with Traced() as traced, receiving(OK, UNAVAILABLE) as server:
        with library.client(server.url, mode, options={"max_retries": 0, "batch_size": 1}) as client:
            client.write("state value=1")
            eventually(lambda: traced.spans)
            if mode == "batching":
                client.write("state value=2")
                client.close()
            else:
                with pytest.raises(Exception, match="503"):
                    client.write("state value=2")
        assert [span.attributes.get("error.type") for span in traced.spans] == [None, "503"]
        assert [span.status.is_ok for span in traced.spans] == [True, False]
        assert {span.attributes["server.address"] for span in traced.spans} == {"127.0.0.1"}
    assert writes.points == {("ok", None): 1, ("error", "503"): 1}
