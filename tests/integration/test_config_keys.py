"""Every key of a configuration: what it changes on real servers."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from conftest import Pair
from pgmigrate import ConfigError, ConnectError, Migration, Plan, Report, StateError, Task, _native
from pgmigrate.embedded import find_tool
from support import servers

# Few enough rows that autovacuum never analyzes a table.
SCRIPT = """
CREATE SCHEMA app;
CREATE SCHEMA other;
CREATE TABLE app.t (id int PRIMARY KEY, n int, v text, CONSTRAINT t_positive CHECK (id > 0));
INSERT INTO app.t SELECT i, nullif(i % 8, 0), 'v' || i FROM generate_series(1, 40) AS i;
CREATE INDEX t_n ON app.t (n);
CREATE TABLE app.child (
    id int PRIMARY KEY, t int CONSTRAINT child_t REFERENCES app.t, u int UNIQUE
);
INSERT INTO app.child SELECT i, i, i FROM generate_series(1, 10) AS i;
CREATE TABLE other.o (a int);
INSERT INTO other.o VALUES (1);
CREATE TABLE plain (a int);
INSERT INTO plain VALUES (7);
"""

Test = TypeVar("Test", bound=Callable[..., object])
SHOWN: dict[str, str] = {}


def shows(*keys: str) -> Callable[[Test], Test]:
    """Says which keys a test shows the effect of."""

    def register(test: Test) -> Test:
        SHOWN.update(dict.fromkeys(keys, test.__name__))
        return test

    return register


@pytest.mark.parametrize("key", [entry["key"] for entry in _native.config_keys()])
def test_every_key_has_a_test(key: str) -> None:
    assert key in SHOWN, f"no test shows what {key} does"


def test_no_test_is_about_a_key_that_is_gone() -> None:
    assert SHOWN.keys() <= {entry["key"] for entry in _native.config_keys()}


@pytest.fixture
def ends(pair: Pair) -> tuple[str, str]:
    source = pair.source()
    servers.run_script(source, SCRIPT)
    return source, pair.target()


def migration(ends: tuple[str, str], **keys: Any) -> Migration:
    return Migration(source=ends[0], target=ends[1], **{"roles": "none", **keys})


def run(ends: tuple[str, str], **keys: Any) -> Report:
    report = migration(ends, **keys).run()
    report.raise_for_failures()
    return report


def values(conninfo: str, query: str) -> list[Any]:
    """The first column of a query's rows."""
    with psycopg.connect(conninfo) as connection:
        return [row[0] for row in connection.execute(query).fetchall()]


def tables(conninfo: str) -> list[str]:
    return [".".join(names) for names in servers.tables(conninfo, ["pgmigrate"])]


def data(plan: Plan, name: str) -> list[Task]:
    return [task for task in plan if task.kind == "data" and task.name == name]


def ids(conninfo: str) -> list[int]:
    return values(conninfo, "SELECT id FROM app.t ORDER BY id")


# Source and target.


@shows(
    "source",
    "source.host",
    "source.port",
    "source.database",
    "source.username",
    "source.password",
    "target",
)
def test_databases_by_their_parts(ends: tuple[str, str]) -> None:
    def parts(conninfo: str) -> dict[str, Any]:
        given = conninfo_to_dict(conninfo)
        port = int(str(given["port"]))
        return {
            "host": given["host"],
            "port": port,
            "database": given["dbname"],
            "username": given["user"],
            "password": given["password"],
        }

    source, target = map(parts, ends)
    Migration(source=source, target=target, roles="none").run().raise_for_failures()
    assert ids(ends[1]) == list(range(1, 41))
    for key, wrong in [("database", "none_such"), ("username", "none_such"), ("password", "x")]:
        with pytest.raises(ConnectError) as caught:
            Migration(source={**source, key: wrong}, target=target).plan()
        assert caught.value.side == "source"


@shows("source.conninfo")
def test_a_conninfo_as_keywords_and_as_a_uri(ends: tuple[str, str]) -> None:
    given = conninfo_to_dict(ends[0])
    uri = "postgresql://{user}:{password}@{host}:{port}/{dbname}".format(**given)
    plans = [
        Migration(source=source, target=ends[1], roles="none").plan()
        for source in (ends[0], {"conninfo": ends[0]}, {"conninfo": uri})
    ]
    assert plans[0] == plans[1] == plans[2]


