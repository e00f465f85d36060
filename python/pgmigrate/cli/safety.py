"""`pgmigrate safe`: a migration within the procedure that stops and starts the application."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

import click

from pgmigrate import Migration, SafetyReport
from pgmigrate._procedure.procedure import Procedure, Request
from pgmigrate._values.humanize import printable
from pgmigrate.cli.again import typed_words
from pgmigrate.cli.call import (
    DIFFERENT,
    DONE,
    DRIFT,
    FAILED,
    INTERRUPTED,
    LOST,
    NOT_RESTORED,
    NOT_STARTED,
    Answer,
    Call,
    exit_code,
    for_each,
    verdict_code,
)
from pgmigrate.cli.interruption import spare_the_report
from pgmigrate.cli.options import connected, file_option, jobs_option, reviewable, state_option
from pgmigrate.cli.outputs import check_writable, written
from pgmigrate.cli.reviewed import PlanChoice, ways_on
from pgmigrate.errors import VerifyError
from pgmigrate.events import OnEvent


@click.command()
@connected
@reviewable
@state_option
@jobs_option
@click.option(
    "--dry-run",
    is_flag=True,
    help="Print the checklist and the procedure with its commands; stop and change nothing.",
)
@click.option("--resume", is_flag=True, help="Continue a run that was kept after a failure.")
@file_option(
    "--checklist",
    "checklist_path",
    help="Write checklist and steps into FILE as Markdown, for a change ticket.",
)
def safe(
    call: Call,
    choice: PlanChoice,
    state_path: Path,
    jobs: int | None,
    dry_run: bool,
    resume: bool,
    checklist_path: Path | None,
) -> int:
    """Stop the application, back up, migrate, verify, start it again.

    The section `procedure` of the config has the commands, and says what is undone when a step
    fails. The next procedure continues one that was killed. Exit code 5: the migration is done, but
    the application could not be started; 9: the target had to be restored and is not; 11: the plan
    that --plan names is not the one that would be made now, and nothing was stopped.
    """
    migration = call.one_migration()
    check_writable("--checklist", [checklist_path])

    files = ["--plan", str(choice.path), "--state", str(state_path)]
    problems: list[str] = []

    def work(migration: Migration, on_event: OnEvent) -> Answer:
        plan = choice.plan(call.own_path(choice.path, migration))
        request = Request(
            plan=plan,
            is_of_file=plan is not None,
            on_drift=choice.on_drift if plan is not None else "warn",
            resume=resume,
            jobs=jobs,
            state=str(call.own_path(state_path, migration)),
            plan_file=str(call.own_path(choice.path, migration)),
            dry_run=dry_run,
            words=call.words(),
            files=" ".join([shlex.join(files), *typed_words("jobs", "checklist_path")]),
        )
        procedure = Procedure(migration._options, request, on_event)
        try:
            report = procedure.run()
        except KeyboardInterrupt:
            spare_the_report()
            report = procedure.report()
        code = _code(report)
        problems[:] = getattr(report.error, "problems", ())
        if (
            checklist_path is not None
            and not written(checklist_path, "checklist", report.markdown())
            and code == DONE
        ):
            code = LOST
        for line in report.by_hand:
            click.echo(line, err=True)
        return Answer(report.text(), report.to_dict, code)

    code = for_each(call, [migration], work)
    if code == DRIFT:
        _show_drift(problems, call.only_name(migration))
    return code


def _show_drift(problems: Sequence[str], only: str | None) -> None:
    for problem in problems:
        click.echo(printable(f"error: {problem}"), err=True)
    for line in ways_on(only):
        click.echo(line, err=True)


def _code(report: SafetyReport) -> int:
    if report.status == "not_restored":
        return NOT_RESTORED
    if report.status == "interrupted":
        return INTERRUPTED
    if report.status == "not_started":
        return NOT_STARTED
    if isinstance(report.error, VerifyError) and (
        report.verification is None or report.verification.ok
    ):
        # The source was written to during the procedure.
        return DIFFERENT
    if report.error is not None and not isinstance(report.error, VerifyError):
        return exit_code(report.error)
    if report.verification is not None:
        return verdict_code(report.verification)
    return DONE if report.ok else FAILED
