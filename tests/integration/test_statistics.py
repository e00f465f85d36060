"""Planner statistics: carried over from an 18 to an 18, and gathered by ANALYZE everywhere else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from conftest import Pair
from pgmigrate import Migration, Plan, Report
from support import servers

MakePair = Callable[[int, int], Pair]

# No autovacuum, which would gather what the run is to bring. What is reported for statistics of a
# session's changes is reported when it is idle.
SCRIPT = """
CREATE SCHEMA "odd "" schema";
SET search_path = "odd "" schema";
CREATE TYPE mood AS ENUM ('sad', 'it''s "fine"', 'happy');
CREATE TABLE typed (
    id bigint PRIMARY KEY,
    number numeric(12, 3), double float8, flag bool, moment timestamptz, day date, span interval,
    word text COLLATE "C", note varchar(40), fixed char(9), bytes bytea, mark uuid, host inet,
    face mood, faces mood[], numbers int[], words text[], tree jsonb, pair point, bits bit(5),
    price money, life int4range, lives int4multirange, days daterange, none int, "Odd ""name" int,
    twice int GENERATED ALWAYS AS (id::int * 2) STORED,
    thrice int GENERATED ALWAYS AS (id::int * 3) VIRTUAL
) WITH (autovacuum_enabled = false);
INSERT INTO typed
SELECT i, i / 7.0, CASE WHEN i % 100 = 0 THEN 'NaN' ELSE i / 3.0 END, i % 3 = 0,
    timestamptz '2001-02-03 04:05:06.789+02' + i * interval '1 hour', date '2000-01-01' - i,
    i * interval '1 day 2 seconds',
    (ARRAY[
        'FrequentWitness', 'ä€𝄞', 'it''s', '"quoted", {braces} \\back', E'tab\\tline\\n', NULL
    ])[1 + i % 6],
    'n' || i % 50, 'f' || i % 9, decode(md5((i % 20)::text), 'hex'), md5(i::text)::uuid,
    inet '10.0.0.0' + i % 77, (enum_range(NULL::mood))[1 + i % 3],
    (enum_range(NULL::mood))[1:1 + i % 3], ARRAY[i % 5, i % 11, NULL],
    ARRAY['a"b', 'c,d', 'ü', i::text], jsonb_build_object('key', i % 4), point(i, i),
    (i % 32)::bit(5), i::money, CASE WHEN i % 10 = 0 THEN 'empty' ELSE int4range(i, i + i % 30) END,
    int4multirange(int4range(i, i + 3), int4range(i + 9, i + 12)), daterange('2020-01-01', NULL),
    NULL, i % 8
FROM generate_series(1, 5000) AS i;
DELETE FROM typed WHERE id % 5 = 0;
CREATE INDEX typed_expression ON typed (lower(word), (number * 2), (id % 10)) WHERE flag;
CREATE TABLE parted (id int, kind int, word text) PARTITION BY LIST (kind);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES IN (1) WITH (autovacuum_enabled = false);
CREATE TABLE parted_2 PARTITION OF parted FOR VALUES IN (2, 3) PARTITION BY RANGE (id);
CREATE TABLE parted_2_low PARTITION OF parted_2 FOR VALUES FROM (0) TO (500)
    WITH (autovacuum_enabled = false);
CREATE TABLE parted_2_high PARTITION OF parted_2 DEFAULT WITH (autovacuum_enabled = false);
CREATE TABLE parted_none PARTITION OF parted FOR VALUES IN (9) WITH (autovacuum_enabled = false);
INSERT INTO parted SELECT i, 1 + i % 3, 'w' || i % 13 FROM generate_series(1, 1000) AS i;
CREATE INDEX ON parted ((id % 5));
CREATE TABLE empty (id int) WITH (autovacuum_enabled = false);
CREATE TABLE child (id int PRIMARY KEY, typed bigint REFERENCES typed)
    WITH (autovacuum_enabled = false);