@shows("source.<keyword>")
def test_any_keyword_of_libpq(ends: tuple[str, str]) -> None:
    given = {key: str(value) for key, value in conninfo_to_dict(ends[0]).items()}
    Migration(source={**given, "sslmode": "disable"}, target=ends[1]).plan()
    # The test's servers have no TLS.
    with pytest.raises(ConnectError):
        Migration(source={**given, "sslmode": "require"}, target=ends[1]).plan()


@shows("name", "migrations")
def test_several_migrations_with_names(pair: Pair, tmp_path: Path) -> None:
    source = pair.source()
    servers.run_script(source, SCRIPT)
    targets = {"first": pair.target("_1"), "second": pair.target("_2")}
    entries = [
        {"name": name, "source": source, "target": target} for name, target in targets.items()
    ]
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"migrations": entries, "roles": "none", "tables": ["app.t"]}))
    migrations = Migration.load_all(path)
    assert [migration.name for migration in migrations] == ["first", "second"]
    for migration in migrations:
        migration.run().raise_for_failures()
    assert {tuple(tables(target)) for target in targets.values()} == {("app.t",)}


# What is in scope.


@shows("schemas", "schemas.mode", "schemas.include", "schemas.exclude")
@pytest.mark.parametrize(
    ("schemas", "expected"),
    [
        (["other"], ["other.o"]),
        ({"mode": "include", "include": ["app"]}, ["app.child", "app.t"]),
        ({"mode": "exclude", "exclude": ["app"]}, ["other.o", "public.plain"]),
        ({"mode": "all"}, ["app.child", "app.t", "other.o", "public.plain"]),
        ({"mode": "all", "exclude": ["other", "public"]}, ["app.child", "app.t"]),
    ],
)
def test_schemas(ends: tuple[str, str], schemas: Any, expected: list[str]) -> None:
    run(ends, schemas=schemas)
    assert tables(ends[1]) == expected


@shows("tables", "tables.mode", "tables.include", "tables.exclude")
@pytest.mark.parametrize(
    ("tables_", "expected"),
    [
        (["app.t"], ["app.t"]),
        ({"mode": "include", "include": ["app.t", "plain"]}, ["app.t", "public.plain"]),
        ({"mode": "exclude", "exclude": ["app.child"]}, ["app.t", "other.o", "public.plain"]),
        ({"mode": "all", "exclude": ["other.o", "app.child"]}, ["app.t", "public.plain"]),
    ],
)
def test_tables(ends: tuple[str, str], tables_: Any, expected: list[str]) -> None:
    run(ends, tables=tables_)
    assert tables(ends[1]) == expected


@shows(
    "tables.include[].schema",
    "tables.include[].name",
    "tables.include[].<option>",
    "tables.exclude[].schema",
    "tables.exclude[].name",
)
def test_mode_all_uses_include_for_tuning_only(ends: tuple[str, str]) -> None:
    include = [{"schema": "app", "name": "t", "limit": 3}, {"name": "plain", "where": "false"}]
    exclude = [{"schema": "app", "name": "child"}]
    run(ends, tables={"mode": "all", "include": include, "exclude": exclude})
    assert tables(ends[1]) == ["app.t", "other.o", "public.plain"]
    assert len(ids(ends[1])) == 3
    assert values(ends[1], "SELECT a FROM plain") == []
    assert values(ends[1], "SELECT a FROM other.o") == [1]


@shows("roles", "roles.mode")
@pytest.mark.parametrize(("roles", "arrives"), [({"mode": "all"}, True), ("none", False)])
def test_roles(pair: Pair, ends: tuple[str, str], roles: Any, arrives: bool) -> None:
    name = f"role_of_{pair.name}"
    servers.run_script(ends[0], f"CREATE ROLE {name}; ALTER TABLE app.t OWNER TO {name}")
    try:
        report = run(ends, roles=roles)
        found = values(ends[1], f"SELECT rolname FROM pg_roles WHERE rolname = '{name}'")
        assert found == ([name] if arrives else [])
        owner = values(ends[1], "SELECT tableowner FROM pg_tables WHERE tablename = 't'")
        assert owner == ([name] if arrives else ["postgres"])
        assert arrives or any(name in task.note for task in report.tasks)
    finally:
        for conninfo in ends:
            servers.run_script(
                conninfo,
                f"SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = '{name}') AS made \\gset\n"
                f"\\if :made\nDROP OWNED BY {name} CASCADE; DROP ROLE {name};\n\\endif",
            )


