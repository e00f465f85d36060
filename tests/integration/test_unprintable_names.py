"""Names with characters that a terminal obeys: shown with escapes, and moved as they are."""

from __future__ import annotations

import json
import logging
import os
import pty
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from conftest import Pair
from pgmigrate import CopyError, Migration
from pgmigrate._values.humanize import printable
from support import servers
from support.shell import Shell

# A new title, a bell, a carriage return, C1's CSI, and what turns the direction of a text round.
HOSTILE = "t\x1b]0;owned\x07\r\x9b2J\x7f\u202e\u2028x"
SHOWN = r"t\x1b]0;owned\x07\r\x9b2J\x7f\u202e\u2028x"
OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e]")


@pytest.fixture
def hostile(pair: Pair) -> tuple[str, str]:
    """A table of that name that is moved, and one of such a name whose rows the target refuses."""
    source, target = pair.source(), pair.target()
    good, bad = sql.Identifier(HOSTILE), sql.Identifier(f"{HOSTILE}!")
    with psycopg.connect(source, autocommit=True) as db:
        db.execute(sql.SQL("CREATE TABLE {} (a int)").format(good))
        db.execute(sql.SQL("INSERT INTO {} VALUES (1)").format(good))
        db.execute(sql.SQL("CREATE TABLE {} (a int PRIMARY KEY)").format(bad))
        db.execute(sql.SQL("INSERT INTO {} VALUES (1)").format(bad))
    with psycopg.connect(target, autocommit=True) as db:
        query = "CREATE TABLE {} (a int PRIMARY KEY CONSTRAINT {} CHECK (a > 1))"
        db.execute(sql.SQL(query).format(bad, sql.Identifier(f"{HOSTILE}?")))
    return source, target


def test_what_a_terminal_obeys_is_escaped() -> None:
    assert printable(HOSTILE) == SHOWN and printable(SHOWN) == SHOWN
    for code in (*range(0x20), *range(0x7F, 0xA0)):
        assert (printable(chr(code)) == chr(code)) == (chr(code) in "\t\n")
    assert printable("\ud800é ß 名 🐘") == r"\ud800é ß 名 🐘"


def test_no_name_reaches_console_or_log_as_it_is(hostile: tuple[str, str], tmp_path: Path) -> None:
    config = {"source": hostile[0], "target": hostile[1], "roles": "none"}
    (tmp_path / "c.json").write_text(json.dumps(config))
    shell = Shell(tmp_path)
    shown = ""
    for verb, *options in (["plan"], ["migrate"], ["status"], ["verify", "--json"]):
        done = shell.run(verb, *options, "--config", "c.json", "--verbose", "--debug")
        assert not OBEYED.search(done.text.replace("\n", "")), verb
        shown += done.text
    tables = [table["object"] for table in json.loads(done.stdout)["tables"]]
    assert f'public."{HOSTILE}"' in tables
    log = (tmp_path / "pgmigrate.log").read_text(encoding="utf-8")
    assert not OBEYED.search(log)
    assert SHOWN in shown and f"{SHOWN}?" in shown and SHOWN in log
    assert ("public", HOSTILE) in servers.tables(hostile[1])


def test_a_terminal_gets_no_name_as_it_is(hostile: tuple[str, str], tmp_path: Path) -> None:
    own, other = pty.openpty()
    command = ["migrate", "--source", hostile[0], "--target", hostile[1], "--verify", "--verbose"]
    with subprocess.Popen(
        [sys.executable, "-m", "pgmigrate", *command],
        cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=other, stderr=other,
    ) as process:  # fmt: skip
        os.close(other)
        written = b""
        with suppress(OSError):
            while part := os.read(own, 65536):
                written += part
    os.close(own)
    assert process.returncode == 1
    text = written.decode()
    # The bars are drawn by codes of their own.
    assert "\x1b[" in text and "owned" in text
    assert not re.search("\x1b]|\x07|[\x7f-\x9f\u2028-\u202e]|\r[^\r\n\x1b]", text)


def test_handlers_of_others_get_no_name_as_it_is(
    hostile: tuple[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="pgmigrate")
    report = Migration(source=hostile[0], target=hostile[1], roles="none").run()
    messages = [record.getMessage() for record in caplog.records]
    assert any(SHOWN in message for message in messages)
    with pytest.raises(CopyError) as failed:
        report.raise_for_failures()
    shown = [*messages, report.text(), str(failed.value)]
    assert not any(OBEYED.search(text) for text in shown)
    assert any(HOSTILE in task.object for task in report.tasks)
