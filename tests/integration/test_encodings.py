"""Names, definitions and rows between databases of different encodings.

An object that the target's encoding has no characters for is named before anything is touched; a
row that it has none for fails its table alone.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Literal

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from conftest import Pair
from pgmigrate import Migration, Plan, PreflightError, PreflightResult, Report, Tables, TaskResult
from support import servers
from support.safety import config_file
from support.shell import Shell

ENCODINGS = ("UTF8", "LATIN1", "WIN1252", "EUC_JP", "SQL_ASCII")
CODECS = {"LATIN1": "latin-1", "WIN1252": "cp1252", "EUC_JP": "euc_jp"}
# Each is in some of the encodings and not in the others.
NAMES = ("plain", "naïve", "€uro", "жука", "日本", "snow ☃", "elephant 🐘")
LEAST = "CREATE TABLE good (id int PRIMARY KEY, a text); INSERT INTO good VALUES (1, 'x');"


def has(encoding: str, text: str) -> bool:
    """Whether an encoding has all characters of a text; SQL_ASCII takes any bytes."""
    try:
        text.encode(CODECS.get(encoding, "utf-8"))
    except UnicodeEncodeError:
        return False
    return True


def databases(pair: Pair, source: str, target: str, suffix: str = "") -> tuple[str, str]:
    """A source and a target of these encodings."""
    made = []
    for server, side, encoding in (
        (pair.source_server, f"source{suffix}", source),
        (pair.target_server, f"target{suffix}", target),
    ):
        name = f"{pair.name}_{side}"
        pair.made.append((server, name))
        made.append(servers.create_database(server, name, encoding=encoding, locale="C"))
    return made[0], made[1]


def is_untouched(target: str) -> bool:
    made = """SELECT FROM pg_class WHERE oid >= 16384
        UNION ALL SELECT FROM pg_namespace WHERE oid >= 16384"""
    return not servers.fetch(target, made)


def named(result: PreflightResult | PreflightError, check: str) -> dict[str, str]:
    """The blocking findings of a check: object -> message."""
    return {
        found.object: found.message
        for found in result.findings
        if (found.check, found.severity) == (check, "blocking")
    }


@pytest.mark.parametrize(
    ("source_encoding", "target_encoding"),
    [
        # Those without UTF8 on either side are run by `pytest -m matrix`.
        pytest.param(one, other, marks=() if "UTF8" in (one, other) else pytest.mark.matrix)
        for one, other in itertools.product(ENCODINGS, ENCODINGS)
    ],
)
def test_names_arrive_or_are_refused_by_name_before_anything_is_touched(
    pair: Pair, tmp_path: Path, source_encoding: str, target_encoding: str
) -> None:
    source, target = databases(pair, source_encoding, target_encoding)
    names = [name for name in NAMES if has(source_encoding, name)]
    for name in names:
        servers.run_script(
            source,
            f'CREATE TABLE "{name}" (id int PRIMARY KEY, "{name}" text);'
            f"INSERT INTO \"{name}\" VALUES (1, 'x')",
        )
    lacking = {f"public.{name}" for name in names if not has(target_encoding, name)}
    migration = Migration(source=source, target=target, roles="none")
    if lacking:
        found = migration.preflight()
        blocking = named(found, "target_encoding")
        assert {name for name in lacking if name in blocking} == lacking
        assert not [name for name in blocking if not has_lacking_name(name, lacking)]
        for message in blocking.values():
            assert target_encoding in message and "U+" in message
        with pytest.raises(PreflightError) as caught:
            migration.run()
        assert named(caught.value, "target_encoding") == blocking
        assert "tables.exclude" in str(caught.value) and "ENCODING 'UTF8'" in str(caught.value)
        assert is_untouched(target)
        rest: Tables = {"exclude": sorted(lacking)}
        migration = Migration(source=source, target=target, roles="none", tables=rest)
    plan = migration.plan()
    plan.save(tmp_path / "plan.tsv")
    assert Plan.load(tmp_path / "plan.tsv") == plan
    state = tmp_path / "state.tsv"
    report = migration.run(plan, state=state, verify=True)
    report.raise_for_failures()
    assert report.verification is not None and report.verification.equal
    arrived = [name for name in names if f"public.{name}" not in lacking]
    copied = {task.object for task in report.tasks if task.kind == "data"}
    assert copied == {f"public.{readable(name)}" for name in arrived}
    ledger = "SELECT DISTINCT object FROM pgmigrate.migration_task WHERE kind = 'data'"
    assert {name for (name,) in servers.fetch(f"{target} client_encoding=UTF8", ledger)} == copied
    assert {line.split("\t")[0] for line in state.read_text().splitlines()} >= {
        task.id for task in report.tasks
    }
    for name in arrived:
        assert servers.rows(f"{target} client_encoding=UTF8", "public", name) == [("1", "x")]


def readable(name: str) -> str:
    """An identifier as a plan shows it."""
    return name if name == "plain" else f'"{name}"'


def has_lacking_name(found: str, lacking: set[str]) -> bool:
    """Whether a finding's object is one of them, or a part of one."""
    return any(found == name or found.startswith(f"{name} ") for name in lacking)


