"""Backups of the target, and the way back to exactly what it was."""

from __future__ import annotations

import re
import signal
import stat
import threading
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from conftest import Pair
from pgmigrate import BackupError, Migration, _native
from pgmigrate.cli import main
from support import dumps, servers

# What a migration, or somebody else, may leave in a database after its backup.
LATER = r"""
DROP TABLE IF EXISTS before.removed;
DELETE FROM before.changed WHERE id > 2;
INSERT INTO before.changed (id, note) VALUES (10, 'later');
CREATE TABLE public.later (id int PRIMARY KEY);
CREATE TABLE public.heir () INHERITS (before.changed);
CREATE TYPE public.span AS RANGE (subtype = float8);
CREATE TYPE public.pair AS (a int, b text);
CREATE DOMAIN public.positive AS int CHECK (value > 0);
CREATE FUNCTION public.seen() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
CREATE EVENT TRIGGER seen ON ddl_command_end EXECUTE FUNCTION public.seen();
CREATE OPERATOR public.=== (LEFTARG = int, RIGHTARG = int, PROCEDURE = int4eq);
CREATE AGGREGATE public.total(int) (SFUNC = int4pl, STYPE = int);
CREATE COLLATION public.plain FROM "C";
CREATE FOREIGN DATA WRAPPER wrapper;
CREATE SERVER far FOREIGN DATA WRAPPER wrapper;
CREATE SCHEMA "Later On";
CREATE TABLE "Later On"."Odd.Name" (id int GENERATED ALWAYS AS IDENTITY);
CREATE PUBLICATION everything FOR ALL TABLES;
ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC;
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT INSERT ON TABLES TO PUBLIC;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
COMMENT ON SCHEMA public IS 'changed';
SELECT lo_unlink(4242), lo_from_bytea(4243, 'later');
DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET work_mem TO ''9MB''', current_database()); END $$;
"""

BEFORE = r"""
CREATE SCHEMA before;
CREATE TABLE before.removed (id int PRIMARY KEY);
INSERT INTO before.removed SELECT generate_series(1, 1000);
CREATE TABLE before.changed (
    id int PRIMARY KEY, note text, twice int GENERATED ALWAYS AS (id * 2) STORED);
INSERT INTO before.changed VALUES (1, E'SET lock_timeout = 0;\n\\.\n'), (2, NULL), (3, '');
CREATE MATERIALIZED VIEW before.counted AS SELECT count(*) FROM before.changed;
CREATE TABLE public.parts (id int) PARTITION BY RANGE (id);
CREATE TABLE public.parts_1 PARTITION OF public.parts FOR VALUES FROM (0) TO (10);
INSERT INTO public.parts VALUES (1);
CREATE TYPE public.span_before AS RANGE (subtype = float8);
SELECT lo_from_bytea(4242, 'before');
COMMENT ON LARGE OBJECT 4242 IS 'a large object';
ALTER DEFAULT PRIVILEGES IN SCHEMA before GRANT SELECT ON TABLES TO PUBLIC;
DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET work_mem TO ''5MB''', current_database()); END $$;
"""


def _migration(pair: Pair, target: str) -> Migration:
    # A backup needs no source, but a configuration names one.
    return Migration(source=pair.target_server.conninfo, target=target)


def _everything(conninfo: str) -> tuple[object, ...]:
    with psycopg.connect(conninfo) as connection:
        settings = connection.execute(
            "SELECT setconfig FROM pg_db_role_setting s JOIN pg_database d "
            "ON d.oid = s.setdatabase WHERE d.datname = current_database()"
        ).fetchall()
    tables = {name: servers.rows(conninfo, *name) for name in servers.tables(conninfo)}
    schema = dumps.schema(conninfo)
    return schema, tables, servers.sequences(conninfo), servers.large_objects(conninfo), settings


