"""Real servers for tests, and the oracle that compares two databases.

Rows are read with psycopg, schemas with pg_dump, and scripts are run by psql: nothing here uses the
code under test but to start servers.
"""

from __future__ import annotations

import difflib
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from pgmigrate.embedded import EmbeddedServer, find_installations
from support import dumps, facts

SCHEMAS = Path(__file__).with_name("schemas")

Row = tuple[str | None, ...]


NEWEST_VARIABLE = "PGMIGRATE_TEST_POSTGRES_19"
"""The folder of the programs of PostgreSQL 19, which no package of the tests' extra has.

Not among the installations that are found by themselves, the newest of which tests use by default.
"""


def newest_programs() -> Path | None:
    """The folder that the variable names."""
    folder = os.environ.get(NEWEST_VARIABLE)
    return Path(folder) if folder else None


def available_majors() -> list[int]:
    """Major versions that `start` can start here, in ascending order."""
    found = set(find_installations())
    return sorted(found | {19} if newest_programs() is not None else found)


def start(major: int | None = None, **options: str | int | float | bool) -> EmbeddedServer:
    """A running server; the caller stops it. Options are server settings."""
    folder = newest_programs() if major == 19 else None
    return EmbeddedServer(major, options=options, bin_dir=folder).start()


def start_standby(primary: EmbeddedServer, **options: str | int | float | bool) -> EmbeddedServer:
    """A running hot standby of a server; the caller stops it, before the primary."""
    return EmbeddedServer(options=options, standby_of=primary).start()


def create_database(
    server: EmbeddedServer, name: str, *, encoding: str | None = None, locale: str | None = None
) -> str:
    """Creates an empty database and returns the superuser's conninfo for it."""
    statement = sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name))
    if encoding is not None:
        statement += sql.SQL(" ENCODING {}").format(sql.Literal(encoding))
    if locale is not None:
        statement += sql.SQL(" LOCALE {}").format(sql.Literal(locale))
    with psycopg.connect(server.conninfo, autocommit=True) as connection:
        connection.execute(statement)
    return server.conninfo_for(name)


def drop_database(server: EmbeddedServer, name: str) -> None:
    """Drops a database with whatever is connected to it."""
    statement = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
    with psycopg.connect(server.conninfo, autocommit=True) as connection:
        connection.execute(statement)


def roles(server: EmbeddedServer) -> set[str]:
    """The names of a server's roles; they belong to all its databases, and so to all tests."""
    return {name for (name,) in fetch(server.conninfo, "SELECT rolname::text FROM pg_roles")}


def drop_roles(server: EmbeddedServer, names: Iterable[str]) -> None:
    """Drops roles that own nothing outside databases that are gone."""
    with psycopg.connect(server.conninfo, autocommit=True) as connection:
        for name in names:
            role = sql.Identifier(name)
            connection.execute(sql.SQL("DROP OWNED BY {} CASCADE").format(role))
            connection.execute(sql.SQL("DROP ROLE {}").format(role))


def load_schema(server: EmbeddedServer, dbname: str, schema: str, **variables: str) -> str:
    """Runs schemas/<schema>.sql in a database, created if it is not there; returns its conninfo.

    Variables are psql's; odd_types takes `has_xml="off"` for a target without libxml.
    """
    with psycopg.connect(server.conninfo) as connection:
        known = connection.execute(
            "SELECT FROM pg_catalog.pg_database WHERE datname = %s", [dbname]
        ).fetchone()
    conninfo = server.conninfo_for(dbname) if known is not None else create_database(server, dbname)
    run_script(conninfo, (SCHEMAS / f"{schema}.sql").read_bytes().decode(), variables=variables)
    return conninfo


def run_script(
    conninfo: str,
    script: str,
    *,
    stop_on_error: bool = True,
    variables: Mapping[str, str] | None = None,
) -> str:
    """Runs a script in psql, statement by statement; returns what it wrote to stderr."""
    done = dumps.run(
        "psql",
        conninfo,
        "--no-psqlrc",
        "--quiet",
        f"--set=ON_ERROR_STOP={'on' if stop_on_error else 'off'}",
        *(f"--set={name}={value}" for name, value in (variables or {}).items()),
        # Unlike psql -c, the standard input takes several statements and psql's own commands.
        "--file=-",
        "--output=/dev/null",
        script=script,
    )
    if done.returncode != 0:
        raise AssertionError(f"psql ended with {done.returncode}:\n{done.stderr.decode()}")
    return done.stderr.decode()


