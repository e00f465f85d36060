"""Commands that only look: `pgmigrate preflight`, `status` and `verify`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from pgmigrate import Migration, Plan
from pgmigrate._job import OnEvent
from pgmigrate.cli.call import DONE, PREFLIGHT, Answer, Call, for_each, verdict_code
from pgmigrate.cli.options import connected, jobs_option


@click.command()
@connected
@click.option(
    "--plan",
    "plan_path",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Compare what this plan moves, instead of what the configuration selects.",
)
@jobs_option
def verify(call: Call, plan_path: Path | None, jobs: int | None) -> int:
    """Compare source and target, in both directions.

    Exit code 4: something differs, is on the target only and was not there before the first run,
    or is in scope and not in the plan. 7: the target has all rows of the source, and more. 8: no
    difference was found, and something could not be compared. Reported without them: rows of
    materialized views that a refresh changed, what only the servers' versions differ in, and what
    the target had before.
    """
    migrations = call.migrations()

    def work(migration: Migration, on_event: OnEvent) -> Answer:
        plan = None
        if plan_path is not None:
            plan = Plan.load(call.own_path(plan_path, migration))
        result = migration.verify(plan, jobs=jobs, on_event=on_event)
        return Answer(result.text(), result.to_dict, verdict_code(result))

    return for_each(call, migrations, work)


@click.command()
@connected
def status(call: Call) -> int:
    """Tell how far the last run is, with an estimate of the time left.

    A safe procedure that is at work, or was left before its end, is shown by its journal.
    """

    def work(migration: Migration, on_event: OnEvent) -> Answer:
        result = migration.status()
        if result.procedure is not None:
            left = result.procedure.for_command_line(call.words_of(migration))
            result = replace(result, procedure=left)
        return Answer(result.text(), result.to_dict)

    return for_each(call, call.migrations(), work)


@click.command()
@connected
def stop(call: Call) -> int:
    """Stop the run on the target in order, from any machine; it can be resumed."""

    def work(migration: Migration, on_event: OnEvent) -> Answer:
        stopped = migration.stop()
        words = "the run has stopped" if stopped else "no run is active on the target"
        return Answer(words, lambda: {"stopped": stopped})

    return for_each(call, call.migrations(), work)


@click.command()
@connected
def preflight(call: Call) -> int:
    """Look for what would hinder a run. Touches nothing."""

    def work(migration: Migration, on_event: OnEvent) -> Answer:
        result = migration.preflight(on_event=on_event)
        return Answer(result.text(), result.to_dict, DONE if result.ok else PREFLIGHT)

    return for_each(call, call.migrations(), work)