def test_a_backup_is_named_private_and_readable(pair: Pair, tmp_path: Path) -> None:
    target = pair.target()
    servers.run_script(target, BEFORE)
    made = [_migration(pair, target).backup(tmp_path / "new" / "folder") for _ in range(2)]
    assert len({backup.path for backup in made}) == 2, "no backup takes another one's place"
    for backup in made:
        path = Path(backup.path)
        name = re.escape(str(conninfo_to_dict(target)["dbname"]))
        assert re.fullmatch(rf"pgmigrate_backup_{name}_\d{{8}}_\d{{6}}\.dump", path.name)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert path.stat().st_size == backup.bytes
        assert backup.entries > 10
    assert len(list((tmp_path / "new" / "folder").iterdir())) == 2


def test_a_name_that_no_file_can_have_still_gives_a_file(pair: Pair, tmp_path: Path) -> None:
    name = "../odd name/\N{SNOWMAN}"
    target = servers.create_database(pair.target_server, name)
    pair.made.append((pair.target_server, name))
    backup = _migration(pair, target).backup(tmp_path)
    assert Path(backup.path).parent == tmp_path
    assert _migration(pair, target).restore(backup.path).entries == backup.entries


def test_a_failed_backup_leaves_nothing(pair: Pair, tmp_path: Path) -> None:
    target = pair.target()
    missing = Migration(source=target, target=target, pg_dump=_failing(tmp_path / "bin"))
    folder = tmp_path / "backups"
    with pytest.raises(BackupError):
        missing.backup(folder)
    assert list(folder.iterdir()) == []


def _failing(folder: Path) -> str:
    folder.mkdir()
    program = folder / "pg_dump"
    version = 'case "$*" in --version) echo "pg_dump (PostgreSQL) 18.0"; exit 0;; esac'
    program.write_text(f'#!/bin/sh\n{version}\necho "pg_dump: error: no" >&2\nexit 1\n')
    program.chmod(0o755)
    return str(program)


def test_a_restore_brings_back_what_was_and_nothing_else(any_pair: Pair, tmp_path: Path) -> None:
    target = any_pair.target()
    servers.run_script(target, BEFORE)
    before = _everything(target)
    migration = _migration(any_pair, target)
    backup = migration.backup(tmp_path)
    servers.run_script(target, LATER)
    assert _everything(target) != before
    restored = migration.restore(backup.path)
    assert _everything(target) == before
    assert restored.entries == backup.entries
    assert backup.path in restored.message


def test_a_migration_is_undone_by_the_backup_that_it_made(pair: Pair, tmp_path: Path) -> None:
    source, target = pair.source("pagila_like"), pair.target()
    servers.run_script(target, BEFORE)
    before = _everything(target)
    migration = Migration(
        source=source, target=target, roles="none", backup=True, backup_dir=str(tmp_path)
    )
    report = migration.run()
    assert report.backup is not None
    assert _everything(target) != before
    migration.restore(report.backup)
    assert _everything(target) == before


def test_a_restored_ledger_knows_what_runs_have_made_and_what_was_there_before(
    pair: Pair, tmp_path: Path
) -> None:
    source, target = pair.filled(
        "CREATE TABLE moved (a int); CREATE VIEW seen AS SELECT a FROM moved"
    )
    own = "CREATE TABLE own (a int PRIMARY KEY); CREATE FUNCTION f() RETURNS int RETURN 1"
    servers.run_script(target, own)
    migration = Migration(source=source, target=target, roles="none")
    migration.run(verify=True).raise_for_failures()
    result = migration.backup(tmp_path / "kept")
    servers.run_script(target, "CREATE TABLE later (a int)")
    migration.restore(result.path)
    servers.run_script(source, "DROP VIEW seen")
    servers.run_script(target, "CREATE TABLE latest (a int)")
    found = migration.verify()
    only = [item.object for item in found.only_on_target]
    assert any("own" in name for name in only) and any("f()" in name for name in only), only
    assert not any("seen" in name or "latest" in name for name in only), only
    extra = {item.object for item in found.differences}
    assert {name for name in extra if "seen" in name or "latest" in name} == extra and len(
        extra
    ) == 2


