"""Certificates for tests, as PEM files."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

import trustme


@dataclass(frozen=True)
class Certificates:
    """A certificate authority, a server's certificate for 127.0.0.1 and a client's, in a folder."""

    folder: Path
    authority: trustme.CA
    ca: Path
    server: Path
    server_key: Path
    client: Path
    client_key: Path


def certificates(folder: Path) -> Certificates:
    """Make an authority and certificates of it; a file whose name ends in "-both.pem" has the key as well."""
    ca = trustme.CA()
    ca.cert_pem.write_to_path(folder / "ca.pem")
    made: dict[str, Path] = {}
    for name, identity in (("server", "127.0.0.1"), ("client", "prometheus.example")):
        issued = ca.issue_cert(identity)
        made[name], made[f"{name}_key"] = folder / f"{name}.pem", folder / f"{name}.key"
        issued.cert_chain_pems[0].write_to_path(made[name])
        issued.private_key_pem.write_to_path(made[f"{name}_key"])
        issued.private_key_and_cert_chain_pem.write_to_path(folder / f"{name}-both.pem")
    return Certificates(folder, ca, folder / "ca.pem", **made)


def trusting(pem: Certificates) -> ssl.SSLContext:
    """Return the context of a client that trusts the authority."""
    return ssl.create_default_context(cafile=pem.ca)
