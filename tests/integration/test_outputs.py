"""Outputs that cannot be written: found before the work begins, or without a say in how it ends.

Full disks are ``/dev/full`` and a small tmpfs; what cannot be written lies below a regular file,
which holds for root, too.
"""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import psycopg
import pytest

from conftest import Pair
from pgmigrate import Migration, Options, PreflightError
from support import servers
from support.application import Application
from support.safety import GATED as GATED_SETTINGS
from support.safety import closed_gate, config_file, migration, until
from support.shell import Done, Shell

FULL = "/dev/full"
# No row passes while somebody holds the lock.
GATED = {**GATED_SETTINGS, "name": "t"}
SCRIPT = """
CREATE TABLE t (id int PRIMARY KEY, v text);
INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, 30) AS i;
CREATE TABLE "tæst ✓" (a int);
INSERT INTO "tæst ✓" VALUES (1);
ANALYZE;
"""


def run(
    shell: Shell,
    verb: str,
    *arguments: str,
    stdout: int | IO[Any] = subprocess.PIPE,
    stderr: int | IO[Any] = subprocess.PIPE,
    **environment: str,
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "pgmigrate", verb, "--config", "config.json", *arguments],
        cwd=shell.folder,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        timeout=120,
        check=False,
    )


def assert_done(both: tuple[str, str]) -> None:
    servers.assert_equal(*both)
    assert Migration(source=both[0], target=both[1], roles="none").status().state == "done"


def assert_untouched(conninfo: str) -> None:
    with psycopg.connect(conninfo) as connection:
        found = "SELECT nspname FROM pg_namespace WHERE nspname = 'pgmigrate'"
        assert connection.execute(found).fetchall() == []
    assert servers.tables(conninfo) == []


def checks(report: dict[str, Any]) -> list[str]:
    return [finding["check"] for finding in report["findings"]]


# Mirrors, progress and the log.


def test_a_full_disk_for_state_log_and_progress_ends_no_run(
    both: tuple[str, str], shell: Shell
) -> None:
    (shell.folder / "pgmigrate.log").symlink_to(FULL)
    with Path(FULL).open("wb") as full:
        done = run(shell, "migrate", "--state", FULL, "--json", "--verbose", stderr=full)
    assert done.returncode == 0
    report = json.loads(done.stdout)
    assert report["status"] == report["run_state"] == "done"
    assert checks(report).count("state_file") == 1
    assert_done(both)
    assert stat.S_ISCHR(Path(FULL).stat().st_mode), "a device is not replaced by a file"


