"""The command line against real servers: exit codes, what is printed where, JSON, status, demo."""

from __future__ import annotations

import json
import os
import pwd
import re
import signal
import threading
import time
from typing import Any

import psycopg
import pytest

from pgmigrate.demo import run_demo
from support import servers
from support.shell import Done, Shell

SCRIPT = """
CREATE TABLE t (id int PRIMARY KEY, v text);
INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, 30) AS i;
CREATE TABLE u (a int);
INSERT INTO u VALUES (1);
ANALYZE;
"""


def run(shell: Shell, verb: str, *arguments: str, **environment: str) -> Done:
    return shell.run(verb, "--config", "config.json", *arguments, timeout=120, **environment)


# Exit codes.


def test_exit_0_if_all_is_done(both: tuple[str, str], shell: Shell) -> None:
    assert run(shell, "migrate").code == 0
    servers.assert_equal(*both)
    assert run(shell, "verify").code == 0


def test_exit_1_a_task_failed(both: tuple[str, str], shell: Shell) -> None:
    servers.run_script(
        both[1], "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (7)"
    )
    shell.write_config(*both, options={"on_conflict": "error"})
    done = run(shell, "migrate")
    assert done.code == 1
    assert "public.t" in done.stdout
    assert "public.t" in done.stderr
    assert len(servers.rows(both[1], "public", "u")) == 1


def test_migrate_keeps_the_plan_of_an_unfinished_run(both: tuple[str, str], shell: Shell) -> None:
    servers.run_script(
        both[1], "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (7)"
    )
    shell.write_config(*both, options={"on_conflict": "error"})
    assert run(shell, "migrate").code == 1
    plan = (shell.folder / "plan.tsv").read_bytes()
    servers.run_script(both[0], "CREATE TABLE planned_otherwise ()")
    again = run(shell, "migrate")
    assert again.code == 1
    assert "plan.tsv is its plan: not overwritten" in again.stderr
    assert (shell.folder / "plan.tsv").read_bytes() == plan
    servers.run_script(both[0], "DROP TABLE planned_otherwise")
    servers.run_script(both[1], "DELETE FROM t")
    assert run(shell, "migrate", "--resume").code == 0


@pytest.mark.parametrize("broken", [r"port=\d+", r"password=\S+", r"dbname=\S+"])
def test_exit_10_a_server_cannot_be_reached(
    both: tuple[str, str], shell: Shell, broken: str
) -> None:
    wrong = broken.split("=")[0] + "=1"
    shell.write_config(re.sub(broken, wrong, both[0]), both[1])
    done = run(shell, "migrate")
    assert done.code == 10
    assert done.stderr.startswith("error: ")


def test_exit_2_usage_and_configuration(both: tuple[str, str], shell: Shell) -> None:
    assert shell.run("migrate").code == 2
    assert run(shell, "migrate", "--jobs", "none").code == 2
    assert shell.run("migrate", "--config", "none.yaml").code == 2
    shell.write_config(*both, tables=["t", "gone"], parallel={"max_jobs": "many"})
    done = run(shell, "plan")
    assert done.code == 2
    assert done.stderr == 'error: parallel.max_jobs: expected a positive integer, got "many"\n'
    shell.write_config(*both, tables=["t", "gone"])
    done = run(shell, "plan")
    assert done.code == 2
    assert "error: tables.include[1]: the source has no table public.gone\n" in done.stderr


def test_exit_3_if_preflight_blocks(both: tuple[str, str], shell: Shell) -> None:
    shell.write_config(both[0], both[0])
    for verb in ("preflight", "migrate"):
        done = run(shell, verb)
        assert done.code == 3, done.text
        assert "source and target are the same database" in done.text
    assert servers.tables(both[0]) == [("public", "t"), ("public", "u")]


def test_exit_4_verification_found_differences(both: tuple[str, str], shell: Shell) -> None:
    assert run(shell, "migrate").code == 0
    servers.run_script(both[1], "UPDATE t SET v = 'other' WHERE id = 17")
    done = run(shell, "verify", "--plan", "plan.tsv")
    assert done.code == 4
    assert "different row: public.t: the row differs (v), key id=17\n" in done.stdout
    servers.run_script(both[1], "UPDATE t SET v = 'v17' WHERE id = 17")
    assert run(shell, "verify").code == 0


