"""PostgreSQL 19 as source and target: what is new, what it refuses and writes in another form."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from conftest import Pair
from pgmigrate import Migration, Report
from support import servers
from support.older_targets import UNSUBSCRIBE, assert_all_is_named

pytestmark = pytest.mark.skipif(
    19 not in servers.available_majors(), reason=f"{servers.NEWEST_VARIABLE} names no PostgreSQL 19"
)

LSN = """
    CREATE DOMAIN lsn AS pg_lsn;
    -- regclass has no binary form that means the same elsewhere: these rows are sent as text.
    CREATE TABLE as_text (at pg_lsn PRIMARY KEY, both_ends pg_lsn[], kept lsn, class regclass);
    CREATE TABLE as_binary (id int, at pg_lsn, both_ends pg_lsn[]);
    CREATE TABLE keyless (at pg_lsn, class regclass);
    INSERT INTO as_text
        SELECT i::text::pg_lsn, ARRAY[i::text::pg_lsn, NULL], i::text::pg_lsn, 'pg_class'
        FROM (SELECT to_hex(n) || '/' || to_hex(n * 4096) AS i
            FROM generate_series(0, 40) AS n) AS s;
    INSERT INTO as_binary
        SELECT n, '0/0'::pg_lsn + n, ARRAY['0/A'::pg_lsn] FROM generate_series(1, 40) AS n;
    INSERT INTO keyless SELECT at, class FROM as_text;
"""


def _moved(source: str, target: str, **options: Any) -> Report:
    report = Migration(source=source, target=target, roles="none", **options).run(verify=True)
    report.raise_for_failures()
    return report


@pytest.mark.parametrize("majors", [(18, 19), (19, 18)], ids=lambda pair: f"{pair[0]}to{pair[1]}")
def test_pg_lsn_is_compared_by_value_across_19(
    make_pair: Callable[[int, int], Pair], majors: tuple[int, int]
) -> None:
    pair = make_pair(*majors)
    source, target = pair.filled(LSN)
    verification = _moved(source, target).verification
    assert verification is not None and verification.verdict == "equal"
    servers.assert_equal(source, target)
    migration = Migration(source=source, target=target, roles="none")
    # Without the ledger's sums both sides are read.
    migration.cleanup()
    assert migration.verify().verdict == "equal"
    # One bit of one value, as text, as binary and without a key.
    for table in ("as_text", "as_binary", "keyless"):
        last = f"at = (SELECT max(at) FROM {table})"
        servers.run_script(target, f"UPDATE {table} SET at = at + 1 WHERE {last}")
        different = migration.verify()
        assert [table.object for table in different.tables if table.status == "different"] == [
            f"public.{table}"
        ]
        servers.run_script(target, f"UPDATE {table} SET at = at - 1 WHERE {last}")


NEW_IN_19 = """
    CREATE TABLE listed (id int PRIMARY KEY);
    CREATE TABLE left_out (id int PRIMARY KEY);
    CREATE SEQUENCE numbers;
    CREATE PUBLICATION most FOR ALL TABLES EXCEPT (TABLE left_out);
    CREATE PUBLICATION numbered FOR ALL SEQUENCES;
    CREATE EXTENSION postgres_fdw;
    CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host 'nowhere', dbname 'd');
    CREATE USER MAPPING FOR CURRENT_USER SERVER far OPTIONS (user 'a', password 'secret-pw');
    CREATE SUBSCRIPTION followed SERVER far PUBLICATION most WITH (connect = false);