def failed(report: Report) -> list[TaskResult]:
    """The tasks that failed, without those that were not tried because of one."""
    return [task for task in report.tasks if task.status == "failed"]


DEFINITIONS = """
CREATE TABLE with_column (id int, "☃" text);
CREATE TABLE with_default (id int, a text DEFAULT '☃');
CREATE TABLE with_check (id int, a text CHECK (a <> '☃'));
CREATE TYPE mood AS ENUM ('☃');
CREATE VIEW seen AS SELECT '☃'::text AS a;
CREATE FUNCTION snow() RETURNS text LANGUAGE sql AS 'SELECT ''☃''';
CREATE SCHEMA "s☃";
CREATE TABLE "s☃".inner_one (id int);
COMMENT ON TABLE good IS '☃';
CREATE TABLE ünder (id int);
"""


def test_definitions_are_named_and_comments_do_not_forbid_a_run(pair: Pair) -> None:
    source, target = databases(pair, "UTF8", "LATIN1")
    servers.run_script(source, LEAST + DEFINITIONS)
    migration = Migration(source=source, target=target, roles="none")
    blocking = named(migration.preflight(), "target_encoding")
    wanted = {
        "public.with_column",
        "public.with_default",
        "public.with_check",
        "public.mood",
        "public.seen",
        "public.snow()",
        "s☃",
        '"s☃".inner_one',
    }
    assert set(blocking) == wanted
    assert "its definition has characters" in blocking["public.with_default"]
    assert "its name has characters" in blocking['"s☃".inner_one']
    assert all("☃ (U+2603)" in message for message in blocking.values())
    warned = {
        found.object
        for found in migration.preflight().findings
        if (found.check, found.severity) == ("target_encoding", "warning")
    }
    assert warned == {"TABLE good in public"}
    item = next(item for item in migration.preflight().checks if item.check == "target_encoding")
    assert item.state == "blocking"
    # What tables.exclude and schemas leave out no longer forbids the run.
    servers.run_script(source, "DROP TYPE mood; DROP FUNCTION snow")
    columns = [f"public.with_{what}" for what in ("column", "default", "check")]
    tables: Tables = {"exclude": [*columns, "public.seen"]}
    rest = Migration(source=source, target=target, roles="none", schemas=["public"], tables=tables)
    report = rest.run()
    assert [(task.kind, task.sqlstate) for task in failed(report)] == [("comment", "22P05")]
    assert servers.rows(target, "public", "good") == [("1", "x")]


def test_tables_that_the_target_has_already_are_not_refused(pair: Pair) -> None:
    source, target = databases(pair, "UTF8", "LATIN1")
    script = "CREATE TABLE t (id int PRIMARY KEY, a text DEFAULT '{}')"
    servers.run_script(source, script.format("☃") + "; INSERT INTO t VALUES (1, 'x')")
    servers.run_script(target, script.format("snow"))
    report = Migration(source=source, target=target, roles="none").run()
    report.raise_for_failures()
    assert servers.rows(target, "public", "t") == [("1", "x")]
    servers.run_script(target, "TRUNCATE t; DROP SCHEMA pgmigrate CASCADE")
    Migration(source=source, target=target, options={"data_only": True}).run().raise_for_failures()
    assert servers.rows(target, "public", "t") == [("1", "x")]