@contextmanager
def small_disk(folder: Path, free: int) -> Iterator[None]:
    """A file system of its own with so many bytes left."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("no file system can be mounted here")
    try:
        with (folder / "filler").open("wb") as filler:
            filler.write(bytes(1024 * 1024 - free))
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_fills_in_mid_run(pair: Pair, tmp_path: Path) -> None:
    source, target = pair.source(), pair.target()
    tables = [f"CREATE TABLE t{i} (a int)" for i in range(30)]
    servers.run_script(source, ";".join([*tables, "INSERT INTO t1 VALUES (1)"]))
    folder = tmp_path / "disk"
    with small_disk(folder, free=4096):
        config = {"source": source, "target": target, "roles": "none"}
        (tmp_path / "config.json").write_text(json.dumps(config))
        files = ("--plan", "../plan.tsv")
        done = Shell(folder).run("migrate", "--config", "../config.json", *files, "--json")
        assert (folder / "state.tsv").exists()
    assert done.code == 0, done.text
    assert checks(json.loads(done.stdout)).count("state_file") == 1
    assert done.stderr.count("pgmigrate.log lacks records") == 1
    assert "Traceback" not in done.stderr
    assert_done((source, target))


@pytest.mark.soak
def test_a_state_file_that_cannot_be_written_again_is_gone(
    both: tuple[str, str], shell: Shell
) -> None:
    servers.run_script(
        both[1], "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (7)"
    )
    config = {"source": both[0], "target": both[1], "roles": "none"}
    config_text = json.dumps({**config, "options": {"on_conflict": "error"}})
    (shell.folder / "config.json").write_text(config_text)
    state = shell.folder / "disk" / "state.tsv"
    with small_disk(state.parent, free=4096):
        assert run(shell, "migrate", "--state", str(state)).returncode == 1
        assert "FAILED" in state.read_text()
        servers.run_script(both[1], "DELETE FROM t")
        # What it said before is not what the ledger says from now on, and would stop a later run.
        done = run(shell, "migrate", "--state", str(state), "--resume", "--json")
        assert done.returncode == 0, done.stderr
        assert not state.exists()
    assert checks(json.loads(done.stdout)).count("state_file") == 1
    assert_done(both)


# What is found before the work begins.


def test_what_migrate_cannot_write_is_found_before_the_run(
    both: tuple[str, str], shell: Shell
) -> None:
    for option in ("--plan", "--state", "--report"):
        done = run(shell, "migrate", option, "config.json/below", "--json")
        assert done.returncode == 2, done.stderr
        words = f"error: {option} config.json/below cannot be written: Not a directory\nremedy: "
        assert words in done.stderr.decode()
        assert json.loads(done.stdout)["error"]["kind"] == "config"
    options: Options = {"backup_dir": str(shell.folder / "config.json" / "backup")}
    chosen = Migration(source=both[0], target=both[1], roles="none", options=options)
    with pytest.raises(PreflightError, match="Not a directory") as raised:
        chosen.run(backup=True)
    assert "options.backup_dir" in str(raised.value)
    assert [one.check for one in raised.value.findings if one.severity == "blocking"] == [
        "backup_dir"
    ]
    assert_untouched(both[1])


def test_the_checklist_has_what_safe_cannot_write(written: tuple[str, str], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    below = tmp_path / "file" / "below"
    stop = {"stop": {"run": f"touch {tmp_path}/stopped", "shell": True}}
    chosen = migration(written, tmp_path, stop, options={"backup_dir": str(below / "backup")})
    report = chosen.run_safely(plan_file=below / "plan.tsv", state=below / "state.tsv")
    assert report.status == "failed" and report.application == "untouched"
    assert not (tmp_path / "stopped").exists()
    assert report.checklist is not None
    [item] = [item for item in report.checklist.items if item.check == "output_files"]
    assert item.state == "blocking"
    words = " ".join(item.words())
    for option in (
        "the plan file",
        "the state file",
        "the journal of the procedure",
        "options.backup_dir",
    ):
        assert option in words
    assert words.count("Not a directory") == 4
    assert_untouched(written[1])
    again = migration(written, tmp_path, stop).run_safely(
        plan_file=tmp_path / "plan.tsv", state=tmp_path / "state.tsv", dry_run=True
    )
    assert again.ok and again.checklist is not None
    [item] = [item for item in again.checklist.items if item.check == "output_files"]
    assert item.state == "ok"
    assert not (tmp_path / "backup").exists(), "looking makes no folder"


def test_safe_is_done_whatever_is_full(
    written: tuple[str, str], application: Application, tmp_path: Path, shell: Shell
) -> None:
    config = config_file(migration(written, tmp_path, application.procedure()), tmp_path / "c.json")
    (tmp_path / "pgmigrate.log").symlink_to(FULL)
    files = ("--state", FULL, "--checklist", FULL, "--json")
    with Path(FULL).open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "pgmigrate", "safe", "--config", str(config), *files],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=full,
            check=False,
        )
    report = json.loads(done.stdout)
    assert done.returncode == 6, "the checklist is lost"
    assert (report["status"], report["application"]) == ("done", "started")
    assert application.process() is not None
    assert checks(report["report"]).count("state_file") == 1


# Standard output.


def test_a_result_that_cannot_be_printed_has_its_own_exit_code(
    both: tuple[str, str], shell: Shell
) -> None:
    (shell.folder / "pgmigrate.log").symlink_to(FULL)
    with Path(FULL).open("wb") as full:
        done = run(shell, "migrate", stdout=full)
    assert done.returncode == 6
    shown = done.stderr.decode()
    for words in (
        "error: the result could not be written to standard output: No space left on device\n",
        "warning: pgmigrate.log lacks records: No space left on device\n",
    ):
        assert shown.count(words) == 1
    for words in ("Traceback", "Logging error", "Exception ignored"):
        assert words not in shown
    assert_done(both)


def test_a_reader_that_has_gone_ends_no_run(both: tuple[str, str], shell: Shell) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = run(shell, "migrate", "--json", stdout=writer)
    finally:
        os.close(writer)
    assert done.returncode == 6
    shown = done.stderr.decode()
    assert (
        shown.count("error: the result could not be written to standard output: Broken pipe") == 1
    )
    assert_done(both)
    assert "standard output: Broken pipe" in (shell.folder / "pgmigrate.log").read_text()


@pytest.mark.soak
def test_no_standard_streams_at_all(both: tuple[str, str], shell: Shell) -> None:
    command = f"{sys.executable} -m pgmigrate migrate --config config.json"
    done = subprocess.run(
        ["/bin/sh", "-c", f"{command} >&- 2>&-"], cwd=shell.folder, check=False, timeout=120
    )
    assert done.returncode == 6
    assert_done(both)


def test_a_page_through_head_is_quiet(shell: Shell) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pgmigrate", "reference"],
            stdout=writer,
            stderr=subprocess.PIPE,
            check=False,
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (6, b"")


def test_characters_that_a_stream_lacks_are_replaced(both: tuple[str, str], shell: Shell) -> None:
    servers.run_script(both[1], 'CREATE TABLE "tæst ✓" (b int)')
    text = run(shell, "verify", PYTHONIOENCODING="latin-1")
    assert text.returncode == 4, text.stderr
    assert '"tæst +"' in text.stdout.decode("latin-1")


# Requests to end.


def gated(both: tuple[str, str], name: str) -> dict[str, Any]:
    rules = {"tables": {"include": [GATED]}}
    return {
        "name": name,
        "source": both[0],
        "target": both[1],
        "roles": "none",
        **rules,
    }


def ended_by(process: subprocess.Popen[str], *numbers: signal.Signals) -> Done:
    for number in numbers:
        process.send_signal(number)
    try:
        stdout, stderr = process.communicate(timeout=60)
    finally:
        process.kill()
    return Done(process.returncode, stdout, stderr)


@pytest.mark.parametrize(
    "numbers",
    [
        (signal.SIGTERM, signal.SIGHUP),
        pytest.param((signal.SIGINT,), marks=pytest.mark.soak),
        pytest.param((signal.SIGTERM,), marks=pytest.mark.soak),
        pytest.param((signal.SIGHUP, signal.SIGHUP), marks=pytest.mark.soak),
    ],
    ids=lambda numbers: "+".join(number.name for number in numbers),
)
def test_an_interrupted_run_is_reported(
    both: tuple[str, str], shell: Shell, numbers: tuple[signal.Signals, ...]
) -> None:
    (shell.folder / "config.json").write_text(json.dumps(gated(both, "one")))
    with closed_gate(both[0]) as is_waited_for:
        process = shell.start("migrate", "--config", "config.json", "--json")
        until(is_waited_for)
        done = ended_by(process, *numbers)
    assert done.code == 130, done.text
    report = json.loads(done.stdout)
    assert (report["run"], report["status"], report["run_state"]) == (1, *["interrupted"] * 2)
    assert {task["status"] for task in report["tasks"]} == {"done", "pending"}
    assert "To go on: pgmigrate migrate --config config.json" in done.stderr
    assert "Traceback" not in done.stderr


def test_those_that_are_done_are_reported_too(
    pair: Pair, both: tuple[str, str], shell: Shell
) -> None:
    first = {
        "name": "first",
        "source": both[0],
        "target": pair.target("_first"),
        "roles": "none",
    }
    third = {**first, "name": "third", "target": pair.target("_third")}
    entries = [first, gated(both, "second"), third]
    (shell.folder / "config.json").write_text(json.dumps({"migrations": entries}))
    with closed_gate(both[0]) as is_waited_for:
        process = shell.start("migrate", "--config", "config.json", "--json")
        until(is_waited_for)
        done = ended_by(process, signal.SIGTERM)
    assert done.code == 130, done.text
    shown = [(report["name"], report["status"]) for report in json.loads(done.stdout)]
    assert shown == [("first", "done"), ("second", "interrupted")]


@pytest.mark.soak
def test_a_run_that_has_not_begun_is_not_to_be_resumed(both: tuple[str, str], shell: Shell) -> None:
    with psycopg.connect(both[0]) as connection:
        connection.execute("LOCK TABLE pg_catalog.pg_description IN ACCESS EXCLUSIVE MODE")
        process = shell.start("migrate", "--config", "config.json", "--json")
        with psycopg.connect(both[0], autocommit=True) as other:
            waiting = "SELECT FROM pg_locks WHERE NOT granted AND relation = "
            waiting += "'pg_catalog.pg_description'::regclass"
            until(lambda: other.execute(waiting).fetchone() is not None)
        done = ended_by(process, signal.SIGHUP)
    assert done.code == 130, done.text
    assert json.loads(done.stdout)["error"]["kind"] == "interrupted"
    assert "error: interrupted\nremedy: run it again" in done.stderr
    assert "To go on" not in done.stderr, "there is nothing to resume"
    assert_untouched(both[1])
