"""The Python face by itself: keywords to options, mappings to values, driving a job.

Where a job of the core is needed, a scripted one stands in for it; servers are met elsewhere.
"""

from __future__ import annotations

import asyncio
import json
import logging
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import pgmigrate
from pgmigrate import (
    ConfigError,
    InterruptedRunError,
    Migration,
    Report,
    StateError,
    outcomes_of,
    run_all,
)
from pgmigrate._migration.run_all import named_path
from pgmigrate._procedure.command import CommandEnvironment
from pgmigrate._procedure.runner import Script, ScriptRunner, Verb
from support.scripted_core import (
    SOURCE,
    TARGET,
    Core,
    report,
    some_plan,
    verification,
)


@pytest.fixture
def migration() -> Migration:
    return Migration(source=SOURCE, target=TARGET, name="shop")


# Keywords and files.


def test_keywords_become_the_shape_of_a_config_file(core: Core) -> None:
    core.will({"dropped": [], "findings": []})
    tables = ["public.t"]
    migration = Migration(
        source=SOURCE, target=TARGET, tables=tables, format="text", options={"on_conflict": "error"}
    )
    tables.append("public.later")
    migration.cleanup()
    assert core.calls[0][1] == {
        "source": SOURCE,
        "target": TARGET,
        "tables": ["public.t"],
        "options": {"on_conflict": "error", "format": "text"},
    }


def test_a_key_given_twice_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        Migration(source=SOURCE, target=TARGET, format="text", options={"format": "binary"})
    assert caught.value.problems == ("options.format: given twice",)


def test_a_wrong_key_is_found_at_once() -> None:
    misspelt: Any = {"fromat": "text"}
    with pytest.raises(ConfigError) as caught:
        Migration(source=SOURCE, target=TARGET, **misspelt)
    assert any("options.fromat" in problem for problem in caught.value.problems)


PASSWORDS = [
    "host=h port=5433 dbname=d user=u password=hush",
    "host=h port=5433 dbname=d user=u password='hu\\'sh hush'",
    "postgresql://u:hush@h:5433/d",
    "postgres://u:%68ush%40hush@h:5433/d?application_name=a",
    "postgresql://u@h:5433/d?password=hush",
    {"host": "h", "port": 5433, "database": "d", "username": "u", "password": "hush"},
    {"conninfo": "postgresql://u:hush@h:5433/d"},
    "postgresql://u@h:5433/d",
]


@pytest.mark.parametrize("side", PASSWORDS)
def test_repr_shows_where_the_databases_are_and_no_password(
    side: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passfile = tmp_path / "pgpass"
    passfile.write_text("*:*:*:*:hush\n", encoding="utf-8")
    passfile.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(passfile))
    monkeypatch.setenv("PGPASSWORD", "hush")
    migration = Migration(source=side, target=side, name="shop")
    assert repr(migration) == "Migration(name='shop', source='h:5433/d', target='h:5433/d')"
    assert "hush" not in repr(migration.config)


@pytest.mark.parametrize(
    "side",
    [
        "host=h dbname=postgresql://u:hush@h/d",
        "host='h password=hush' dbname=d",
        "dbname='d password=hush' host=h",
        "postgresql://u:p@hush@h/d",
        "postgresql://u:p/hush@h/d",
        "postgresql://u:p#hush@h/d",
        "postgresql://u:p?hush@h/d",
        "postgresql://h/d password=hush",
        "postgresql://h/d%20password%3Dhush",
        {"host": "h", "database": "postgresql://u:hush@h/d"},
        {"host": "u:hush@h", "database": "d"},
        {"host": "h", "database": "d?password=hush"},
    ],
)
def test_repr_shows_nothing_of_a_conninfo_in_a_wrong_place(side: Any) -> None:
    assert "hush" not in repr(Migration(source=side, target="host=h dbname=d"))


def test_repr_outlives_the_environment_that_a_conninfo_needs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NAMED", "h")
    migration = Migration(source="host=${NAMED} dbname=d", target="host=h dbname=d")
    monkeypatch.delenv("NAMED")
    assert repr(migration) == "Migration(source='***', target='***')"