# How a table is copied.


@shows("tables.default", "tables.default.chunk_column", "tables.default.chunk_size")
@pytest.mark.parametrize("column", ["id", "n"])
def test_chunks_by_a_column(ends: tuple[str, str], column: str) -> None:
    default = {"chunk_column": column, "chunk_size": 9}
    chosen = migration(ends, tables={"mode": "include", "default": default, "include": ["app.t"]})
    plan = chosen.plan()
    notes = [task.note for task in data(plan, "t")]
    if column == "id":
        assert notes == [f"chunk {number} of 5" for number in range(1, 6)]
    else:
        assert len(notes) > 4
        assert notes[-1] == "n is null"
    report = chosen.run(plan)
    rows = [task.rows for task in report.tasks if task.kind == "data"]
    assert sum(rows) == 40
    assert max(rows) <= 10
    assert ids(ends[1]) == list(range(1, 41))


@shows("tables.default.where")
def test_where(ends: tuple[str, str]) -> None:
    run(ends, tables={"include": [{"schema": "app", "name": "child", "where": "id < 4 OR u = 9"}]})
    assert values(ends[1], "SELECT id FROM app.child ORDER BY id") == [1, 2, 3, 9]


@shows("tables.default.order_by")
def test_order_by(ends: tuple[str, str]) -> None:
    run(ends, tables={"mode": "include", "include": [_t(order_by="n DESC NULLS LAST, id DESC")]})
    lying = values(ends[1], "SELECT id FROM app.t ORDER BY ctid")
    assert lying[:3] == [39, 31, 23]
    assert lying[-1] == 8


@shows("tables.default.limit")
def test_limit_switches_chunks_off(ends: tuple[str, str]) -> None:
    options = {"limit": 11, "order_by": "id", "chunk_column": "id", "chunk_size": 2}
    report = run(ends, tables={"mode": "include", "include": [_t(**options)]})
    assert len([task for task in report.tasks if task.kind == "data"]) == 1
    assert ids(ends[1]) == list(range(1, 12))


@shows("tables.default.on_existing", "options.on_existing")
@pytest.mark.parametrize("place", ["table", "options"])
@pytest.mark.parametrize("word", ["append", "truncate", "skip", "error"])
def test_on_existing(ends: tuple[str, str], word: str, place: str) -> None:
    servers.run_script(
        ends[1], "CREATE SCHEMA other; CREATE TABLE other.o (a int); INSERT INTO other.o VALUES (5)"
    )
    rule = {"schema": "other", "name": "o"}
    keys: dict[str, Any] = {"tables": [rule], "on_existing": word}
    if place == "table":
        keys = {"tables": [{**rule, "on_existing": word}]}
    if word == "error":
        with pytest.raises(Exception, match=r"other\.o"):
            run(ends, **keys)
    else:
        run(ends, **keys)
    expected = {"append": [1, 5], "truncate": [1], "skip": [5], "error": [5]}
    assert values(ends[1], "SELECT a FROM other.o ORDER BY a") == expected[word]


@shows("tables.default.on_conflict", "options.on_conflict")
@pytest.mark.parametrize("place", ["table", "options"])
@pytest.mark.parametrize("word", ["auto", "nothing", "update", "error"])
def test_on_conflict(ends: tuple[str, str], word: str, place: str) -> None:
    servers.run_script(
        ends[1],
        "CREATE SCHEMA app; CREATE TABLE app.t (id int PRIMARY KEY, n int, v text); "
        "INSERT INTO app.t VALUES (1, 0, 'mine'), (99, 0, 'mine')",
    )
    keys: dict[str, Any] = {"tables": ["app.t"], "on_conflict": word}
    if place == "table":
        keys = {"tables": [_t(on_conflict=word)]}
    report = migration(ends, **keys).run()
    failed = [task.sqlstate for task in report.failed if task.status == "failed"]
    assert failed == (["23505"] if word == "error" else [])
    found = dict(_rows(ends[1], "SELECT id, v FROM app.t WHERE id IN (1, 2, 99)"))
    first = "v1" if word == "update" else "mine"
    new = {} if word == "error" else {2: "v2"}
    assert found == {1: first, 99: "mine", **new}


