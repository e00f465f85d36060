"""Keys of a configuration that decide which objects arrive, and how they are built."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from psycopg.conninfo import conninfo_to_dict

from conftest import Pair
from support import servers
from support.config_keys import SCRIPT, migration, run, shows, values


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
    found = servers.fetch(ends[1], "SELECT * FROM app.seen")
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
