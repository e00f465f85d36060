"""`Migration`: one source, one target, what to move, and the verbs that do it.

Every verb starts a job of the core and drives it from the calling thread, which alone runs
callbacks and logging; the core's threads never touch Python.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from pgmigrate import _native
from pgmigrate._config import from_keywords, read_documents
from pgmigrate._estimate import Rates
from pgmigrate._plan import Plan
from pgmigrate._report import (
    BackupResult,
    CleanupResult,
    PreflightResult,
    Report,
    RestoreResult,
    Status,
    VerifyResult,
)
from pgmigrate.errors import ConfigError, InterruptedRunError, PgMigrateError

if TYPE_CHECKING:
    from pgmigrate._native import Job, PlanText

__all__ = ["Event", "Migration", "OnEvent", "Outcome", "run_all"]

Event: TypeAlias = dict[str, Any]
"""Something that happened in a run; its key ``event`` says what."""

OnEvent: TypeAlias = Callable[[Event], object]
"""What is called with every event, in the thread that called the verb."""

CALIBRATION_SECONDS: Final = 10.0

logger: Final = logging.getLogger("pgmigrate")
_LEVELS: Final = {
    "ERROR": logging.ERROR,
    "WARN": logging.WARNING,
    "INFO": logging.INFO,
    "DEBUG": logging.DEBUG,
}


class Migration:
    """One migration: it knows its two databases and what to move, and holds no connection.

    The arguments are the keys of a config file; the README lists them with their defaults. Whatever
    is wrong in them is found here, all of it at once, before any connection is made.

    Args:
        source: the database to read: a libpq connection string, or a mapping of its parts.
        target: the database to write.
        schemas: which schemas: a list of names, or a mapping with ``mode``, ``include`` and
            ``exclude``.
        tables: which tables and how: a list of ``schema.table``, or a mapping with ``mode``,
            ``default``, ``include``, ``exclude``.
        roles: ``all`` or ``none``.
        options: the section ``options``.
        parallel: the section ``parallel``.
        name: what logs and summaries call it.
        jobs: how many tasks run at once, where a verb is not told otherwise.
        flat: keys of ``options`` by themselves, such as ``format="text"``.

    Attributes:
        name: as given; empty when it was not.
        config: the checked configuration with all defaults filled in, secrets as ``***``.

    Raises:
        ConfigError: a wrong key, type or value; ``problems`` lists every one.
    """

    def __init__(
        self,
        *,
        source: str | Mapping[str, object] | None = None,
        target: str | Mapping[str, object] | None = None,
        schemas: Sequence[str] | Mapping[str, object] | None = None,
        tables: Sequence[str | Mapping[str, object]] | Mapping[str, object] | None = None,
        roles: str | Mapping[str, object] | None = None,
        options: Mapping[str, object] | None = None,
        parallel: Mapping[str, object] | None = None,
        name: str | None = None,
        jobs: int | None = None,
        **flat: object,
    ) -> None:
        sections = {
            "name": name,
            "source": source,
            "target": target,
            "schemas": schemas,
            "tables": tables,
            "roles": roles,
            "parallel": parallel,
            "options": options,
        }
        self._check(from_keywords(sections, flat), jobs=jobs)

    def _check(self, options: dict[str, Any], *, jobs: int | None = None) -> None:
        self.config: dict[str, Any] = _native.config(options)
        self.name: str = self.config["name"]
        self._options = options
        self._jobs = jobs

    @classmethod
    def _from_options(cls, options: dict[str, Any]) -> Migration:
        migration = cls.__new__(cls)
        migration._check(options)
        return migration

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> Migration:
        """The migration that a config file describes.

        Args:
            path: a ``.yaml``, ``.yml`` or ``.json`` file.

        Raises:
            ConfigError: the file cannot be read, something in it is wrong, or it describes several
                migrations.
        """
        migrations = cls.load_all(path)
        if len(migrations) != 1:
            raise ConfigError(
                f"{os.fspath(path)} describes {len(migrations)} migrations, not one",
                remedy="use Migration.load_all",
            )
        return migrations[0]

    @classmethod
    def load_all(cls, path: str | os.PathLike[str]) -> list[Migration]:
        """All migrations that a config file describes, in its order.

        Args:
            path: a ``.yaml``, ``.yml`` or ``.json`` file.

        Raises:
            ConfigError: the file cannot be read, or something in it is wrong; ``problems`` lists
                the mistakes of all its migrations.
        """
        return [cls._from_options(options) for options in read_documents(path)]

    def preflight(self, *, on_event: OnEvent | None = None) -> PreflightResult:
        """Looks for everything that would hinder the migration; changes nothing.

        Args:
            on_event: called with every event.

        Raises:
            ConnectError: a database cannot be reached.
        """
        return PreflightResult.from_mapping(self._do("preflight", {}, on_event))

    async def preflight_async(self, *, on_event: OnEvent | None = None) -> PreflightResult:
        """`preflight` as an awaitable."""
        return PreflightResult.from_mapping(await self._do_async("preflight", {}, on_event))

    def plan(self, *, on_event: OnEvent | None = None) -> Plan:
        """Decides what to do, task by task; changes nothing.

        Args:
            on_event: called with every event.

        Raises:
            ConnectError: a database cannot be reached.
            ConfigError: a schema, table or column of the configuration matches nothing.
            PreflightError: what was found forbids a run.
        """
        return Plan.from_mapping(self._do("plan", {}, on_event))

    async def plan_async(self, *, on_event: OnEvent | None = None) -> Plan:
        """`plan` as an awaitable."""
        return Plan.from_mapping(await self._do_async("plan", {}, on_event))

    def calibrate(
        self,
        plan: Plan | None = None,
        *,
        seconds: float = CALIBRATION_SECONDS,
        on_event: OnEvent | None = None,
    ) -> Rates:
        """Measures how fast the two servers are, for `Plan.estimate`; leaves nothing on either.

        Rows of the largest tables are copied into tables of its own on the target, indexed and
        analyzed, by one session and by several, in transactions that are rolled back. That costs
        the target some WAL and, of its rights, what a run needs to make its ledger.

        Args:
            plan: whose tables to sample; those that the configuration selects when None.
            seconds: how long the sample may take; what is not measured by then keeps a typical
                figure. Connecting and reading the catalog come before.
            on_event: called with every event.

        Raises:
            ConnectError: a database cannot be reached.
            SchemaError: the target's role may make no table.
            ConfigError: ``seconds`` is not above 0.
        """
        settings = {"plan": _text(plan), "seconds": seconds}
        return Rates.from_mapping(self._do("calibrate", settings, on_event))

    async def calibrate_async(
        self,
        plan: Plan | None = None,
        *,
        seconds: float = CALIBRATION_SECONDS,
        on_event: OnEvent | None = None,
    ) -> Rates:
        """`calibrate` as an awaitable."""
        settings = {"plan": _text(plan), "seconds": seconds}
        return Rates.from_mapping(await self._do_async("calibrate", settings, on_event))

    def run(
        self,
        plan: Plan | None = None,
        *,
        resume: bool = False,
        jobs: int | None = None,
        state: str | os.PathLike[str] | None = None,
        plan_file: str | os.PathLike[str] | None = None,
        dry_run: bool = False,
        backup: bool | None = None,
        verify: bool | None = None,
        consistent: bool | None = None,
        on_event: OnEvent | None = None,
    ) -> Report:
        """Does the migration, or what is left of it.

        A task that fails stops only the tasks that need it; the report names them
        (`Report.raise_for_failures`). Ctrl-C and an exception in ``on_event`` stop the run in
        order, so that it can be resumed, and are raised again.

        Args:
            plan: the plan to follow; a new one is made when None.
            resume: go on with the run that the target's ledger holds.
            jobs: how many tasks run at once.
            state: a file that mirrors the ledger, for people to read.
            plan_file: where a new plan is written before anything is touched, for a resumed run to
                follow. Another plan that is there is kept where an unfinished run needs it.
            dry_run: plan and check, but touch nothing.
            backup: back up the target first; as the configuration says when None.
            verify: compare source and target afterwards; as the configuration says when None.
            consistent: False allows rows of several states of the source in one table; as the
                configuration says when None.
            on_event: called with every event.

        Raises:
            ConnectError: a database cannot be reached.
            PreflightError: what was found forbids a run; the target was not touched.
            DriftError: plan and reality differ.
            StateError: the ledger cannot be used as asked, or another run is active.
            BackupError: the backup failed; the target was not touched.
        """
        settings = self._run_settings(
            plan,
            resume,
            jobs,
            (state, plan_file),
            dry_run=dry_run,
            backup=backup,
            verify=verify,
            consistent=consistent,
        )
        return Report.from_mapping(self._do("run", settings, on_event))

    async def run_async(
        self,
        plan: Plan | None = None,
        *,
        resume: bool = False,
        jobs: int | None = None,
        state: str | os.PathLike[str] | None = None,
        plan_file: str | os.PathLike[str] | None = None,
        dry_run: bool = False,
        backup: bool | None = None,
        verify: bool | None = None,
        consistent: bool | None = None,
        on_event: OnEvent | None = None,
    ) -> Report:
        """`run` as an awaitable; cancelling it stops the run in order."""
        settings = self._run_settings(
            plan,
            resume,
            jobs,
            (state, plan_file),
            dry_run=dry_run,
            backup=backup,
            verify=verify,
            consistent=consistent,
        )
        return Report.from_mapping(await self._do_async("run", settings, on_event))

    def run_tasks(
        self,
        plan: Plan,
        ids: Iterable[str],
        *,
        jobs: int | None = None,
        consistent: bool | None = None,
        on_event: OnEvent | None = None,
    ) -> Report:
        """Does the named tasks of a plan and no others, against the same ledger as a whole run.

        Args:
            plan: the plan.
            ids: ids of tasks in it.
            jobs: how many tasks run at once.
            consistent: as in `run`.
            on_event: called with every event.

        Raises:
            StateError: the plan has no task of that id, or a task that one of them needs is not
                done; else as `run`.
        """
        settings = self._task_settings(plan, ids, jobs, consistent)
        return Report.from_mapping(self._do("run", settings, on_event))

    async def run_tasks_async(
        self,
        plan: Plan,
        ids: Iterable[str],
        *,
        jobs: int | None = None,
        consistent: bool | None = None,
        on_event: OnEvent | None = None,
    ) -> Report:
        """`run_tasks` as an awaitable; cancelling it stops the run in order."""
        settings = self._task_settings(plan, ids, jobs, consistent)
        return Report.from_mapping(await self._do_async("run", settings, on_event))

    def verify(
        self,
        plan: Plan | None = None,
        *,
        jobs: int | None = None,
        on_event: OnEvent | None = None,
    ) -> VerifyResult:
        """Compares source and target; changes nothing.

        Args:
            plan: compare what this plan moves; what the configuration selects when None.
            jobs: how many tables are compared at once.
            on_event: called with every event.

        Raises:
            ConnectError: a database cannot be reached.
        """
        settings = {"plan": _text(plan), "jobs": self._jobs_or(jobs)}
        return VerifyResult.from_mapping(self._do("verify", settings, on_event))

    async def verify_async(
        self,
        plan: Plan | None = None,
        *,
        jobs: int | None = None,
        on_event: OnEvent | None = None,
    ) -> VerifyResult:
        """`verify` as an awaitable."""
        settings = {"plan": _text(plan), "jobs": self._jobs_or(jobs)}
        return VerifyResult.from_mapping(await self._do_async("verify", settings, on_event))

    def status(self) -> Status:
        """How far the last run in the target's ledger is; a run may be active meanwhile.

        Raises:
            ConnectError: the target cannot be reached.
        """
        return Status.from_mapping(self._do("status", {}, None))

    def backup(
        self,
        directory: str | os.PathLike[str] | None = None,
        *,
        on_event: OnEvent | None = None,
    ) -> BackupResult:
        """Backs up the target database with pg_dump and reads the backup's contents back.

        Args:
            directory: where to; as the configuration says when None.
            on_event: called with every event.

        Raises:
            BackupError: it failed.
        """
        settings = {"directory": _path(directory)}
        return BackupResult.from_mapping(self._do("backup", settings, on_event))

    async def backup_async(
        self,
        directory: str | os.PathLike[str] | None = None,
        *,
        on_event: OnEvent | None = None,
    ) -> BackupResult:
        """`backup` as an awaitable."""
        settings = {"directory": _path(directory)}
        return BackupResult.from_mapping(await self._do_async("backup", settings, on_event))

    def restore(
        self, path: str | os.PathLike[str], *, on_event: OnEvent | None = None
    ) -> RestoreResult:
        """Brings a backup back into the target, in place of what is there. Does not ask.

        Args:
            path: a file that `backup` wrote.
            on_event: called with every event.

        Raises:
            BackupError: it failed.
        """
        settings = {"path": _path(path)}
        return RestoreResult.from_mapping(self._do("restore", settings, on_event))

    async def restore_async(
        self, path: str | os.PathLike[str], *, on_event: OnEvent | None = None
    ) -> RestoreResult:
        """`restore` as an awaitable."""
        settings = {"path": _path(path)}
        return RestoreResult.from_mapping(await self._do_async("restore", settings, on_event))

    def cleanup(self) -> CleanupResult:
        """Drops the ledger on the target; runs in it can then not be resumed.

        Raises:
            ConnectError: the target cannot be reached.
            StateError: a run is active.
        """
        return CleanupResult.from_mapping(self._do("cleanup", {}, None))

    def __repr__(self) -> str:
        named = f"name={self.name!r}, " if self.name else ""
        return f"Migration({named}source='***', target='***')"

    def _jobs_or(self, jobs: int | None) -> int | None:
        return self._jobs if jobs is None else jobs

    def _run_settings(
        self,
        plan: Plan | None,
        resume: bool,
        jobs: int | None,
        files: tuple[str | os.PathLike[str] | None, str | os.PathLike[str] | None],
        **others: bool | None,
    ) -> dict[str, Any]:
        state, plan_file = files
        return {
            "plan": _text(plan),
            "plan_file": _path(plan_file),
            "resume": resume,
            "jobs": self._jobs_or(jobs),
            "state": _path(state),
            **others,
        }

    def _task_settings(
        self, plan: Plan, ids: Iterable[str], jobs: int | None, consistent: bool | None
    ) -> dict[str, Any]:
        if isinstance(ids, str):
            raise TypeError("ids is one text, not several ids: put it into a list")
        return {
            "plan": plan.source,
            "tasks": list(ids),
            "jobs": self._jobs_or(jobs),
            "consistent": consistent,
        }

    def _do(self, verb: str, settings: Mapping[str, Any], on_event: OnEvent | None) -> Any:
        return _drive(_native.start(verb, self._options, _given(settings)), on_event)

    async def _do_async(
        self, verb: str, settings: Mapping[str, Any], on_event: OnEvent | None
    ) -> Any:
        job = _native.start(verb, self._options, _given(settings))
        return await _drive_async(job, on_event)


Outcome: TypeAlias = tuple[Migration, Report | PgMigrateError]
"""A migration with its report, or with what ended it before it had one."""


def run_all(
    migrations: Sequence[Migration],
    *,
    plan: str | os.PathLike[str] | None = None,
    state: str | os.PathLike[str] | None = None,
    resume: bool = False,
    jobs: int | None = None,
    dry_run: bool = False,
    backup: bool | None = None,
    verify: bool | None = None,
    consistent: bool | None = None,
    on_event: Callable[[Migration, Event], object] | None = None,
) -> list[Outcome]:
    """Runs migrations one after another, and goes on after one that fails.

    Args:
        migrations: what to run, in this order.
        plan: where plans are kept; among several migrations ``plan.tsv`` stands for
            ``plan-<name>.tsv`` and so on. A run without a file cannot be resumed.
        state: the state files, named in the same way.
        resume: go on with the runs that the targets' ledgers hold, by the plans in the files.
        jobs: as in `Migration.run`, like all others.
        dry_run: plan and check, but touch nothing.
        backup: back up each target first.
        verify: compare source and target afterwards.
        consistent: whether rows of several states of a source may meet in one table.
        on_event: called with the migration and each of its events.

    Returns:
        Each migration with its report, or with the error that ended it.

    Raises:
        InterruptedRunError: a run was stopped; those after it were not started.
    """
    outcomes: list[Outcome] = []
    for migration in migrations:
        listener = _with_migration(migration, on_event)
        plan_path = None if plan is None else named_path(Path(plan), migration, migrations)
        try:
            report = migration.run(
                Plan.load(plan_path) if resume and plan_path is not None else None,
                resume=resume,
                jobs=jobs,
                plan_file=plan_path,
                state=None if state is None else named_path(Path(state), migration, migrations),
                dry_run=dry_run,
                backup=backup,
                verify=verify,
                consistent=consistent,
                on_event=listener,
            )
        except InterruptedRunError:
            raise
        except PgMigrateError as error:
            outcomes.append((migration, error))
        else:
            outcomes.append((migration, report))
    return outcomes


def _with_migration(
    migration: Migration, on_event: Callable[[Migration, Event], object] | None
) -> OnEvent | None:
    return None if on_event is None else lambda event: on_event(migration, event)


def named_path(path: Path, migration: Migration, migrations: Sequence[Migration]) -> Path:
    """The path of a migration's own file: ``plan.tsv``, or ``plan-<name>.tsv`` among several."""
    if len(migrations) == 1:
        return path
    name = migration.name or str(migrations.index(migration))
    safe = "".join(char if char.isalnum() or char in "-_." else "_" for char in name)
    return path.with_name(f"{path.stem}-{safe}{path.suffix}")


def _drive(job: Job, on_event: OnEvent | None) -> dict[str, Any]:
    try:
        while (events := job.next()) is not None:
            _deliver(events, on_event)
    except BaseException:
        job.stop()
        while (events := job.next()) is not None:
            _deliver(events, None)
        raise
    return job.result()


async def _drive_async(job: Job, on_event: OnEvent | None) -> dict[str, Any]:
    try:
        while (events := await job.next_async()) is not None:
            _deliver(events, on_event)
    except GeneratorExit:
        # The coroutine is thrown away and may not await any more.
        job.stop()
        raise
    except BaseException:
        job.stop()
        while (events := await job.next_async()) is not None:
            _deliver(events, None)
        raise
    return job.result()


def _deliver(events: Iterable[Event], on_event: OnEvent | None) -> None:
    for event in events:
        if event["event"] == "log":
            logger.log(_LEVELS.get(event["level"], logging.INFO), "%s", event["message"])
        elif on_event is not None:
            on_event(event)


def _given(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if value is not None}


def _text(plan: Plan | None) -> str | PlanText | None:
    return None if plan is None else plan.source


def _path(path: str | os.PathLike[str] | None) -> str | None:
    return None if path is None else os.fspath(path)