def test_extensions_stay_and_others_go(pair: Pair, tmp_path: Path) -> None:
    target = pair.target()
    servers.run_script(
        target,
        "CREATE SCHEMA tools; CREATE EXTENSION citext SCHEMA tools;"
        "CREATE TABLE words (word tools.citext); INSERT INTO words VALUES ('A');"
        "CREATE TABLE tools.own (id int)",
    )
    before = _everything(target)
    backup = _migration(pair, target).backup(tmp_path)
    servers.run_script(target, "DROP TABLE words; CREATE EXTENSION hstore SCHEMA tools")
    _migration(pair, target).restore(backup.path)
    assert _everything(target) == before


def test_the_owner_of_a_database_needs_no_superuser(pair: Pair, tmp_path: Path) -> None:
    target, name = pair.target(), f"owner_{pair.name}"
    dbname = str(conninfo_to_dict(target)["dbname"])
    with psycopg.connect(target, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'owner'")
        connection.execute(f"ALTER DATABASE {dbname} OWNER TO {name}")
    owner = pair.target_server.conninfo_for(dbname, user=name, password="owner")
    try:
        servers.run_script(owner, BEFORE)
        before = _everything(target)
        backup = _migration(pair, owner).backup(tmp_path)
        servers.run_script(owner, "DROP SCHEMA before CASCADE; CREATE TABLE public.later (id int)")
        _migration(pair, owner).restore(backup.path)
        assert _everything(target) == before
    finally:
        servers.drop_database(pair.target_server, dbname)
        with psycopg.connect(pair.target_server.conninfo, autocommit=True) as connection:
            connection.execute(f"DROP ROLE {name}")


def test_a_damaged_backup_changes_nothing(pair: Pair, tmp_path: Path) -> None:
    target = pair.target()
    servers.run_script(target, BEFORE)
    path = Path(_migration(pair, target).backup(tmp_path).path)
    before = _everything(target)
    content = path.read_bytes()
    # Behind the table of contents are the rows, compressed.
    middle = len(content) * 3 // 4
    damaged = [
        content[:100],
        content[:middle],
        content[:middle] + bytes(99) + content[middle + 99 :],
    ]
    for number, text in enumerate(damaged):
        bad = tmp_path / f"bad_{number}.dump"
        bad.write_bytes(text)
        with pytest.raises(BackupError):
            _migration(pair, target).restore(bad)
        assert _everything(target) == before
    with pytest.raises(BackupError, match="no such file"):
        _migration(pair, target).restore(tmp_path / "none.dump")


def test_a_backup_of_another_database_is_refused(pair: Pair, tmp_path: Path) -> None:
    one, other = pair.target("_one"), pair.target("_other")
    backup = _migration(pair, one).backup(tmp_path)
    with pytest.raises(BackupError, match="the backup is of database"):
        _migration(pair, other).restore(backup.path)


def test_nothing_is_restored_under_an_active_run(pair: Pair, tmp_path: Path) -> None:
    target = pair.target()
    backup = _migration(pair, target).backup(tmp_path)
    with psycopg.connect(target) as run:
        run.execute("SELECT pg_advisory_lock(1885826409, 1)")
        with pytest.raises(BackupError, match="active"):
            _migration(pair, target).restore(backup.path)


def test_a_restore_that_is_stopped_changes_nothing(pair: Pair, tmp_path: Path) -> None:
    target = pair.target()
    servers.run_script(
        target,
        "CREATE TABLE large AS SELECT i, md5(i::text) AS text FROM generate_series(1, 300000) i;"
        "CREATE INDEX ON large (text)",
    )
    migration = _migration(pair, target)
    backup = migration.backup(tmp_path)
    servers.run_script(target, "CREATE TABLE later (id int)")

    # The table is locked by the restore's DROP, or the restore waits for us: both are its middle.
    with psycopg.connect(target) as holder:
        holder.execute("LOCK TABLE large")
        failure: list[BaseException] = []
        thread = threading.Thread(target=_restore, args=(migration, backup.path, failure))
        thread.start()
        _wait_for_waiter(target)
        with psycopg.connect(target, autocommit=True) as other:
            other.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name LIKE 'pgmigrate restore%' AND wait_event_type = 'Lock'"
            )
        thread.join(30)
    assert len(failure) == 1 and isinstance(failure[0], BackupError)
    assert ("public", "later") in servers.tables(target)
    assert len(servers.rows(target, "public", "large", ["i"])) == 300_000


