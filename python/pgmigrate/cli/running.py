"""`pgmigrate migrate`: a run, from its plan to its report."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

import click
from click.core import ParameterSource

from pgmigrate import Migration, Plan, Report
from pgmigrate._job import OnEvent
from pgmigrate.cli.call import INTERRUPTED, Answer, Call, for_each, report_code
from pgmigrate.cli.interruption import with_result
from pgmigrate.cli.options import connected, jobs_option, plan_option, state_option
from pgmigrate.cli.outputs import check_writable
from pgmigrate.cli.report_file import page_of_errors, with_page

_BEFORE_THE_RUN: Final = (
    "run it again, with --resume where `pgmigrate status` reports an interrupted run"
)


@click.command()
@connected
@plan_option
@state_option
@jobs_option
@click.option("--dry-run", is_flag=True, help="Write the plan, print its summary, touch nothing.")
@click.option("--resume", is_flag=True, help="Go on with an interrupted or failed run.")
@click.option("--backup", is_flag=True, help="Back up the target first, with pg_dump.")
@click.option("--verify", is_flag=True, help="Compare source and target afterwards.")
@click.option(
    "--not-consistent",
    is_flag=True,
    help="On --resume, let rows of several states of the source meet in one table.",
)
@click.option(
    "--report",
    "report_path",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write what the run did as one page of HTML, whether it succeeds or fails.",
)
def migrate(
    call: Call,
    plan_path: Path,
    state_path: Path,
    jobs: int | None,
    dry_run: bool,
    resume: bool,
    backup: bool,
    verify: bool,
    not_consistent: bool,
    report_path: Path | None,
) -> int:
    """Plan and migrate. With --resume, do what is left of the last run.

    A run is resumed by the plan that the target's ledger keeps, or by the file that --plan names.
    """
    migrations = call.migrations()
    source = click.get_current_context().get_parameter_source("plan_path")
    is_plan_named = source is not ParameterSource.DEFAULT

    def own(path: Path | None, migration: Migration) -> Path | None:
        return None if path is None else call.own_path(path, migration)

    check_writable("--report", (own(report_path, migration) for migration in migrations))
    if not resume:
        check_writable("--plan", (own(plan_path, migration) for migration in migrations))
    if not dry_run:
        check_writable("--state", (own(state_path, migration) for migration in migrations))
    is_open = resume
    left: list[str] = []

    def work(migration: Migration, on_event: OnEvent) -> Answer:
        nonlocal is_open
        is_open = resume
        path = call.own_path(plan_path, migration)
        page = own(report_path, migration)
        with page_of_errors(page):
            plan = Plan.load(path) if resume and is_plan_named else None
            run = partial(
                migration.run,
                plan,
                resume=resume,
                jobs=jobs,
                plan_file=path,
                state=call.own_path(state_path, migration),
                dry_run=dry_run,
                # A flag that is not given leaves the decision to the configuration.
                backup=backup or None,
                verify=verify or None,
                consistent=False if not_consistent else None,
                on_event=on_event,
            )
            report, is_interrupted = with_result(run, Report.from_mapping, _BEFORE_THE_RUN)
        is_open = report.run is not None and report.run_state != "done"
        left[:] = [
            finding.message for finding in report.findings if finding.check == "foreign_keys_left"
        ]
        code = INTERRUPTED if is_interrupted else report_code(report)
        text = report.text()
        if dry_run and not resume:
            text = f"{Plan.load(path).summary()}\nwritten to {path}"
        return with_page(Answer(text, report.to_dict, code), report, page)

    code = for_each(call, migrations, work)
    if code == INTERRUPTED and is_open:
        _say_how_to_resume(call, ["--state", str(state_path)], left)
    return code


def _say_how_to_resume(call: Call, files: Sequence[str], left: Sequence[str]) -> None:
    again = f"pgmigrate migrate {call.words()} {shlex.join(files)} --resume"
    state = "; ".join(["interrupted; what was finished is kept", *left])
    click.echo(f"{state}. To go on: {again}", err=True)
