"""The servers' lower bound: the same work by plain SQL, with nothing between the servers.

Rows are read with COPY TO '/dev/null' on the source while the target reads them with COPY FROM a
file of its own, in the formats that pgmigrate's plan has. Then come indexes, keys, ANALYZE, foreign
keys, and the rest, each in the way that is fastest by hand. Tables are created as part of it. What
pg_dump does, and values of sequences, are no part of it. `plain_sql` runs what is prepared here.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import psycopg

from bench.contents import Piece, batches
from bench.pair import Pair, connected
from bench.plain_sql import Queue
from pgmigrate import Migration

_ENTRY: Final = re.compile(r"^-- Name: (.*); Type: ([A-Z ]+); Schema: (.*); Owner: .*$", re.M)
_AT_ONCE: Final = 64


class _Entry(NamedTuple):
    kind: str
    name: str
    sql: str


@dataclass
class _After:
    """What follows the rows, sorted by when it can run."""

    indexes: list[str]
    keys: list[str]
    foreign: list[str]
    validations: list[str]
    rest: list[str]


def prepare(
    pair: Pair, dataset: str, pieces: Sequence[Piece], directory: Path, connections: int
) -> Path:
    """Writes the rows into files of the source server, and the statements into a JSON file.

    Args:
        pair: the servers.
        dataset: the database.
        pieces: what to copy, piece by piece.
        directory: where the file goes.
        connections: how many there are on each server.

    Returns:
        The argument for `plain_sql`.
    """
    formats = _formats(pair, dataset)
    source = pair.source_server.conninfo_for(dataset)
    reads: list[tuple[int, str]] = []
    loads: list[tuple[int, str]] = []
    with connected(source) as connection:
        connection.execute("SET search_path = ''")
        for number, piece in enumerate(pieces):
            options = " (FORMAT binary)" if formats.get(piece.table.name) == "binary" else ""
            file = "'{}'".format(pair.files / f"{dataset}-{number}.copy")
            connection.execute(piece.read(file, options))
            reads.append((piece.bytes, piece.read("'/dev/null'", options)))
            loads.append((piece.bytes, piece.load(file, options)))
        after = _after(connection, _entries(pair, dataset, "post-data"))
    analyses = [f"ANALYZE {name}" for name in dict.fromkeys(piece.table.name for piece in pieces)]
    before = "".join(entry.sql for entry in _entries(pair, dataset, "pre-data"))

    def on_target(statements: list[str], several: bool = True) -> list[Queue]:
        return [Queue(pair.target, statements, connections if several else 1)]

    stages = [
        on_target([before], several=False),
        [
            Queue(pair.source(dataset), _grouped(reads), connections),
            Queue(pair.target, _grouped(loads), connections),
        ],
        on_target(_joined(after.indexes)),
        on_target(_joined(after.keys), several=False),
        on_target(_joined(analyses)),
        on_target(_joined(after.foreign), several=False),
        on_target(_joined(after.validations)),
        on_target(after.rest, several=False),
    ]
    path = directory / f"{dataset}-lower-bound.json"
    path.write_text(json.dumps([[asdict(queue) for queue in stage] for stage in stages]))
    return path


def remove_files(pair: Pair, dataset: str) -> None:
    """Removes the files that `prepare` had the source server write."""
    for file in pair.files.glob(f"{dataset}-*.copy"):
        file.unlink()


def _formats(pair: Pair, dataset: str) -> dict[str, str]:
    with pair.new_target(0) as target:
        source = pair.source_server.conninfo_for(dataset)
        plan = Migration(source=source, target=target).plan()
    with connected(pair.source_server.conninfo) as connection:
        named = [(task.schema, task.name, task.format) for task in plan if task.format]
        return {
            connection.execute(
                "SELECT quote_ident(%s) || '.' || quote_ident(%s)", [schema, name]
            ).fetchall()[0][0]: format
            for schema, name, format in named
        }


def _entries(pair: Pair, dataset: str, section: str) -> list[_Entry]:
    """What pg_dump writes of a section, object by object."""
    text = subprocess.run(
        [
            pair.bin_dir / "pg_dump",
            f"--dbname={pair.source(dataset)}",
            f"--section={section}",
        ],
        env=pair.environment(),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    text = re.sub(r"^\\(un)?restrict .*$", "", text, flags=re.M)
    head, *parts = _ENTRY.split(text)
    found = [_Entry("SET", "", head)]
    for name, kind, schema, statements in zip(*(parts[at::4] for at in range(4)), strict=True):
        found.append(_Entry(kind, f"{schema}.{name}", statements))
    return found


def _after(connection: psycopg.Connection[Any], entries: Iterable[_Entry]) -> _After:
    keys = _keys(connection)
    after = _After([], [], [], [], [])
    validations: dict[str, list[str]] = {}
    for entry in entries:
        if entry.name in keys:
            index, constraint = keys[entry.name]
            after.indexes.append(index)
            after.keys.append(constraint)
        elif entry.kind == "INDEX":
            after.indexes.append(entry.sql)
        elif entry.kind in ("CONSTRAINT", "INDEX ATTACH"):
            after.keys.append(entry.sql)
        elif entry.kind == "FK CONSTRAINT":
            after.foreign.append(re.sub(r";\s*(--\s*)*$", " NOT VALID;", entry.sql))
        elif entry.kind != "SET":
            after.rest.append(entry.sql)
    for table, name in _foreign_keys(connection):
        validations.setdefault(table, []).append(f"ALTER TABLE {table} VALIDATE CONSTRAINT {name};")
    # One transaction validates all of a table: two that share tables could wait for each other.
    after.validations = ["".join(statements) for statements in validations.values()]
    return after


def _keys(connection: psycopg.Connection[Any]) -> Mapping[str, tuple[str, str]]:
    """Keys by pg_dump's name for them: an index to build, and what makes it the key.

    ADD PRIMARY KEY by itself would keep other builds off the table meanwhile.
    """
    found = connection.execute(
        """
        SELECT n.nspname || '.' || c.relname || ' ' || k.conname, pg_get_indexdef(k.conindid),
            format('ALTER TABLE %s ADD CONSTRAINT %I %s USING INDEX %I', k.conrelid::regclass,
                k.conname, CASE k.contype WHEN 'p' THEN 'PRIMARY KEY' ELSE 'UNIQUE' END, i.relname)
        FROM pg_constraint AS k
        JOIN pg_class AS c ON c.oid = k.conrelid
        JOIN pg_namespace AS n ON n.oid = c.relnamespace
        JOIN pg_class AS i ON i.oid = k.conindid
        WHERE k.contype IN ('p', 'u') AND NOT k.condeferrable AND c.relkind = 'r'
        """
    )
    return {name: (f"{index};", f"{constraint};") for name, index, constraint in found}


def _foreign_keys(connection: psycopg.Connection[Any]) -> list[tuple[str, str]]:
    return connection.execute(
        """
        SELECT k.conrelid::regclass::text, quote_ident(k.conname)
        FROM pg_constraint AS k JOIN pg_class AS c ON c.oid = k.conrelid
        WHERE k.contype = 'f' AND k.conparentid = 0
        ORDER BY pg_table_size(c.oid) DESC, c.oid
        """
    ).fetchall()


def _grouped(weighed: Sequence[tuple[int, str]]) -> list[str]:
    """Statements, of which the small ones go to the server together; largest first."""
    most = max(1, sum(weight for weight, _ in weighed) // _AT_ONCE)
    groups: list[str] = []
    group: list[str] = []
    filled = 0
    for weight, statement in weighed:
        group.append(statement)
        filled += weight
        if filled >= most:
            groups.append("; ".join(group))
            group, filled = [], 0
    return [*groups, "; ".join(group)] if group else groups


def _joined(statements: Sequence[str]) -> list[str]:
    """Statements, of which several go to the server together where there are many."""
    size = max(1, len(statements) // _AT_ONCE)
    ended = [f"{statement.rstrip().rstrip(';')};\n" for statement in statements]
    return ["".join(some) for some in batches(ended, size)]