def test_a_migration_survives_pickle(core: Core, migration: Migration) -> None:
    core.will({"dropped": [], "findings": []})
    pickle.loads(pickle.dumps(migration)).cleanup()
    assert core.calls[0][1]["source"] == SOURCE


def write_two(path: Path, **second: Any) -> Path:
    endpoints = {
        "source": {"host": "old", "port": 5432, "database": "a", "username": "u", "password": "p"},
        "target": {"host": "new", "port": 5432, "database": "a", "username": "u", "password": "p"},
    }
    entries = [{"name": "users", **endpoints}, {"name": "gateway", **endpoints, **second}]
    path.write_text(json.dumps({"migrations": entries}), encoding="utf-8")
    return path


def test_a_file_of_several_migrations(tmp_path: Path) -> None:
    path = write_two(tmp_path / "config.json")
    migrations = Migration.load_all(path)
    assert [migration.name for migration in migrations] == ["users", "gateway"]
    with pytest.raises(ConfigError, match="load_all"):
        Migration.from_file(path)
    plans = [named_path(Path("out/plan.tsv"), item, migrations) for item in migrations]
    assert plans == [Path("out/plan-users.tsv"), Path("out/plan-gateway.tsv")]


def test_no_two_names_share_a_file() -> None:
    names = ("a b", "a/b", "a_b", "A_B", "a_b-", "ä", "a" * 3, "..", "")
    migrations = [
        Migration(source="dbname=a host=h", target="dbname=b host=h", name=name) for name in names
    ]
    paths = [named_path(Path("plan.tsv"), item, migrations) for item in migrations]
    assert len({str(path).casefold() for path in paths}) == len(names)
    assert all(path.parent == Path() for path in paths)


def test_mistakes_of_all_migrations_come_together(tmp_path: Path) -> None:
    path = write_two(tmp_path / "config.json", optoins={})
    with pytest.raises(ConfigError) as caught:
        Migration.load_all(path)
    assert [problem.split(":")[0] for problem in caught.value.problems] == ["migrations[1].optoins"]


@pytest.mark.parametrize("name", ["config.yaml", "config.yml"])
def test_a_file_of_yaml_is_read(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text(f'source: "{SOURCE}"\ntarget: "{TARGET}"\n', encoding="utf-8")
    assert Migration.from_file(path).name == ""


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        Migration.from_file(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match=r"does not end in \.yaml"):
        Migration.from_file(tmp_path / "config.toml")
    (tmp_path / "odd.yaml").write_bytes(b"password: \xff\xfehush")
    with pytest.raises(ConfigError, match="not valid UTF-8") as caught:
        Migration.from_file(tmp_path / "odd.yaml")
    assert "hush" not in str(caught.value)


# Settings of the verbs.


def test_only_what_was_given_is_passed_on(core: Core, migration: Migration) -> None:
    core.will(report())
    migration.run()
    assert core.calls[0][2] == {"resume": False, "dry_run": False}


def test_all_that_was_given_is_passed_on(core: Core, migration: Migration) -> None:
    core.will(report())
    plan = some_plan()
    migration.run(
        plan,
        resume=True,
        jobs=3,
        state=Path("state.tsv"),
        dry_run=True,
        backup=False,
        verify=True,
        consistent=False,
    )
    assert core.calls[0][2] == {
        "plan": plan.text,
        "resume": True,
        "jobs": 3,
        "state": "state.tsv",
        "dry_run": True,
        "backup": False,
        "verify": True,
        "consistent": False,
    }


def test_jobs_of_the_migration_hold_where_a_verb_says_nothing(core: Core) -> None:
    migration = Migration(source=SOURCE, target=TARGET, jobs=5)
    for _ in range(2):
        core.will(verification())
    migration.verify()
    migration.verify(jobs=2)
    assert [settings["jobs"] for _, _, settings in core.calls] == [5, 2]


def test_run_tasks_is_a_run_of_chosen_tasks(core: Core, migration: Migration) -> None:
    core.will(report())
    migration.run_tasks(some_plan(), iter(["d1"]))
    verb, _, settings = core.calls[0]
    assert verb == "run"
    assert settings["tasks"] == ["d1"]
    with pytest.raises(TypeError, match="list"):
        migration.run_tasks(some_plan(), "d1")


# A restore by hand: the lock of the procedure, and its journal before and after.
RESTORE = ["hold_procedure", "read_journal", "restore", "read_journal"]


def test_backup_and_restore_name_their_files(core: Core, migration: Migration) -> None:
    core.will({"path": "b/x.dump", "bytes": 2048, "seconds": 1.0, "entries": 7})
    restored = {"path": "b/x.dump", "entries": 7, "seconds": 1.0, "message": "restored"}
    core.will_restore(restored)
    assert migration.backup(Path("b")).text() == "backup: b/x.dump (2.0 kB, 7 objects, 1.0 s)"
    assert "restored" in migration.restore("b/x.dump").text()
    settings = {verb: settings for verb, _, settings in core.calls}
    assert list(settings) == ["backup", *RESTORE[:-1]]
    assert (settings["backup"], settings["restore"]) == ({"directory": "b"}, {"path": "b/x.dump"})


# Driving a job.

EVENTS = [
    [{"event": "step_started", "step": "plan"}],
    [
        {"event": "log", "level": "WARN", "message": "slow server"},
        {"event": "step_finished", "step": "plan", "seconds": 0.1},
    ],
]


def test_events_go_to_the_callback_and_log_records_to_logging(
    core: Core, migration: Migration, caplog: pytest.LogCaptureFixture
) -> None:
    core.will({"findings": [], "checks": []}, EVENTS)
    seen: list[str] = []
    with caplog.at_level(logging.INFO, logger="pgmigrate"):
        migration.preflight(on_event=lambda event: seen.append(event["event"]))
    assert seen == ["step_started", "step_finished"]
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", "slow server")
    ]


