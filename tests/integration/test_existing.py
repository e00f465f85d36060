"""Targets that hold something already: objects are kept or compared, rows follow the options."""

from __future__ import annotations

import psycopg
import pytest

from conftest import Pair
from pgmigrate import Migration, PreflightError, Report
from support import dumps, servers

SCRIPT = """
CREATE SCHEMA s;
CREATE TABLE s.z_parent (id int PRIMARY KEY, v text);
CREATE TABLE s.a_child (id int PRIMARY KEY, parent int REFERENCES s.z_parent);
CREATE TABLE s.keyless (a int);
CREATE TABLE s.numbered (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v text);
CREATE TABLE s.late (id int PRIMARY KEY, rank int UNIQUE DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE s.only_late (rank int UNIQUE DEFERRABLE);
CREATE UNIQUE INDEX parent_v ON s.z_parent (v) WHERE v > 'b';
CREATE INDEX child_parent ON s.a_child (parent);
INSERT INTO s.z_parent SELECT i, 'v' || i FROM generate_series(1, 20) i;
INSERT INTO s.a_child SELECT i, i FROM generate_series(1, 20) i;
INSERT INTO s.keyless SELECT 1 FROM generate_series(1, 5);
INSERT INTO s.numbered (v) SELECT 'v' || i FROM generate_series(1, 20) i;
INSERT INTO s.late SELECT i, 21 - i FROM generate_series(1, 20) i;
INSERT INTO s.only_late SELECT i FROM generate_series(1, 5) i;
CREATE SEQUENCE s.down INCREMENT -1;
SELECT setval('s.down', -7);
"""


def _run(source: str, target: str, **options: object) -> Report:
    migration = Migration(source=source, target=target, roles="none", **options)  # type: ignore[arg-type]
    return migration.run(jobs=3)


def _both(pair: Pair, script: str = SCRIPT) -> tuple[str, str]:
    source = pair.source()
    servers.run_script(source, script)
    return source, pair.target()


