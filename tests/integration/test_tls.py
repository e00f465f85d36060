"""A server that takes nothing but TLS, with client programs that cannot speak it.

The servers from PyPI are built without OpenSSL, so this needs one of the system's packages.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from pgmigrate import Migration, PgMigrateError
from pgmigrate.embedded import EmbeddedServer
from support import servers
from support.tls_proxy import noting_logins

# One worker has them all: they share what takes long to start.
pytestmark = pytest.mark.xdist_group("tls")

HAS_TLS = 15 in servers.available_majors() and shutil.which("openssl") is not None
MODES = ["require", "verify-full", ""] if HAS_TLS else []
needs_tls = pytest.mark.skipif(not HAS_TLS, reason="no server with TLS, or no openssl")


def make_certificate(certificate: Path, key: Path) -> None:
    """A self-signed certificate for a server on loopback."""
    subprocess.run(
        [
            *("openssl", "req", "-new", "-x509", "-nodes", "-days", "2", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )


@pytest.fixture(scope="module")
def tls_server() -> Iterator[EmbeddedServer]:
    server = servers.start(15)
    folder = server.data_dir
    assert folder is not None
    certificate, key = folder / "server.crt", folder / "server.key"
    make_certificate(certificate, key)
    owner = folder.stat()
    for path in (certificate, key):
        path.chmod(0o600)
        shutil.chown(path, owner.st_uid, owner.st_gid)
    rules = folder / "pg_hba.conf"
    rules.write_text(rules.read_text().replace("host ", "hostssl "))
    server.restart({"ssl": True, "log_connections": True})
    yield server
    server.stop()


@pytest.mark.parametrize("mode", MODES)
def test_everything_goes_over_tls(tls_server: EmbeddedServer, tmp_path: Path, mode: str) -> None:
    assert tls_server.data_dir is not None
    certificate = tmp_path / "root.crt"
    certificate.write_bytes((tls_server.data_dir / "server.crt").read_bytes())
    # Without a mode it is as libpq's default: TLS where the server offers it.
    secure = f" sslmode={mode} sslrootcert={certificate}" if mode else ""
    source, target = f"tls_source_{mode[:4]}", f"tls_target_{mode[:4]}"
    with psycopg.connect(tls_server.conninfo + secure, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{source}"')
        connection.execute(f'CREATE DATABASE "{target}"')
    databases = [tls_server.conninfo_for(name) for name in (source, target)]
    with psycopg.connect(databases[0] + secure) as connection:
        connection.execute(
            "CREATE TABLE t AS SELECT i, md5(i::text) FROM generate_series(1, 999) i"
        )
    with pytest.raises(PgMigrateError, match="pg_hba"):
        Migration(
            source=databases[0] + " sslmode=disable", target=databases[1] + secure
        ).preflight()
    migration = Migration(
        source=databases[0] + secure,
        target=databases[1] + secure,
        backup=True,
        backup_dir=str(tmp_path),
        verify=True,
    )
    report = migration.run()
    report.raise_for_failures()
    assert report.verification is not None
    report.verification.raise_for_differences()
    assert report.backup is not None
    migration.restore(report.backup)
    with psycopg.connect(databases[1] + secure) as connection:
        assert connection.execute("SELECT to_regclass('public.t')").fetchone() == (None,)


def _execute(conninfo: str, statement: str) -> list[tuple[object, ...]]:
    """Runs a statement over TLS, which psql from PyPI cannot."""
    with psycopg.connect(conninfo) as connection:
        done = connection.execute(statement)
        return done.fetchall() if done.description else []


@pytest.mark.case("R7")
@needs_tls
def test_client_programs_are_encrypted_where_our_sessions_are(
    tls_server: EmbeddedServer, tmp_path: Path
) -> None:
    """The server takes both; what TLS a client program itself was built with does not matter."""
    assert tls_server.data_dir is not None
    rules = tls_server.data_dir / "pg_hba.conf"
    only_tls = rules.read_text()
    rules.write_text(only_tls.replace("hostssl ", "host "))
    try:
        _execute(tls_server.conninfo, "SELECT pg_reload_conf()")
        databases = [servers.create_database(tls_server, name) for name in ("both_from", "both_to")]
        _execute(databases[0], "CREATE TABLE t AS SELECT generate_series(1, 9) AS id")
        size = tls_server.log_path.stat().st_size
        migration = Migration(source=databases[0], target=databases[1], backup_dir=str(tmp_path))
        migration.run().raise_for_failures()
        assert migration.restore(migration.backup().path).entries
        with tls_server.log_path.open(errors="replace") as log:
            log.seek(size)
            authorized = [line for line in log if "connection authorized" in line]
        own = [line for line in authorized if "application_name=pgmigrate" in line]
        assert any(re.search(r"application_name=pgmigrate( SSL.*)?$", line) for line in own)
        clear = [line for line in own if "SSL enabled" not in line]
        assert not clear, clear
    finally:
        rules.write_text(only_tls)
        _execute(tls_server.conninfo, "SELECT pg_reload_conf()")


@pytest.mark.case("R8")
@needs_tls
def test_client_programs_bind_their_login_to_the_channel_where_that_is_required(
    tls_server: EmbeddedServer, tmp_path: Path
) -> None:
    databases = [servers.create_database(tls_server, name) for name in ("bound_from", "bound_to")]
    _execute(databases[0], "CREATE TABLE t AS SELECT generate_series(1, 9) AS id")
    assert tls_server.data_dir is not None
    files = []
    for name in ("server.crt", "server.key"):
        files.append(tmp_path / name)
        files[-1].write_bytes((tls_server.data_dir / name).read_bytes())
    with (
        noting_logins(databases[0], *files) as read,
        noting_logins(databases[1], *files) as written,
    ):
        bound = [f"{way.conninfo} channel_binding=require" for way in (read, written)]
        migration = Migration(source=bound[0], target=bound[1], backup_dir=str(tmp_path))
        migration.run().raise_for_failures()
        assert migration.restore(migration.backup().path).entries
        for way in (read, written):
            assert set(way.mechanisms) == {"SCRAM-SHA-256-PLUS"} and not way.clear
    assert _execute(databases[1], "SELECT count(*) FROM t") == [(9,)]


@pytest.mark.case("R8")
@needs_tls
def test_a_login_that_cannot_be_bound_is_refused(tls_server: EmbeddedServer) -> None:
    """A server in between shows a certificate of its own."""
    databases = [servers.create_database(tls_server, name) for name in ("mitm_from", "mitm_to")]
    with tempfile.TemporaryDirectory() as folder:
        certificate, key = Path(folder) / "other.crt", Path(folder) / "other.key"
        make_certificate(certificate, key)
        with noting_logins(databases[0], certificate, key) as way:
            source = f"{way.conninfo} channel_binding=require"
            with pytest.raises(PgMigrateError):
                Migration(source=source, target=databases[1]).preflight()