def rows(
    conninfo: str,
    schema: str,
    table: str,
    columns: Sequence[str] | None = None,
    *,
    only: bool = False,
) -> list[Row]:
    """The rows of a table in their server's text form, sorted; every column, generated ones too.

    Text, because it is exact for each type and psycopg has no Python value for dates before Christ.
    """
    with _connect(conninfo) as connection:
        return _rows(connection, schema, table, columns, only=only)


def fetch(conninfo: str, *queries: str) -> list[tuple[Any, ...]]:
    """The rows of the last of some queries of one transaction."""
    with psycopg.connect(conninfo) as connection:
        for query in queries:
            cursor = connection.execute(query)
        return cursor.fetchall()


def tables(conninfo: str, ignore_schemas: Iterable[str] = ()) -> list[tuple[str, str]]:
    """Every table that holds rows of its own and every populated materialized view."""
    with _connect(conninfo) as connection:
        found = connection.execute(
            """
            SELECT n.nspname, c.relname
            FROM pg_catalog.pg_class AS c
            JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
            WHERE (c.relkind = 'r' OR c.relkind = 'm' AND c.relispopulated)
                AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
                AND n.nspname <> ALL (%s::text[])
            ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C"
            """,
            [list(ignore_schemas)],
        )
        return [(schema, table) for schema, table in found]


def sequences(conninfo: str, ignore_schemas: Iterable[str] = ()) -> dict[str, tuple[int, bool]]:
    """Sequence, as schema.name without quotes -> (last_value, is_called)."""
    with _connect(conninfo) as connection:
        names = connection.execute(
            """
            SELECT n.nspname, c.relname
            FROM pg_catalog.pg_class AS c
            JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
            WHERE c.relkind = 'S' AND c.relpersistence <> 't' AND n.nspname <> ALL (%s::text[])
            ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C"
            """,
            [list(ignore_schemas)],
        ).fetchall()
        result: dict[str, tuple[int, bool]] = {}
        for schema, name in names:
            state = connection.execute(
                sql.SQL("SELECT last_value, is_called FROM {}").format(sql.Identifier(schema, name))
            ).fetchone()
            assert state is not None
            result[f"{schema}.{name}"] = (state[0], state[1])
        return result


def invalid_objects(conninfo: str, ignore_schemas: Iterable[str] = ()) -> list[str]:
    """Indexes that are not valid or not ready, and constraints that are not validated."""
    with _connect(conninfo) as connection:
        found = connection.execute(
            """
            SELECT format('index %%s.%%s', n.nspname, c.relname) COLLATE "C" AS object
            FROM pg_catalog.pg_index AS i
            JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
            JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
            WHERE NOT (i.indisvalid AND i.indisready) AND n.nspname <> ALL (%(ignored)s::text[])
            UNION ALL
            SELECT format('constraint %%s on %%s.%%s', k.conname, n.nspname, c.relname) COLLATE "C"
            FROM pg_catalog.pg_constraint AS k
            JOIN pg_catalog.pg_class AS c ON c.oid = k.conrelid
            JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
            WHERE NOT k.convalidated AND n.nspname <> ALL (%(ignored)s::text[])
            ORDER BY 1
            """,
            {"ignored": list(ignore_schemas)},
        )
        return [name for (name,) in found]


def large_objects(conninfo: str) -> dict[int, tuple[str, list[str], str | None, bytes]]:
    """Large object -> (owner, sorted ACL items, comment, content)."""
    with _connect(conninfo) as connection:
        found = connection.execute(
            """
            SELECT m.oid::bigint, pg_catalog.pg_get_userbyid(m.lomowner),
                ARRAY(
                    SELECT item::text
                    FROM unnest(coalesce(m.lomacl, acldefault('L', m.lomowner))) AS item
                    ORDER BY item::text COLLATE "C"
                ),
                pg_catalog.obj_description(m.oid, 'pg_largeobject'), pg_catalog.lo_get(m.oid)
            FROM pg_catalog.pg_largeobject_metadata AS m
            ORDER BY m.oid
            """
        )
        return {oid: (owner, acl, comment, content) for oid, owner, acl, comment, content in found}


