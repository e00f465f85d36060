"""A server that takes nothing but TLS, with client programs that cannot speak it.

The servers from PyPI are built without OpenSSL, so this needs one of the system's packages.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from pgmigrate import Migration, PgMigrateError
from pgmigrate.embedded import EmbeddedServer
from support import servers

HAS_TLS = 15 in servers.available_majors() and shutil.which("openssl") is not None
MODES = ["require", "verify-full"] if HAS_TLS else []


@pytest.fixture(scope="module")
def tls_server() -> Iterator[EmbeddedServer]:
    server = servers.start(15)
    folder = server.data_dir
    assert folder is not None
    certificate, key = folder / "server.crt", folder / "server.key"
    subprocess.run(
        [
            *("openssl", "req", "-new", "-x509", "-nodes", "-days", "2", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    owner = folder.stat()
    for path in (certificate, key):
        path.chmod(0o600)
        shutil.chown(path, owner.st_uid, owner.st_gid)
    rules = folder / "pg_hba.conf"
    rules.write_text(rules.read_text().replace("host ", "hostssl "))
    server.restart({"ssl": True})
    yield server
    server.stop()


@pytest.mark.parametrize("mode", MODES)
def test_everything_goes_over_tls(tls_server: EmbeddedServer, tmp_path: Path, mode: str) -> None:
    assert tls_server.data_dir is not None
    certificate = tmp_path / "root.crt"
    certificate.write_bytes((tls_server.data_dir / "server.crt").read_bytes())
    secure = f" sslmode={mode} sslrootcert={certificate}"
    source, target = f"tls_source_{mode[:4]}", f"tls_target_{mode[:4]}"
    with psycopg.connect(tls_server.conninfo + secure, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{source}"')
        connection.execute(f'CREATE DATABASE "{target}"')
    ends = [tls_server.conninfo_for(name) for name in (source, target)]
    with psycopg.connect(ends[0] + secure) as connection:
        connection.execute(
            "CREATE TABLE t AS SELECT i, md5(i::text) FROM generate_series(1, 999) i"
        )
    with pytest.raises(PgMigrateError, match="pg_hba"):
        Migration(source=ends[0] + " sslmode=disable", target=ends[1] + secure).preflight()
    migration = Migration(
        source=ends[0] + secure,
        target=ends[1] + secure,
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
    with psycopg.connect(ends[1] + secure) as connection:
        assert connection.execute("SELECT to_regclass('public.t')").fetchone() == (None,)
