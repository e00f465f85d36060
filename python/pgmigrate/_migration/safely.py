"""`Migration.run_safely`: a migration while the application is stopped."""

from __future__ import annotations

import os

from pgmigrate._bridge.job import OnEvent, path_text
from pgmigrate._migration.configured import Configured
from pgmigrate._procedure.report import SafetyReport
from pgmigrate._results.plan import OnDrift, Plan


class Safely(Configured):
    """The safe procedure of a migration, blocking and awaited."""

    def run_safely(
        self,
        plan: Plan | None = None,
        *,
        resume: bool = False,
        jobs: int | None = None,
        state: str | os.PathLike[str] | None = None,
        plan_file: str | os.PathLike[str] | None = None,
        dry_run: bool = False,
        on_drift: OnDrift = "warn",
        on_event: OnEvent | None = None,
    ) -> SafetyReport:
        """Does the migration within the safe procedure that the section ``procedure`` describes.

        That is: the checklist; the commands that stop the application; a wait until nobody writes
        to source and target; a backup; the migration; its verification; the commands that start
        the application. After a failure, Ctrl-C or an exception in ``on_event`` the target is
        restored, where it was changed and unless the configuration keeps it, and the application
        is started again.

        Args:
            plan: the plan to follow; a new one is made when None.
            resume: go on with the run that the target's ledger holds, by its plan; begin one where
                it holds none.
            jobs: how many tasks run at once.
            state: a file that mirrors the ledger, for people to read.
            plan_file: where a new plan is written.
            on_drift: as in `run`; ``refuse`` compares the plan before anything is stopped.
            dry_run: make the checklist and say what would be done, but stop and touch nothing.
            on_event: called with every event; ``procedure_step`` is a step's beginning and end.

        Returns:
            What was done; its ``error`` is what ended the procedure
            (`SafetyReport.raise_for_failures`).
        """
        from pgmigrate._procedure.procedure import Procedure, Request

        files = path_text(state), path_text(plan_file)
        request = Request(plan, resume, self._jobs_or(jobs), *files, dry_run, on_drift)
        return Procedure(self._options, request, on_event).run()

    async def run_safely_async(
        self,
        plan: Plan | None = None,
        *,
        resume: bool = False,
        jobs: int | None = None,
        state: str | os.PathLike[str] | None = None,
        plan_file: str | os.PathLike[str] | None = None,
        dry_run: bool = False,
        on_drift: OnDrift = "warn",
        on_event: OnEvent | None = None,
    ) -> SafetyReport:
        """`run_safely` as an awaitable; cancelling it undoes as an interruption does."""
        from pgmigrate._procedure.procedure import Procedure, Request

        files = path_text(state), path_text(plan_file)
        request = Request(plan, resume, self._jobs_or(jobs), *files, dry_run, on_drift)
        return await Procedure(self._options, request, on_event).run_async()