def test_what_a_table_of_a_similar_name_hides_is_named(pair: Pair) -> None:
    source, target = databases(pair, "UTF8", "LATIN1")
    # The target has a table whose name the other's begins with, and a role by another name.
    servers.run_script(source, 'CREATE TABLE t (id int); CREATE TABLE "t ☃" (id int)')
    servers.run_script(target, "CREATE TABLE t (id int)")
    migration = Migration(source=source, target=target, roles="none")
    assert set(named(migration.preflight(), "target_encoding")) == {"public.t ☃"}
    servers.run_script(source, 'DROP TABLE "t ☃"')
    role = f"{pair.name}_жука"
    servers.run_script(
        source,
        f"""
        CREATE ROLE "{role}"; SELECT lo_create(77777);
        GRANT SELECT ON LARGE OBJECT 77777 TO "{role}";
        """,
    )
    try:
        (found,) = named(migration.preflight(), "target_encoding").values()
        assert "жука" in found and "large object 77777" in found
    finally:
        servers.run_script(source, f'DROP OWNED BY "{role}"; DROP ROLE "{role}"')


def test_the_command_names_each_object_and_touches_nothing(pair: Pair, shell: Shell) -> None:
    source, target = databases(pair, "UTF8", "LATIN1")
    servers.run_script(source, 'CREATE TABLE "жука" (id int); CREATE TABLE "日本" (id int)')
    done = shell.run("migrate", "--source", source, "--target", target, PYTHONIOENCODING="utf-8")
    assert done.code == 3, done.text
    assert "public.жука" in done.stderr and "public.日本" in done.stderr
    assert is_untouched(target)


def test_a_source_whose_database_has_such_a_name_is_resumed(pair: Pair) -> None:
    _, target = databases(pair, "UTF8", "LATIN1")
    name = f"{pair.name}_жука \\"
    pair.made.append((pair.source_server, name))
    source = servers.create_database(pair.source_server, name, encoding="UTF8", locale="C")
    servers.run_script(source, LEAST + "CREATE TABLE bad (a text); INSERT INTO bad VALUES ('☃')")
    migration = Migration(source=source, target=target, roles="none")
    report = migration.run()
    assert [task.object for task in failed(report)] == ["public.bad"]
    servers.run_script(source, "UPDATE bad SET a = 'snow'")
    again = migration.run(resume=True)
    again.raise_for_failures()
    assert again.run == report.run
    assert migration.verify().equal
    (kept,) = servers.fetch(target, "SELECT source FROM pgmigrate.migration_run")
    assert kept[0].startswith("U&") and r"\+000436" in kept[0]


@pytest.mark.parametrize("row_format", ["text", "binary"])
@pytest.mark.parametrize(
    ("source_encoding", "target_encoding", "value"),
    [
        ("UTF8", "LATIN1", "日本"),
        ("UTF8", "WIN1252", "жука"),
        ("UTF8", "EUC_JP", "€uro"),
        ("WIN1252", "LATIN1", "€uro"),
        ("EUC_JP", "WIN1252", "日本"),
    ],
)
def test_a_row_fails_its_table_alone_and_no_value_is_shown(
    pair: Pair,
    shell: Shell,
    row_format: Literal["text", "binary"],
    source_encoding: str,
    target_encoding: str,
    value: str,
) -> None:
    source, target = databases(pair, source_encoding, target_encoding)
    servers.run_script(
        source,
        LEAST + "CREATE TABLE bad (id int PRIMARY KEY, a text);"
        f"INSERT INTO bad VALUES (1, 'marked'), (2, 'marked {value}')",
    )
    migration = Migration(source=source, target=target, roles="none", format=row_format)
    report = migration.run()
    assert [(task.kind, task.object, task.sqlstate) for task in failed(report)] == [
        ("data", "public.bad", "22P05")
    ]
    assert "marked" not in report.text() and value not in report.text()
    assert servers.rows(target, "public", "good") == [("1", "x")]
    assert servers.rows(target, "public", "bad") == []
    path = config_file(migration, shell.folder / "c.json")
    done = shell.run("migrate", "--config", str(path), "--resume", "--debug")
    assert done.code == 1 and "public.bad" in done.text
    log = (shell.folder / "pgmigrate.log").read_text()
    assert "marked" not in done.text + log and value not in done.text + log


