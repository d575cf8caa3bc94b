"""Thanos: receivers that keep each sample several times, and a querier that shows it once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from tests.servers.running import HOST, Server, free_ports, get, instant_query

# The label that tells copies of a sample apart.
REPLICA = "replica"


class Receive(Server):
    """One receiver. It takes remote write and OTLP; alone it keeps everything itself.

    `hashring()` makes several that share the data.
    """

    name = "thanos-receive"

    def __init__(
        self, program: Path, directory: Path, *, replica: str = "0", replication: int = 1, flags: Sequence[str] = ()
    ) -> None:
        super().__init__(program, directory)
        grpc, http, remote_write, self._capnproto_port = free_ports(4)
        self.grpc_address = f"{HOST}:{grpc}"
        self.target = f"{HOST}:{http}"
        self.remote_write_address = f"{HOST}:{remote_write}"
        self.replica = replica
        self.replication = replication
        self.flags = list(flags)
        self.peers: list[Receive] = [self]

    @property
    def otlp_metrics_endpoint(self) -> str:
        """For OTEL_EXPORTER_OTLP_METRICS_ENDPOINT and the Collector's metrics_endpoint, which are used as given."""
        return f"http://{self.remote_write_address}/api/v1/otlp"

    @property
    def remote_write_url(self) -> str:
        """For Prometheus' remote write."""
        return f"http://{self.remote_write_address}/api/v1/receive"

    def command(self) -> Sequence[str | Path]:
        """With a generated file of the hashring."""
        hashring = self.directory / "hashring.json"
        hashring.write_text(json.dumps([{"endpoints": [peer.grpc_address for peer in self.peers]}]), encoding="utf-8")
        return [
            self.program,
            "receive",
            f"--grpc-address={self.grpc_address}",
            f"--http-address={self.target}",
            f"--remote-write.address={self.remote_write_address}",
            f"--receive.capnproto-address={HOST}:{self._capnproto_port}",
            f"--tsdb.path={self.directory / 'data'}",
            f'--label={REPLICA}="{self.replica}"',
            f"--receive.hashrings-file={hashring}",
            f"--receive.local-endpoint={self.grpc_address}",
            f"--receive.replication-factor={self.replication}",
            "--tsdb.out-of-order.time-window=1d",
            *self.flags,
        ]

    def ready(self) -> bool:
        """/-/ready answers 200 once the hashring is loaded and the storage is open."""
        return bool(get(f"http://{self.target}/-/ready"))


def hashring(program: Path, directory: Path, *, count: int = 3, replication: int = 3) -> list[Receive]:
    """Receivers that know each other, not started. With replication 3, one of them may die: two copies suffice."""
    receivers = [
        Receive(program, directory / f"receive-{number}", replica=str(number), replication=replication)
        for number in range(count)
    ]
    for receiver in receivers:
        receiver.peers = receivers
    return receivers


class Query(Server):
    """A querier of receivers; copies count once."""

    name = "thanos-query"

    def __init__(self, program: Path, directory: Path, *, endpoints: Sequence[str]) -> None:
        super().__init__(program, directory)
        grpc, http = free_ports(2)
        self.grpc_address = f"{HOST}:{grpc}"
        self.target = f"{HOST}:{http}"
        self.url = f"http://{self.target}"
        self.endpoints = list(endpoints)

    def query(self, promql: str, *, partial: bool = False) -> list[tuple[dict[str, str], float]]:
        """Every (labels, value) now. Fails while a receiver is away, unless an answer in part will do."""
        return instant_query(self.url, promql, dedup="true", partial_response=str(partial).lower())

    def command(self) -> Sequence[str | Path]:
        """One --endpoint for each receiver (its gRPC address)."""
        return [
            self.program,
            "query",
            f"--grpc-address={self.grpc_address}",
            f"--http-address={self.target}",
            f"--query.replica-label={REPLICA}",
            *(f"--endpoint={address}" for address in self.endpoints),
        ]

    def ready(self) -> bool:
        """/-/ready answers 200 once queries are accepted."""
        return bool(get(f"{self.url}/-/ready"))