@shows("tables.default.format", "options.format")
def test_format(pair: Pair, ends: tuple[str, str]) -> None:
    size: dict[str, int] = {}
    for format_ in ("text", "binary", "auto"):
        target = pair.target(f"_{format_}")
        report = run((ends[0], target), tables=["app.child"], format=format_)
        size[format_] = sum(task.bytes for task in report.tasks)
    assert size["auto"] == size["binary"]
    # Ten rows of three small integers: as text at most 9 bytes a row, binary 26 and more.
    assert size["text"] <= 90 < 260 <= size["binary"]
    rule = {"schema": "app", "name": "child", "format": "text"}
    plan = migration(ends, tables={"include": [rule]}, format="binary").plan()
    assert [data(plan, name)[0].format for name in ("child", "t")] == ["text", "binary"]


# How much at once.


@shows("parallel", "parallel.max_jobs")
def test_max_jobs_and_jobs_over_it(pair: Pair, ends: tuple[str, str]) -> None:
    def jobs(suffix: str, given: int | None) -> int:
        events: list[dict[str, Any]] = []
        chosen = migration((ends[0], pair.target(suffix)), parallel={"max_jobs": 1})
        chosen.run(jobs=given, on_event=events.append)
        workers = {event["worker"] for event in events if event["event"] == "task_started"}
        (started,) = [event for event in events if event["event"] == "run_started"]
        assert len(workers) <= started["jobs"]
        return int(started["jobs"])

    assert jobs("_config", None) == 1
    assert jobs("_call", 3) == 3


# Options.


@shows("options", "options.create_indexes_after_data")
@pytest.mark.parametrize("given", [True, False])
def test_indexes(ends: tuple[str, str], given: bool) -> None:
    chosen = migration(ends, options={"create_indexes_after_data": given})
    plan = chosen.plan()
    chosen.run(plan).raise_for_failures()
    found = values(ends[1], "SELECT indexname FROM pg_indexes WHERE schemaname = 'app' ORDER BY 1")
    keys = ["child_pkey", "child_u_key", "t_pkey"]
    assert found == (sorted([*keys, "t_n"]) if given else keys)
    absent = [(item.kind, item.object) for item in plan.absent]
    assert absent == ([] if given else [("index", "app.t_n")])
    assert ("t_n" in plan.summary()) != given


@shows("options.create_constraints_after_data")
@pytest.mark.parametrize("given", [True, False])
def test_constraints(ends: tuple[str, str], given: bool) -> None:
    chosen = migration(ends, create_constraints_after_data=given)
    plan = chosen.plan()
    chosen.run(plan).raise_for_failures()
    kinds = values(
        ends[1],
        "SELECT contype::text FROM pg_constraint WHERE connamespace = 'app'::regnamespace "
        "AND contype <> 'n' ORDER BY 1",
    )
    assert kinds == (["c", "f", "p", "p", "u"] if given else ["c"])
    indexes = values(
        ends[1], "SELECT indexname FROM pg_indexes WHERE schemaname = 'app' ORDER BY 1"
    )
    assert indexes == (["child_pkey", "child_u_key", "t_n", "t_pkey"] if given else ["t_n"])
    names = ["child_pkey", "child_t", "child_u_key", "t_pkey"]
    absent = sorted(item.object.split()[-1] for item in plan.absent)
    assert absent == ([] if given else names)
    assert all((name in plan.summary()) != given for name in names)


@shows("options.analyze_after_load")
@pytest.mark.parametrize("given", [True, False])
def test_analyze(ends: tuple[str, str], given: bool) -> None:
    run(ends, analyze_after_load=given)
    found = values(
        ends[1], "SELECT DISTINCT tablename::text FROM pg_stats WHERE schemaname = 'app'"
    )
    assert sorted(found) == (["child", "t"] if given else [])