INSERT INTO child SELECT i, 1 + i % 4 FROM generate_series(1, 500) AS i;
SELECT pg_stat_force_next_flush();
SELECT 1;
ANALYZE typed, child, parted;
"""
SCHEMA = '"odd "" schema"'

COLUMNS = """
SELECT tablename::text, attname::text, to_jsonb(s) - 'schemaname' FROM pg_stats AS s
WHERE schemaname = 'odd " schema' ORDER BY tablename, attname COLLATE "C", inherited
"""
GATHERED = """
SELECT relname::text FROM pg_stat_all_tables
WHERE schemaname = 'odd " schema' AND (last_analyze IS NOT NULL OR last_autoanalyze IS NOT NULL)
ORDER BY relname COLLATE "C"
"""


def _query(conninfo: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(conninfo) as connection:
        return connection.execute(query).fetchall()


def _analyzed(conninfo: str) -> list[str]:
    return [name for (name,) in _query(conninfo, GATHERED)]


def _databases(pair: Pair, script: str = SCRIPT) -> tuple[str, str]:
    source, target = pair.filled(script)
    return source, target


def _migration(databases: tuple[str, str], **options: Any) -> Migration:
    given = {"roles": "none", "statistics": "copy", **options}
    return Migration(source=databases[0], target=databases[1], **given)


def _run(migration: Migration, plan: Plan | None = None, **settings: Any) -> Report:
    report = migration.run(plan, jobs=2, **settings)
    report.raise_for_failures()
    return report


def _notes(report: Report) -> dict[str, str]:
    found = [task for task in report.tasks if task.phase == "analyze"]
    return {task.object.rpartition(".")[2]: task.note for task in found}


def test_statistics_of_every_type_travel_and_nothing_is_analyzed(
    make_pair: MakePair, tmp_path: Path
) -> None:
    databases = _databases(make_pair(18, 18))
    migration = _migration(databases)
    plan = migration.plan()
    plan.save(tmp_path / "plan.tsv")
    report = _run(migration, plan, state=tmp_path / "state.tsv")
    notes = _notes(report)
    assert sorted(notes) == ["child", "empty", "parted", "typed"]
    assert set(notes.values()) == {"copied from the source"}
    expected = _query(databases[0], COLUMNS)
    assert {name for name, *_ in expected} == {
        *("typed", "typed_expression", "child"),
        *("parted", "parted_1", "parted_2", "parted_2_low", "parted_2_high"),
        *("parted_1_expr_idx", "parted_2_low_expr_idx", "parted_2_high_expr_idx"),
    }
    assert any("FrequentWitness" in str(row) for row in expected)
    assert _query(databases[1], COLUMNS) == expected
    assert _analyzed(databases[1]) == []
    for path in tmp_path.iterdir():
        assert "FrequentWitness" not in path.read_text()
        assert "ä€𝄞" not in path.read_text()


def test_pages_are_those_of_the_target_and_rows_those_of_the_source(make_pair: MakePair) -> None:
    databases = _databases(make_pair(18, 18))
    _run(_migration(databases))
    query = f"""
    SELECT c.relname::text, c.reltuples, c.relpages,
        pg_relation_size(c.oid) / current_setting('block_size')::int
    FROM pg_class AS c WHERE c.relnamespace = '{SCHEMA}'::regnamespace AND c.relkind IN ('r', 'p')
    ORDER BY c.relname COLLATE "C"
    """
    source, target = (_query(side, query) for side in databases)
    assert {row[0]: max(row[1], 0) for row in target} == {row[0]: max(row[1], 0) for row in source}
    pages = {name: (stored, counted) for name, _, stored, counted in target}
    assert pages.pop("parted") == (-1, 0)
    assert pages.pop("parted_2") == (-1, 0)
    assert all(stored == counted for stored, counted in pages.values())
    # A fifth of the source's rows is gone, and its pages are still there.
    assert pages["typed"][0] < next(row[2] for row in source if row[0] == "typed")


@pytest.mark.parametrize("given", ["auto", "analyze", "copy"])
def test_statistics_are_copied_or_gathered_as_asked(make_pair: MakePair, given: str) -> None:
    databases = _databases(make_pair(18, 18))
    plan = _migration(databases, statistics=given).plan()
    kinds = {task.name: task.kind for task in plan if task.phase == "analyze"}
    copied = {"auto": ["typed"], "analyze": [], "copy": ["child", "empty", "parted", "typed"]}[
        given
    ]
    assert sorted(name for name, kind in kinds.items() if kind == "statistics data") == copied
    assert all(kind == "analyze" for name, kind in kinds.items() if name not in copied)
    _run(_migration(databases, statistics=given), plan)
    assert ("typed" in _analyzed(databases[1])) == (given == "analyze")
    assert ("child" in _analyzed(databases[1])) == (given != "copy")


def test_a_foreign_key_is_checked_with_statistics_there(make_pair: MakePair) -> None:
    databases = _databases(make_pair(18, 18))
    plan = _migration(databases).plan()
    (validation,) = [task for task in plan if task.kind == "fk validation"]
    carried = {
        task.id
        for task in plan
        if task.kind == "statistics data" and task.name in ("child", "typed")
    }
    assert len(carried) == 2
    assert carried <= set(validation.after)


def test_no_statistics_where_none_are_wanted(make_pair: MakePair) -> None:
    databases = _databases(make_pair(18, 18))
    migration = _migration(databases, analyze_after_load=False)
    assert not [task for task in migration.plan() if task.phase == "analyze"]
    _run(migration)
    assert _query(databases[1], COLUMNS) == []


def test_a_target_before_18_is_analyzed(make_pair: MakePair) -> None:
    script = "CREATE TABLE t (id int); INSERT INTO t SELECT generate_series(1, 100); ANALYZE t"
    databases = _databases(make_pair(18, 16), script)
    report = _run(_migration(databases))
    assert _notes(report) == {"t": "gathered by ANALYZE: the target is older than 18"}
    assert _query(
        databases[1], "SELECT last_analyze IS NOT NULL FROM pg_stat_user_tables WHERE relname = 't'"
    ) == [(True,)]


def test_a_source_before_18_is_analyzed(pair: Pair) -> None:
    script = "CREATE TABLE t (id int); INSERT INTO t SELECT generate_series(1, 100); ANALYZE t"
    plan = _migration(_databases(pair, script)).plan()
    assert [task.kind for task in plan if task.phase == "analyze"] == ["analyze"]


def test_tables_whose_rows_do_not_all_come_are_analyzed(make_pair: MakePair) -> None:
    databases = _databases(make_pair(18, 18))
    schema = 'odd " schema'
    include = [
        {"schema": schema, "name": "typed", "where": "id < 2000"},
        {"schema": schema, "name": "child", "limit": 100},
    ]
    tables = {"include": include, "exclude": [{"schema": schema, "name": "parted_none"}]}
    migration = _migration(databases, tables=tables)
    kinds = {task.name: task.kind for task in migration.plan() if task.phase == "analyze"}
    assert kinds == {
        "typed": "analyze",
        "child": "analyze",
        "parted": "analyze",
        "empty": "statistics data",
    }
    assert {"typed", "child", "parted"} <= set(_analyzed_after(migration, databases))


def _analyzed_after(migration: Migration, databases: tuple[str, str]) -> list[str]:
    _run(migration)
    return _analyzed(databases[1])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("CREATE STATISTICS {t}_pair ON id, number FROM {t}; ANALYZE {t}", None),
        ("INSERT INTO {t} (id) SELECT generate_series(10000, 10900)", "out of date"),
        ("ALTER TABLE {t} ADD late int DEFAULT 7", "incomplete"),
        ("CREATE INDEX ON {t} ((id + 1))", "incomplete"),
        ("CREATE TABLE {t}_below () INHERITS ({t})", "out of date"),
        ("UPDATE pg_class SET reltuples = -1 WHERE oid = '{t}'::regclass", "incomplete"),
    ],
    ids=["extended", "changed", "new_column", "new_index", "inherited", "never_analyzed"],
)
def test_what_does_not_say_what_analyze_would_is_gathered_again(
    make_pair: MakePair, change: str, reason: str | None
) -> None:
    databases = _databases(make_pair(18, 18))
    servers.run_script(databases[0], change.format(t=f"{SCHEMA}.typed"))
    note = _notes(_run(_migration(databases)))["typed"]
    assert (reason or "") in note
    assert note.startswith("gathered by ANALYZE: ") == (reason is not None)
    assert "typed" in _analyzed(databases[1])
    assert "child" not in _analyzed(databases[1])


def test_statistics_of_a_parent_that_its_partitions_have_left_behind(make_pair: MakePair) -> None:
    databases = _databases(make_pair(18, 18))
    servers.run_script(
        databases[0],
        f"INSERT INTO {SCHEMA}.parted_1 SELECT i, 1, 'x' FROM generate_series(1, 900) AS i;"
        "SELECT pg_stat_force_next_flush(); SELECT 1;"
        f"ANALYZE {SCHEMA}.parted_1",
    )
    report = _run(_migration(databases))
    assert _notes(report)["parted"].startswith("gathered by ANALYZE: ")
    assert {"parted", "parted_1"} <= set(_analyzed(databases[1]))


def test_rows_that_join_others_are_analyzed(make_pair: MakePair) -> None:
    databases = _databases(make_pair(18, 18))
    servers.run_script(
        databases[1],
        f"CREATE SCHEMA {SCHEMA}; CREATE TABLE {SCHEMA}.child (id int PRIMARY KEY, typed bigint);"
        f"INSERT INTO {SCHEMA}.child VALUES (-1, NULL);"
        f"CREATE TABLE {SCHEMA}.empty (id int)",
    )
    notes = _notes(_run(_migration(databases)))
    assert notes["child"] == "gathered by ANALYZE: the table holds other rows than the source's"
    assert notes["empty"] == "copied from the source"


@pytest.fixture
def plain_roles(make_pair: MakePair) -> Iterator[tuple[str, str]]:
    """Both ends by roles without any attribute: one that may read, and one that may create."""
    databases = _databases(make_pair(18, 18))
    reader, owner = "statistics_reader", "statistics_owner"
    servers.run_script(
        databases[0],
        f"CREATE ROLE {reader} LOGIN PASSWORD 'p'; GRANT USAGE ON SCHEMA {SCHEMA} TO {reader};"
        f"GRANT SELECT ON ALL TABLES IN SCHEMA {SCHEMA} TO {reader}",
    )
    servers.run_script(
        databases[1],
        f"CREATE ROLE {owner} LOGIN PASSWORD 'p';"
        f"SELECT format('GRANT ALL ON DATABASE %I TO {owner}', current_database()) \\gexec",
    )
    yield (
        make_conninfo(databases[0], user=reader, password="p"),
        make_conninfo(databases[1], user=owner, password="p"),
    )
    for conninfo in databases:
        servers.run_script(conninfo, f"DROP OWNED BY {reader}, {owner} CASCADE")
    servers.run_script(databases[0], f"DROP ROLE {reader}, {owner}")


def test_roles_that_only_read_and_create(plain_roles: tuple[str, str]) -> None:
    report = _run(_migration(plain_roles))
    notes = _notes(report)
    assert notes["child"] == "copied from the source"
    # What is kept of an index's expression is shown to the table's owner alone.
    assert notes["typed"].endswith("incomplete or out of date")
    assert "typed" in _analyzed(plain_roles[1])
    assert "child" not in _analyzed(plain_roles[1])


def test_what_the_target_cannot_take_is_analyzed_and_shown_nowhere(
    make_pair: MakePair, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    script = (
        "CREATE TABLE t (v text, w text GENERATED ALWAYS AS (v || '!') STORED)"
        " WITH (autovacuum_enabled = false);"
        "INSERT INTO t SELECT 'FrequentWitness' FROM generate_series(1, 100);"
        "SELECT pg_stat_force_next_flush(); SELECT 1; ANALYZE t"
    )
    databases = _databases(make_pair(18, 18), script)
    # The rows fit, and what the target makes of them is of another type.
    servers.run_script(
        databases[1],
        "CREATE TABLE t (v text, w int GENERATED ALWAYS AS (length(v)) STORED)"
        " WITH (autovacuum_enabled = false)",
    )
    caplog.set_level("DEBUG")
    report = _run(_migration(databases), state=tmp_path / "state.tsv")
    assert _notes(report) == {"t": "gathered by ANALYZE: the target did not take the source's"}
    assert _query(
        databases[1], "SELECT most_common_vals::text FROM pg_stats WHERE attname = 'w'"
    ) == [("{15}",)]
    assert "FrequentWitness" not in caplog.text
    assert "FrequentWitness" not in (tmp_path / "state.tsv").read_text()
    assert "FrequentWitness" not in repr(report)