def test_exit_4_a_run_that_verifies(both: tuple[str, str], shell: Shell) -> None:
    # Somebody's trigger on the target changes the copied rows.
    servers.run_script(
        both[1],
        "CREATE TABLE u (a int); CREATE FUNCTION other() RETURNS trigger LANGUAGE plpgsql "
        "AS 'BEGIN NEW.a := 5; RETURN NEW; END'; "
        "CREATE TRIGGER other BEFORE INSERT ON u FOR EACH ROW EXECUTE FUNCTION other()",
    )
    done = run(shell, "migrate", "--verify")
    assert done.code == 4, done.text
    assert "public.u" in done.stdout


# What is printed where.


def test_plan_prints_a_summary_and_writes_the_file(both: tuple[str, str], shell: Shell) -> None:
    done = run(shell, "plan", "--plan", "my.tsv")
    assert done.code == 0
    assert re.search(r"^data +2 +31 ", done.stdout, re.MULTILINE)
    assert done.stdout.endswith("written to my.tsv\n")
    assert "COPY" in (shell.folder / "my.tsv").read_text()
    assert servers.tables(both[1]) == []


def test_dry_run_touches_nothing(both: tuple[str, str], shell: Shell) -> None:
    done = run(shell, "migrate", "--dry-run", "--backup")
    assert done.code == 0
    assert "written to plan.tsv" in done.stdout
    assert {path.name for path in shell.folder.iterdir()} == {
        "config.json",
        "plan.tsv",
        "pgmigrate.log",
    }
    with psycopg.connect(both[1]) as connection:
        query = "SELECT count(*) FROM pg_namespace WHERE nspname = 'pgmigrate'"
        assert connection.execute(query).fetchone() == (0,)
    assert servers.tables(both[1]) == []


def test_the_console_is_silent_but_for_progress(both: tuple[str, str], shell: Shell) -> None:
    # Somebody else's session on the target is worth a warning.
    with psycopg.connect(both[1]):
        done = run(shell, "migrate")
    assert done.code == 0
    log = (shell.folder / "pgmigrate.log").read_text()
    assert re.search(r" WARNING .*session", log)
    assert " INFO done data public.t " in log
    lines = done.stderr.splitlines()
    progress = r"run 1: \d+ tasks, \d+ at once|(pre-data|data|index|analyze|constraint|finish): .*"
    assert [line for line in lines if not re.fullmatch(progress, line)] == []


def test_verbose_shows_what_the_log_has(both: tuple[str, str], shell: Shell) -> None:
    with psycopg.connect(both[1]):
        done = run(shell, "migrate", "--verbose")
    assert "info: done data public.t " in done.stderr
    assert re.search(r"^warning: .*session", done.stderr, re.MULTILINE)


def test_the_log_of_several_commands_is_one(both: tuple[str, str], shell: Shell) -> None:
    shell.write_config(re.sub(r"port=\d+", "port=1", both[0]), both[1])
    assert run(shell, "plan").code == 10
    shell.write_config(*both)
    assert run(shell, "plan").code == 0
    log = (shell.folder / "pgmigrate.log").read_text()
    assert " ERROR " in log
    assert " INFO plan done " in log


# JSON.


def test_every_command_speaks_json(both: tuple[str, str], shell: Shell) -> None:
    def result(verb: str, *arguments: str) -> dict[str, Any]:
        done = run(shell, verb, "--json", *arguments)
        assert done.code == 0, done.text
        answer = json.loads(done.stdout)
        assert isinstance(answer, dict)
        return answer

    assert result("preflight")["findings"] is not None
    assert result("plan")["path"] == "plan.tsv"
    assert result("status")["state"] == "none"
    assert result("migrate", "--dry-run")["status"] == "dry_run"
    report = result("migrate", "--verify")
    assert report["status"] == "done"
    assert report["verification"]["equal"] is True
    assert result("status")["state"] == "done"
    assert result("verify")["equal"] is True
    path = result("backup", "--directory", "kept")["path"]
    assert (shell.folder / path).is_file()
    assert result("restore", path, "--yes")["path"] == path
    assert result("cleanup")["dropped"]


