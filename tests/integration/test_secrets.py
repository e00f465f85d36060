"""No password and no value of a row is in anything that is shown, logged, stored or raised."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from conftest import Pair
from pgmigrate import ConfigError, ConnectError, Event, Migration, PgMigrateError, outcomes_of
from pgmigrate.alembic import PostUpgrade
from pgmigrate.embedded import find_tool
from support import servers
from support.shell import Shell

PASSWORD = "pass-QXZJ-wörd%+' \\x"
# In a URI and in SQL it looks different.
PASSWORD_PARTS = ("QXZJ",)
ROW = "row-KVWY-value"
NUMBER = 918273645


def holds_secret(text: str) -> bool:
    """Whether a password or a row's value is in a text."""
    return any(part in text for part in (*PASSWORD_PARTS, "KVWY", str(NUMBER)))


def everything_in(folder: Path) -> Iterator[tuple[str, str]]:
    """Every file below a folder but the configuration, which the user wrote."""
    for path in folder.rglob("*"):
        if path.is_file() and not path.name.startswith("config."):
            yield str(path), path.read_bytes().decode(errors="replace")


# Each part fails, or could fail, with a message of the server that quotes a row.
SOURCE = f"""
CREATE TABLE taken (id int PRIMARY KEY, v text);
INSERT INTO taken VALUES ({NUMBER}, '{ROW}'), (2, '{ROW}2');
CREATE TABLE cast_fails (v text);
INSERT INTO cast_fails VALUES ('{ROW}'), ('{ROW}');
CREATE TABLE parent (id text PRIMARY KEY);
CREATE TABLE orphan (id int PRIMARY KEY, p text);
INSERT INTO orphan VALUES (1, '{ROW}');
ALTER TABLE orphan ADD CONSTRAINT orphan_p FOREIGN KEY (p) REFERENCES parent NOT VALID;
UPDATE pg_constraint SET convalidated = true WHERE conname = 'orphan_p';
CREATE TABLE raised (v text);
INSERT INTO raised VALUES ('{ROW}');
CREATE TABLE broken (a int CONSTRAINT no_row CHECK (a > 0), v text);
INSERT INTO broken VALUES (1, '{ROW}');
"""
# The same rows meet other types, keys and rules there.
TARGET = f"""
CREATE TABLE taken (id int PRIMARY KEY, v text);
INSERT INTO taken VALUES ({NUMBER}, 'x');
CREATE TABLE cast_fails (v int);
CREATE TABLE broken (a int, v text CONSTRAINT no_row CHECK (length(v) < 3));
CREATE TABLE raised (v text);
CREATE FUNCTION complain() RETURNS trigger LANGUAGE plpgsql
AS $$ BEGIN RAISE EXCEPTION 'no %', NEW.v USING ERRCODE = '42501'; END $$;
CREATE TRIGGER complain BEFORE INSERT ON raised FOR EACH ROW EXECUTE FUNCTION complain();
"""


@pytest.fixture
def databases(pair: Pair) -> Iterator[tuple[str, str]]:
    """A role of its own on both servers, whose password is a secret."""
    role = f"keeper_{pair.name}"[:60]
    source, target = pair.source(), pair.target()
    quoted = PASSWORD.replace("'", "''")
    for side in (source, target):
        servers.run_script(side, f"CREATE ROLE {role} LOGIN SUPERUSER PASSWORD '{quoted}'")
    servers.run_script(source, SOURCE)
    servers.run_script(target, TARGET)
    yield (
        make_conninfo(source, user=role, password=PASSWORD),
        make_conninfo(target, user=role, password=PASSWORD),
    )
    for side in (source, target):
        servers.run_script(side, f"DROP OWNED BY {role} CASCADE; DROP ROLE {role}")


def with_password(conninfo: str, password: str) -> str:
    return make_conninfo(conninfo, password=password)


def migration(databases: tuple[str, str], **keys: Any) -> Migration:
    given = {"roles": "none", "on_conflict": "error", **keys}
    return Migration(source=databases[0], target=databases[1], **given)


