"""Sessions that write to source or target during the safe procedure, and how it detects them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from pgmigrate import SafetyReport
from support import servers
from support.safety import migration


def blocked(one_row: tuple[str, str], folder: Path, **keys: Any) -> SafetyReport:
    procedure = {
        "stop": "true",
        "start": "touch started",
        "cwd": str(folder),
        "wait_for_writers": 1,
    }
    report = migration(one_row, folder, {**procedure, **keys}).run_safely()
    assert (folder / "started").exists() and not (folder / "backup").exists()
    assert (report.application, report.touched) == ("started", False)
    assert servers.tables(one_row[1]) == [] or servers.tables(one_row[1]) == [("public", "w")]
    return report


@pytest.mark.parametrize("side", ["source", "target"])
@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO w VALUES (2) /* hush query */",
        "UPDATE w SET a = a WHERE false",
        "LOCK TABLE w IN SHARE MODE",
        "SELECT nextval('s')",
        "SELECT pg_current_xact_id()",
    ],
)
def test_an_open_transaction_that_writes_ends_the_procedure(
    one_row: tuple[str, str], tmp_path: Path, side: str, statement: str
) -> None:
    conninfo = one_row[side == "target"]
    for each in one_row:
        servers.run_script(each, "CREATE TABLE w (a int); CREATE SEQUENCE s")
    with psycopg.connect(conninfo, application_name="the bot") as connection:
        connection.execute(statement)
        report = blocked(one_row, tmp_path)
    error = report.error
    assert error is not None and error.kind == "preflight"
    assert "the bot, process " in error.message and f"is writing to the {side}" in error.message
    assert "as postgres from 127.0.0.1" in error.message
    assert "hush" not in report.text() and "INSERT" not in report.text()


def test_a_reader_and_an_idle_session_do_not(one_row: tuple[str, str], tmp_path: Path) -> None:
    with (
        psycopg.connect(one_row[0], application_name="reader") as reader,
        psycopg.connect(one_row[1], application_name="idle", autocommit=True) as idle,
    ):
        reader.execute("SELECT * FROM t")
        idle.execute("SELECT 1")
        report = migration(one_row, tmp_path, {"backup": False}).run_safely()
    report.raise_for_failures()
    [wait] = [step for step in report.steps if step.name == "wait_for_writers"]
    assert "connected to the source, but not writing: reader, process" in wait.note
    assert "connected to the target, but not writing: idle, process" in wait.note


def test_a_prepared_transaction_ends_the_procedure(
    one_row: tuple[str, str], tmp_path: Path
) -> None:
    with psycopg.connect(one_row[0], autocommit=True) as connection:
        connection.execute("BEGIN; INSERT INTO t VALUES (2); PREPARE TRANSACTION 'left over'")
        report = blocked(one_row, tmp_path)
        connection.execute("ROLLBACK PREPARED 'left over'")
    assert 'the prepared transaction "left over" of postgres on the source' in str(report.error)


def test_a_writer_of_short_transactions_is_found_between_them(
    one_row: tuple[str, str], tmp_path: Path
) -> None:
    script = (
        "import os, time, psycopg\n"
        "with psycopg.connect(os.environ['D'], autocommit=True, application_name='quick') as c:\n"
        "    while not os.path.exists('enough'):\n"
        "        c.execute('INSERT INTO t SELECT max(a) + 1 FROM t')\n"
        "        time.sleep(0.2)\n"
    )
    environment = {**os.environ, "D": one_row[0]}
    writer = subprocess.Popen([sys.executable, "-c", script], cwd=tmp_path, env=environment)
    try:
        report = blocked(one_row, tmp_path, wait_for_writers=3)
    finally:
        (tmp_path / "enough").touch()
        assert writer.wait(timeout=60) == 0
    assert "quick, process " in str(report.error)


def test_who_comes_to_an_end_is_waited_for(one_row: tuple[str, str], tmp_path: Path) -> None:
    connection = psycopg.connect(one_row[0], application_name="slow")
    connection.execute("INSERT INTO t VALUES (2)")

    def end(event: Mapping[str, Any]) -> None:
        if event["event"] == "step_started" and event["step"] == "wait for writers":
            time.sleep(1)
            connection.commit()
            connection.close()

    moved = migration(one_row, tmp_path, {"backup": False})
    report = moved.run_safely(on_event=end)
    report.raise_for_failures()
    [wait] = [step for step in report.steps if step.name == "wait_for_writers"]
    assert "waited for slow, process " in wait.note and " on the source" in wait.note
    servers.assert_equal(*one_row)


def test_a_role_without_rights_finds_writers_of_others(
    one_row: tuple[str, str], tmp_path: Path
) -> None:
    role = f"plain_{os.getpid()}"
    servers.run_script(
        one_row[0], f"CREATE ROLE {role} LOGIN PASSWORD 'p'; GRANT SELECT ON t TO {role}"
    )
    plain = make_conninfo(one_row[0], user=role, password="p")
    try:
        with psycopg.connect(one_row[0], application_name="the bot") as connection:
            connection.execute("INSERT INTO t VALUES (2)")
            report = blocked((plain, one_row[1]), tmp_path)
        assert "the bot, process " in str(report.error)
        assert "as postgres (state not shown," in str(report.error)
    finally:
        servers.run_script(one_row[0], f"DROP OWNED BY {role}; DROP ROLE {role}")
