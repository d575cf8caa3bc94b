"""The ingestor as the benchmarks run it without our telemetry: nothing of it is left, or a peer's is in its place."""

import ast
from pathlib import Path

import pytest

import examples.ingestor
from benchmarks.by_hand import bounds, host
from benchmarks.by_hand.statements import OPENTELEMETRY, PROMETHEUS_CLIENT, STATEMENTS
from benchmarks.stripped import rewritten
from otel_ha.declare.instruments import SUB_SECOND, Observable
from otel_ha.vocabulary import ingest, runtime

PEERS = (OPENTELEMETRY, PROMETHEUS_CLIENT)
# The accounting reads metrics, and main() starts them: the benchmark imports neither. Nothing calls `counted`.
RECORDING = {"accounting", "counted", "__main__"}
MODULES = sorted(path for path in Path(examples.ingestor.__file__).parent.glob("*.py") if path.stem not in RECORDING)
# The benchmark has events from MQTT only, and writes them to a file.
ELSEWHERE = {"http_sink", "websocket"}
WORKING = [path for path in MODULES if path.stem not in ELSEWHERE]


def stripped(source: str, peer: str | None = None) -> str:
    return ast.unparse(rewritten(ast.parse(source), peer))


def assert_nothing_of_ours_is_left(path: Path, peer: str | None = None) -> None:
    tree = rewritten(ast.parse(path.read_text()), peer)
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert not (names | imported) & {"ingest", "counted", "measured"}
    compile(tree, str(path), "exec")


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_nothing_that_records_is_left(path):
    assert_nothing_of_ours_is_left(path)


@pytest.mark.parametrize("peer", PEERS)
@pytest.mark.parametrize("path", WORKING, ids=str)
def test_a_peer_records_instead_of_us_everywhere(path, peer):
    assert_nothing_of_ours_is_left(path, peer)


@pytest.mark.parametrize("peer", PEERS)
def test_every_statement_of_a_peer_is_used(peer):
    ours = {ast.unparse(node) for path in WORKING for node in ast.walk(ast.parse(path.read_text()))}
    assert STATEMENTS[peer].keys() - ours == set()


@pytest.mark.parametrize("source", ["ingest.NEW.add(1)", "@measured(ingest.NEW)\ndef f(): pass"])
def test_a_statement_that_a_peer_lacks_ends_the_import(source):
    with pytest.raises(RuntimeError, match=r"with_opentelemetry has nothing in place of .*NEW.*by_hand/statements.py"):
        stripped(source, OPENTELEMETRY)


def test_a_measured_block_that_a_peer_lacks_ends_the_import():
    with pytest.raises(RuntimeError, match=r"with_opentelemetry has no block in place of measured\(a\)"):
        stripped("with measured(a):\n    b()", OPENTELEMETRY)


def test_the_statements_of_a_peer_stand_in_place_of_ours():
    source = "def f(source):\n    counted.events(source).receive()\n    g()"
    assert stripped(source, PROMETHEUS_CLIENT) == (
        "def f(source):\n    metrics.RECEIVED[source].inc()\n    metrics.QUEUED[source].inc()\n    g()"
    )
    decorated = "@measured(ingest.WRITE, system='file', operation='write')\ndef f():\n    g()"
    assert stripped(decorated, OPENTELEMETRY) == ("@metrics.timed(metrics.WRITE, metrics.WRITTEN)\ndef f():\n    g()")


def test_a_statement_that_becomes_empty_does_nothing():
    assert stripped("def f():\n    ingest.A.add(1)") == "def f():\n    pass"
    assert stripped("for x in y:\n    ingest.A.add(x)") == "for x in y:\n    pass"
    assert stripped("def f():\n    counted.events(x).receive()") == "def f():\n    pass"
    assert stripped("if a:\n    b()\nelse:\n    ingest.A.add(1)") == "if a:\n    b()"


def test_a_measured_block_becomes_the_block():
    assert stripped("with measured(a):\n    b()") == "b()"
    assert stripped("@measured(a)\n@other\ndef f():\n    return 1") == "@other\ndef f():\n    return 1"


def test_imports_of_ours_are_replaced_and_others_stay():
    source = "from otel_ha import Discarded, measured\nfrom examples.ingestor import counted\nfrom a import b"
    assert stripped(source) == "from otel_ha import Discarded\nfrom a import b"
    peer = "from benchmarks.by_hand import with_opentelemetry as metrics"
    assert stripped("from otel_ha.vocabulary import ingest", OPENTELEMETRY) == peer


def test_histograms_by_hand_have_the_bounds_of_ours():
    assert bounds.PROCESSING == ingest.PROCESSING
    assert bounds.LAG == ingest.LAG
    assert bounds.BATCH == ingest.BATCH
    assert bounds.WRITE == SUB_SECOND
    assert bounds.LOOP_DELAY == runtime.LOOP_DELAY


def test_the_host_by_hand_has_the_metrics_of_ours():
    ours = {each.name: (each.unit, {key.name for key in each.attributes}) for each in observed()}
    assert {each.name: (each.unit, set(each.keys)) for each in host.METRICS} == ours


def test_the_host_by_hand_is_named_as_ours_in_prometheus():
    ours = {each.name: each.prometheus_name for each in observed()}
    assert {each.name: each.name.replace(".", "_") + each.suffix for each in host.METRICS} == ours


def test_every_metric_of_the_host_by_hand_is_read(monkeypatch):
    monkeypatch.setenv(host.DEVICES, '{"disks": [], "interfaces": [], "filesystems": [["disk", "/", "ext4"]]}')
    read = host.Host().read()
    assert read.keys() <= {metric.name for metric in host.METRICS}
    found = {metric.name for metric in host.METRICS if read.get(metric.name)}
    assert {each.name for each in observed()} - found <= {
        name for name in read if name.startswith(("system.disk.", "system.network."))
    } | {"container.memory.usage", "container.memory.limit", "container.cpu.limit"}
    for metric in host.METRICS:
        assert all(len(values) == len(metric.keys) for values, _ in read.get(metric.name, ()))


def observed():
    return [each for each in runtime.CATALOG if isinstance(each, Observable)]
