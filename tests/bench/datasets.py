"""The databases that are copied. The same name and scale always give the same rows."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from bench.pair import Pair, connected
from pgmigrate import demo_database
from pgmigrate.embedded import find_tool


@dataclass(frozen=True)
class Dataset:
    """One of the databases.

    Attributes:
        name: what the command line calls it, and its database's name.
        title: what it is at scale 1.
        fill: makes its tables in an empty database: called with the servers, the conninfo and the
            scale.
    """

    name: str
    title: str
    fill: Callable[[Pair, str, float], None]

    def create(self, pair: Pair, scale: float) -> None:
        """Makes the database on the source server, as tidy as a long life with vacuum leaves it."""
        conninfo = pair.create_source(self.name)
        self.fill(pair, conninfo, scale)
        with connected(conninfo) as connection:
            connection.execute("VACUUM (ANALYZE)")
        pair.create_roles()


def _small_tables(_: Pair, conninfo: str, scale: float) -> None:
    count = max(4, round(1500 * scale))
    statements = [
        f"""
        CREATE TABLE entry_{number} (
            id int PRIMARY KEY, previous int, label text NOT NULL, amount numeric(10, 2) NOT NULL,
            changed_at timestamptz NOT NULL
        );
        INSERT INTO entry_{number}
        SELECT i, i, 'entry ' || i, i * 1.25,
            '2026-01-01 00:00+00'::timestamptz + i * interval '1 h'
        FROM generate_series(1, 100) AS i;
        """
        for number in range(count)
    ]
    statements += [
        f"ALTER TABLE entry_{number} ADD FOREIGN KEY (previous) REFERENCES entry_{number - 1};"
        for number in range(1, count)
    ]
    _execute(conninfo, "".join(statements))


def _pgbench(pair: Pair, _: str, scale: float) -> None:
    subprocess.run(
        [
            find_tool("pgbench"),
            "--initialize",
            "--quiet",
            f"--scale={max(1, round(30 * scale))}",
            f"--dbname={pair.source('pgbench')}",
        ],
        env=pair.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )


def _typed(_: Pair, conninfo: str, scale: float) -> None:
    _execute(
        conninfo,
        f"""
        CREATE TABLE measurement (
            id bigint NOT NULL, device uuid NOT NULL, taken_at timestamptz NOT NULL,
            reading float8 NOT NULL, price numeric(12, 4), counter int NOT NULL,
            valid boolean NOT NULL, remark text, details jsonb
        );
        INSERT INTO measurement
        SELECT i, md5((i % 5000)::text)::uuid,
            '2025-01-01 00:00+00'::timestamptz + i * interval '7.3 s',
            sin(i) * 1000, CASE WHEN i % 17 <> 0 THEN (i % 1000003) / 7.0 END, i % 100000,
            i % 3 = 0, CASE WHEN i % 11 <> 0 THEN 'remark number ' || i END,
            jsonb_build_object('level', i % 10, 'source', 'probe ' || i % 300)
        FROM generate_series(1, {_rows(3_000_000, scale)}) AS i;
        ALTER TABLE measurement ADD PRIMARY KEY (id);
        CREATE INDEX ON measurement (device, taken_at);
        CREATE INDEX ON measurement (taken_at);
        CREATE INDEX ON measurement (counter) WHERE valid;
        """,
    )


def _airlines(_: Pair, conninfo: str, scale: float) -> None:
    demo_database.fill(conninfo, scale=4 * scale)


def _wide_text(_: Pair, conninfo: str, scale: float) -> None:
    # 1,952 characters: just below the size from which values are compressed or stored apart.
    _execute(
        conninfo,
        f"""
        CREATE TABLE document (id bigint NOT NULL, body text NOT NULL);
        INSERT INTO document
        SELECT i, repeat(md5(i::text), 61) FROM generate_series(1, {_rows(600_000, scale)}) AS i;
        ALTER TABLE document ADD PRIMARY KEY (id);
        """,
    )


def _one_big(_: Pair, conninfo: str, scale: float) -> None:
    small = _rows(16_667, scale)
    statements = [
        f"""
        CREATE TABLE kind_{number} (
            id int PRIMARY KEY, title text NOT NULL, weight float8 NOT NULL
        );
        INSERT INTO kind_{number}
        SELECT i, 'kind ' || i, i / 7.0 FROM generate_series(1, {small}) AS i;
        """
        for number in range(20)
    ]
    _execute(
        conninfo,
        "".join(statements)
        + f"""
        CREATE TABLE event (
            id bigint NOT NULL, kind int NOT NULL, other_kind int NOT NULL,
            happened_at timestamptz NOT NULL, message text NOT NULL, size int NOT NULL
        );
        INSERT INTO event
        SELECT i, 1 + i % {small}, 1 + i / 3 % {small},
            '2025-06-01 00:00+00'::timestamptz + i * interval '3 s',
            'event ' || i || ' of a long night', i % 4096
        FROM generate_series(1, {_rows(3_000_000, scale)}) AS i;
        ALTER TABLE event ADD PRIMARY KEY (id);
        CREATE INDEX ON event (happened_at);
        CREATE INDEX ON event (kind, size);
        ALTER TABLE event ADD FOREIGN KEY (kind) REFERENCES kind_0,
            ADD FOREIGN KEY (other_kind) REFERENCES kind_1;
        """,
    )


def _rows(count: int, scale: float) -> int:
    return max(100, round(count * scale))


def _execute(conninfo: str, script: str) -> None:
    with connected(conninfo) as connection:
        connection.execute(script)


DATASETS: Final = (
    # First, on a disk that has not just lost a large database.
    Dataset("small_tables", "1,500 tables of 100 rows with keys and foreign keys", _small_tables),
    Dataset("pgbench", "pgbench at scale 30", _pgbench),
    Dataset("typed", "3 million rows of nine types, 3 secondary indexes", _typed),
    Dataset("airlines", "the demo's airline bookings at scale 4", _airlines),
    Dataset("wide_text", "1.2 GB of 2 kB text rows", _wide_text),
    Dataset("one_big", "90 % of all rows in one table, and twenty small ones", _one_big),
)
"""In the order in which they are run."""
