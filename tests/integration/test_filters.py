"""Cases D: what filters take along, what they leave behind, and what they say about it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from conftest import Pair
from pgmigrate import ConfigError, Migration, Plan, Report
from support import servers

SCRIPT = """
CREATE SCHEMA shop; CREATE SCHEMA audit;
CREATE TYPE audit.level AS ENUM ('low', 'high');
CREATE FUNCTION audit.stamp() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE FUNCTION audit.twice(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 2';
CREATE FUNCTION shop.unused() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE SEQUENCE audit.numbers; CREATE SEQUENCE shop.alone START 7;
SELECT setval('audit.numbers', 300);
SELECT nextval('shop.alone');
CREATE TABLE shop.customer (id serial PRIMARY KEY, name text UNIQUE);
CREATE TABLE shop.rent (
    id int PRIMARY KEY DEFAULT nextval('audit.numbers'), customer int REFERENCES shop.customer,
    level audit.level DEFAULT 'low', twice int CHECK (audit.twice(twice) > 0)
);
CREATE TABLE shop.line (id int PRIMARY KEY, rent int REFERENCES shop.rent, note text);
CREATE TABLE audit.log (id bigserial PRIMARY KEY, rent int REFERENCES shop.rent);
INSERT INTO shop.customer (name) SELECT 'c' || i FROM generate_series(1, 10) i;
INSERT INTO shop.rent (id, customer, twice) SELECT i, i, i FROM generate_series(1, 10) i;
INSERT INTO shop.line SELECT i, i, 'n' FROM generate_series(1, 10) i;
INSERT INTO audit.log (rent) SELECT i FROM generate_series(1, 10) i;
CREATE INDEX ON shop.rent (level);
CREATE TRIGGER stamp BEFORE INSERT ON shop.line FOR EACH ROW EXECUTE FUNCTION audit.stamp();
CREATE VIEW shop.names AS SELECT name FROM shop.customer;
CREATE VIEW shop.rents AS SELECT r.id, c.name FROM shop.rent r
    JOIN shop.customer c ON c.id = r.customer;
CREATE MATERIALIZED VIEW shop.counts AS SELECT count(*) AS n FROM shop.line;
CREATE INDEX ON shop.counts (n);
CREATE FUNCTION audit.on_drop() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN PERFORM 1; END';
CREATE EVENT TRIGGER watch ON sql_drop EXECUTE FUNCTION audit.on_drop();
CREATE PUBLICATION news FOR TABLE shop.customer;
CREATE SUBSCRIPTION olds CONNECTION 'dbname=nowhere' PUBLICATION x WITH (connect = false);
COMMENT ON TABLE shop.rent IS 'a comment';
SELECT lo_from_bytea(4711, 'large');
"""

PARTITIONS = """
CREATE TABLE root (k int NOT NULL, a text, PRIMARY KEY (k)) PARTITION BY RANGE (k);
CREATE TABLE p1 PARTITION OF root FOR VALUES FROM (0) TO (10);
CREATE TABLE p2 PARTITION OF root FOR VALUES FROM (10) TO (20) PARTITION BY RANGE (k);
CREATE TABLE p2a PARTITION OF p2 FOR VALUES FROM (10) TO (15);
CREATE TABLE p2b PARTITION OF p2 FOR VALUES FROM (15) TO (20);
CREATE TABLE p3 PARTITION OF root DEFAULT;
CREATE INDEX root_a ON root (a);
CREATE TABLE refers (id int PRIMARY KEY, k int REFERENCES root);
INSERT INTO root SELECT i, 'r' || i FROM generate_series(0, 29) i;
INSERT INTO refers SELECT i, i FROM generate_series(0, 29) i;
"""


@pytest.fixture
def source(pair: Pair) -> Iterator[str]:
    conninfo = pair.source()
    servers.run_script(conninfo, SCRIPT)
    yield conninfo
    # A subscription would keep its database from being dropped.
    servers.run_script(
        conninfo, "ALTER SUBSCRIPTION olds SET (slot_name = NONE); DROP SUBSCRIPTION olds"
    )


def _migrate(source: str, target: str, **options: Any) -> tuple[Plan, Report]:
    # Without its ledger the target holds nothing but what the filters chose.
    migration = Migration(source=source, target=target, roles="none", keep_ledger=False, **options)
    plan = migration.plan()
    report = migration.run(plan, jobs=2)
    report.raise_for_failures()
    assert servers.invalid_objects(target) == []
    return plan, report


def _relations(conninfo: str) -> set[str]:
    """Tables, views, sequences as schema.name."""
    return _names(
        conninfo,
        """
        SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S') AND n.nspname !~ '^pg_|information_schema'
        """,
    )


def _names(conninfo: str, query: str) -> set[str]:
    with psycopg.connect(conninfo) as connection:
        connection.execute("SET search_path = ''")
        return {name for (name,) in connection.execute(query)}


FOREIGN_KEYS = "SELECT conname::text FROM pg_constraint WHERE contype = 'f' AND conparentid = 0"
FUNCTIONS = """
    SELECT p.oid::regprocedure::text FROM pg_proc p
    JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname IN ('shop', 'audit')
"""


def _absent(plan: Plan) -> dict[str, str]:
    return {f"{item.kind} {item.object}": item.reason for item in plan.absent}


def _pulled(plan: Plan) -> set[str]:
    return {finding.object for finding in plan.findings if finding.check == "pulled_in"}


@pytest.mark.case("D3")
@pytest.mark.parametrize("schemas", [["shop"], {"mode": "exclude", "exclude": ["audit"]}])
def test_a_schema_comes_with_all_that_it_needs(
    source: str, pair: Pair, schemas: list[str] | dict[str, object]
) -> None:
    target = pair.target()
    plan, _ = _migrate(source, target, schemas=schemas)
    assert _relations(target) == {
        "shop.customer", "shop.rent", "shop.line", "shop.customer_id_seq", "shop.alone",
        "shop.names", "shop.rents", "shop.counts", "audit.numbers",
    }  # fmt: skip
    assert _names(target, FUNCTIONS) == {
        "shop.unused()", "audit.stamp()", "audit.twice(integer)",
    }  # fmt: skip
    assert _pulled(plan) == {
        "type audit.level", "sequence audit.numbers", "function audit.stamp()",
        "function audit.twice(integer)",
    }  # fmt: skip
    assert _names(target, "SELECT n::text FROM shop.counts") == {"10"}
    assert servers.sequences(target)["audit.numbers"] == (300, True)
    assert servers.sequences(target)["shop.alone"] == (7, True)


@pytest.mark.case("D3")
def test_excluding_a_schema_leaves_its_tables(source: str, pair: Pair) -> None:
    target = pair.target()
    _migrate(source, target, schemas={"mode": "all", "exclude": ["shop"]})
    # The log's foreign key needs shop.rent; the log itself does not.
    assert _relations(target) == {"audit.log", "audit.log_id_seq", "audit.numbers"}
    assert len(servers.rows(target, "audit", "log")) == 10
    assert _names(target, FOREIGN_KEYS) == set()


@pytest.mark.case("D3")
def test_included_tables_come_with_what_they_need_and_nothing_else(source: str, pair: Pair) -> None:
    target = pair.target()
    plan, _ = _migrate(source, target, tables=["shop.rent", "shop.line"])
    assert _relations(target) == {"shop.rent", "shop.line", "audit.numbers"}
    assert _names(target, FUNCTIONS) == {"audit.stamp()", "audit.twice(integer)"}
    assert _names(target, FOREIGN_KEYS) == {"line_rent_fkey"}
    assert _absent(plan)["fk constraint shop.rent rent_customer_fkey"] == (
        "needs table shop.customer, which is not in scope"
    )
    with psycopg.connect(target) as connection:
        connection.execute("INSERT INTO shop.rent (twice) VALUES (1)")
        comment = connection.execute("SELECT obj_description('shop.rent'::regclass)").fetchone()
    assert comment == ("a comment",)


@pytest.mark.case("D3")
def test_a_view_comes_by_name_and_names_what_it_lacks(source: str, pair: Pair) -> None:
    target = pair.target()
    plan, _ = _migrate(source, target, tables=["shop.customer", "shop.names", "shop.rents"])
    assert _relations(target) == {"shop.customer", "shop.customer_id_seq", "shop.names"}
    assert _absent(plan)["view shop.rents"] == "needs table shop.rent, which is not in scope"


@pytest.mark.case("D3")
def test_a_materialized_view_comes_by_name_and_is_filled(source: str, pair: Pair) -> None:
    target = pair.target()
    _migrate(source, target, tables=["shop.line", "shop.counts"])
    assert _relations(target) == {"shop.line", "shop.counts"}
    assert _names(target, "SELECT n::text FROM shop.counts") == {"10"}


@pytest.mark.case("D3")
def test_views_of_an_excluded_table_stay_behind_and_are_named(source: str, pair: Pair) -> None:
    target = pair.target()
    exclude = {"mode": "all", "exclude": ["shop.line", "audit.log"]}
    plan, _ = _migrate(source, target, tables=exclude)
    assert "shop.counts" not in _relations(target)
    absent = _absent(plan)
    assert absent["materialized view shop.counts"] == "needs table shop.line, which is not in scope"
    assert not any("line_pkey" in name or "counts_n_idx" in name for name in absent)


@pytest.mark.case("D3")
def test_event_triggers_come_only_with_a_whole_database(source: str, pair: Pair) -> None:
    triggers = "SELECT evtname::text FROM pg_event_trigger"
    part, whole = pair.target("_part"), pair.target("_whole")
    plan, _ = _migrate(source, part, schemas=["shop", "audit"])
    assert _names(part, triggers) == set()
    assert "event trigger watch" in _absent(plan)
    _migrate(source, whole)
    assert _names(whole, triggers) == {"watch"}


@pytest.mark.case("D2")
def test_excluding_a_referenced_table_drops_just_the_foreign_keys_to_it(
    source: str, pair: Pair
) -> None:
    target = pair.target()
    exclude = {"mode": "exclude", "exclude": ["shop.customer"]}
    plan, report = _migrate(source, target, tables=exclude)
    assert _names(target, FOREIGN_KEYS) == {"line_rent_fkey", "log_rent_fkey"}
    reason = "needs table shop.customer, which is not in scope"
    assert _absent(plan)["fk constraint shop.rent rent_customer_fkey"] == reason
    assert report.absent == plan.absent
    assert len(servers.rows(target, "shop", "rent")) == 10
    keys = (
        "SELECT conname::text FROM pg_constraint WHERE contype = 'p' AND conname ~ '^(rent|line)'"
    )
    assert _names(target, keys) == {"rent_pkey", "line_pkey"}


@pytest.mark.case("D4")
def test_a_sequence_owned_by_an_excluded_table_is_pulled_in(pair: Pair) -> None:
    source, target = pair.filled(
        """
        CREATE TABLE owner (id serial PRIMARY KEY);
        CREATE TABLE user_of_it (id int DEFAULT nextval('owner_id_seq') PRIMARY KEY, a text);
        INSERT INTO user_of_it (a) SELECT 'x' FROM generate_series(1, 4);
        """,
    )
    plan, _ = _migrate(source, target, tables={"mode": "all", "exclude": ["public.owner"]})
    assert _relations(target) == {"public.user_of_it", "public.owner_id_seq"}
    assert _pulled(plan) == {"sequence public.owner_id_seq"}
    with psycopg.connect(target) as connection:
        row = connection.execute("INSERT INTO user_of_it (a) VALUES ('y') RETURNING id").fetchone()
    assert row == (5,)


@pytest.mark.case("D5")
def test_a_standalone_sequence_follows_its_schema(source: str, pair: Pair) -> None:
    by_schema, by_name = pair.target("_schema"), pair.target("_name")
    _migrate(source, by_schema, schemas=["shop"])
    assert servers.sequences(by_schema)["shop.alone"] == (7, True)
    _migrate(source, by_name, tables=["shop.line", "shop.alone"])
    assert servers.sequences(by_name) == {"shop.alone": (7, True)}


@pytest.mark.case("D5")
def test_a_standalone_sequence_stays_when_only_tables_are_included(source: str, pair: Pair) -> None:
    target = pair.target()
    _migrate(source, target, tables=["shop.line"])
    assert servers.sequences(target) == {}


@pytest.mark.case("D6")
def test_excluded_partitions_stay_away_with_what_is_below_them(pair: Pair) -> None:
    source, target = pair.filled(PARTITIONS)
    exclude = {"mode": "all", "exclude": ["public.p2b", "public.p3", "public.refers"]}
    _migrate(source, target, tables=exclude)
    assert _relations(target) == {"public.root", "public.p1", "public.p2", "public.p2a"}
    assert servers.rows(target, "public", "root", ["k"]) == sorted((str(k),) for k in range(15))


@pytest.mark.case("D6")
def test_excluding_a_partitioned_table_leaves_all_below_it(pair: Pair) -> None:
    source, target = pair.filled(PARTITIONS)
    exclude = {"mode": "all", "exclude": ["public.p2", "public.refers"]}
    _migrate(source, target, tables=exclude)
    assert _relations(target) == {"public.root", "public.p1", "public.p3"}


@pytest.mark.case("D6")
def test_a_foreign_key_to_a_table_without_some_partitions_is_left_out_and_named(
    pair: Pair,
) -> None:
    source, target = pair.filled(PARTITIONS)
    plan, _ = _migrate(source, target, tables={"mode": "all", "exclude": ["public.p2b"]})
    assert _names(target, FOREIGN_KEYS) == set()
    absent = _absent(plan)
    assert absent == {
        "fk constraint public.refers refers_k_fkey": "needs table public.p2b, which is not in scope"
    }
    assert len(servers.rows(target, "public", "refers")) == 30


@pytest.mark.case("D6")
def test_one_included_partition_brings_its_parents_only(pair: Pair) -> None:
    source, target = pair.filled(PARTITIONS)
    plan, _ = _migrate(source, target, tables=["public.p2a"])
    # Its ancestors come without rows, or it would be no partition.
    assert _relations(target) == {"public.root", "public.p2", "public.p2a"}
    assert _pulled(plan) == {"table public.root", "table public.p2"}
    assert len(servers.rows(target, "public", "root")) == 5


@pytest.mark.case("D6")
def test_including_a_partitioned_table_means_all_below_it(pair: Pair) -> None:
    source, target = pair.filled(PARTITIONS)
    _migrate(source, target, tables=["public.root"])
    assert len(servers.rows(target, "public", "root")) == 30
    assert "public.p2b" in _relations(target)


@pytest.mark.case("D7")
def test_a_filter_that_matches_nothing_names_its_key(source: str, pair: Pair) -> None:
    migration = Migration(
        source=source,
        target=pair.target(),
        schemas={"mode": "exclude", "exclude": ["audit", "shpo"]},
        tables={
            "mode": "all",
            "exclude": ["shop.lien"],
            "include": [
                {"schema": "shop", "name": "cutsomer"},
                {"schema": "shop", "name": "line", "chunk_column": "idd"},
                {"schema": "shop", "name": "customer", "chunk_column": "name"},
            ],
        },
    )
    with pytest.raises(ConfigError) as caught:
        migration.plan()
    assert caught.value.problems == (
        'schemas.exclude[1]: the source has no schema "shpo"',
        "tables.include[0]: the source has no table shop.cutsomer",
        'tables.include[1].chunk_column: shop.line has no column "idd"',
        'tables.include[2].chunk_column: "name" of shop.customer is text, '
        "expected smallint, integer or bigint",
        "tables.exclude[0]: the source has no table shop.lien",
    )


@pytest.mark.case("D7")
def test_a_default_chunk_column_that_no_table_has_is_a_mistake(source: str, pair: Pair) -> None:
    migration = Migration(
        source=source, target=pair.target(), tables={"default": {"chunk_column": "idd"}}
    )
    with pytest.raises(ConfigError) as caught:
        migration.plan()
    assert caught.value.problems == (
        'tables.default.chunk_column: no table of the source has an integer column "idd"',
    )


@pytest.mark.case("D7")
def test_an_index_is_no_table(source: str, pair: Pair) -> None:
    migration = Migration(source=source, target=pair.target(), tables=["shop.line_pkey"])
    with pytest.raises(ConfigError, match=r"the source has no table shop\.line_pkey"):
        migration.plan()


@pytest.mark.case("D8")
def test_publications_and_subscriptions_come_only_when_asked_for(source: str, pair: Pair) -> None:
    target = pair.target()
    plan, _ = _migrate(source, target)
    assert _names(target, "SELECT pubname::text FROM pg_publication") == set()
    assert _names(target, "SELECT subname::text FROM pg_subscription WHERE false") == set()
    absent = _absent(plan)
    assert absent["publication news"] == (
        "publications are not moved unless options.publications is true"
    )
    assert absent["subscription olds"] == (
        "subscriptions are not moved unless options.subscriptions is true"
    )
    assert not any(name.startswith("publication table") for name in absent)


@pytest.mark.case("D8")
def test_a_publication_that_is_asked_for(source: str, pair: Pair) -> None:
    target = pair.target()
    _migrate(source, target, publications=True)
    assert _names(target, "SELECT tablename::text FROM pg_publication_tables") == {"customer"}


def test_large_objects_stay_behind_a_filter_unless_asked_for(source: str, pair: Pair) -> None:
    filtered, asked = pair.target("_filtered"), pair.target("_asked")
    _migrate(source, filtered, schemas=["shop"])
    assert servers.large_objects(filtered) == {}
    _migrate(source, asked, schemas=["shop"], large_objects=True)
    assert list(servers.large_objects(asked)) == [4711]


def test_a_view_of_an_excluded_views_schema(pair: Pair) -> None:
    source, target = pair.filled(
        """
        CREATE SCHEMA inner_one; CREATE SCHEMA outer_one;
        CREATE TABLE inner_one.t (a int);
        CREATE VIEW inner_one.v AS SELECT a FROM inner_one.t;
        CREATE VIEW outer_one.w AS SELECT a FROM inner_one.v;
        CREATE TABLE outer_one.u (a int);
        """,
    )
    plan, _ = _migrate(source, target, schemas=["outer_one"])
    assert _relations(target) == {"outer_one.u"}
    assert "inner_one.v" in _absent(plan)["view outer_one.w"]