def _restore(migration: Migration, path: str, failure: list[BaseException]) -> None:
    try:
        migration.restore(path)
    except BaseException as error:
        failure.append(error)


def _wait_for_waiter(conninfo: str) -> None:
    waiting = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
        "AND application_name LIKE 'pgmigrate restore%' AND wait_event_type = 'Lock'"
    )
    with psycopg.connect(conninfo, autocommit=True) as connection:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            if connection.execute(waiting).fetchone() == (1,):
                return
            time.sleep(0.05)
    raise AssertionError("the restore never came to the locked table")


def test_subscriptions_are_refused_with_what_to_do(pair: Pair, tmp_path: Path) -> None:
    target = pair.target()
    backup = _migration(pair, target).backup(tmp_path)
    with psycopg.connect(target, autocommit=True) as connection:
        connection.execute(
            "CREATE SUBSCRIPTION far CONNECTION 'host=nowhere' PUBLICATION p WITH (connect = false)"
        )
        try:
            with pytest.raises(BackupError, match="subscriptions"):
                _migration(pair, target).restore(backup.path)
        finally:
            connection.execute("ALTER SUBSCRIPTION far SET (slot_name = NONE)")
            connection.execute("DROP SUBSCRIPTION far")


@pytest.mark.parametrize(
    ("moment", "is_restored", "words"),
    [
        (("read_journal", 0), False, "interrupted; nothing was restored"),
        (("restore", 0), True, "restore: "),
        (("read_journal", 1), True, "restore: "),
        (("hold_procedure", 0), True, "restore: "),
    ],
    ids=["before", "at its end", "journal", "lock"],
)
def test_what_the_command_says_of_an_interrupted_restore_is_so(
    pair: Pair,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    moment: tuple[str, int],
    is_restored: bool,
    words: str,
) -> None:
    target = pair.target()
    servers.run_script(target, "CREATE TABLE kept (id int)")
    backup = _migration(pair, target).backup(tmp_path)
    servers.run_script(target, "CREATE TABLE later (id int)")
    started: list[str] = []
    begin = _native.start

    def start(verb: str, *given: Any) -> Any:
        number = started.count(verb)
        started.append(verb)
        return _InterruptedAtItsEnd(begin(verb, *given), (verb, number) == moment)

    monkeypatch.setattr(_native, "start", start)
    end = ["--source", target, "--target", target]
    code = main(["restore", backup.path, *end, "--yes"])
    reported = capsys.readouterr()
    assert code == (0 if is_restored else 130) and words in reported.out + reported.err
    with psycopg.connect(target) as connection:
        row = connection.execute("SELECT to_regclass('kept'), to_regclass('later')").fetchone()
    assert row == ("kept", None if is_restored else "later")


class _InterruptedAtItsEnd:
    """A job during which Ctrl-C is pressed once it has come to its end."""

    def __init__(self, job: Any, is_interrupted: bool) -> None:
        self._job, self._is_interrupted = job, is_interrupted

    def __getattr__(self, name: str) -> Any:
        return getattr(self._job, name)

    def next(self) -> Any:
        events = self._job.next()
        if events is None and self._is_interrupted:
            self._is_interrupted = False
            signal.raise_signal(signal.SIGINT)
        return events
