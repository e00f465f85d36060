"""`Migration`: one source, one target, what to move, and the verbs that do it.

Every verb starts a job of the core and drives it from the calling thread, which alone runs
callbacks and logging; the core's threads never touch Python.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from pgmigrate._bridge.job import path_text
from pgmigrate._bridge.keywords import check_known, spelled_out
from pgmigrate._migration.parts import InParts
from pgmigrate._migration.run_options import RunOptions
from pgmigrate._migration.safely import Safely
from pgmigrate._results.backup import BackupResult, CleanupResult, RestoreResult
from pgmigrate._results.plan import OnDrift, Plan
from pgmigrate._results.preflight import PreflightResult
from pgmigrate._results.rates import Rates
from pgmigrate._results.report import Report
from pgmigrate._results.status import Status
from pgmigrate._results.verification import VerifyResult
from pgmigrate.events import OnEvent

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from pgmigrate._native import PlanText

CALIBRATION_SECONDS: Final = 10.0


class Migration(InParts, Safely):
    """One migration: its two databases and what to move. It holds no connection.

    The arguments are the keys of a config file; ``pgmigrate reference`` lists them with their
    defaults. All mistakes in them are reported together, before any connection is made.

    Args:
        source: the database to read: a libpq connection string, or a mapping of its parts.
        target: the database to write.
        schemas: which schemas: a list of names, or a mapping with ``mode``, ``include`` and
            ``exclude``.
        tables: which tables and how: a list of ``schema.table``, or a mapping with ``mode``,
            ``default``, ``include``, ``exclude``.
        roles: ``needed``, ``all`` or ``none``.
        options: the section ``options``.
        parallel: the section ``parallel``.
        procedure: the section ``procedure``, which `run_safely` follows.
        name: its name in logs and summaries.
        jobs: how many tasks run at once, unless a verb is called with another number.
        flat: keys of ``options`` by themselves, such as ``format="text"``.

    Attributes:
        name: as given; empty if it was not given.
        config: the checked configuration with all defaults filled in, secrets as ``***``.

    Raises:
        ConfigError: a wrong key, type or value; ``problems`` lists every one.
    """

    def preflight(self, *, on_event: OnEvent | None = None) -> PreflightResult:
        """Looks for everything that would prevent the migration; changes nothing.

        Args:
            on_event: called with every event.

        Raises:
            ConnectError: a database cannot be reached.
        """
        return PreflightResult.from_mapping(self._do("preflight", {}, on_event))

    async def preflight_async(self, *, on_event: OnEvent | None = None) -> PreflightResult:
        """`preflight` as an awaitable."""
        return PreflightResult.from_mapping(await self._do_async("preflight", {}, on_event))

    def plan(self, *, like: Plan | None = None, on_event: OnEvent | None = None) -> Plan:
        """Decides what to do, task by task; changes nothing.

        Only the version of the target is read: it decides, as in `run`, which ``pg_dump`` writes
        the definitions. If the target cannot be reached, the plan is written for the source's
        version, and a finding reports that.

        Args:
            like: an earlier plan that the new one will be compared with: definitions are written
                by the ``pg_dump`` of the same major version as in that plan, if it is found.
            on_event: called with every event.

        Raises:
            ConnectError: a database cannot be reached.
            ConfigError: a schema, table or column of the configuration matches nothing.
            PreflightError: a finding forbids a run.
        """
        return Plan.from_mapping(self._do("plan", {"plan": _text(like)}, on_event))

    async def plan_async(
        self, *, like: Plan | None = None, on_event: OnEvent | None = None
    ) -> Plan:
        """`plan` as an awaitable."""
        return Plan.from_mapping(await self._do_async("plan", {"plan": _text(like)}, on_event))

    def calibrate(
        self,
        plan: Plan | None = None,
        *,
        seconds: float = CALIBRATION_SECONDS,
        on_event: OnEvent | None = None,
    ) -> Rates:
        """Measures how fast the two servers are, for `Plan.estimate`; leaves nothing on either.

        Rows of the largest tables are copied into tables that the sample creates on the target,
        indexed and analyzed, by one session and by several, in transactions that are rolled back.
        The target writes some WAL, and the role needs the privileges with which a run creates its
        ledger.

        Args:
            plan: whose tables to sample; those that the configuration selects if None.
            seconds: how long the sample may take; what is not measured by then keeps a typical
                figure. The time for connecting and reading the catalog is not included.
            on_event: called with every event.

        Raises:
            ConnectError: a database cannot be reached.
            SchemaError: the target's role may not create a table.
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

    @spelled_out(RunOptions)
    def run(
        self,
        plan: Plan | None = None,
        *,
        plan_file: str | os.PathLike[str] | None = None,
        on_drift: OnDrift = "warn",
        on_event: OnEvent | None = None,
        **options: Unpack[RunOptions],
    ) -> Report:
        """Does the migration, or what is left of it.

        A task that fails stops only the tasks that need it; the report names them
        (`Report.raise_for_failures`). Ctrl-C and an exception in ``on_event`` stop the run
        cleanly, so that it can be resumed, and are raised again.

        Args:
            plan: the plan to follow. If None, a new one is made, and a resumed run follows the
                plan that the target's ledger keeps.
            plan_file: where a new plan is written before the target is touched. Another plan in
                this file is kept if an unfinished run needs it.
            on_drift: what to do with a given plan that differs from the one that would be made
                now: ``warn`` follows it, and findings say what differs; ``refuse`` raises
                `DriftError` with every difference, before the target is touched. Sizes of tables
                are no difference. A resumed run with another plan, and a plan of another source
                or configuration, are refused in both cases.
            on_event: called with every event.
            options: the keywords that `RunOptions` lists.

        Raises:
            ConnectError: a database cannot be reached.
            PreflightError: a finding forbids a run; the target was not touched.
            DriftError: the plan does not match the databases or the configuration.
            StateError: the ledger cannot be used as requested, or another run is active.
            BackupError: the backup failed; the target was not touched.
        """
        settings = self._run_settings(plan, plan_file, on_drift, options)
        return Report.from_mapping(self._do("run", settings, on_event))

    @spelled_out(RunOptions)
    async def run_async(
        self,
        plan: Plan | None = None,
        *,
        plan_file: str | os.PathLike[str] | None = None,
        on_drift: OnDrift = "warn",
        on_event: OnEvent | None = None,
        **options: Unpack[RunOptions],
    ) -> Report:
        """`run` as an awaitable; cancelling it stops the run cleanly."""
        settings = self._run_settings(plan, plan_file, on_drift, options)
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
            plan: compare what this plan moves; what the configuration selects if None.
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

    def status(self, *, rates: Rates | None = None) -> Status:
        """How far the last run in the target's ledger is; a run may be active meanwhile.

        Args:
            rates: how fast the servers are, for the time left; without them it is computed only
                from what the run has measured.

        Raises:
            ConnectError: the target cannot be reached.
            StateError: a figure of the rates is not valid.
        """
        settings = {"rates": None if rates is None else rates.to_dict()}
        return Status._from_core(self._do("status", settings, None))

    def stop(self) -> bool:
        """Stops the run on the target cleanly, on any machine; returns when it has stopped.

        All parts of a run in parts stop, too. Running tasks are rolled back, finished ones stay,
        and the run can be resumed. A run that is still planning, checking or backing up the target
        does not begin. The run stops within some seconds, except while it reads the source's
        catalog and while it verifies after its last task.

        Returns:
            Whether there was a run.

        Raises:
            ConnectError: the target cannot be reached.
        """
        return bool(self._do("stop", {}, None)["stopped"])

    def backup(
        self,
        directory: str | os.PathLike[str] | None = None,
        *,
        on_event: OnEvent | None = None,
    ) -> BackupResult:
        """Backs up the target database with pg_dump and reads the backup's contents back.

        Args:
            directory: where to; as the configuration says if None.
            on_event: called with every event.

        Raises:
            BackupError: it failed.
        """
        settings = {"directory": path_text(directory)}
        return BackupResult.from_mapping(self._do("backup", settings, on_event))

    async def backup_async(
        self,
        directory: str | os.PathLike[str] | None = None,
        *,
        on_event: OnEvent | None = None,
    ) -> BackupResult:
        """`backup` as an awaitable."""
        settings = {"directory": path_text(directory)}
        return BackupResult.from_mapping(await self._do_async("backup", settings, on_event))

    def restore(
        self,
        path: str | os.PathLike[str],
        *,
        state: str | os.PathLike[str] | None = None,
        on_event: OnEvent | None = None,
    ) -> RestoreResult:
        """Restores a backup into the target; it replaces what is there. Does not ask.

        The journal of a safe procedure on the target then records that it was restored.

        Args:
            path: a file that `backup` wrote.
            state: the state file of the safe procedure; its journal is mirrored next to it.
            on_event: called with every event.

        Raises:
            StateError: a safe procedure, or another restore, is running on the target.
            BackupError: it failed.
        """
        from pgmigrate._procedure.restored import ByHand

        return ByHand(self._options, path_text(path), path_text(state), on_event).run()

    async def restore_async(
        self,
        path: str | os.PathLike[str],
        *,
        state: str | os.PathLike[str] | None = None,
        on_event: OnEvent | None = None,
    ) -> RestoreResult:
        """`restore` as an awaitable."""
        from pgmigrate._procedure.restored import ByHand

        work = ByHand(self._options, path_text(path), path_text(state), on_event)
        return await work.run_async()

    def cleanup(self) -> CleanupResult:
        """Drops the ledger on the target; its runs can then not be resumed.

        Raises:
            ConnectError: the target cannot be reached.
            StateError: a run is active.
        """
        return CleanupResult.from_mapping(self._do("cleanup", {}, None))

    def _run_settings(
        self,
        plan: Plan | None,
        plan_file: str | os.PathLike[str] | None,
        on_drift: OnDrift,
        options: RunOptions,
    ) -> dict[str, Any]:
        check_known("run", RunOptions, options)
        rates = options.get("rates")
        return {
            "resume": False,
            "dry_run": False,
            **options,
            "plan": _text(plan),
            "plan_file": path_text(plan_file),
            "jobs": self._jobs_or(options.get("jobs")),
            "state": path_text(options.get("state")),
            "on_drift": None if on_drift == "warn" else on_drift,
            "rates": None if rates is None else rates.to_dict(),
        }


def _text(plan: Plan | None) -> str | PlanText | None:
    return None if plan is None else plan.source
