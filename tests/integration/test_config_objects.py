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
def test_roles_arrive_as_the_mode_says(
    pair: Pair, databases: tuple[str, str], roles: Any, arrives: bool
) -> None:
    name = f"role_of_{pair.name}"
    servers.run_script(databases[0], f"CREATE ROLE {name}; ALTER TABLE app.t OWNER TO {name}")
    try:
        report = run(databases, roles=roles)
        found = values(databases[1], f"SELECT rolname FROM pg_roles WHERE rolname = '{name}'")
        assert found == ([name] if arrives else [])
        owner = values(databases[1], "SELECT tableowner FROM pg_tables WHERE tablename = 't'")
        assert owner == ([name] if arrives else ["postgres"])
        assert arrives or any(name in task.note for task in report.tasks)
    finally:
        for conninfo in databases:
            servers.run_script(
                conninfo,
                f"SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = '{name}') AS made \\gset\n"
                f"\\if :made\nDROP OWNED BY {name} CASCADE; DROP ROLE {name};\n\\endif",
            )


@shows("options", "options.create_indexes_after_data")
@pytest.mark.parametrize("given", [True, False])
def test_indexes_without_a_constraint_arrive_with_indexes_only(
    databases: tuple[str, str], given: bool
) -> None:
    chosen = migration(databases, options={"create_indexes_after_data": given})
    plan = chosen.plan()
    chosen.run(plan).raise_for_failures()
    found = values(
        databases[1], "SELECT indexname FROM pg_indexes WHERE schemaname = 'app' ORDER BY 1"
    )
    keys = ["child_pkey", "child_u_key", "t_pkey"]
    assert found == (sorted([*keys, "t_n"]) if given else keys)
    absent = [(item.kind, item.object) for item in plan.absent]
    assert absent == ([] if given else [("index", "app.t_n")])
    assert ("t_n" in plan.summary()) != given


@shows("options.create_constraints_after_data")
@pytest.mark.parametrize("given", [True, False])
def test_keys_and_foreign_keys_arrive_with_constraints_only(
    databases: tuple[str, str], given: bool
) -> None:
    chosen = migration(databases, create_constraints_after_data=given)
    plan = chosen.plan()
    chosen.run(plan).raise_for_failures()
    kinds = values(
        databases[1],
        "SELECT contype::text FROM pg_constraint WHERE connamespace = 'app'::regnamespace "
        "AND contype <> 'n' ORDER BY 1",
    )
    assert kinds == (["c", "f", "p", "p", "u"] if given else ["c"])
    indexes = values(
        databases[1], "SELECT indexname FROM pg_indexes WHERE schemaname = 'app' ORDER BY 1"
    )
    assert indexes == (["child_pkey", "child_u_key", "t_n", "t_pkey"] if given else ["t_n"])
    names = ["child_pkey", "child_t", "child_u_key", "t_pkey"]
    absent = sorted(item.object.split()[-1] for item in plan.absent)
    assert absent == ([] if given else names)
    assert all((name in plan.summary()) != given for name in names)


@shows("options.analyze_after_load")
@pytest.mark.parametrize("given", [True, False])
def test_statistics_are_gathered_where_analyze_says_so(
    databases: tuple[str, str], given: bool
) -> None:
    run(databases, analyze_after_load=given)
    found = values(
        databases[1], "SELECT DISTINCT tablename::text FROM pg_stats WHERE schemaname = 'app'"
    )
    assert sorted(found) == (["child", "t"] if given else [])


@shows("options.statistics")
@pytest.mark.parametrize(
    ("given", "copied"), [("analyze", []), ("copy", ["child", "t"]), ("auto", ["t"])]
)
def test_statistics_are_copied_where_they_are_asked_for(
    make_pair: Callable[[int, int], Pair], given: str, copied: list[str]
) -> None:
    pair = make_pair(18, 18)
    databases = pair.source(), pair.target()
    servers.run_script(databases[0], SCRIPT)
    # Large enough that ANALYZE takes its time.
    servers.run_script(
        databases[0],
        "ALTER TABLE app.t ALTER v SET STORAGE EXTERNAL;"
        "UPDATE app.t SET v = repeat(id::text, 30000);"
        "SELECT pg_stat_force_next_flush(); SELECT 1; ANALYZE app.t, app.child",
    )
    report = run(databases, statistics=given)
    carried = [task for task in report.tasks if task.note == "copied from the source"]
    assert sorted(task.object for task in carried if "app" in task.object) == [
        f"app.{name}" for name in copied
    ]
    query = "SELECT relname::text FROM pg_stat_user_tables WHERE last_analyze IS NULL"
    analyzed = values(databases[1], query + " AND schemaname = 'app' ORDER BY 1")
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


def _seen(databases: tuple[str, str]) -> dict[str, tuple[str, str]]:
    found = servers.fetch(databases[1], "SELECT * FROM app.seen")
    return {name: (memory, workers) for name, memory, workers in found}