@shows("options.statistics")
@pytest.mark.parametrize(
    ("given", "copied"), [("analyze", []), ("copy", ["child", "t"]), ("auto", ["t"])]
)
def test_statistics(make_pair: Callable[[int, int], Pair], given: str, copied: list[str]) -> None:
    pair = make_pair(18, 18)
    ends = pair.source(), pair.target()
    servers.run_script(ends[0], SCRIPT)
    # Large enough that ANALYZE takes its time.
    servers.run_script(
        ends[0],
        "ALTER TABLE app.t ALTER v SET STORAGE EXTERNAL;"
        "UPDATE app.t SET v = repeat(id::text, 30000);"
        "SELECT pg_stat_force_next_flush(); SELECT 1; ANALYZE app.t, app.child",
    )
    report = run(ends, statistics=given)
    carried = [task for task in report.tasks if task.note == "copied from the source"]
    assert sorted(task.object for task in carried if "app" in task.object) == [
        f"app.{name}" for name in copied
    ]
    query = "SELECT relname::text FROM pg_stat_user_tables WHERE last_analyze IS NULL"
    analyzed = values(ends[1], query + " AND schemaname = 'app' ORDER BY 1")
    assert analyzed == copied


# An index's expression runs in the session that builds it, and what it calls may write down how.
WITNESS = """
CREATE TABLE app.seen (object text, memory text, workers text);
CREATE FUNCTION app.note(object text) RETURNS void LANGUAGE sql AS $$
    INSERT INTO app.seen VALUES (
        object,
        current_setting('maintenance_work_mem'), current_setting('max_parallel_maintenance_workers')
    )
$$;
CREATE FUNCTION app.witness(id int, object text) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$
    BEGIN
        IF id = 1 THEN
            PERFORM app.note(object);
        END IF;
        RETURN id;
    END
$$;
CREATE TABLE app.wide (id int, v text);
INSERT INTO app.wide
SELECT i, (SELECT string_agg(md5(concat(i, ' ', j)), '') FROM generate_series(1, 70) AS j)
FROM generate_series(1, 2000) AS i;
CREATE INDEX wide_large ON app.wide (app.witness(id, 'large index'), v);
CREATE INDEX wide_small ON app.wide (app.witness(id, 'small index'));
ALTER TABLE app.wide ADD EXCLUDE USING hash (app.witness(id, 'constraint') WITH =);
CREATE MATERIALIZED VIEW app.copies AS SELECT * FROM app.wide;
CREATE INDEX copies_id ON app.copies (app.witness(id, 'view'), v);
TRUNCATE app.seen;
"""


def _seen(ends: tuple[str, str]) -> dict[str, tuple[str, str]]:
    found = _rows(ends[1], "SELECT * FROM app.seen")
    return {name: (memory, workers) for name, memory, workers in found}


@shows("options.maintenance_work_mem")
@pytest.mark.parametrize(
    ("given", "expected"), [("auto", "32MB"), ("24MB", "24MB"), (3 << 20, "3MB")]
)
def test_maintenance_work_mem(ends: tuple[str, str], given: str | int, expected: str) -> None:
    servers.run_script(ends[0], WITNESS)
    name = conninfo_to_dict(ends[1])["dbname"]
    servers.run_script(ends[1], f"ALTER DATABASE {name} SET maintenance_work_mem = '1MB'")
    assert values(ends[1], "SELECT current_setting('shared_buffers')") == ["128MB"]
    # ANALYZE computes expressions, too, with the server's settings.
    chosen = migration(ends, maintenance_work_mem=given, analyze_after_load=False)
    chosen.run(jobs=2).raise_for_failures()
    # Sorting a small index has no use for more than the server gives anyway.
    small = "1MB" if given == "auto" else expected
    assert {name: memory for name, (memory, _) in _seen(ends).items()} == {
        "large index": expected,
        "small index": small,
        "constraint": expected,
        "view": expected,
    }


@shows("options.parallel_maintenance_workers")
@pytest.mark.parametrize(
    ("given", "jobs", "expected"), [("auto", 1, {"2"}), (0, 1, {"0"}), (7, 2, {"7"})]
)
def test_parallel_maintenance_workers(
    ends: tuple[str, str], given: str | int, jobs: int, expected: set[str]
) -> None:
    servers.run_script(ends[0], WITNESS)
    chosen = migration(ends, parallel_maintenance_workers=given, analyze_after_load=False)
    chosen.run(jobs=jobs).raise_for_failures()
    seen = _seen(ends)
    assert len(seen) == 4
    assert {workers for _, workers in seen.values()} == expected


