"""`pgmigrate migrate`: a run, from its plan to its report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias

import click

from pgmigrate import Migration, Plan, Report
from pgmigrate._migration.run_options import RunOptions
from pgmigrate._values.humanize import plural, printable
from pgmigrate.cli.again import command_line
from pgmigrate.cli.call import INTERRUPTED, Answer, Call, for_each, report_code
from pgmigrate.cli.interruption import with_result
from pgmigrate.cli.options import (
    connected,
    file_option,
    jobs_option,
    rates_option,
    reviewable,
    state_option,
)
from pgmigrate.cli.outputs import check_writable
from pgmigrate.cli.report_file import page_of_errors, with_page
from pgmigrate.cli.reviewed import PlanChoice, ReplacedPlan, ways_on
from pgmigrate.errors import DriftError, InterruptedRunError, PreflightError
from pgmigrate.events import OnEvent

_BEFORE_THE_RUN: Final = (
    "run it again, with --resume where `pgmigrate status` reports an interrupted run"
)
_NAMED_AT_MOST: Final = 3

Ended: TypeAlias = "tuple[Migration, Report | BaseException]"
"""A migration with its report, or with what ended it."""


@click.command()
@connected
@reviewable
@state_option
@jobs_option
@rates_option
@click.option("--dry-run", is_flag=True, help="Write the plan, print its summary, touch nothing.")
@click.option(
    "--resume",
    is_flag=True,
    help="Continue an interrupted or failed run; begin one if there is none.",
)
@click.option("--backup", is_flag=True, help="Back up the target first, with pg_dump.")
@click.option("--verify", is_flag=True, help="Compare source and target afterwards.")
@click.option(
    "--not-consistent",
    is_flag=True,
    help=(
        "With --resume, let one table have rows of several snapshots of the source. "
        "A table that is divided by pages is copied again nevertheless: an UPDATE moves rows "
        "between pages."
    ),
)
@file_option(
    "--report",
    "report_path",
    help="Write a report of the run as one page of HTML, whether it succeeds or fails.",
)
def migrate(
    call: Call,
    choice: PlanChoice,
    state_path: Path,
    jobs: int | None,
    rates_path: Path | None,
    dry_run: bool,
    resume: bool,
    backup: bool,
    verify: bool,
    not_consistent: bool,
    report_path: Path | None,
) -> int:
    """Plan and migrate. With --resume, do what is left of the last run.

    Without --plan, a new plan is made and written to plan.tsv. With --plan FILE, an existing file
    is run as it is: if the source or the configuration has changed since it was made, the
    differences are printed, and nothing is touched (exit code 11) unless --replan or --accept-drift
    is given. Sizes of tables are not differences.

    A run is resumed by the plan that the target's ledger keeps, or by the file that --plan names.
    """
    wanted = _Wanted(
        call,
        choice,
        state_path,
        report_path,
        rates_path,
        resume=resume,
        dry_run=dry_run,
        # If a flag is not given, the configuration decides.
        options={
            "jobs": jobs,
            "backup": backup or None,
            "verify": verify or None,
            "consistent": False if not_consistent else None,
        },
    )
    migrations = call.migrations()
    wanted.check_files(migrations)
    ended: list[Ended] = []

    def work(migration: Migration, on_event: OnEvent) -> Answer:
        return wanted.run(migration, on_event, ended)

    code = for_each(call, migrations, work)
    for migration, outcome in ended:
        for line in _next_lines(call, migration, outcome, is_open=resume):
            click.echo(printable(line), err=True)
    return code


@dataclass(frozen=True)
class _Wanted:
    """What the options of the command ask for, for each of its migrations.

    Attributes:
        call: the call of the program.
        choice: which plan is followed.
        state_path: where the ledger is mirrored.
        report_path: where the report is written as a page.
        rates_path: a file of rates.
        resume: whether a run is continued.
        dry_run: whether nothing is touched.
        options: what the flags override.
    """

    call: Call
    choice: PlanChoice
    state_path: Path
    report_path: Path | None
    rates_path: Path | None
    resume: bool
    dry_run: bool
    options: RunOptions

    def check_files(self, migrations: Sequence[Migration]) -> None:
        """Checks that all files can be written, before any database is touched."""
        pages = (self._own(self.report_path, migration) for migration in migrations)
        check_writable("--report", pages)
        if not self.resume:
            plans = (self.call.own_path(self.choice.path, migration) for migration in migrations)
            check_writable("--plan", (path for path in plans if not self.choice.reads(path)))
        if not self.dry_run:
            states = (self._own(self.state_path, migration) for migration in migrations)
            check_writable("--state", states)

    def run(self, migration: Migration, on_event: OnEvent, ended: list[Ended]) -> Answer:
        """Runs one migration, and records what ended it."""
        path = self.call.own_path(self.choice.path, migration)
        page = self._own(self.report_path, migration)
        replaced = ReplacedPlan(path)
        with page_of_errors(page), _noting(migration, ended):
            plan = self.choice.plan(path)
            options: RunOptions = {
                **self.options,
                "resume": self.resume,
                "dry_run": self.dry_run,
                "state": self.call.own_path(self.state_path, migration),
                "rates": self.call.own_rates(self.rates_path, migration),
            }
            run = partial(
                migration.run,
                plan,
                plan_file=path,
                on_drift=self.choice.on_drift if plan is not None else "warn",
                on_event=on_event,
                **options,
            )
            report, is_interrupted = with_result("run", run, Report.from_mapping, _BEFORE_THE_RUN)
        ended.append((migration, report))
        code = INTERRUPTED if is_interrupted else report_code(report)
        text = report.text()
        if self.dry_run and not self.resume:
            done = "written to" if plan is None else "read from"
            text = f"{Plan.load(path).summary()}\n{done} {path}"
        text = "\n".join([text, *replaced.lines()])
        return with_page(Answer(text, report.to_dict, code), report, page)

    def _own(self, path: Path | None, migration: Migration) -> Path | None:
        return None if path is None else self.call.own_path(path, migration)


@contextmanager
def _noting(migration: Migration, ended: list[Ended]) -> Iterator[None]:
    """Records what ended a migration, for the command to type next."""
    try:
        yield
    except BaseException as error:
        ended.append((migration, error))
        raise


def _next_lines(
    call: Call, migration: Migration, outcome: Report | BaseException, *, is_open: bool
) -> list[str]:
    """What failed, and the command to continue, with the options that were given."""
    only = call.only_name(migration)
    same = command_line(only=only)
    resumed = command_line(
        without=("replan", "accept_drift", "resume"),
        always=("state_path",),
        extra=["--resume"],
        only=only,
    )
    if isinstance(outcome, Report):
        if outcome.run is None or outcome.run_state == "done":
            return []
        if outcome.status == "failed":
            return [_failed_words(outcome), f"remove the cause, then go on: {resumed}"]
        left = [one.message for one in outcome.findings if one.check == "foreign_keys_left"]
        state = "; ".join(["interrupted; what was finished is kept", *left])
        return [f"{state}. To go on: {resumed}"]
    if isinstance(outcome, InterruptedRunError) and is_open:
        return [f"interrupted; what was finished is kept. To go on: {resumed}"]
    if isinstance(outcome, DriftError) and outcome.problems:
        return ways_on(only)
    if isinstance(outcome, PreflightError):
        return [f"this command touched nothing. When the cause is gone: {same}"]
    return []


def _failed_words(report: Report) -> str:
    failed = [task for task in report.failed if task.status == "failed"]
    blocked = len(report.failed) - len(failed)
    named = [f"{task.object} ({task.kind})" for task in failed[:_NAMED_AT_MOST]]
    if more := len(failed) - len(named):
        named.append(f"and {more:,} more")
    also = f"; {plural(blocked, 'task')} not tried" if blocked else ""
    return f"failed: {', '.join(named) or 'the run'}{also}"
