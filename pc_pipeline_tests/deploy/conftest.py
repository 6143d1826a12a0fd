"""Servers with TLS: fronts before the embedded ones, and Debian's own where they are installed."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from psycopg2.extensions import make_dsn, parse_dsn

from pc_pipeline.embedded.process import Child, run_as, wait_until
from pc_pipeline.embedded.programs import service_account
from pc_pipeline.embedded.services import Endpoints
from pc_pipeline_tests.deploy.tls import Authority, authority, front


@pytest.fixture(scope="package")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The authority that signed the servers' certificate, for the name `localhost`."""
    return authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="package")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Another authority, which signed none of the servers'."""
    return authority(tmp_path_factory.mktemp("stranger"))


@pytest.fixture
def tls_dsn(dsn: str, certificates: Authority) -> Iterator[str]:
    """A fresh database with the schema, by TLS only; the DSN names no sslmode yet."""
    with front(int(parse_dsn(dsn)["port"]), certificates, postgres=True) as port:
        yield make_dsn(dsn, host="localhost", port=port)


@pytest.fixture
def tls_redis(endpoints: Endpoints, redis_url: str, certificates: Authority) -> Iterator[str]:
    """The session's Redis, emptied, by TLS only: a `rediss://` URL without a CA."""
    with front(int(redis_url.rpartition(":")[2].partition("/")[0]), certificates, postgres=False) as port:
        yield f"rediss://{redis_url.removeprefix('redis://').rpartition('@')[0]}@localhost:{port}/0"


@pytest.fixture(scope="package")
def debian_postgres(tmp_path_factory: pytest.TempPathFactory, certificates: Authority) -> Iterator[str]:
    """A PostgreSQL that was built with TLS, with nothing in it; skips where none is installed."""
    initdb = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))), None)
    if initdb is None:
        pytest.skip("no PostgreSQL with TLS here (apt-get install postgresql); the embedded one is built without")
    folder = Path(tempfile.mkdtemp(prefix="pc_tests_tls_"))
    account = service_account(folder)
    for source in (certificates.certificate, certificates.key):
        (folder / source.name).write_bytes(source.read_bytes())
        (folder / source.name).chmod(0o600)
    (folder / "password").write_text("s3cr3t")
    for entry in (folder, *folder.iterdir()) if account else ():
        os.chown(entry, account.uid, account.gid)
    data = folder / "data"
    login = ["-U", "pc", "--auth=scram-sha-256", f"--pwfile={folder / 'password'}", "--no-sync"]
    subprocess.run([initdb, "-D", data, *login], check=True, capture_output=True, cwd=folder, **run_as(account))
    options = {
        "port": _free_port(),
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "fsync": "off",
        "ssl": "on",
        "ssl_cert_file": folder / certificates.certificate.name,
        "ssl_key_file": folder / certificates.key.name,
    }
    settings = [f"-c{name}={value}" for name, value in options.items()]
    server = Child(
        [str(initdb.with_name("postgres")), "-D", str(data), *settings],
        log=tmp_path_factory.mktemp("log") / "postgres.log",
        stop_signal=signal.SIGQUIT,
        cwd=folder,
        account=account,
    )
    try:
        yield f"postgresql://pc:s3cr3t@localhost:{options['port']}/postgres"
    finally:
        server.stop(10)
        shutil.rmtree(folder)


@pytest.fixture
def debian_redis(tmp_path: Path, certificates: Authority) -> Iterator[str]:
    """A Redis that was built with TLS, as a `rediss://` URL without a CA; skips where none is installed."""
    # The virtual environment may hold the one that the packages bring, which has none.
    program = shutil.which("redis-server", path=f"/usr/bin:/usr/local/bin:{os.environ['PATH']}")
    port = _free_port()
    config = (
        f'bind 127.0.0.1\nport 0\ntls-port {port}\nrequirepass s3cr3t\nsave ""\ntls-auth-clients no\n'
        f"tls-cert-file {certificates.certificate}\ntls-key-file {certificates.key}\n"
        f"tls-ca-cert-file {certificates.ca}\n"
    )
    if program is None:
        pytest.skip("no redis-server here (apt-get install redis-server)")
    log = tmp_path / "redis.log"
    server = Child([program, "-"], log=log, cwd=tmp_path, stdin=config.encode())
    try:
        assert wait_until(lambda: "Ready to accept" in log.read_text() or not server.is_running(), 20)
        if not server.is_running():
            pytest.skip(f"{program} is built without TLS (apt-get install redis-server)")
        yield f"rediss://:s3cr3t@localhost:{port}/0"
    finally:
        server.stop(5)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
