"""A certificate authority of our own, and servers that speak TLS with its certificates.

The servers that the packages bring have no TLS, so a front stands before them that does what theirs would: for Redis it
ends TLS, for Postgres it answers the client's SSLRequest first. What the client sees is the same.
"""

import contextlib
import shutil
import socket
import ssl
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

# The eight bytes with which a Postgres client asks for TLS (protocol 1234.5679).
SSL_REQUEST = struct.pack(">II", 8, 80877103)


@dataclass(frozen=True)
class Authority:
    """A CA and the key and certificate it gave a server called `localhost`, all as PEM files."""

    ca: Path
    certificate: Path
    key: Path


def authority(folder: Path) -> Authority:
    """A new authority in `folder`; skips where there is no `openssl`."""
    if shutil.which("openssl") is None:
        pytest.skip("no `openssl` here to make certificates with")
    made = Authority(folder / "ca.pem", folder / "server.pem", folder / "server.key")
    new = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    ca_key = folder / "ca.key"
    _openssl(*new, "-subj", "/CN=pc tests", "-keyout", ca_key, "-out", made.ca)
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    signed = ["-CA", made.ca, "-CAkey", ca_key, "-addext", "basicConstraints=critical,CA:FALSE"]
    _openssl(*new, *names, *signed, "-keyout", made.key, "-out", made.certificate)
    return made


def _openssl(*arguments: object) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


@contextlib.contextmanager
def front(port: int, authority: Authority, *, postgres: bool) -> Iterator[int]:
    """A port of localhost that speaks TLS and passes what it hears to 127.0.0.1:`port`, which does not."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.certificate, authority.key)

    def serve(client: socket.socket) -> None:
        with contextlib.suppress(OSError), client:
            if postgres:
                if client.recv(8, socket.MSG_WAITALL) != SSL_REQUEST:
                    return  # one that would speak without TLS
                client.sendall(b"S")
            secured = context.wrap_socket(client, server_side=True)
            with secured, socket.create_connection(("127.0.0.1", port)) as server:
                _in_thread(_pass_on, server, secured)
                _pass_on(secured, server)

    with socket.create_server(("127.0.0.1", 0)) as listening:

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    _in_thread(serve, listening.accept()[0])

        _in_thread(accept)
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)


def _in_thread(work: Callable[..., None], *arguments: object) -> None:
    threading.Thread(target=work, args=arguments, daemon=True).start()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(65536):
            target.sendall(piece)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
