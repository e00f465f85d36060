"""What the target has in the place of what a plan makes, and folders that take no backup."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import Pair
from pgmigrate import BackupError, Migration, PreflightError
from support import servers
from support.foreseen import assert_foreseen
from support.roles import limited, prefixed

OBJECTS = """
CREATE ROLE {p}owner; CREATE ROLE {p}reader;
SELECT lo_from_bytea(g, 'same') FROM generate_series(7001, 7006) g;
ALTER LARGE OBJECT 7003 OWNER TO {p}owner; ALTER LARGE OBJECT 7004 OWNER TO {p}owner;
COMMENT ON LARGE OBJECT 7003 IS 'c'; GRANT SELECT ON LARGE OBJECT 7003, 7004 TO {p}reader;
"""
# The first, which no other role may read, is alone of its owner.
CASES = {
    "closed": "SELECT lo_from_bytea(7001, 'same'), lo_from_bytea(7003, 'same');",
    "readable": "SELECT lo_from_bytea(7003, 'same'); GRANT SELECT ON LARGE OBJECT 7003 TO PUBLIC;",
    "mine": "SELECT lo_from_bytea(7003, 'same'); ALTER LARGE OBJECT 7003 OWNER TO {p}me_limited;",
    "others": "SELECT lo_from_bytea(9999, 'of no concern');",
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("owners", [True, False])
def test_large_objects_of_others_on_the_target_are_named(
    pair: Pair, case: str, owners: bool
) -> None:
    source, target = pair.source(), pair.target()
    with prefixed(pair) as prefix:
        servers.run_script(source, OBJECTS.format(p=prefix))
        me = limited(pair, f"{prefix}me_", "CREATEROLE")
        for role in ("owner", "reader"):
            made = f"SELECT 'CREATE ROLE {prefix}{role}' WHERE to_regrole('{prefix}{role}') IS NULL"
            servers.run_script(target, made + " \\gexec")
        servers.run_script(target, f"GRANT {prefix}owner TO {prefix}me_limited")
        servers.run_script(target, CASES[case].format(p=prefix))
        found, report = assert_foreseen(source, me, owners=owners, verify=False)
        named = found.get("large_object_refused", set())
        findings = [one for one in report.findings if one.check == "large_object_refused"]
        assert bool(named) == (case in {"closed", "readable"})
        # The remedy of each is a statement that lets the objects be copied.
        for finding in findings:
            assert "7003" in finding.message
            servers.run_script(target, finding.remedy.split(": ", 1)[1])
        if case == "readable":
            again = Migration(source=source, target=me, options={"owners": owners})
            assert "large_object_refused" not in {one.check for one in again.preflight().findings}


LOOSE = """
CREATE FUNCTION public.similarity(text, text) RETURNS real LANGUAGE sql AS 'SELECT 1.0::real';
CREATE FUNCTION public.similarity(int, int) RETURNS int LANGUAGE sql AS 'SELECT 1';
COMMENT ON FUNCTION public.similarity(text, text) IS 'c';
CREATE TYPE public.hstore AS (a int); CREATE TABLE public.uses (h public.hstore);
CREATE AGGREGATE public.akeys(public.hstore) (SFUNC = array_append, STYPE = public.hstore[]);
CREATE OPERATOR public.% (LEFTARG = text, RIGHTARG = text, FUNCTION = pg_catalog.texteq);
CREATE OPERATOR public.% (LEFTARG = int, RIGHTARG = text, FUNCTION = public.of);
CREATE TABLE public.ghstore (i int); INSERT INTO public.ghstore VALUES (1);
CREATE TEXT SEARCH DICTIONARY public.unaccent (TEMPLATE = simple);
CREATE FOREIGN DATA WRAPPER postgres_fdw;
CREATE CAST (text AS public.kind) WITH INOUT;
CREATE TABLE public.free (i int PRIMARY KEY); INSERT INTO public.free VALUES (1);
"""
TAKEN = {
    "pg_trgm": {"function public.similarity(text, text)", "operator public.%"},
    "hstore": {"type public.hstore", "aggregate public.akeys(public.hstore)",
               "table public.ghstore"},
    "unaccent": {"text search dictionary public.unaccent"},
    "postgres_fdw": {"foreign data wrapper postgres_fdw"},
}  # fmt: skip


@pytest.mark.parametrize("there", [True, False])
def test_names_that_extensions_of_the_target_have_are_named(
    make_pair: Callable[[int, int], Pair], there: bool
) -> None:
    pair = make_pair(18, 18)
    source, target = pair.source(), pair.target()
    of = "CREATE FUNCTION public.of(int, text) RETURNS bool LANGUAGE sql AS 'SELECT true';"
    kind = "CREATE TYPE public.kind AS ENUM ('a');"
    servers.run_script(source, of + kind + LOOSE)
    # In another schema they take no name of these.
    where = "SCHEMA public" if there else "SCHEMA elsewhere"
    servers.run_script(
        target,
        "CREATE SCHEMA elsewhere;" + "".join(f"CREATE EXTENSION {e} {where};" for e in TAKEN),
    )
    found, report = assert_foreseen(source, target)
    findings = [one for one in report.findings if one.check == "extension_member"]
    by_extension = {one.message.split()[2]: set(one.objects) for one in findings}
    alone = {"postgres_fdw": TAKEN["postgres_fdw"]}
    assert by_extension == (TAKEN if there else alone)
    assert found["extension_member"] == set().union(*by_extension.values())
    # None of them is said to be there as the source has it.
    states = {f"{task.kind} {task.object}": task.status for task in report.tasks}
    named = found["extension_member"]
    assert {states[name] for name in named} <= {"failed", "blocked"}
    assert servers.fetch(target, "SELECT * FROM public.free") == [(1,)]
    result = Migration(source=source, target=target).verify()
    assert not result.ok


@pytest.mark.parametrize("place", ["file", "below a file", "kernel"])
def test_a_folder_that_takes_no_backup_is_named(pair: Pair, tmp_path: Path, place: str) -> None:
    source, target = pair.source(), pair.target()
    (tmp_path / "file").write_text("")
    folders = {"file": "file", "below a file": "file/a/b", "kernel": "/proc/pgmigrate/backup"}
    folder = str(tmp_path / folders[place])
    servers.run_script(source, "CREATE TABLE t (i int)")
    migration = Migration(source=source, target=target, backup_dir=folder, options={"backup": True})
    findings = [one for one in migration.preflight().findings if one.severity == "blocking"]
    assert [(one.check, one.object) for one in findings] == [("backup_dir", folder)]
    assert "options.backup_dir" in findings[0].remedy
    with pytest.raises(PreflightError, match="no backup of the target can be written"):
        migration.run()
    # The oracle is the backup itself.
    with pytest.raises(BackupError):
        migration.backup()
    assert servers.fetch(target, "SELECT to_regclass('t')") == [(None,)]


def test_a_folder_that_a_backup_makes_is_none_of_preflight(pair: Pair, tmp_path: Path) -> None:
    source, target = pair.filled("CREATE TABLE t (i int)")
    folder = tmp_path / "new" / "folder"
    migration = Migration(
        source=source, target=target, backup_dir=str(folder), options={"backup": True}
    )
    assert "backup_dir" not in {one.check for one in migration.preflight().findings}
    assert list(tmp_path.iterdir()) == []
    assert migration.run(verify=False).ok
    assert len(list(folder.iterdir())) == 1
