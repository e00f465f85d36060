"""Which pg_dump is used: the oldest one that serves both servers, and for a plan the one of it.

The programs of each major lie in a folder of their own and note their calls.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from conftest import Pair
from pgmigrate import ConfigError, Migration, Plan, PreflightError
from pgmigrate.embedded import find_installations
from support import servers
from support.shell import Shell

SCRIPT = """
CREATE TABLE t (id int PRIMARY KEY, v text);
COMMENT ON TABLE t IS 'written by those that write comments';
INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, 9) AS i;
"""
MajorsOf = tuple[int, int]

# No server listens on this port.
UNREACHABLE = "host=127.0.0.1 port=1 dbname=unreachable"


@dataclass(frozen=True)
class Programs:
    """Client programs of several majors that note their calls.

    Attributes:
        folder: where they lie, a folder for each major.
        log: has a line for each call that is no question for the version.
    """

    folder: Path
    log: Path

    def add(self, major: int, *, without: str = "") -> None:
        """Adds those of a major; its pg_dump has one more option where ``without`` is given."""
        real = servers.newest_programs() if major == 19 else find_installations().get(major)
        assert real is not None
        (self.folder / str(major)).mkdir(parents=True, exist_ok=True)
        for name in ("pg_dump", "pg_restore", "psql"):
            program = self.folder / str(major) / name
            extra = f" {without}" if name == "pg_dump" else ""
            program.write_text(
                f'#!/bin/sh\n[ "$*" = --version ] && exec {real / name} --version\n'
                f'echo "{major} {name} $*" >> {self.log}\nexec {real / name}{extra} "$@"\n'
            )
            program.chmod(0o755)

    def calls(self, name: str, conninfo: str, *words: str) -> set[int]:
        """The majors of a program that were called with these words for a database since last."""
        dbname = conninfo_to_dict(conninfo)["dbname"]
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        found = [line.split(" ", 2) for line in lines if f"dbname='{dbname}'" in line]
        return {
            int(major)
            for major, called, said in found
            if called == name and all(word in said for word in words)
        }

    def forget(self) -> None:
        """Forgets the calls."""
        self.log.unlink(missing_ok=True)


@pytest.fixture
def programs(tmp_path: Path) -> Programs:
    return Programs(tmp_path / "programs", tmp_path / "calls")


@pytest.fixture
def installed(programs: Programs, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Puts the programs of all majors into PATH; to be called when the servers are there."""

    def install() -> None:
        majors = [major for major in servers.available_majors() if major >= 16]
        for major in majors:
            programs.add(major)
        # The newest first, so that none is chosen for its place.
        folders = [str(programs.folder / str(major)) for major in reversed(majors)]
        monkeypatch.setenv("PATH", os.pathsep.join([*folders, os.environ["PATH"]]))

    return install


@pytest.fixture
def among_all(pair: Pair, installed: Callable[[], None]) -> tuple[Migration, str]:
    """A migration among the programs of all majors, and its source."""
    installed()
    source, target = pair.filled(SCRIPT)
    return Migration(source=source, target=target, roles="none"), source


def dumped(programs: Programs, conninfo: str) -> set[int]:
    """The majors of the programs that read a database's definitions."""
    return programs.calls("pg_dump", conninfo, "--schema-only")


def pairs() -> list[tuple[MajorsOf, int]]:
    """Pairs of majors with the major of the program that serves both."""
    found = [((16, 16), 16), ((16, 18), 18), ((18, 16), 18), ((18, 19), 19)]
    return [one for one in found if set(one[0]) <= set(servers.available_majors())]


@pytest.mark.case("L10")
@pytest.mark.parametrize(("majors", "expected"), pairs(), ids=str)
def test_the_oldest_that_serves_both_servers(
    make_pair: Callable[[int, int], Pair],
    programs: Programs,
    installed: Callable[[], None],
    tmp_path: Path,
    majors: MajorsOf,
    expected: int,
) -> None:
    pair = make_pair(*majors)
    installed()
    source, target = pair.filled(SCRIPT)
    servers.run_script(target, "CREATE TABLE before (id int)")
    migration = Migration(source=source, target=target, roles="none", backup_dir=str(tmp_path))
    report = migration.run(backup=True, verify=True)
    assert report.ok and report.verification is not None and report.verification.equal
    assert dumped(programs, source) == dumped(programs, target) == {expected}
    # The backup is made for the target alone.
    (backup,) = tmp_path.glob("*.dump")
    assert f"Dumped by pg_dump version: {majors[1]}" in listed(backup)
    programs.forget()
    assert migration.verify().equal
    assert dumped(programs, source) == dumped(programs, target) == {expected}
    # A plan asks the target for its version; where it does not answer, the source's has to do.
    assert migration.plan().header["pg_dump"] == expected
    alone = Migration(source=source, target=UNREACHABLE, roles="none").plan()
    assert alone.header["pg_dump"] == majors[0]