"""


def test_what_is_new_in_19_arrives_in_19(make_pair: Callable[[int, int], Pair]) -> None:
    pair = make_pair(19, 19)
    source, target = pair.filled(NEW_IN_19)
    report = _moved(source, target, publications=True, subscriptions=True)
    assert report.verification is not None and report.verification.verdict == "equal"
    query = """
        SELECT s.subname, f.srvname, s.subpublications, s.subconninfo
        FROM pg_subscription s JOIN pg_foreign_server f ON f.oid = s.subserver
        JOIN pg_database d ON d.oid = s.subdbid AND d.datname = current_database()
    """
    assert servers.fetch(target, query) == servers.fetch(source, query) != []
    for side in (source, target):
        servers.run_script(side, UNSUBSCRIBE)
    servers.assert_equal(source, target)


EXPRESSIONS = """
    CREATE TABLE plain (a int, b int, PRIMARY KEY (a));
    CREATE VIEW ignoring AS SELECT lag(b) IGNORE NULLS OVER (ORDER BY a) FROM plain;
    CREATE VIEW respecting AS SELECT lag(b) RESPECT NULLS OVER (ORDER BY a) FROM plain;
    CREATE VIEW of_json AS SELECT JSON_ARRAY(SELECT a FROM plain) AS x, JSON_SCALAR(1) AS y;
    CREATE FUNCTION selects() RETURNS SETOF int LANGUAGE sql BEGIN ATOMIC
        INSERT INTO plain VALUES (1) ON CONFLICT (a) DO SELECT RETURNING a; END;
    CREATE FUNCTION updates() RETURNS SETOF int LANGUAGE sql BEGIN ATOMIC
        INSERT INTO plain VALUES (1) ON CONFLICT (a) DO UPDATE SET b = 1 RETURNING a; END;
    CREATE TABLE wide (a oid8, b oid8[], c regdatabase);
    CREATE DOMAIN of_oid8 AS oid8;
    CREATE TABLE vacuumed (a int) WITH (autovacuum_parallel_workers = 2);
    CREATE SUBSCRIPTION retaining CONNECTION 'host=nowhere' PUBLICATION a
        WITH (connect = false, retain_dead_tuples);
    CREATE SUBSCRIPTION waiting CONNECTION 'host=nowhere' PUBLICATION a
        WITH (connect = false, wal_receiver_timeout = '5s');
"""


def test_what_18_lacks_is_named_before(make_pair: Callable[[int, int], Pair]) -> None:
    pair = make_pair(19, 18)
    script = NEW_IN_19 + EXPRESSIONS
    named, _ = assert_all_is_named(pair.source(), pair.target(), script)
    assert {"most", "numbered", "followed", "retaining", "waiting", "public.vacuumed"} < named
    assert {"public.ignoring", "public.selects()", "public.wide.a", "public.of_oid8"} < named


def test_roles_whose_names_19_refuses_are_named(make_pair: Callable[[int, int], Pair]) -> None:
    pair = make_pair(18, 19)
    source, target = pair.source(), pair.target()
    role = f"{pair.name}\nsecond line"
    with psycopg.connect(source, autocommit=True) as connection:
        connection.execute(f'CREATE ROLE "{role}"')
    try:
        servers.run_script(source, f'CREATE TABLE t (a int); ALTER TABLE t OWNER TO "{role}"')
        found = Migration(source=source, target=target).preflight().findings
        named = [finding for finding in found if finding.check == "role_name"]
        assert len(named) == 1 and "second line" in named[0].objects[0]
    finally:
        servers.run_script(source, f'DROP TABLE t; DROP ROLE "{role}"')


def test_indexes_of_inet_are_built_by_the_operator_class_of_19(
    make_pair: Callable[[int, int], Pair],
) -> None:
    pair = make_pair(18, 19)
    source, target = pair.filled(
        """
        CREATE EXTENSION btree_gist;
        CREATE TABLE hosts (
            ip inet, net cidr, port int4range, EXCLUDE USING gist (ip WITH =, port WITH &&)
        );
        CREATE INDEX hosts_net ON hosts USING gist (net);
        CREATE INDEX hosts_own ON hosts USING gist (ip inet_ops);
        INSERT INTO hosts
            SELECT '10.0.0.0'::inet + n, '10.0.0.0/8', int4range(n, n + 1)
            FROM generate_series(1, 50) AS n;
        """,
    )
    report = _moved(source, target)
    named = [finding.objects for finding in report.findings if finding.check == "operator_class"]
    assert [list(objects) for objects in named] == [
        ["public.hosts_ip_port_excl", "public.hosts_net"]
    ]
    classes = servers.fetch(
        target,
        "SELECT DISTINCT o.opcname FROM pg_index i JOIN pg_opclass o ON o.oid = i.indclass[0] "
        "WHERE i.indrelid = 'hosts'::regclass",
    )
    assert classes == [("inet_ops",)]


def test_short_rows_go_to_19_as_text(make_pair: Callable[[int, int], Pair]) -> None:
    script = """
        CREATE TABLE narrow AS
            SELECT (n % 9)::int2 AS a, (n % 8)::int2 AS b, (n % 7)::int2 AS c, (n % 6)::int2 AS d
            FROM generate_series(1, 300000) AS n;
        ANALYZE narrow;
    """
    source = make_pair(18, 19).source()
    servers.run_script(source, script)
    for major, wanted in ((18, "binary"), (19, "text")):
        target = make_pair(18, major).target()
        _moved(source, target)
        formats = servers.fetch(
            target, "SELECT DISTINCT format FROM pgmigrate.migration_task WHERE kind = 'data'"
        )
        assert formats == [(wanted,)]
        assert servers.rows(source, "public", "narrow") == servers.rows(target, "public", "narrow")