def test_an_exception_in_the_callback_stops_the_job_and_comes_back(
    core: Core, migration: Migration, caplog: pytest.LogCaptureFixture
) -> None:
    job = core.will(None, EVENTS)

    def refuse(event: Mapping[str, Any]) -> None:
        raise LookupError("not this one")

    with caplog.at_level(logging.INFO, logger="pgmigrate"), pytest.raises(LookupError):
        migration.run(on_event=refuse)
    assert job.stopped == 1
    assert job.batches == []
    assert caplog.messages == ["rolled back"]


def test_ctrl_c_stops_the_job_and_comes_back(core: Core, migration: Migration) -> None:
    job = core.will(None, [EVENTS[0], KeyboardInterrupt()])
    with pytest.raises(KeyboardInterrupt):
        migration.run()
    assert job.stopped == 1
    assert job.batches == []


def test_a_second_ctrl_c_waits_for_the_end_of_the_job(core: Core, migration: Migration) -> None:
    job = core.will(None, [EVENTS[0], KeyboardInterrupt()])
    job.while_stopping = [KeyboardInterrupt(), KeyboardInterrupt()]
    with pytest.raises(KeyboardInterrupt):
        migration.run()
    assert (job.stopped, job.batches) == (1, [])


async def test_cancelling_twice_waits_for_the_end_of_the_job(
    core: Core, migration: Migration
) -> None:
    job = core.will(None, [EVENTS[0], asyncio.CancelledError()])
    job.while_stopping = [asyncio.CancelledError()]
    with pytest.raises(asyncio.CancelledError):
        await migration.run_async()
    assert (job.stopped, job.batches) == (1, [])


@pytest.mark.parametrize("interruptions", [1, 2])
def test_a_shielded_verb_ends_before_an_interruption_is_raised(
    core: Core, interruptions: int
) -> None:
    job = core.will("restored", [EVENTS[0], *[KeyboardInterrupt()] * interruptions, EVENTS[1]])
    came: list[Any] = []

    def script() -> Script:
        try:
            came.append((yield Verb("restore", {}, is_shielded=True)))
        except KeyboardInterrupt:
            came.append("stopped")

    environment = CommandEnvironment(Path(), {}, str, str)
    with pytest.raises(KeyboardInterrupt):
        ScriptRunner({}, environment, came.append).run(script())
    assert came[-1] == ("restored" if interruptions == 1 else "stopped")
    assert (job.stopped, job.batches) == (interruptions - 1, [])