def test_indexes_that_are_ready_together_are_built_without_parallel_workers(
    ends: tuple[str, str],
) -> None:
    servers.run_script(ends[0], WITNESS)
    migration(ends, analyze_after_load=False).run(jobs=2).raise_for_failures()
    seen = _seen(ends)
    assert "0" in {workers for _, workers in seen.values()}
    assert seen["view"][1] == "2", "the only one of its kind, and the last"


@shows("options.split_larger_than")
def test_large_tables_are_split(pair: Pair, ends: tuple[str, str]) -> None:
    servers.run_script(ends[0], "INSERT INTO other.o SELECT generate_series(2, 5000)")
    plan = migration(ends, split_larger_than="64kB").plan()
    chunks = data(plan, "o")
    assert len(chunks) >= 3
    assert all("ctid" in task.source_sql for task in chunks)
    assert len(data(migration(ends).plan(), "o")) == 1
    run(ends, split_larger_than="64kB")
    assert values(ends[1], "SELECT count(DISTINCT a) FROM other.o") == [5000]
    assert values(ends[1], "SELECT count(*) FROM other.o") == [5000]


@shows("options.consistent")
@pytest.mark.parametrize("given", [True, False])
def test_consistent(ends: tuple[str, str], given: bool) -> None:
    # Chunks that are large enough not to share a transaction; only the first one gets through as
    # long as we hold the lock.
    servers.run_script(
        ends[0],
        "ALTER TABLE app.t ALTER v SET STORAGE EXTERNAL; "
        "UPDATE app.t SET v = repeat('v', 80000); ANALYZE app.t",
    )
    gate = "id < 11 OR pg_catalog.pg_advisory_xact_lock_shared(7)::text = ''"
    rule = _t(where=gate, chunk_column="id", chunk_size=10)
    chosen = migration(ends, tables={"mode": "include", "include": [rule]}, consistent=given)
    plan = chosen.plan()

    def leave(event: dict[str, Any]) -> None:
        if event["event"] == "task_finished" and event["kind"] == "data":
            raise ZeroDivisionError

    with psycopg.connect(ends[0], autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(7)")
        with pytest.raises(ZeroDivisionError):
            chosen.run(plan, jobs=1, on_event=leave)
        connection.execute("UPDATE app.t SET v = 'new'")
    report = chosen.run(plan, resume=True)
    assert report.ok
    assert report.consistent == given
    old = values(ends[1], "SELECT id FROM app.t WHERE v <> 'new' ORDER BY id")
    assert old == ([] if given else list(range(1, 11)))
    assert ids(ends[1]) == list(range(1, 41))


@shows("options.ledger_schema", "options.keep_ledger")
def test_where_the_ledger_is_and_whether_it_stays(ends: tuple[str, str]) -> None:
    find = "SELECT DISTINCT schemaname::text FROM pg_tables WHERE tablename = 'migration_task'"
    run(ends, ledger_schema="Ops", keep_ledger=True)
    assert values(ends[1], find) == ["Ops"]
    run(ends, ledger_schema="Ops", keep_ledger=False)
    assert values(ends[1], find) == []
    assert values(ends[1], "SELECT to_regnamespace('\"Ops\"')") == [None]


@shows("options.backup", "options.backup_dir")
@pytest.mark.parametrize("given", [True, False])
def test_backup(ends: tuple[str, str], given: bool, tmp_path: Path) -> None:
    servers.run_script(ends[1], "CREATE TABLE precious (a int)")
    folder = tmp_path / "kept"
    report = run(ends, backup=given, backup_dir=str(folder))
    assert (report.backup is not None) == given
    found = sorted(folder.glob("pgmigrate_backup_*.dump"))
    assert len(found) == given
    for path in found:
        assert str(path) == report.backup
        assert b"precious" in path.read_bytes()


@shows("options.verify")
@pytest.mark.parametrize("given", [True, False])
def test_verify(ends: tuple[str, str], given: bool) -> None:
    report = run(ends, verify=given)
    assert (report.verification is not None) == given
    if report.verification is not None:
        objects = [table.object for table in report.verification.tables]
        assert {"app.t", "app.child", "other.o"} <= set(objects)
        assert report.verification.ok


@shows("options.large_objects")
@pytest.mark.parametrize(
    ("keys", "arrives"),
    [
        ({}, True),
        ({"large_objects": "auto", "schemas": ["app"]}, False),
        ({"large_objects": True, "schemas": ["app"]}, True),
        ({"large_objects": False}, False),
    ],
)
def test_large_objects(ends: tuple[str, str], keys: dict[str, Any], arrives: bool) -> None:
    servers.run_script(ends[0], "SELECT lo_from_bytea(4711, 'large')")
    run(ends, **keys)
    found = servers.large_objects(ends[1])
    assert {oid: content for oid, (_, _, _, content) in found.items()} == (
        {4711: b"large"} if arrives else {}
    )


@shows("options.publications")
@pytest.mark.parametrize("given", [True, False])
def test_publications(ends: tuple[str, str], given: bool) -> None:
    servers.run_script(ends[0], "CREATE PUBLICATION news FOR TABLE app.t")
    plan = migration(ends, publications=given).plan()
    run(ends, publications=given)
    found = values(ends[1], "SELECT tablename::text FROM pg_publication_tables")
    assert found == (["t"] if given else [])
    assert any("news" in item.object for item in plan.absent) != given


@shows("options.subscriptions")
@pytest.mark.parametrize("given", [True, False])
def test_subscriptions(ends: tuple[str, str], given: bool) -> None:
    name = f"feed_{conninfo_to_dict(ends[0])['dbname']}"[:60]
    create = f"CREATE SUBSCRIPTION {name} CONNECTION 'host=none' PUBLICATION p"
    servers.run_script(ends[0], f"{create} WITH (connect = false, slot_name = NONE)")
    try:
        run(ends, subscriptions=given)
        here = "subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())"
        query = f"SELECT subname::text FROM pg_subscription WHERE {here}"
        assert values(ends[1], query) == ([name] if given else [])
    finally:
        for conninfo in ends:
            servers.run_script(conninfo, f"DROP SUBSCRIPTION IF EXISTS {name}")


@shows("options.tablespaces")
@pytest.mark.parametrize("given", [True, False])
def test_tablespaces(pair: Pair, ends: tuple[str, str], given: bool) -> None:
    name = f"space_of_{pair.name}"
    create = f"SET allow_in_place_tablespaces = on; CREATE TABLESPACE {name} LOCATION ''"
    sides = (pair.source_server.conninfo, pair.target_server.conninfo)
    for side in sides:
        servers.run_script(side, create)
    try:
        servers.run_script(ends[0], f"ALTER TABLE app.t SET TABLESPACE {name}")
        run(ends, tablespaces=given)
        found = values(ends[1], "SELECT tablespace::text FROM pg_tables WHERE tablename = 't'")
        assert found == ([name] if given else [None])
    finally:
        for conninfo in ends:
            servers.run_script(conninfo, "DROP TABLE IF EXISTS app.t CASCADE", stop_on_error=False)
        for side in sides:
            servers.run_script(side, f"DROP TABLESPACE {name}")


@shows("options.pg_dump")
def test_pg_dump(ends: tuple[str, str], tmp_path: Path) -> None:
    log = tmp_path / "calls"
    program = tmp_path / "pg_dump"
    program.write_text(f'#!/bin/sh\necho "$@" >> {log}\nexec {find_tool("pg_dump")} "$@"\n')
    program.chmod(0o755)
    migration(ends, pg_dump=str(program)).plan()
    assert "--schema-only" in log.read_text()
    with pytest.raises(ConfigError, match="pg_dump"):
        migration(ends, pg_dump=str(tmp_path / "none")).plan()


@contextmanager
def _schema_in_the_making(conninfo: str) -> Iterator[psycopg.Connection[Any]]:
    """A transaction that has made schema app and does not end: whoever makes it, too, waits."""
    with psycopg.connect(conninfo) as connection:
        connection.execute("CREATE SCHEMA app")
        yield connection
        connection.rollback()


@shows("options.lock_timeout")
def test_lock_timeout(ends: tuple[str, str]) -> None:
    with _schema_in_the_making(ends[1]):
        report = migration(ends, schemas=["app"], lock_timeout=1, retries=0).run()
    failed = [task for task in report.tasks if task.status == "failed"]
    assert [(task.object, task.sqlstate, task.attempts) for task in failed] == [("app", "55P03", 1)]


@shows("options.retries")
def test_retries(ends: tuple[str, str]) -> None:
    with _schema_in_the_making(ends[1]) as connection:

        def give_way(event: dict[str, Any]) -> None:
            if event["event"] == "task_retried":
                connection.rollback()

        chosen = migration(ends, schemas=["app"], lock_timeout=1, retries=2)
        report = chosen.run(on_event=give_way)
    report.raise_for_failures()
    (schema,) = [task for task in report.tasks if task.kind == "schema"]
    assert schema.attempts == 2
    assert ids(ends[1]) == list(range(1, 41))


# Mistakes.


def test_every_mistake_is_told_at_once_before_any_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(ConfigError) as caught:
            Migration(
                source=f"host=127.0.0.1 port={port} password=hunter2 user=${{NO_SUCH_NAME}}",
                target={"host": "127.0.0.1", "port": port, "password": 123},
                schemas={"mode": "some", "includes": ["a"]},
                tables={
                    "mode": "include",
                    "include": [
                        {"name": "a"},
                        {"name": "b", "chunk_size": "many"},
                        {"schema": "c"},
                        {"name": "a"},
                    ],
                    "exclude": ["a"],
                },
                parallel={"max_jobs": 0},
                options={"backup": "yes", "format": "csv", "split_larger_than": "big"},
                retries=-1,
            )
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()
    problems = caught.value.problems
    for expected in [
        "source: the environment variable NO_SUCH_NAME is not set",
        "target.password: expected a string (in quotes), got a number",
        'schemas.mode: expected one of all, include, exclude, got "some"',
        'schemas.includes: unknown key; did you mean "include"?',
        'tables.include[1].chunk_size: expected a positive integer, got "many"',
        "tables.include[2].name: missing; a table needs its name",
        "tables.include[3]: public.a is listed twice",
        "tables: public.a is both included and excluded",
        "parallel.max_jobs: expected a positive integer, got 0",
        'options.backup: expected true or false, got "yes"',
        'options.format: expected one of auto, text, binary, got "csv"',
        "options.retries: expected an integer of 0 or more, got -1",
    ]:
        assert expected in problems
    assert any(problem.startswith("options.split_larger_than: ") for problem in problems)
    assert all(problem in str(caught.value) for problem in problems)
    assert "hunter2" not in str(caught.value)


def test_d7_names_that_match_nothing_are_mistakes_told_at_once(ends: tuple[str, str]) -> None:
    include = [
        {"schema": "app", "name": "gone"},
        _t(chunk_column="v"),
        {"schema": "app", "name": "child", "chunk_column": "none"},
        {"schema": "other", "name": "o", "on_conflict": "update"},
    ]
    with pytest.raises(ConfigError) as caught:
        migration(
            ends,
            schemas={"mode": "exclude", "exclude": ["nowhere"]},
            tables={"include": include, "exclude": ["app.never"]},
        ).plan()
    assert [problem.split(":")[0] for problem in caught.value.problems] == [
        "schemas.exclude[0]",
        "tables.include[0]",
        "tables.include[1].chunk_column",
        "tables.include[2].chunk_column",
        "tables.include[3].on_conflict",
        "tables.exclude[0]",
    ]
    assert tables(ends[1]) == []


def test_d7_a_schema_to_include_that_is_not_there(ends: tuple[str, str]) -> None:
    with pytest.raises(ConfigError, match=r'schemas\.include\[1\]: .* no schema "nowhere"'):
        migration(ends, schemas=["app", "nowhere"]).plan()


def test_a_default_chunk_column_that_no_table_has(ends: tuple[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"tables\.default\.chunk_column"):
        migration(ends, tables={"default": {"chunk_column": "none_such"}}).plan()


def test_another_configuration_is_refused_on_resume(ends: tuple[str, str]) -> None:
    plan = migration(ends).plan()
    migration(ends).run(plan)
    with pytest.raises(StateError, match=r"options\.format: auto .*, text"):
        migration(ends, format="text").run(plan, resume=True)


def _t(**options: Any) -> dict[str, Any]:
    return {"schema": "app", "name": "t", **options}


def _rows(conninfo: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(conninfo) as connection:
        return connection.execute(query).fetchall()


def _poll(connection: psycopg.Connection[Any], query: str) -> None:
    """Waits until a query has a row."""
    waiting = threading.Event()
    for _ in range(3000):
        if connection.execute(query).fetchone() is not None:
            return
        waiting.wait(0.01)
    raise AssertionError(f"still no row after 30 s: {query}")