def test_errors_speak_json(both: tuple[str, str], shell: Shell) -> None:
    shell.write_config(re.sub(r"dbname=\w+", "dbname=none_such", both[0]), both[1])
    done = run(shell, "plan", "--json")
    error = json.loads(done.stdout)["error"]
    assert (error["kind"], error["side"], error["sqlstate"]) == ("connect", "source", "3D000")
    shell.write_config(*both, optoins={})
    error = json.loads(run(shell, "plan", "--json").stdout)["error"]
    assert error["kind"] == "config"
    assert error["problems"] == ['optoins: unknown key; did you mean "options"?']


# Without a config, with variables.


def test_options_replace_a_config(both: tuple[str, str], shell: Shell) -> None:
    between = ["--source", both[0], "--target", both[1], "--table", "public.u"]
    done = shell.run("migrate", *between)
    assert done.code == 0, done.text
    assert servers.tables(both[1], ["pgmigrate"]) == [("public", "u")]


def test_one_side_is_enough_and_a_conninfo_without_user_means_the_account(
    both: tuple[str, str], shell: Shell
) -> None:
    account = pwd.getpwuid(os.geteuid()).pw_name
    servers.run_script(both[1], f"CREATE ROLE \"{account}\" SUPERUSER LOGIN PASSWORD 'x'")
    target = re.sub(r"password=\S+", "password=x", re.sub(r"user=\S+ ", "", both[1]))

    def on_target(*arguments: str) -> Done:
        # What the variable says is of no account here.
        return shell.run(*arguments, PGMIGRATE_TARGET=target, USER="no_such_account")

    try:
        assert on_target("status").stdout == "no run in the target's ledger\n"
        assert "no run is active" in on_target("stop").stdout
        assert on_target("backup", "--directory", "kept").code == 0
        (path,) = (shell.folder / "kept").iterdir()
        assert on_target("restore", str(path), "--yes").code == 0
        assert on_target("cleanup").code == 0
    finally:
        servers.run_script(both[1], f'DROP OWNED BY "{account}"; DROP ROLE "{account}"')


def test_variables_in_conninfos_are_replaced(both: tuple[str, str], shell: Shell) -> None:
    password = re.compile("password=(.*)")
    found = [password.search(conninfo) for conninfo in both]
    source, target = (
        password.sub(f"password=${{{side}_PW}}", c) for side, c in zip("ST", both, strict=True)
    )
    shell.write_config(source, target)
    variables = {f"{side}_PW": match[1] for side, match in zip("ST", found, strict=True) if match}
    assert run(shell, "migrate", **variables).code == 0
    servers.assert_equal(*both)
    del variables["T_PW"]
    done = run(shell, "migrate", **variables)
    assert done.code == 2
    assert "target: the environment variable T_PW is not set" in done.stderr


# Status.


