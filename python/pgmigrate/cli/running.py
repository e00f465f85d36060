"""`pgmigrate migrate`: a run, from its plan to its report."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

import click

from pgmigrate import Migration, Plan
from pgmigrate._job import OnEvent
from pgmigrate._run_all import named_path
from pgmigrate.cli.call import INTERRUPTED, Answer, Call, for_each, report_code
from pgmigrate.cli.options import connected, jobs_option, plan_option, state_option
from pgmigrate.cli.report_file import check_writable, page_of_errors, with_page


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
    """Plan and migrate. With --resume, do what is left of the last run."""
    migrations = call.migrations()
    if report_path is not None:
        check_writable(report_path)

    def work(migration: Migration, on_event: OnEvent) -> Answer:
        path = named_path(plan_path, migration, migrations)
        page = None if report_path is None else named_path(report_path, migration, migrations)
        with page_of_errors(page):
            report = migration.run(
                Plan.load(path) if resume else None,
                resume=resume,
                jobs=jobs,
                plan_file=path,
                state=named_path(state_path, migration, migrations),
                dry_run=dry_run,
                # A flag that is not given leaves the decision to the configuration.
                backup=backup or None,
                verify=verify or None,
                consistent=False if not_consistent else None,
                on_event=on_event,
            )
        text = f"{Plan.load(path).summary()}\nwritten to {path}" if dry_run else report.text()
        return with_page(Answer(text, report.to_dict, report_code(report)), report, page)

    try:
        code = for_each(call, migrations, work)
    except KeyboardInterrupt:
        code = INTERRUPTED
    if code == INTERRUPTED:
        files = ["--plan", str(plan_path), "--state", str(state_path)]
        _say_how_to_resume(call, files)
    return code


def _say_how_to_resume(call: Call, files: Sequence[str]) -> None:
    again = f"pgmigrate migrate {call.words()} {shlex.join(files)} --resume"
    click.echo(f"interrupted; what was finished is kept. To go on: {again}", err=True)