def test_a_message_that_the_target_lacks_letters_for_is_kept_and_read_back(pair: Pair) -> None:
    source, target = databases(pair, "UTF8", "LATIN1")
    name = 'aside."снег \\"'
    # The preflight plans the condition and does not run it: what it calls is missing only then.
    body = f"BEGIN RETURN {name}(a); END"
    function = f"FUNCTION aside.calls(a int) RETURNS boolean LANGUAGE plpgsql AS $f$ {body} $f$"
    servers.run_script(source, f"{LEAST} CREATE SCHEMA aside; CREATE {function}")
    where: Tables = {"include": [{"schema": "public", "name": "good", "where": "aside.calls(id)"}]}
    migration = Migration(
        source=source, target=target, roles="none", schemas=["public"], tables=where
    )
    report = migration.run()
    (task,) = failed(report)
    assert (task.object, task.sqlstate) == ("public.good", "42883") and "снег \\" in task.note
    assert migration.status().failed[0].note == task.note
    assert migration.status().state == "failed"


RAW = r"""
SET client_encoding = 'SQL_ASCII';
CREATE TABLE "na{byte}ve" (id int, "col{byte}mn" text DEFAULT '{byte}');
CREATE FUNCTION f() RETURNS text LANGUAGE sql AS 'SELECT ''{byte}''';
CREATE VIEW v AS SELECT '{byte}'::text AS a;
CREATE TYPE mood AS ENUM ('{byte}');
COMMENT ON TABLE good IS '{byte}';
CREATE TABLE "füll" (id int);
CREATE PUBLICATION "p{byte}";
CREATE TABLE counted (a int, b int); CREATE STATISTICS "st{byte}" ON a, b FROM counted;
CREATE FUNCTION with_setting() RETURNS int LANGUAGE sql AS 'SELECT 1'
    SET application_name = '{byte}';
CREATE FUNCTION atomic() RETURNS text LANGUAGE sql BEGIN ATOMIC SELECT '{byte}'::text; END;
CREATE FOREIGN DATA WRAPPER plain;
CREATE SERVER remote FOREIGN DATA WRAPPER plain OPTIONS (o '{byte}');
CREATE TABLE parted (a text) PARTITION BY LIST (a);
CREATE TABLE part PARTITION OF parted FOR VALUES IN ('{byte}');
CREATE TABLE keyed (a text) PARTITION BY LIST ((a || '{byte}'));
CREATE TEXT SEARCH DICTIONARY "d{byte}" (TEMPLATE = simple);
DO $$ BEGIN
    EXECUTE format('COMMENT ON DATABASE %I IS %L', current_database(), '{byte}');
END $$;
"""


@pytest.mark.parametrize("target_encoding", ENCODINGS)
def test_names_without_an_encoding_are_named_instead_of_an_error_without_an_object(
    pair: Pair, shell: Shell, target_encoding: str
) -> None:
    source, target = databases(pair, "SQL_ASCII", target_encoding)
    servers.run_script(source, LEAST)
    with psycopg.connect(source, autocommit=True) as connection:
        script = RAW.encode().replace(b"{byte}", b"\xef")
        result = connection.pgconn.exec_(script)
        assert not result.error_message, result.error_message
    migration = Migration(source=source, target=target, roles="none")
    found = migration.preflight()
    blocking = named(found, "source_encoding")
    assert set(blocking) == {
        r'table public."na\xefve"',
        r'table column public."na\xefve"."col\xefmn"',
        r'default value for public."na\xefve"."col\xefmn"',
        "function public.f()",
        "view public.v",
        "type public.mood",
        "table public.good",
        r'publication "p\xef"',
        r'statistics object public."st\xef"',
        "function public.with_setting()",
        "function public.atomic()",
        "server remote",
        "table public.part",
        "table public.keyed",
        r'text search dictionary public."d\xef"',
        f"database {conninfo_to_dict(source)['dbname']}",
    }
    states = {item.check: item.state for item in found.checks}
    assert (states["source_encoding"], states["target_encoding"]) == ("blocking", "not_made")
    for verb in (migration.run, migration.plan, migration.verify):
        with pytest.raises(PreflightError) as caught:
            verb()
        assert named(caught.value, "source_encoding") == blocking
        assert "client_encoding SQL_ASCII" in str(caught.value)
    assert is_untouched(target)
    done = shell.run("migrate", "--source", source, "--target", target)
    assert done.code == 3 and r"na\xefve" in done.stderr