def test_status_of_a_run_in_another_process(both: tuple[str, str], shell: Shell) -> None:
    def status() -> dict[str, Any]:
        return dict(json.loads(run(shell, "status", "--json").stdout))

    gate = "pg_catalog.pg_advisory_xact_lock_shared(9)::text = ''"
    shell.write_config(*both, tables={"include": [{"name": "t", "where": gate}]})
    with psycopg.connect(both[0], autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(9)")
        process = shell.start("migrate", "--config", "config.json", "--jobs", "2")
        try:
            deadline = time.monotonic() + 60
            found = status()
            while (
                found["rows_done"] < 1 or len(found["running"]) > 1
            ) and time.monotonic() < deadline:
                found = status()
            assert found["state"] == "running"
            assert [task["object"] for task in found["running"]] == ["public.t"]
            assert found["tasks"]["running"] == 1
            assert found["tasks"]["pending"] > 0
            assert (found["rows_done"], found["rows_total"]) == (1, 31)
            assert found["seconds_left"] is None or found["seconds_left"] > 0
            text = run(shell, "status").stdout
            assert re.match(r"run 1: running after .* (left|unknown)\n", text)
            # A second run is refused, and says so.
            second = run(shell, "migrate", "--resume")
            assert second.code == 3
            assert "another run of pgmigrate is active" in second.stderr
            connection.execute("SELECT pg_advisory_unlock(9)")
            assert process.wait(60) == 0
        finally:
            process.kill()
            process.communicate()
    found = status()
    assert (found["state"], found["seconds_left"], found["running"]) == ("done", None, [])
    assert found["rows_done"] == 31
    assert set(found["tasks"].items()) >= {("running", 0), ("pending", 0), ("failed", 0)}
    servers.assert_equal(*both)


def test_status_of_a_killed_run(both: tuple[str, str], shell: Shell) -> None:
    gate = "pg_catalog.pg_advisory_xact_lock_shared(9)::text = ''"
    shell.write_config(*both, tables={"include": [{"name": "t", "where": gate}]})
    with psycopg.connect(both[0], autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(9)")
        process = shell.start("migrate", "--config", "config.json")
        waiting = "SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND objid = 9"
        _poll(connection, waiting)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    # The server finds out that its client is gone.
    for _ in range(100):
        found = json.loads(run(shell, "status", "--json").stdout)
        if found["state"] != "running":
            break
    assert found["state"] == "interrupted"
    assert found["tasks"]["running"] == 0
    assert run(shell, "migrate", "--resume").code == 0
    servers.assert_equal(*both)


def test_cleanup_forgets(both: tuple[str, str], shell: Shell) -> None:
    assert run(shell, "migrate").code == 0
    done = run(shell, "cleanup")
    assert done.code == 0
    assert "pgmigrate" in done.stdout
    assert run(shell, "status").stdout == "no run in the target's ledger\n"


def test_restore_asks(both: tuple[str, str], shell: Shell) -> None:
    servers.run_script(both[1], "CREATE TABLE precious (a int); INSERT INTO precious VALUES (3)")
    done = run(shell, "backup")
    (path,) = (shell.folder / "backup").iterdir()
    assert f"backup/{path.name}" in done.stdout
    servers.run_script(both[1], "DROP TABLE precious")
    # There is no answer on an empty standard input.
    assert run(shell, "restore", str(path)).code != 0
    assert servers.tables(both[1]) == []
    assert run(shell, "restore", str(path), "--yes").code == 0
    assert servers.rows(both[1], "public", "precious") == [("3",)]


# The demo.


def test_the_demo_shows_a_whole_migration(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_demo(scale=0.01, jobs=2)
    reported = capsys.readouterr().out
    steps = ["starting PostgreSQL 16", "preflight", "the plan", "the report", "verification: equal"]
    places = [reported.index(step) for step in steps]
    assert places == sorted(places)
    assert reported.endswith("both servers are gone again\n")


def test_the_demo_keeps_its_servers_until_ctrl_c(shell: Shell) -> None:
    process = shell.start("demo", "--keep", "--scale", "0.01")
    output = process.stdout
    assert output is not None
    reported: list[str] = []
    reader = threading.Thread(target=lambda: reported.extend(iter(output.readline, "")))
    try:
        reader.start()
        deadline = time.monotonic() + 90
        while (
            not any("and verify again" in line for line in reported) and time.monotonic() < deadline
        ):
            time.sleep(0.05)
        conninfos = dict(re.findall(r"^ +(source|target): (.*)$", "".join(reported), re.MULTILINE))
        for conninfo in conninfos.values():
            with psycopg.connect(conninfo) as connection:
                assert connection.execute(
                    "SELECT count(*) > 0 FROM bookings.flights"
                ).fetchone() == (True,)
        assert set(conninfos) == {"source", "target"}
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
        reader.join(30)
        assert reported[-1] == "both servers are gone again\n"
        for conninfo in conninfos.values():
            with pytest.raises(psycopg.OperationalError):
                psycopg.connect(conninfo)
    finally:
        process.kill()
        process.wait()
        reader.join(30)


def _poll(connection: psycopg.Connection[Any], query: str) -> None:
    """Waits until a query has a row."""
    deadline = time.monotonic() + 30
    while connection.execute(query).fetchone() is None:
        assert time.monotonic() < deadline, query
        time.sleep(0.01)