def test_errors_of_the_core_are_raised(core: Core, migration: Migration) -> None:
    core.will(StateError("a run is active"))
    with pytest.raises(StateError, match="active"):
        migration.run()


async def test_the_same_as_an_awaitable(core: Core, migration: Migration) -> None:
    core.will({"findings": [], "checks": []}, EVENTS)
    seen: list[str] = []
    result = await migration.preflight_async(on_event=lambda event: seen.append(event["event"]))
    assert seen == ["step_started", "step_finished"]
    assert result.ok


async def test_an_exception_in_the_callback_of_an_awaitable(
    core: Core, migration: Migration
) -> None:
    job = core.will(None, EVENTS)

    def refuse(event: Mapping[str, Any]) -> None:
        raise LookupError("not this one")

    with pytest.raises(LookupError):
        await migration.run_async(on_event=refuse)
    assert job.stopped == 1
    assert job.batches == []


async def test_cancelling_an_awaitable_stops_the_job(core: Core, migration: Migration) -> None:
    job = core.will(None, ["forever"])
    running = asyncio.ensure_future(migration.run_async())
    await asyncio.sleep(0.01)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert job.stopped == 1
    assert job.batches == []


async def test_every_long_verb_is_awaitable(core: Core, migration: Migration) -> None:
    plan = some_plan()
    core.will(plan.to_dict())
    core.will(report())
    core.will(report())
    core.will(verification())
    core.will({"path": "x", "bytes": 1, "seconds": 1.0, "entries": 1})
    core.will_restore({"path": "x", "entries": 1, "seconds": 1.0, "message": ""})
    assert await migration.plan_async() == plan
    assert (await migration.run_async(plan)).ok
    assert (await migration.run_tasks_async(plan, ["d1"])).ok
    assert (await migration.verify_async(plan)).ok
    assert (await migration.backup_async()).entries == 1
    assert (await migration.restore_async("x")).path == "x"
    verbs = [verb for verb, _, _ in core.calls]
    assert verbs == ["plan", "run", "run", "verify", "backup", *RESTORE]


def test_run_all_goes_on_after_a_failed_migration(core: Core) -> None:
    migrations = [Migration(source=SOURCE, target=TARGET, name=name) for name in ("a", "b")]
    core.will(StateError("a run is active"), [EVENTS[0]])
    core.will(report(), [EVENTS[0]])
    seen: list[tuple[str, str]] = []
    outcomes = run_all(
        migrations, on_event=lambda migration, event: seen.append((migration.name, event["event"]))
    )
    assert [migration.name for migration, _ in outcomes] == ["a", "b"]
    assert isinstance(outcomes[0][1], StateError)
    assert isinstance(outcomes[1][1], Report)
    assert seen == [("a", "step_started"), ("b", "step_started")]


def test_run_all_keeps_plan_and_state_of_each(core: Core, tmp_path: Path) -> None:
    migrations = [Migration(source=SOURCE, target=TARGET, name=name) for name in ("a", "b")]
    for _ in migrations:
        core.will(report())
    run_all(migrations, plan=tmp_path / "plan.tsv", state=tmp_path / "state.tsv")
    files = [(settings["plan_file"], settings["state"]) for _, _, settings in core.calls]
    assert [(Path(plan).name, Path(state).name) for plan, state in files] == [
        ("plan-a.tsv", "state-a.tsv"),
        ("plan-b.tsv", "state-b.tsv"),
    ]


def test_run_all_ends_with_an_interrupted_run(core: Core) -> None:
    migrations = [Migration(source=SOURCE, target=TARGET, name=name) for name in ("a", "b")]
    core.will(InterruptedRunError("stopped"))
    with pytest.raises(InterruptedRunError) as caught:
        run_all(migrations)
    assert len(core.calls) == 1
    assert outcomes_of(caught.value) == ((migrations[0], caught.value),)


# The package.


def test_all_public_names_are_documented() -> None:
    bare = [
        name
        for name in pgmigrate.__all__
        if isinstance(getattr(pgmigrate, name), type) and not getattr(pgmigrate, name).__doc__
    ]
    assert bare == []
