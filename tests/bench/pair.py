"""The two servers of the benchmark, and the databases on them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pgmigrate.embedded import EmbeddedServer, find_tool
from support import servers

SETTINGS: Final[dict[str, str | int]] = {
    "shared_buffers": "1GB",
    "max_wal_size": "8GB",
    "wal_level": "replica",
    "fsync": "on",
    "full_page_writes": "on",
    # pgmigrate switches it off for its own sessions while it copies; no tool loses by that.
    "synchronous_commit": "off",
    "maintenance_work_mem": "256MB",
    "max_locks_per_transaction": 256,
    # What the servers would do by themselves, they would do in the middle of somebody's run.
    "autovacuum": "off",
    "checkpoint_timeout": "1h",
}
"""The settings of both servers, the same for all tools."""

_TARGET: Final = "target"
_ROOM: Final = 12 << 30


@dataclass
class Pair:
    """A source server, a target server, and a directory for what the tools write.

    Attributes:
        source_server: the server that is read.
        target_server: the server that is written.
        directory: an empty directory.
    """

    source_server: EmbeddedServer
    target_server: EmbeddedServer
    directory: Path
    _used: list[str] = field(default_factory=list)
    _runs: int = 0

    @property
    def bin_dir(self) -> Path:
        """Where the newest client programs are; all tools run these."""
        return find_tool("pg_dump").parent

    @property
    def files(self) -> Path:
        """A directory in which both servers can read and write."""
        return self.source_server.data_dir

    @property
    def target(self) -> str:
        """The conninfo of the database that tools write to, without a password."""
        return self.public(self.target_server, _TARGET)

    def source(self, dataset: str) -> str:
        """The conninfo of a dataset's database, without a password."""
        return self.public(self.source_server, dataset)

    def public(self, server: EmbeddedServer, name: str) -> str:
        """A conninfo that may stand in a command line; the password is in the password file."""
        words = conninfo_to_dict(server.conninfo_for(name))
        del words["password"]
        return make_conninfo("", **words)

    def environment(self) -> dict[str, str]:
        """The variables of every tool: the password file, and the programs' path in front."""
        passwords = self.directory / "passwords"
        if not passwords.exists():
            passwords.touch(mode=0o600)
            passwords.write_text(
                "".join(
                    "{host}:{port}:*:{user}:{password}\n".format(**conninfo_to_dict(s.conninfo))
                    for s in (self.source_server, self.target_server)
                )
            )
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        path = os.pathsep.join([str(self.bin_dir), kept.get("PATH", os.defpath)])
        return {**kept, "PATH": path, "PGPASSFILE": str(passwords)}

    def create_source(self, name: str) -> str:
        """Creates a dataset's database; its conninfo, with the password."""
        return servers.create_database(self.source_server, name)

    def drop_source(self, name: str) -> None:
        """Drops a dataset's database."""
        servers.drop_database(self.source_server, name)

    def create_roles(self) -> None:
        """Gives the target server the roles of the source, which are no database's own."""
        with connected(self.source_server.conninfo) as source:
            names = source.execute("SELECT rolname FROM pg_roles WHERE oid >= 16384").fetchall()
        with connected(self.target_server.conninfo) as target:
            known = {name for (name,) in target.execute("SELECT rolname FROM pg_roles")}
            for (name,) in names:
                if name not in known:
                    target.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(name)))

    @contextmanager
    def new_target(self, bytes_expected: int) -> Iterator[str]:
        """An empty database to write to, on servers at rest; its conninfo, with the password.

        Afterwards it is renamed and kept: the file system slows others down after a large database
        was dropped. It goes with `drop_used`, or earlier where the disk has no room.

        Args:
            bytes_expected: how large it will be.
        """
        if shutil.disk_usage(self.target_server.data_dir).free < _ROOM + 3 * bytes_expected:
            self.drop_used()
        conninfo = servers.create_database(self.target_server, _TARGET)
        for server in (self.source_server, self.target_server):
            with connected(server.conninfo) as connection:
                connection.execute("CHECKPOINT")
        try:
            yield conninfo
        finally:
            self._retire()

    def _retire(self) -> None:
        self._runs += 1
        name = f"used_{self._runs}"
        for server in (self.source_server, self.target_server):
            with connected(server.conninfo) as connection:
                # A killed tool leaves sessions behind that go on with their statement.
                connection.execute(
                    "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
                    "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
                )
        with connected(self.target_server.conninfo) as connection:
            connection.execute(f"ALTER DATABASE {_TARGET} RENAME TO {name}")
        self._used.append(name)

    def drop_used(self) -> None:
        """Drops the databases that tools have written, and waits until the disk has done it."""
        for name in self._used:
            servers.drop_database(self.target_server, name)
        self._used.clear()
        os.sync()


@contextmanager
def connected(conninfo: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection in autocommit mode; statements go to the server as they are, several at once."""
    with psycopg.connect(conninfo, autocommit=True, prepare_threshold=None) as connection:
        yield connection


@contextmanager
def running(directory: Path, source: int = 16, target: int = 18) -> Iterator[Pair]:
    """Two new servers of these majors, as long as the block lasts."""
    with (
        EmbeddedServer(source, options=SETTINGS) as source_server,
        EmbeddedServer(target, options=SETTINGS) as target_server,
    ):
        yield Pair(source_server, target_server, directory)