def _query(conninfo: str, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(conninfo) as connection:
        return connection.execute(query).fetchall()


def _execute(conninfo: str, *statements: str) -> None:
    with psycopg.connect(conninfo, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


def _written(conninfo: str) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table by the transaction that wrote it and its place."""
    tables = [
        (schema, name)
        for schema, name in servers.tables(conninfo, ["pgmigrate"])
        if _query(conninfo, f"SELECT relkind::text FROM pg_class WHERE oid = '{_sql(schema, name)}'"
                  "::regclass") == [("r",)]
    ]  # fmt: skip
    return {
        name: sorted(
            _query(conninfo, f"SELECT ctid::text, xmin::text FROM ONLY {_sql(schema, name)}"),
            key=str,
        )
        for schema, name in tables
    }


def _sql(schema: str, name: str) -> str:
    return ".".join('"{}"'.format(part.replace('"', '""')) for part in (schema, name))


def _status(report: Report, kind: str, name: str) -> str:
    return next(t.status for t in report.tasks if t.kind == kind and t.object.endswith(name))


@pytest.mark.parametrize("schema", ["pagila_like", "odd_objects"])
def test_a_rerun_of_a_finished_migration_changes_nothing(pair: Pair, schema: str) -> None:
    source, target = pair.source(schema, has_xml="off"), pair.target()
    migration = Migration(source=source, target=target, publications=True)
    migration.run().raise_for_failures()
    before = _written(target)
    migration.run().raise_for_failures()
    assert _written(target) == before
    servers.assert_equal(source, target)


# Objects whose names others have, too: by operands and by access method.
NAMESAKES = {
    "OPERATOR": [
        "CREATE OPERATOR s.=== (FUNCTION = int4eq, LEFTARG = int, RIGHTARG = int)",
        "CREATE OPERATOR s.=== (FUNCTION = texteq, LEFTARG = text, RIGHTARG = text)",
        "CREATE OPERATOR s.=== (FUNCTION = int4um, RIGHTARG = int)",
    ],
    "OPERATOR FAMILY": [
        f"CREATE OPERATOR FAMILY s.ops USING {method}" for method in ("btree", "hash", "gist")
    ],
    "OPERATOR CLASS": [
        "CREATE OPERATOR CLASS s.ops FOR TYPE int USING btree AS OPERATOR 3 =, "
        "FUNCTION 1 btint4cmp(int, int)",
        "CREATE OPERATOR CLASS s.ops FOR TYPE int USING hash AS OPERATOR 1 =, "
        "FUNCTION 1 hashint4(int)",
    ],
}
IDENTITIES = """
SELECT (pg_identify_object(classid, oid, 0)).identity FROM (
    SELECT 'pg_operator'::regclass AS classid, oid, oprnamespace AS schema FROM pg_operator
    UNION ALL SELECT 'pg_opfamily'::regclass, oid, opfnamespace FROM pg_opfamily
    UNION ALL SELECT 'pg_opclass'::regclass, oid, opcnamespace FROM pg_opclass
) AS object WHERE schema = 's'::regnamespace ORDER BY 1
"""


@pytest.mark.parametrize("kind", NAMESAKES)
def test_an_object_whose_name_another_has_is_made(pair: Pair, kind: str) -> None:
    statements = NAMESAKES[kind]
    source, target = _both(pair, f"CREATE SCHEMA s; {'; '.join(statements)}")
    servers.run_script(target, f"CREATE SCHEMA s; {statements[1]}")
    report = _run(source, target)
    report.raise_for_failures()
    assert _query(target, IDENTITIES) == _query(source, IDENTITIES)
    kept = [task for task in report.tasks if task.kind == kind.lower() and task.status == "kept"]
    assert [task.note for task in kept] == ["an equal one existed on the target"]


def test_a_rerun_adds_only_the_missing_rows(pair: Pair) -> None:
    source, target = _both(pair)
    _run(source, target).raise_for_failures()
    _execute(
        target,
        "DELETE FROM s.a_child WHERE id > 5",
        "DELETE FROM s.z_parent WHERE id > 10",
        "DELETE FROM s.numbered WHERE id % 2 = 0",
        "DELETE FROM s.late WHERE id > 3",
    )
    before = _written(target)
    _run(source, target, on_conflict="nothing").raise_for_failures()
    after = _written(target)
    assert all(set(before[name]) <= set(after[name]) for name in before)
    servers.assert_equal(source, target)


@pytest.mark.case("B8")
def test_a_deferrable_unique_constraint_does_not_arbitrate(pair: Pair) -> None:
    source, target = _both(pair)
    first = _run(source, target)
    reported = {f.object: f.message for f in first.findings if f.check == "on_conflict"}
    assert "deferrable" in reported["s.late"] and "deferrable" in reported["s.only_late"]
    _execute(target, "DELETE FROM s.late WHERE id = 3")
    _run(source, target).raise_for_failures()
    assert servers.rows(target, "s", "late") == servers.rows(source, "s", "late")
    assert servers.rows(target, "s", "only_late") == servers.rows(source, "s", "only_late")


@pytest.mark.case("B8")
def test_an_identity_always_keeps_its_values(pair: Pair) -> None:
    source, target = _both(pair)
    _run(source, target).raise_for_failures()
    _execute(target, "DELETE FROM s.numbered WHERE id IN (3, 17)")
    _run(source, target).raise_for_failures()
    assert servers.rows(target, "s", "numbered") == servers.rows(source, "s", "numbered")


def test_a_keyless_table_is_not_doubled_by_a_rerun(pair: Pair) -> None:
    source, target = _both(pair)
    _run(source, target).raise_for_failures()
    report = _run(source, target)
    assert _status(report, "data", "keyless") == "skipped"
    assert len(servers.rows(target, "s", "keyless")) == 5


def test_on_conflict_update_makes_the_rows_equal(pair: Pair) -> None:
    source, target = _both(pair)
    _run(source, target).raise_for_failures()
    _execute(
        target,
        "UPDATE s.z_parent SET v = 'other' || id",
        "INSERT INTO s.z_parent VALUES (99, 'mine')",
        "DELETE FROM s.a_child WHERE id = 1",
    )
    _run(source, target, on_conflict="update").raise_for_failures()
    rows = servers.rows(target, "s", "z_parent")
    assert rows == sorted([*servers.rows(source, "s", "z_parent"), ("99", "mine")])
    assert servers.rows(target, "s", "a_child") == servers.rows(source, "s", "a_child")


def test_on_conflict_error_fails_the_table_and_nothing_else(pair: Pair) -> None:
    source, target = _both(pair)
    servers.run_script(target, SCRIPT)
    _execute(
        target, "DELETE FROM s.numbered", "DELETE FROM s.keyless", "DELETE FROM s.only_late",
        "DELETE FROM s.late",
    )  # fmt: skip
    report = _run(source, target, on_conflict="error")
    failed = {task.object: task.sqlstate for task in report.failed if task.kind == "data"}
    assert failed == {"s.z_parent": "23505", "s.a_child": "23505"}
    assert servers.rows(target, "s", "numbered") == servers.rows(source, "s", "numbered")


def test_on_existing_append_into_rows_of_ones_own(pair: Pair) -> None:
    source, target = _both(pair)
    servers.run_script(target, SCRIPT.split("INSERT")[0])
    _execute(
        target, "INSERT INTO s.keyless VALUES (9)", "INSERT INTO s.z_parent VALUES (1, 'mine')"
    )
    report = _run(source, target)
    report.raise_for_failures()
    assert ("9",) in servers.rows(target, "s", "keyless")
    assert len(servers.rows(target, "s", "keyless")) == 6
    assert ("1", "mine") in servers.rows(target, "s", "z_parent")
    assert len(servers.rows(target, "s", "z_parent")) == 20
    assert any(f.check == "rows_appended" and f.object == "s.keyless" for f in report.findings)


def test_on_existing_truncate_leaves_only_the_source_s_rows(pair: Pair) -> None:
    source, target = _both(pair)
    _run(source, target).raise_for_failures()
    _execute(target, "INSERT INTO s.keyless VALUES (9)", "INSERT INTO s.z_parent VALUES (99, 'x')")
    _run(source, target, on_existing="truncate").raise_for_failures()
    servers.assert_equal(source, target)


def test_on_existing_error_blocks_before_anything_is_done(pair: Pair) -> None:
    source, target = _both(pair)
    servers.run_script(target, "CREATE SCHEMA s; CREATE TABLE s.keyless AS SELECT 1 AS a")
    before = dumps.schema(target)
    with pytest.raises(PreflightError) as caught:
        _run(source, target, on_existing="error")
    blocking = [f.object for f in caught.value.findings if f.severity == "blocking"]
    assert blocking == ["s.keyless"]
    assert dumps.schema(target) == before


def test_on_existing_skip_leaves_the_rows_alone(pair: Pair) -> None:
    source, target = _both(pair)
    servers.run_script(target, "CREATE SCHEMA s; CREATE TABLE s.keyless AS SELECT 9 AS a")
    report = _run(source, target, on_existing="skip")
    report.raise_for_failures()
    assert _status(report, "data", "keyless") == "skipped"
    assert servers.rows(target, "s", "keyless") == [("9",)]
    assert servers.rows(target, "s", "late") == servers.rows(source, "s", "late")


def test_a_sequence_that_is_ahead_never_goes_back(pair: Pair) -> None:
    source, target = _both(pair)
    _run(source, target).raise_for_failures()
    _execute(target, "SELECT setval('s.numbered_id_seq', 500)", "SELECT setval('s.down', -500)")
    report = _run(source, target)
    report.raise_for_failures()
    found = servers.sequences(target, ["pgmigrate"])
    assert found == {"s.numbered_id_seq": (500, True), "s.down": (-500, True)}
    assert _status(report, "sequence value", "down") == "kept"


def test_a_sequence_that_is_behind_goes_on(pair: Pair) -> None:
    source, target = _both(pair)
    _run(source, target).raise_for_failures()
    _execute(target, "SELECT setval('s.numbered_id_seq', 3)", "SELECT setval('s.down', -3)")
    _run(source, target).raise_for_failures()
    assert servers.sequences(target, ["pgmigrate"]) == servers.sequences(source)


@pytest.mark.case("B4")
def test_a_half_built_index_is_built_again(pair: Pair) -> None:
    source, target = _both(pair)
    _execute(
        target,
        "CREATE SCHEMA s",
        "CREATE TABLE s.z_parent (id int NOT NULL, v text)",
        "INSERT INTO s.z_parent VALUES (1, 'x'), (1, 'x')",
    )
    for index in ("z_parent_pkey ON s.z_parent (id)", "parent_v ON s.z_parent (v) WHERE v > 'b'"):
        with pytest.raises(psycopg.errors.UniqueViolation):
            _execute(target, f"CREATE UNIQUE INDEX CONCURRENTLY {index}")
    _execute(target, "DELETE FROM s.z_parent")
    assert len(servers.invalid_objects(target)) == 2
    _run(source, target).raise_for_failures()
    servers.assert_equal(source, target)


@pytest.mark.case("B4")
def test_an_index_without_its_constraint_becomes_it(pair: Pair) -> None:
    source, target = _both(pair)
    servers.run_script(target, SCRIPT.split("INSERT")[0])
    _execute(
        target,
        "ALTER TABLE s.a_child DROP CONSTRAINT a_child_pkey",
        "CREATE UNIQUE INDEX a_child_pkey ON s.a_child (id)",
        "ALTER TABLE s.late DROP CONSTRAINT late_rank_key",
        "CREATE UNIQUE INDEX late_rank_key ON s.late (rank)",
    )
    report = _run(source, target)
    report.raise_for_failures()
    assert _status(report, "constraint", "a_child_pkey") == "done"
    servers.assert_equal(source, target)


@pytest.mark.case("B4")
def test_another_index_of_a_key_is_left_alone(pair: Pair) -> None:
    source, target = _both(pair)
    servers.run_script(target, SCRIPT.split("INSERT")[0])
    other = "CREATE UNIQUE INDEX a_child_pkey ON s.a_child USING btree (id DESC)"
    _execute(target, "ALTER TABLE s.a_child DROP CONSTRAINT a_child_pkey", other)
    report = _run(source, target)
    failed = next(task for task in report.failed if task.status == "failed")
    assert failed.object == "s.a_child a_child_pkey"
    assert "another index of this name" in failed.note
    with psycopg.connect(target) as connection:
        found = connection.execute("SELECT pg_get_indexdef('s.a_child_pkey'::regclass)").fetchone()
    assert found == (other,)


@pytest.mark.case("B4")
def test_a_foreign_key_that_was_not_valid_ends_valid(pair: Pair) -> None:
    source, target = _both(pair)
    servers.run_script(target, SCRIPT.split("INSERT")[0])
    _execute(
        target,
        "ALTER TABLE s.a_child DROP CONSTRAINT a_child_parent_fkey",
        "ALTER TABLE s.a_child ADD FOREIGN KEY (parent) REFERENCES s.z_parent NOT VALID",
    )
    _run(source, target).raise_for_failures()
    servers.assert_equal(source, target)


@pytest.mark.case("B4")
def test_a_foreign_key_to_partitions_that_stays_not_valid_is_reported(pair: Pair) -> None:
    script = """
        CREATE TABLE whole (id int PRIMARY KEY) PARTITION BY RANGE (id);
        CREATE TABLE half PARTITION OF whole FOR VALUES FROM (0) TO (100);
        CREATE TABLE refers (id int);
    """
    source, target = pair.filled(
        script + "ALTER TABLE refers ADD FOREIGN KEY (id) REFERENCES whole"
    )
    servers.run_script(
        target, script + "ALTER TABLE refers ADD FOREIGN KEY (id) REFERENCES whole NOT VALID"
    )
    report = _run(source, target)
    assert [task.object for task in report.failed] == ["public.refers refers_id_fkey"]


@pytest.mark.case("B4")
@pytest.mark.parametrize(
    ("statements", "named"),
    [
        (["DROP INDEX s.parent_v", "CREATE UNIQUE INDEX parent_v ON s.z_parent (v)"], "parent_v"),
        (
            ["DROP INDEX s.child_parent", "CREATE INDEX child_parent ON s.a_child (parent, id)"],
            "child_parent",
        ),
        (
            [
                "ALTER TABLE s.a_child DROP CONSTRAINT a_child_parent_fkey, ADD CONSTRAINT"
                " a_child_parent_fkey FOREIGN KEY (parent) REFERENCES s.z_parent ON DELETE CASCADE"
            ],
            "a_child_parent_fkey",
        ),
        (
            [
                "ALTER TABLE s.late DROP CONSTRAINT late_rank_key,"
                " ADD CONSTRAINT late_rank_key UNIQUE (rank)"
            ],
            "late_rank_key",
        ),
        (
            [
                "ALTER TABLE s.late DROP CONSTRAINT late_pkey,"
                " ADD CONSTRAINT late_pkey PRIMARY KEY (id, rank)"
            ],
            "late_pkey",
        ),
    ],
    ids=["unique index", "index", "foreign key", "deferrable", "primary key"],
)
def test_another_definition_of_the_name_fails_by_name(
    pair: Pair, statements: list[str], named: str
) -> None:
    source, target = _both(pair)
    servers.run_script(target, SCRIPT.split("INSERT")[0])
    _execute(target, *statements)
    report = _run(source, target)
    assert report.status == "failed"
    assert {named} == {task.object.split(".")[-1].split(" ")[-1] for task in report.failed}
    assert any(task.status == "failed" for task in report.failed)
    assert servers.rows(target, "s", "a_child") == servers.rows(source, "s", "a_child")


@pytest.mark.case("B4")
def test_a_foreign_key_that_says_less_fails_by_name(pair: Pair) -> None:
    script = "CREATE SCHEMA s; CREATE TABLE s.p (id int PRIMARY KEY); CREATE TABLE s.c (p int, "
    source, target = _both(
        pair, f"{script} CONSTRAINT c_p FOREIGN KEY (p) REFERENCES s.p ON DELETE CASCADE)"
    )
    servers.run_script(target, f"{script} CONSTRAINT c_p FOREIGN KEY (p) REFERENCES s.p)")
    report = _run(source, target)
    assert [task.object for task in report.failed if task.status == "failed"] == ["s.c c_p"]


@pytest.mark.case("B4")
def test_an_index_that_says_less_fails_by_name(pair: Pair) -> None:
    script = "CREATE SCHEMA s; CREATE TABLE s.t (a int); CREATE INDEX t_a ON s.t (a)"
    source, target = _both(pair, f"{script} WHERE a > 3")
    servers.run_script(target, script)
    report = _run(source, target)
    assert [task.object for task in report.failed] == ["s.t_a"]


@pytest.mark.case("B4")
def test_an_invalid_index_of_another_definition_is_not_dropped(pair: Pair) -> None:
    source, target = _both(
        pair, "CREATE SCHEMA s; CREATE TABLE s.t (a int); CREATE INDEX i ON s.t (a)"
    )
    _execute(
        target, "CREATE SCHEMA s", "CREATE TABLE s.mine AS SELECT 1 AS a FROM generate_series(1, 2)"
    )
    with pytest.raises(psycopg.errors.UniqueViolation):
        _execute(target, "CREATE UNIQUE INDEX CONCURRENTLY i ON s.mine (a)")
    report = _run(source, target)
    assert [task.object for task in report.failed] == ["s.i"]
    assert servers.invalid_objects(target) == ["index s.i"]


def test_triggers_that_would_fire_for_our_rows_are_reported(pair: Pair) -> None:
    source, target = _both(pair)
    _run(source, target).raise_for_failures()
    servers.run_script(
        target,
        """
        CREATE FUNCTION s.loud() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN NEW.v := 'loud'; RETURN NEW; END $$;
        CREATE TRIGGER loud BEFORE INSERT ON s.z_parent FOR EACH ROW EXECUTE FUNCTION s.loud();
        CREATE TRIGGER quiet BEFORE DELETE ON s.numbered FOR EACH ROW EXECUTE FUNCTION s.loud();
        """,
    )
    report = _run(source, target)
    report.raise_for_failures()
    assert [f.object for f in report.findings if f.check == "triggers_fire"] == ["s.z_parent"]
    assert servers.rows(target, "s", "z_parent") == servers.rows(source, "s", "z_parent")