def test_no_output_of_a_failing_run_shows_a_secret(
    databases: tuple[str, str], tmp_path: Path
) -> None:
    shell = Shell(tmp_path)
    options = {"on_conflict": "error"}
    config = {"source": databases[0], "target": databases[1], "roles": "none", "options": options}
    (tmp_path / "config.json").write_text(json.dumps(config))
    reported: list[str] = []
    for command in (
        ["preflight"],
        ["plan"],
        ["migrate", "--verbose", "--debug"],
        ["status"],
        ["migrate", "--resume", "--json"],
        ["status", "--json"],
    ):
        done = shell.run(*command, "--config", "config.json")
        reported.append(done.text)
    # It is no test unless each of these has failed.
    failed = {task["object"] for task in json.loads(reported[-1])["failed"]}
    assert failed >= {"public.taken", "public.cast_fails", "public.broken", "public.raised"}
    assert any("orphan_p" in name for name in failed)
    for text in reported:
        assert not holds_secret(text), text
    for path, text in everything_in(tmp_path):
        assert not holds_secret(text), path
    assert {path.name for path in tmp_path.iterdir()} >= {"pgmigrate.log", "plan.tsv", "state.tsv"}
    with psycopg.connect(databases[1]) as connection:
        for table in ("migration_run", "migration_task"):
            query = f"SELECT t::text FROM pgmigrate.{table} AS t"
            for (row,) in connection.execute(query).fetchall():
                assert not holds_secret(row), row


def test_no_object_and_no_event_shows_a_secret(databases: tuple[str, str], tmp_path: Path) -> None:
    chosen = migration(databases)
    events: list[Event] = []
    plan = chosen.plan(on_event=events.append)
    report = chosen.run(plan, state=tmp_path / "state.tsv", on_event=events.append)
    assert report.failed
    with pytest.raises(PgMigrateError) as caught:
        report.raise_for_failures()
    shown: list[object] = [chosen, chosen.config, plan, *plan, report, *report.tasks, events]
    shown += [chosen.preflight(), chosen.status(), caught.value, caught.value.to_dict()]
    for thing in shown:
        for text in (repr(thing), str(thing)):
            assert not holds_secret(text), text
    texts = [plan.text, plan.summary(), report.text(), report.to_json(), chosen.status().text()]
    for text in [*texts, *map(str, shown)]:
        assert not holds_secret(text), text
    assert not holds_secret(pickle.dumps(caught.value, 0).decode("latin-1"))
    assert not holds_secret(pickle.dumps(report, 0).decode("latin-1"))


def test_no_repr_of_any_other_result_shows_a_secret(
    databases: tuple[str, str], tmp_path: Path
) -> None:
    chosen = migration(databases, backup_dir=tmp_path, tables=["parent"])
    plan = chosen.plan()
    shown: list[object] = [chosen.calibrate(plan, seconds=0.2), plan.estimate(), plan.diff(plan)]
    shown += [chosen.run_safely(plan, dry_run=True), backup := chosen.backup()]
    with chosen.hold_snapshot(plan) as held:
        shown += [held, chosen.run_tasks(plan, plan.ids()), held.wait()]
    shown += [chosen.verify(plan), chosen.restore(backup.path), chosen.cleanup()]
    shown += [PostUpgrade(chosen, on={"head": True}), outcomes_of(KeyboardInterrupt())]
    assert "***" not in repr(chosen)
    for thing in [chosen, *shown]:
        for text in (repr(thing), str(thing)):
            assert not holds_secret(text), text


def test_no_verification_shows_more_of_a_row_than_its_key(databases: tuple[str, str]) -> None:
    chosen = migration(databases, tables=["taken"], on_conflict="nothing")
    chosen.run().raise_for_failures()
    with psycopg.connect(databases[1]) as connection:
        connection.execute("UPDATE taken SET v = 'KVWY other' WHERE id = 2")
        connection.execute("DELETE FROM taken WHERE id <> 2")
    result = chosen.verify()
    assert not result.ok
    assert "KVWY" not in repr(result) + result.text() + result.to_json()
    with pytest.raises(PgMigrateError) as caught:
        result.raise_for_differences()
    assert not holds_secret(str(caught.value))


def wrong_password(databases: tuple[str, str]) -> Migration:
    return migration((with_password(databases[0], PASSWORD + "!"), databases[1]))