def assert_equal(source: str, target: str, ignore_schemas: Iterable[str] = ("pgmigrate",)) -> None:
    """Fails with a readable difference unless both databases hold the same.

    Compared are schema, rows of each table (partition by partition), sequences, unvalidated
    constraints and large objects. Invalid indexes may be missing from the target, never new on it.
    What the catalogs say of each object is compared, too, with the source and with what
    `pg_dump | psql` makes of it on the same server: where that is right, the target must be.
    """
    ignored = list(ignore_schemas)
    problems = [
        *_schema_differences(source, target, ignored),
        *_row_differences(source, target, ignored),
        *_diff("sequences", _lines(sequences(source, ignored)), _lines(sequences(target, ignored))),
        *_diff("large objects", _lines(large_objects(source)), _lines(large_objects(target))),
    ]
    expected, found = (invalid_objects(side, ignored) for side in (source, target))
    lost = [name for name in expected if name not in found and not name.startswith("index ")]
    problems += [f"validated on the target only: {name}" for name in lost]
    problems += [f"invalid on the target only: {name}" for name in found if name not in expected]
    if problems:
        raise AssertionError("target differs from source:\n" + "\n".join(problems))


@contextmanager
def _connect(conninfo: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute(
            """
            SELECT pg_catalog.set_config(name, value, false)
            FROM (VALUES
                ('search_path', ''), ('TimeZone', 'UTC'), ('DateStyle', 'ISO, YMD'),
                ('IntervalStyle', 'postgres'), ('extra_float_digits', '3'),
                ('bytea_output', 'hex'), ('row_security', 'off'), ('lc_monetary', 'C')
            ) AS setting (name, value)
            """
        )
        yield connection


def _columns(connection: psycopg.Connection[Any], schema: str, table: str) -> list[str]:
    found = connection.execute(
        """
        SELECT a.attname
        FROM pg_catalog.pg_attribute AS a
        JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
        JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
        WHERE n.nspname = %s AND c.relname = %s AND a.attnum > 0 AND NOT a.attisdropped
        ORDER BY a.attnum
        """,
        [schema, table],
    )
    return [name for (name,) in found]


def _copy(names: Sequence[str], schema: str, table: str, *, only: bool) -> sql.Composed:
    return sql.SQL("COPY (SELECT {} FROM {}{}) TO STDOUT").format(
        sql.SQL(", ").join(map(sql.Identifier, names)),
        sql.SQL("ONLY " if only else ""),
        sql.Identifier(schema, table),
    )


def _rows(
    connection: psycopg.Connection[Any],
    schema: str,
    table: str,
    columns: Sequence[str] | None = None,
    *,
    only: bool = False,
) -> list[Row]:
    names = _columns(connection, schema, table) if columns is None else columns
    statement = _copy(names, schema, table, only=only)
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        found = [tuple(row) if names else () for row in copy.rows()]
    return sorted(found, key=lambda row: tuple((value is None, value or "") for value in row))


def _lines_of_rows(
    connection: psycopg.Connection[Any], schema: str, table: str, columns: Sequence[str]
) -> list[bytes]:
    """The rows as COPY writes them, sorted. A message of COPY is one row: nothing is parsed."""
    statement = _copy(columns, schema, table, only=True)
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        return sorted(bytes(line) for line in copy)


def _pads_lsn(connection: psycopg.Connection[Any]) -> bool:
    """Whether the server writes pg_lsn with all eight digits behind the slash, as 19 does."""
    return connection.info.server_version >= 190000


def _with_padded_lsn(line: bytes) -> bytes:
    return re.sub(
        rb"(?<![^\t,{])([0-9A-F]{1,8})/([0-9A-F]{1,8})(?![^\t,}\n])",
        lambda found: found[1] + b"/" + found[2].rjust(8, b"0"),
        line,
    )


def _row_differences(source: str, target: str, ignored: list[str]) -> list[str]:
    problems: list[str] = []
    names = tables(source, ignored)
    present = set(tables(target, ignored))
    problems += [f"only on the target: table {'.'.join(name)}" for name in present - set(names)]
    with _connect(source) as left, _connect(target) as right:
        for schema, table in names:
            if (schema, table) not in present:
                problems.append(f"not on the target: table {schema}.{table}")
                continue
            columns = _columns(left, schema, table)
            if sorted(columns) != sorted(_columns(right, schema, table)):
                problems.append(f"other columns on the target: table {schema}.{table}")
                continue
            lines = [_lines_of_rows(side, schema, table, columns) for side in (left, right)]
            if _pads_lsn(left) != _pads_lsn(right):
                lines = [sorted(map(_with_padded_lsn, side)) for side in lines]
            if lines[0] != lines[1]:
                expected, found = (
                    _rows(side, schema, table, columns, only=True) for side in (left, right)
                )
                problems.append(f"rows of {schema}.{table}: {len(expected)} -> {len(found)}")
                missing, added = Counter(expected), Counter(found)
                problems += _excerpt([f"-{row!r}" for row in (missing - added).elements()])
                problems += _excerpt([f"+{row!r}" for row in (added - missing).elements()])
    return problems


def _lines(found: Mapping[Any, object]) -> list[str]:
    return [f"{name}: {value!r}" for name, value in found.items()]


def _diff(title: str, expected: Sequence[str], found: Sequence[str]) -> list[str]:
    if list(expected) == list(found):
        return []
    return _excerpt(
        list(
            difflib.unified_diff(
                expected, found, f"source {title}", f"target {title}", n=2, lineterm=""
            )
        )
    )


def _excerpt(lines: Sequence[str], limit: int = 60, width: int = 500) -> list[str]:
    more = [f"... and {len(lines) - limit} more lines"] if len(lines) > limit else []
    return [line if len(line) < width else f"{line[:width]}..." for line in lines[:limit]] + more


def _schema_differences(source: str, target: str, ignored: list[str]) -> list[str]:
    # Majors print the same view or constraint in different words. Between two majors the yardstick
    # is what the source's own dump becomes on the target's server.
    with psycopg.connect(source) as left, psycopg.connect(target) as right:
        same_major = left.info.server_version // 10000 == right.info.server_version // 10000
    dump = dumps.portable(dumps.dump(source, ignored))
    expected, peer = _as_the_peer_makes_it(dump, target, ignored)
    if same_major:
        expected = "\n".join(dumps.sorted_entries(dump))
    wanted, found = facts.read(source, ignored), facts.read(target, ignored)
    return [
        *_diff("schema", expected.splitlines(), dumps.schema(target, ignored).splitlines()),
        *_excerpt(facts.worse_than_peer(wanted, found, peer)),
    ]


# What the peer made of dumps lately: tests of many runs from one source ask for the same again.
_PEERS: dict[tuple[object, ...], tuple[str, dict[facts.Fact, Any]]] = {}
_MOST_PEERS = 8


def _as_the_peer_makes_it(
    dump: str, target: str, ignored: list[str]
) -> tuple[str, dict[facts.Fact, Any]]:
    """What psql makes of a dump on the target's server: its schema and its facts."""
    roles = "SELECT current_setting('server_encoding'), array_agg(rolname::text) FROM pg_roles"
    with psycopg.connect(target) as connection:
        server = (connection.info.host, connection.info.port, connection.info.user)
        known = connection.execute(roles).fetchone()
    assert known is not None
    key = (dump, *server, known[0], *sorted(known[1]), *ignored)
    if key not in _PEERS:
        with _scratch_database(target) as scratch:
            run_script(scratch, dump, stop_on_error=False)
            made = dumps.schema(scratch, ignored), facts.read(scratch, ignored)
        if len(_PEERS) == _MOST_PEERS:
            del _PEERS[next(iter(_PEERS))]
        _PEERS[key] = made
    return _PEERS[key]


def assert_no_worse_than_peer(source: str, target: str) -> None:
    """Fails where the target lacks what `pg_dump | psql` moves into another database of its server.

    Rows, sequences' values and large objects are compared, too.
    """
    with _scratch_database(target) as peer:
        run_script(
            peer, dumps.portable(dumps.dump(source, [], schema_only=False)), stop_on_error=False
        )
        problems = facts.worse_than_peer(facts.read(source), facts.read(target), facts.read(peer))
        for table in set(tables(source)) & set(tables(peer)):
            wanted = rows(source, *table)
            if rows(peer, *table) == wanted != rows(target, *table):
                problems.append(f"rows of {'.'.join(table)}")
        for read in (sequences, large_objects):
            right, found, peers = (dict[Any, Any](read(side)) for side in (source, target, peer))
            problems += [
                f"{name}: {found.get(name)!r}, and {value!r} on the source"
                for name, value in right.items()
                if peers.get(name) == value != found.get(name)
            ]
    if problems:
        raise AssertionError("worse than pg_dump | psql:\n" + "\n".join(_excerpt(problems)))


@contextmanager
def _scratch_database(conninfo: str) -> Iterator[str]:
    name = f"scratch_{os.getpid()}_{os.urandom(4).hex()}"
    with psycopg.connect(conninfo, autocommit=True) as connection:
        encoding = connection.execute("SHOW server_encoding").fetchone()
        assert encoding is not None
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING {} LOCALE 'C'").format(
                sql.Identifier(name), sql.Literal(encoding[0])
            )
        )
        try:
            yield make_conninfo(conninfo, dbname=name)
        finally:
            connection.execute(
                sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name))
            )
