"""Verification covers every kind of object: it finds each planted difference, and no other.

A target is migrated once for each pair of majors. Differences of all kinds are planted together in
a copy of it, each on an object of its own, so that one verification shows what it finds for each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import permutations

import psycopg
import pytest
from psycopg import sql

from conftest import PAIRS, Pair, Servers, prefer_programs_for
from pgmigrate import Difference, Migration, Tables, VerifyError, VerifyResult
from support import dumps, servers
from support.planted import OPTIONS, PLANTED, PLANTED_18, ROLES, SOURCE, SOURCE_18, Planted
from support.roles import prefixed

# One worker has them all: they share what takes long to start.
pytestmark = pytest.mark.xdist_group("verify_objects")


@dataclass(frozen=True)
class Migrated:
    """A source, and a target that was migrated from it."""

    pair: Pair
    source: str
    target: str

    def plants(self) -> list[Planted]:
        """What can be planted; databases of one server share their roles."""
        added = PLANTED_18 if self.pair.majors == (18, 18) else []
        is_one = self.pair.source_server is self.pair.target_server
        return [plant for plant in [*PLANTED, *added] if not (is_one and plant.is_shared)]

    def verify(self) -> VerifyResult:
        return Migration(source=self.source, target=self.target, options=OPTIONS).verify(jobs=2)


@pytest.fixture(scope="module", params=[*PAIRS, (18, 18)], ids=lambda pair: f"{pair[0]}to{pair[1]}")
def migrated(request: pytest.FixtureRequest, all_servers: Servers) -> Iterator[Migrated]:
    source_major, target_major = request.param
    with pytest.MonkeyPatch.context() as monkeypatch:
        prefer_programs_for(monkeypatch, request.param)
        yield from _migrated(all_servers, source_major, target_major)


def _migrated(all_servers: Servers, source_major: int, target_major: int) -> Iterator[Migrated]:
    of = (all_servers.of(source_major), all_servers.of(target_major))
    pair = Pair(*of, f"planted_{source_major}_{target_major}")
    source, target = pair.filled(SOURCE)
    if pair.majors == (18, 18):
        servers.run_script(source, SOURCE_18)
    Migration(source=source, target=target, options=OPTIONS).run(jobs=2).raise_for_failures()
    yield Migrated(pair, source, target)
    for server, name in pair.made:
        servers.drop_database(server, name)
    for conninfo in {server.conninfo for server in of}:
        with psycopg.connect(conninfo, autocommit=True) as connection:
            connection.execute("DROP TABLESPACE IF EXISTS planted_space")
            for role in ROLES:
                connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(role)))


def test_an_untouched_target_is_equal_and_each_planted_difference_is_found(
    migrated: Migrated,
) -> None:
    clean = migrated.verify()
    clean.raise_for_differences()
    assert clean.ok and not clean.only_on_target and not clean.not_moved
    views = {view.object: view.status for view in clean.materialized_views}
    assert views == {"p.filled": "equal", "p.moving": "different"}
    counted = {item.kind: item.objects for item in clean.compared}
    assert counted["index"] == 9 and counted["table"] > 40 and counted["large object"] == 4
    plants = migrated.plants()
    for planted in plants:
        servers.run_script(migrated.target, planted.statement)
    found = migrated.verify()
    assert found.unchecked == ()
    problems = [_problem(planted, found.differences) for planted in plants]
    assert [problem for problem in problems if problem] == []
    named = {planted.object for planted in plants}
    assert [item.message for item in found.differences if item.object not in named] == []
    assert "hidden" not in found.text()


def _problem(planted: Planted, differences: tuple[Difference, ...]) -> str:
    of_object = [item for item in differences if item.object == planted.object]
    fit = [item for item in of_object if item.kind == planted.kind]
    if not fit:
        return f"{planted.object}: nothing found of kind {planted.kind}, but {of_object}"
    said = "; ".join(item.message for item in fit)
    lacking = [words for words in planted.says if words not in said]
    return f"{planted.object}: {lacking} is not in {said!r}" if lacking else ""


GENERATED_NAMES = """
CREATE TABLE orders (id int PRIMARY KEY, placed date NOT NULL);
CREATE TABLE archive (LIKE orders INCLUDING ALL);
"""


@pytest.mark.case("P3")
def test_generated_names_of_not_null_differ_by_version_and_others_really(
    make_pair: Callable[[int, int], Pair],
) -> None:
    """What the server names by itself is no difference; a name that a person gave is one."""
    pair = make_pair(18, 18)
    source, target = pair.filled(GENERATED_NAMES)
    # As pg_restore makes them: the archive first, which takes the names that orders would have.
    servers.run_script(
        target,
        """CREATE TABLE archive (id int CONSTRAINT orders_id_not_null NOT NULL,
               placed date CONSTRAINT orders_placed_not_null NOT NULL,
               CONSTRAINT archive_pkey PRIMARY KEY (id));
           CREATE TABLE orders (id int NOT NULL, placed date NOT NULL,
               CONSTRAINT orders_pkey PRIMARY KEY (id))""",
    )
    migration = Migration(source=source, target=target)
    found = migration.verify()
    found.raise_for_differences()
    assert [(item.kind, item.object) for item in found.by_version] == [("table", "public.orders")]
    assert "public.orders" in found.text()
    rename = "ALTER TABLE orders RENAME CONSTRAINT orders_placed_not_null1 TO mine"
    servers.run_script(target, rename)
    (difference,) = migration.verify().differences
    assert (difference.object, difference.columns) == ("public.orders", ("placed",))


POLICIES = """
CREATE TABLE "a "" TO b" (a int);
CREATE POLICY "p "" TO q, r" ON "a "" TO b" FOR SELECT TO {0}, {1}, {2} USING (a <> 1);
CREATE POLICY checked ON "a "" TO b" FOR INSERT TO {0}, {1}, {2} WITH CHECK (a <> 1);
CREATE POLICY bare ON "a "" TO b" TO {0}, {1}, {2};
CREATE POLICY fewer ON "a "" TO b" TO {1}, {2};
CREATE POLICY other ON "a "" TO b" TO {1}, {2} USING (a = 1)
"""


def _policies(conninfo: str) -> list[str]:
    lines = dumps.schema(conninfo).splitlines()
    return sorted(line for line in lines if line.startswith("CREATE POLICY"))


@pytest.mark.parametrize("target_major", [16, 18])
def test_roles_of_a_policy_have_no_order(
    make_pair: Callable[[int, int], Pair], target_major: int
) -> None:
    pair = make_pair(16 if target_major == 18 else 18, target_major)
    source, target = pair.source(), pair.target()
    with prefixed(pair) as prefix:
        roles = [f'"{prefix}{name}"' for name in ("z, x", "y TO", "a")]
        made = "".join(f"CREATE ROLE {role};" for role in roles) + POLICIES.format(*roles)
        servers.run_script(source, made)
        # Which order makes the catalog list them otherwise depends on where it has room for them.
        for ordered in permutations(roles):
            made = "".join(f"CREATE ROLE {role};" for role in ordered) + POLICIES.format(*roles)
            servers.run_script(target, made)
            if _policies(target) != _policies(source):
                break
            dropped = "".join(f"DROP ROLE {role};" for role in roles)
            servers.run_script(target, f'DROP TABLE "a "" TO b"; {dropped}')
        else:
            servers.run_script(target, made)
        migration = Migration(source=source, target=target, roles="none")
        report = migration.run()
        report.raise_for_failures()
        assert "differs" not in {finding.check for finding in report.findings}
        migration.verify().raise_for_differences()
        servers.run_script(
            target,
            f'ALTER POLICY fewer ON "a "" TO b" TO {roles[1]};'
            'ALTER POLICY other ON "a "" TO b" USING (a = 2)',
        )
        named = {difference.object for difference in migration.verify().differences}
        assert {name.rpartition(" ")[2] for name in named} == {"fewer", "other"}


def test_what_the_target_had_before_is_named_and_no_difference(pair: Pair) -> None:
    source, target = pair.filled("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)")
    servers.run_script(
        target, "CREATE TABLE older (id serial PRIMARY KEY); SELECT lo_from_bytea(0, 'older')"
    )
    migration = Migration(source=source, target=target)
    migration.run().raise_for_failures()
    found = migration.verify()
    found.raise_for_differences()
    kinds = [item.kind for item in found.only_on_target]
    assert sorted(kinds) == ["large object", "table"]
    assert "public.older" in found.text()
    servers.run_script(target, "CREATE TABLE newer (id int)")
    found = migration.verify()
    assert [(item.kind, item.object) for item in found.differences] == [
        ("extra_object", "public.newer")
    ]
    assert not found.ok


def test_filters_decide_what_counts_as_only_on_the_target(pair: Pair) -> None:
    source, target = pair.source(), pair.target()
    script = (
        "CREATE SCHEMA a; CREATE SCHEMA b; CREATE TABLE a.t (id int); CREATE TABLE b.t (id int)"
    )
    servers.run_script(source, script)
    of_schema = Migration(source=source, target=target, schemas=["a"])
    of_schema.run().raise_for_failures()
    servers.run_script(
        target,
        """CREATE SCHEMA c; CREATE TABLE c.t (id int); CREATE TABLE a.u (id int);
           CREATE INDEX t_id ON a.t (id)""",
    )
    objects = {item.object for item in of_schema.verify().differences}
    assert objects == {"a.u", "a.t_id"}
    tables: Tables = {"mode": "include", "include": [{"schema": "a", "name": "t"}]}
    of_table = Migration(source=source, target=target, tables=tables)
    assert {item.object for item in of_table.verify().differences} == {"a.t_id"}


@pytest.mark.case("S7")
def test_what_the_plan_lacks_is_named_as_not_moved(pair: Pair) -> None:
    source, target = pair.filled("CREATE TABLE t (id int)")
    migration = Migration(source=source, target=target)
    plan = migration.plan()
    servers.run_script(
        source,
        """CREATE TABLE later (id int); CREATE FUNCTION newer() RETURNS int LANGUAGE sql
           AS 'SELECT 1'; SELECT lo_from_bytea(770077, 'later')""",
    )
    servers.run_script(target, "CREATE TABLE t (id int)")
    found = migration.verify(plan)
    assert not found.ok
    assert {(item.kind, item.object) for item in found.not_moved} == {
        ("table", "public.later"),
        ("function", "public.newer()"),
        ("large object", "large object 770077"),
    }
    with pytest.raises(VerifyError, match=r"public\.later is not moved"):
        found.raise_for_differences()
    # The target may have the table from elsewhere; no task copies its rows.
    servers.run_script(target, "CREATE TABLE later (id int)")
    kinds = {item.object: item.kind for item in migration.verify(plan).not_moved}
    assert kinds["public.later"] == "rows"