def listed(backup: Path) -> str:
    """What the newest pg_restore says of an archive."""
    folder = servers.newest_programs() or find_installations()[18]
    command = [str(folder / "pg_restore"), "-l", str(backup)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.mark.case("L10")
def test_a_plan_is_run_by_the_program_that_wrote_it(
    pair: Pair, programs: Programs, installed: Callable[[], None], shell: Shell
) -> None:
    installed()
    # What it writes differs: with it, the comment would be missing.
    programs.add(18, without="--no-comments")
    source, target = pair.filled(SCRIPT)
    migration = Migration(source=source, target=target, roles="none")
    plan = Migration(source=source, target=UNREACHABLE, roles="none").plan()
    assert plan.header["pg_dump"] == 16 and dumped(programs, source) == {16}
    programs.forget()
    assert plan.diff(migration.plan(like=plan)).same and dumped(programs, source) == {16}
    programs.forget()
    report = migration.run(plan, on_drift="refuse")
    assert report.ok and dumped(programs, source) == {16}
    assert not [one for one in report.findings if one.check == "pg_dump_version"]
    # A run that goes on has the plan from the ledger.
    migration.cleanup()
    servers.run_script(target, "DROP TABLE t")
    migration.run_tasks(plan, plan.ids("pre-data")).raise_for_failures()
    programs.forget()
    assert migration.run(resume=True).ok and dumped(programs, source) == {16}
    # One that makes its plan takes the program for both, and later comparisons do, too.
    migration.cleanup()
    servers.run_script(target, "DROP TABLE t")
    programs.forget()
    path = shell.folder / "p.tsv"
    assert migration.run(plan_file=path).ok and dumped(programs, source) == {18}
    assert Plan.load(path).header["pg_dump"] == 18
    databases = ("--source", source, "--target", target, "--no-roles", "--plan", str(path))
    done = shell.run("plan", "--diff", *databases)
    assert done.code == 0, done.text


@pytest.mark.case("L10")
def test_a_plan_of_a_program_that_is_not_there(
    among_all: tuple[Migration, str], programs: Programs
) -> None:
    migration, source = among_all
    text = migration.plan().text.replace('"pg_dump":18', '"pg_dump":97')
    programs.forget()
    report = migration.run(Plan.parse(text), on_drift="refuse")
    (found,) = [one for one in report.findings if one.check == "pg_dump_version"]
    assert report.ok and found.severity == "info"
    assert "pg_dump 97" in found.message and "pg_dump 18 is used" in found.message
    assert "Migration.plan()" in found.remedy and dumped(programs, source) == {18}


@pytest.mark.case("L10")
def test_one_older_than_the_source_is_never_used(
    make_pair: Callable[[int, int], Pair], programs: Programs
) -> None:
    pair = make_pair(18, 18)
    programs.add(16)
    source, target = pair.source(), pair.target()
    chosen = str(programs.folder / "16" / "pg_dump")
    migration = Migration(source=source, target=target, pg_dump=chosen)
    for verb in (migration.plan, migration.run, migration.backup):
        with pytest.raises(PreflightError, match="pg_dump 16 is older than the") as caught:
            verb()
        assert [one.check for one in caught.value.findings] == ["pg_dump_version"]
    assert not programs.log.exists()


@pytest.mark.case("L10")
def test_backups_are_made_for_the_target_and_restored_by_what_can_read_them(
    make_pair: Callable[[int, int], Pair],
    programs: Programs,
    installed: Callable[[], None],
    tmp_path: Path,
) -> None:
    pair = make_pair(16, 16)
    installed()
    target = pair.target()
    servers.run_script(target, SCRIPT)
    migration = Migration(source=target, target=target, backup_dir=str(tmp_path))
    own = migration.backup().path
    assert programs.calls("pg_dump", target) == {16}
    newer = tmp_path / "newer.dump"
    command = [str(find_installations()[18] / "pg_dump"), "-Fc", "-f", str(newer), "-d", target]
    subprocess.run(command, check=True)
    for backup, major in ((own, 16), (newer, 18)):
        programs.forget()
        servers.run_script(target, "CREATE TABLE later ()")
        migration.restore(backup)
        assert programs.calls("psql", target) == {major}


@pytest.mark.case("L10")
def test_preflight_finds_that_a_data_only_run_cannot_be_backed_up(
    make_pair: Callable[[int, int], Pair], programs: Programs, tmp_path: Path
) -> None:
    pair = make_pair(16, 18)
    programs.add(16)
    source, target = pair.source(), pair.target()
    for conninfo in (source, target):
        servers.run_script(conninfo, "CREATE TABLE t (id int PRIMARY KEY)")

    def migration(pg_dump: Path) -> Migration:
        return Migration(
            source=source,
            target=target,
            data_only=True,
            backup=True,
            backup_dir=str(tmp_path),
            pg_dump=str(pg_dump),
        )

    older = migration(programs.folder / "16" / "pg_dump")
    found = older.preflight()
    (finding,) = [one for one in found.findings if one.check == "pg_dump_version"]
    assert finding.severity == "blocking" and "pgmigrate[pgtools]" in finding.remedy
    assert "pg_dump 16 is older than the target" in finding.message
    states = {one.check: one.state for one in found.checks}
    assert states["pg_dump_version"] == "blocking"
    with pytest.raises(PreflightError) as caught:
        older.run()
    assert "pg_dump_version" in [one.check for one in caught.value.findings]
    # The first part of a run makes the backup, and all that forbids it is reported at once.
    servers.run_script(source, "CREATE TABLE absent (id int PRIMARY KEY)")
    plan = older.plan()
    with pytest.raises(PreflightError) as caught:
        older.run_tasks(plan, [task.id for task in plan if task.kind == "data"])
    blocking = {one.check for one in caught.value.findings if one.severity == "blocking"}
    assert blocking == {"pg_dump_version", "table_missing"}
    assert servers.tables(target) == [("public", "t")]
    with pytest.raises(ConfigError, match=r"options\.pg_dump"):
        migration(programs.folder / "none").preflight()
    # Nothing is said of a program before it was looked for.
    blocked = Migration(source=source, target=source, data_only=True, backup=True).preflight()
    states = {one.check: one.state for one in blocked.checks}
    assert (states["same_database"], states["pg_dump_version"]) == ("blocking", "not_made")