@shows("options.maintenance_work_mem")
@pytest.mark.parametrize(
    ("given", "expected"), [("auto", "32MB"), ("24MB", "24MB"), (3 << 20, "3MB")]
)
def test_index_builds_have_the_memory_that_is_given(
    databases: tuple[str, str], given: str | int, expected: str
) -> None:
    servers.run_script(databases[0], WITNESS)
    name = conninfo_to_dict(databases[1])["dbname"]
    servers.run_script(databases[1], f"ALTER DATABASE {name} SET maintenance_work_mem = '1MB'")
    assert values(databases[1], "SELECT current_setting('shared_buffers')") == ["128MB"]
    # ANALYZE computes expressions, too, with the server's settings.
    chosen = migration(databases, maintenance_work_mem=given, analyze_after_load=False)
    chosen.run(jobs=2).raise_for_failures()
    # Sorting a small index has no use for more than the server gives anyway.
    small = "1MB" if given == "auto" else expected
    assert {name: memory for name, (memory, _) in _seen(databases).items()} == {
        "large index": expected,
        "small index": small,
        "constraint": expected,
        "view": expected,
    }


@shows("options.parallel_maintenance_workers")
@pytest.mark.parametrize(
    ("given", "jobs", "expected"), [("auto", 1, {"2"}), (0, 1, {"0"}), (7, 2, {"7"})]
)
def test_index_builds_have_the_workers_that_are_given(
    databases: tuple[str, str], given: str | int, jobs: int, expected: set[str]
) -> None:
    servers.run_script(databases[0], WITNESS)
    chosen = migration(databases, parallel_maintenance_workers=given, analyze_after_load=False)
    chosen.run(jobs=jobs).raise_for_failures()
    seen = _seen(databases)
    assert len(seen) == 4
    assert {workers for _, workers in seen.values()} == expected


def test_indexes_that_are_ready_together_are_built_without_parallel_workers(
    databases: tuple[str, str],
) -> None:
    servers.run_script(databases[0], WITNESS)
    migration(databases, analyze_after_load=False).run(jobs=2).raise_for_failures()
    seen = _seen(databases)
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
def test_large_objects_arrive_where_all_of_the_database_does(
    databases: tuple[str, str], keys: dict[str, Any], arrives: bool
) -> None:
    servers.run_script(databases[0], "SELECT lo_from_bytea(4711, 'large')")
    run(databases, **keys)
    found = servers.large_objects(databases[1])
    assert {oid: content for oid, (_, _, _, content) in found.items()} == (
        {4711: b"large"} if arrives else {}
    )


@shows("options.publications")
@pytest.mark.parametrize("given", [True, False])
def test_publications_arrive_where_they_are_asked_for(
    databases: tuple[str, str], given: bool
) -> None:
    servers.run_script(databases[0], "CREATE PUBLICATION news FOR TABLE app.t")
    plan = migration(databases, publications=given).plan()
    run(databases, publications=given)
    found = values(databases[1], "SELECT tablename::text FROM pg_publication_tables")
    assert found == (["t"] if given else [])
    assert any("news" in item.object for item in plan.absent) != given


@shows("options.subscriptions")
@pytest.mark.parametrize("given", [True, False])
def test_subscriptions_arrive_where_they_are_asked_for(
    databases: tuple[str, str], given: bool
) -> None:
    name = f"feed_{conninfo_to_dict(databases[0])['dbname']}"[:60]
    create = f"CREATE SUBSCRIPTION {name} CONNECTION 'host=none' PUBLICATION p"
    servers.run_script(databases[0], f"{create} WITH (connect = false, slot_name = NONE)")
    try:
        run(databases, subscriptions=given)
        here = "subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())"
        query = f"SELECT subname::text FROM pg_subscription WHERE {here}"
        assert values(databases[1], query) == ([name] if given else [])
    finally:
        for conninfo in databases:
            servers.run_script(conninfo, f"DROP SUBSCRIPTION IF EXISTS {name}")


@shows("options.tablespaces")
@pytest.mark.parametrize("given", [True, False])
def test_tablespaces_are_kept_where_that_is_asked_for(
    pair: Pair, databases: tuple[str, str], given: bool
) -> None:
    name = f"space_of_{pair.name}"
    create = f"SET allow_in_place_tablespaces = on; CREATE TABLESPACE {name} LOCATION ''"
    sides = (pair.source_server.conninfo, pair.target_server.conninfo)
    for side in sides:
        servers.run_script(side, create)
    try:
        servers.run_script(databases[0], f"ALTER TABLE app.t SET TABLESPACE {name}")
        run(databases, tablespaces=given)
        found = values(databases[1], "SELECT tablespace::text FROM pg_tables WHERE tablename = 't'")
        assert found == ([name] if given else [None])
    finally:
        for conninfo in databases:
            servers.run_script(conninfo, "DROP TABLE IF EXISTS app.t CASCADE", stop_on_error=False)
        for side in sides:
            servers.run_script(side, f"DROP TABLESPACE {name}")
