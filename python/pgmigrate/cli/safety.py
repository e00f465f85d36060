"""`pgmigrate safe`: a migration within the procedure that stops and starts the application."""

from __future__ import annotations

import shlex
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import click

from pgmigrate import Migration, Plan, SafetyReport
from pgmigrate._job import OnEvent
from pgmigrate._procedure import Procedure, Wish
from pgmigrate.cli.call import (
    DIFFERENT,
    DONE,
    FAILED,
    INTERRUPTED,
    NOT_STARTED,
    Answer,
    Call,
    exit_code,
    for_each,
)
from pgmigrate.cli.options import connected, jobs_option, plan_option, state_option
from pgmigrate.errors import VerifyError


@click.command()
@connected
@plan_option
@state_option
@jobs_option
@click.option(
    "--dry-run",
    is_flag=True,
    help="Make the checklist and print the procedure with its commands; stop and touch nothing.",
)
@click.option("--resume", is_flag=True, help="Go on with a run that was kept after a failure.")
@click.option(
    "--checklist",
    "checklist_path",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write checklist and steps into FILE as Markdown, for a change ticket.",
)
def safe(
    call: Call,
    plan_path: Path,
    state_path: Path,
    jobs: int | None,
    dry_run: bool,
    resume: bool,
    checklist_path: Path | None,
) -> int:
    """Stop the application, back up, migrate, verify, start it again.

    The section `procedure` of the config has the commands, and says what is undone when a step
    fails. Exit code 5: the migration is done, but the application could not be started.
    """
    migration = call.one_migration()

    def work(migration: Migration, on_event: OnEvent) -> Answer:
        plan = Plan.load(plan_path) if resume else None
        wish = Wish(plan, resume, jobs, str(state_path), str(plan_path), dry_run)
        procedure = Procedure(migration._options, wish, on_event)
        try:
            with _ended_in_order():
                report = procedure.run()
        except KeyboardInterrupt:
            report = procedure.report()
        if checklist_path is not None:
            checklist_path.write_text(report.markdown(), encoding="utf-8")
        if report.touched and not (report.migrated or report.restored):
            files = shlex.join(["--plan", str(plan_path), "--state", str(state_path)])
            click.echo(f"to go on: pgmigrate safe {call.words()} {files} --resume", err=True)
        return Answer(report.text(), report.to_dict, _code(report))

    return for_each(call, [migration], work)


def _code(report: SafetyReport) -> int:
    if report.status == "interrupted":
        return INTERRUPTED
    if report.status == "not_started":
        return NOT_STARTED
    if isinstance(report.error, VerifyError):
        return DIFFERENT
    if report.error is not None:
        return exit_code(report.error)
    return DONE if report.ok else FAILED


@contextmanager
def _ended_in_order() -> Iterator[None]:
    """Lets the requests to end that schedulers and terminals send do what Ctrl-C does."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {
        number: signal.signal(number, interrupt)
        for number in (signal.SIGTERM, signal.SIGHUP)
        # What nohup has us ignore is not to end us.
        if signal.getsignal(number) != signal.SIG_IGN
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
