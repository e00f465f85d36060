"""Roles of one test: names that no other test has, and their removal from both servers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

from support import servers

if TYPE_CHECKING:
    from typing_extensions import LiteralString

    from conftest import Pair


@contextmanager
def prefixed(pair: Pair) -> Iterator[str]:
    """What the names of a test's roles begin with; all such roles are dropped on both servers."""
    # Roles belong to the whole server, where other tests run, too.
    name = f"r_{pair.name.replace('test_', '')[-36:]}_"
    try:
        yield name
    finally:
        for server in (pair.source_server, pair.target_server):
            for _, database in [made for made in pair.made if made[0] is server]:
                conninfo = server.conninfo_for(database)
                _each(conninfo, name, "REASSIGN OWNED BY {} TO CURRENT_USER")
                _each(conninfo, name, "DROP OWNED BY {} CASCADE")
            _each(server.conninfo, name, "DROP ROLE {}")


def _each(conninfo: str, prefix: str, statement: LiteralString) -> None:
    writable = "-c default_transaction_read_only=off"
    with psycopg.connect(conninfo, autocommit=True, options=writable) as connection:
        roles = "SELECT rolname FROM pg_roles WHERE starts_with(rolname, %s) ORDER BY oid DESC"
        for (role,) in connection.execute(roles, [prefix]).fetchall():
            connection.execute(sql.SQL(statement).format(sql.Identifier(role)))


def limited(pair: Pair, prefix: str, attributes: str = "", *, owner: bool = True) -> str:
    """The conninfo of a role on the target that is no superuser and may own the database."""
    server, database = pair.made[-1]
    role = f"{prefix}limited"
    servers.run_script(server.conninfo, f"CREATE ROLE {role} LOGIN PASSWORD 'limited' {attributes}")
    right = (
        f'ALTER DATABASE "{database}" OWNER TO'
        if owner
        else f'GRANT ALL ON DATABASE "{database}" TO'
    )
    servers.run_script(server.conninfo, f"{right} {role}")
    return server.conninfo_for(database, user=role, password="limited")