def unreachable_host(databases: tuple[str, str]) -> Migration:
    return migration((make_conninfo(databases[0], port=1), databases[1]))


def unknown_host(databases: tuple[str, str]) -> Migration:
    return migration((make_conninfo(databases[0], host="no-such-host.invalid"), databases[1]))


def no_such_database(databases: tuple[str, str]) -> Migration:
    return migration((databases[0], make_conninfo(databases[1], dbname="none_such")))


@pytest.mark.parametrize("make", [wrong_password, unreachable_host, unknown_host, no_such_database])
def test_no_error_of_a_connection_shows_a_secret(
    databases: tuple[str, str], make: Callable[[tuple[str, str]], Migration]
) -> None:
    events: list[object] = []
    with pytest.raises(ConnectError) as caught:
        make(databases).run(on_event=events.append)
    error = caught.value
    assert error.side == ("target" if make is no_such_database else "source")
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), again.to_dict()) == (type(error), error.to_dict())
    for text in (str(error), repr(error), repr(again), json.dumps(error.to_dict()), repr(events)):
        assert not holds_secret(text), text


@pytest.mark.parametrize(
    "source",
    [
        f"host=a password={PASSWORD}",
        "host=a password='QXZJ",
        "postgresql://u:QXZJ@h:port/d",
        "postgresql://u:QXZJ@[::1/d",
        "host=a sslmode=QXZJ password=QXZJ",
        "QXZJ",
        {"host": "a", "password": "QXZJ", "pasword": "QXZJ", "sslmode": "QXZJ"},
        {"conninfo": "host=a password=QXZJ", "password": "QXZJ"},
        {"password": ["QXZJ"]},
    ],
)
def test_no_mistake_in_a_conninfo_is_quoted(source: Any) -> None:
    with pytest.raises((ConfigError, ConnectError)) as caught:
        Migration(source=source, target="host=127.0.0.1 port=1").run()
    assert not holds_secret(str(caught.value) + repr(caught.value) + str(caught.value.to_dict()))


def recording_programs(folder: Path) -> Path:
    """A pg_dump that, as the programs next to it, also writes down what it is called with."""
    for name in ("pg_dump", "pg_restore", "psql"):
        program = folder / name
        program.write_text(
            f'#!/bin/sh\necho "{name} $@" >> {folder}/calls\nexec {find_tool(name)} "$@"\n'
        )
        program.chmod(0o755)
    return folder / "pg_dump"


def test_no_argument_of_a_program_is_a_password(databases: tuple[str, str], tmp_path: Path) -> None:
    program = str(recording_programs(tmp_path))
    chosen = migration(
        databases, tables=["parent"], pg_dump=program, backup_dir=str(tmp_path / "kept")
    )
    report = chosen.run(backup=True, verify=True)
    assert report.ok
    assert report.backup is not None
    chosen.restore(report.backup)
    calls = (tmp_path / "calls").read_text()
    assert all(f"\n{name} " in calls for name in ("pg_dump", "pg_restore", "psql"))
    assert not any(part in calls for part in PASSWORD_PARTS), calls


def test_passwords_of_roles_stay_between_the_servers(
    pair: Pair, databases: tuple[str, str]
) -> None:
    role = f"moved_{pair.name}"[:60]
    target = str(conninfo_to_dict(databases[1])["dbname"])
    servers.run_script(databases[0], f"CREATE ROLE {role} LOGIN PASSWORD 'QXZJ-moved'")
    try:
        chosen = migration(
            databases, roles="all", tables={"exclude": ["cast_fails", "broken", "raised"]}
        )
        events: list[object] = []
        plan = chosen.plan(on_event=events.append)
        report = chosen.run(plan, on_event=events.append)
        for text in (plan.text, repr(plan), report.to_json(), repr(events)):
            assert not any(part in text for part in ("QXZJ", "SCRAM-SHA-256"))
        conninfo = pair.target_server.conninfo_for(target, user=role, password="QXZJ-moved")
        with psycopg.connect(conninfo) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    finally:
        for side in databases:
            servers.run_script(side, f"DROP ROLE IF EXISTS {role}")
