"""Keys of a configuration that decide which tables arrive, and how their rows are copied."""

from __future__ import annotations

from typing import Any

import pytest

from conftest import Pair
from support import servers
from support.config_keys import app_t, data, ids, migration, run, shows, tables, values


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
def test_schemas_select_the_tables_below_them(
    databases: tuple[str, str], schemas: Any, expected: list[str]
) -> None:
    run(databases, schemas=schemas)
    assert tables(databases[1]) == expected


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
def test_tables_are_selected_as_the_mode_says(
    databases: tuple[str, str], tables_: Any, expected: list[str]
) -> None:
    run(databases, tables=tables_)
    assert tables(databases[1]) == expected


@shows(
    "tables.include[].schema",
    "tables.include[].name",
    "tables.include[].<option>",
    "tables.exclude[].schema",
    "tables.exclude[].name",
)
def test_mode_all_uses_include_for_tuning_only(databases: tuple[str, str]) -> None:
    include = [{"schema": "app", "name": "t", "limit": 3}, {"name": "plain", "where": "false"}]
    exclude = [{"schema": "app", "name": "child"}]
    run(databases, tables={"mode": "all", "include": include, "exclude": exclude})
    assert tables(databases[1]) == ["app.t", "other.o", "public.plain"]
    assert len(ids(databases[1])) == 3
    assert values(databases[1], "SELECT a FROM plain") == []
    assert values(databases[1], "SELECT a FROM other.o") == [1]


@shows("tables.default", "tables.default.chunk_column", "tables.default.chunk_size")
@pytest.mark.parametrize("column", ["id", "n"])
def test_a_table_is_cut_by_its_chunk_column(databases: tuple[str, str], column: str) -> None:
    default = {"chunk_column": column, "chunk_size": 9}
    chosen = migration(
        databases, tables={"mode": "include", "default": default, "include": ["app.t"]}
    )
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
    assert ids(databases[1]) == list(range(1, 41))


@shows("tables.default.where")
def test_where_selects_rows(databases: tuple[str, str]) -> None:
    run(
        databases,
        tables={"include": [{"schema": "app", "name": "child", "where": "id < 4 OR u = 9"}]},
    )
    assert values(databases[1], "SELECT id FROM app.child ORDER BY id") == [1, 2, 3, 9]


@shows("tables.default.order_by")
def test_order_by_decides_the_order_of_the_rows(databases: tuple[str, str]) -> None:
    run(
        databases,
        tables={"mode": "include", "include": [app_t(order_by="n DESC NULLS LAST, id DESC")]},
    )
    lying = values(databases[1], "SELECT id FROM app.t ORDER BY ctid")
    assert lying[:3] == [39, 31, 23]
    assert lying[-1] == 8


@shows("tables.default.limit")
def test_limit_switches_chunks_off(databases: tuple[str, str]) -> None:
    options = {"limit": 11, "order_by": "id", "chunk_column": "id", "chunk_size": 2}
    report = run(databases, tables={"mode": "include", "include": [app_t(**options)]})
    assert len([task for task in report.tasks if task.kind == "data"]) == 1
    assert ids(databases[1]) == list(range(1, 12))


@shows("tables.default.on_existing", "options.on_existing")
@pytest.mark.parametrize("place", ["table", "options"])
@pytest.mark.parametrize("word", ["append", "truncate", "skip", "error"])
def test_on_existing_decides_what_becomes_of_existing_tables(
    databases: tuple[str, str], word: str, place: str
) -> None:
    servers.run_script(
        databases[1],
        "CREATE SCHEMA other; CREATE TABLE other.o (a int); INSERT INTO other.o VALUES (5)",
    )
    rule = {"schema": "other", "name": "o"}
    keys: dict[str, Any] = {"tables": [rule], "on_existing": word}
    if place == "table":
        keys = {"tables": [{**rule, "on_existing": word}]}
    if word == "error":
        with pytest.raises(Exception, match=r"other\.o"):
            run(databases, **keys)
    else:
        run(databases, **keys)
    expected = {"append": [1, 5], "truncate": [1], "skip": [5], "error": [5]}
    assert values(databases[1], "SELECT a FROM other.o ORDER BY a") == expected[word]


@shows("tables.default.on_conflict", "options.on_conflict")
@pytest.mark.parametrize("place", ["table", "options"])
@pytest.mark.parametrize("word", ["auto", "nothing", "update", "error"])
def test_on_conflict_decides_what_becomes_of_existing_rows(
    databases: tuple[str, str], word: str, place: str
) -> None:
    servers.run_script(
        databases[1],
        "CREATE SCHEMA app; CREATE TABLE app.t (id int PRIMARY KEY, n int, v text); "
        "INSERT INTO app.t VALUES (1, 0, 'mine'), (99, 0, 'mine')",
    )
    keys: dict[str, Any] = {"tables": ["app.t"], "on_conflict": word}
    if place == "table":
        keys = {"tables": [app_t(on_conflict=word)]}
    report = migration(databases, **keys).run()
    failed = [task.sqlstate for task in report.failed if task.status == "failed"]
    assert failed == (["23505"] if word == "error" else [])
    found = dict(servers.fetch(databases[1], "SELECT id, v FROM app.t WHERE id IN (1, 2, 99)"))
    first = "v1" if word == "update" else "mine"
    new = {} if word == "error" else {2: "v2"}
    assert found == {1: first, 99: "mine", **new}


@shows("tables.default.format", "options.format")
def test_format_decides_how_rows_travel(pair: Pair, databases: tuple[str, str]) -> None:
    size: dict[str, int] = {}
    for format_ in ("text", "binary", "auto"):
        target = pair.target(f"_{format_}")
        report = run((databases[0], target), tables=["app.child"], format=format_)
        size[format_] = sum(task.bytes for task in report.tasks)
    assert size["auto"] == size["binary"]
    # Ten rows of three small integers: as text at most 9 bytes a row, binary 26 and more.
    assert size["text"] <= 90 < 260 <= size["binary"]
    rule = {"schema": "app", "name": "child", "format": "text"}
    plan = migration(databases, tables={"include": [rule]}, format="binary").plan()
    assert [data(plan, name)[0].format for name in ("child", "t")] == ["text", "binary"]


@shows("options.split_larger_than")
def test_large_tables_are_split(pair: Pair, databases: tuple[str, str]) -> None:
    servers.run_script(databases[0], "INSERT INTO other.o SELECT generate_series(2, 5000)")
    plan = migration(databases, split_larger_than="64kB").plan()
    chunks = data(plan, "o")
    assert len(chunks) >= 3
    assert all("ctid" in task.source_sql for task in chunks)
    assert len(data(migration(databases).plan(), "o")) == 1
    run(databases, split_larger_than="64kB")
    assert values(databases[1], "SELECT count(DISTINCT a) FROM other.o") == [5000]
    assert values(databases[1], "SELECT count(*) FROM other.o") == [5000]
