"""`Migration.run_safely`: a migration while the application is stopped."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pgmigrate._bridge.job import path_text
from pgmigrate._bridge.keywords import check_known, spelled_out
from pgmigrate.events import OnEvent

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from pgmigrate._procedure.procedure import Procedure
from pgmigrate._migration.configured import Configured
from pgmigrate._migration.run_options import SafeRunOptions
from pgmigrate._procedure.report import SafetyReport
from pgmigrate._results.plan import OnDrift, Plan


class Safely(Configured):
    """The safe procedure of a migration, as a blocking call and as an awaitable."""

    @spelled_out(SafeRunOptions)
    def run_safely(
        self,
        plan: Plan | None = None,
        *,
        plan_file: str | os.PathLike[str] | None = None,
        on_drift: OnDrift = "warn",
        on_event: OnEvent | None = None,
        **options: Unpack[SafeRunOptions],
    ) -> SafetyReport:
        """Does the migration within the safe procedure that the section ``procedure`` describes.

        The steps are: the checklist; the commands that stop the application; a wait until no
        session writes to source and target; a backup; the migration; its verification; the
        commands that start the application. After a failure, Ctrl-C or an exception in
        ``on_event``, a changed target is restored unless the configuration keeps it, and the
        application is started again.

        Args:
            plan: the plan to follow; a new one is made if None.
            plan_file: where a new plan is written.
            on_drift: as in `run`; ``refuse`` compares the plan before anything is stopped.
            on_event: called with every event; ``procedure_step`` reports a step's beginning and
                end.
            options: the keywords that `SafeRunOptions` lists. A dry run makes the checklist and
                reports what would be done, but stops and touches nothing.

        Returns:
            What was done; its ``error`` is what ended the procedure
            (`SafetyReport.raise_for_failures`).
        """
        return self._procedure(plan, plan_file, on_drift, on_event, options).run()

    @spelled_out(SafeRunOptions)
    async def run_safely_async(
        self,
        plan: Plan | None = None,
        *,
        plan_file: str | os.PathLike[str] | None = None,
        on_drift: OnDrift = "warn",
        on_event: OnEvent | None = None,
        **options: Unpack[SafeRunOptions],
    ) -> SafetyReport:
        """`run_safely` as an awaitable; cancelling it has the effect of an interruption."""
        return await self._procedure(plan, plan_file, on_drift, on_event, options).run_async()

    def _procedure(
        self,
        plan: Plan | None,
        plan_file: str | os.PathLike[str] | None,
        on_drift: OnDrift,
        on_event: OnEvent | None,
        options: SafeRunOptions,
    ) -> Procedure:
        from pgmigrate._procedure.procedure import Procedure, Request

        check_known("run_safely", SafeRunOptions, options)
        request = Request(
            plan=plan,
            resume=options.get("resume", False),
            jobs=self._jobs_or(options.get("jobs")),
            state=path_text(options.get("state")),
            plan_file=path_text(plan_file),
            dry_run=options.get("dry_run", False),
            on_drift=on_drift,
        )
        return Procedure(self._options, request, on_event)
