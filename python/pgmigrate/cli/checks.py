"""Commands that only look: `pgmigrate preflight`, `status` and `verify`."""

from __future__ import annotations

from pathlib import Path

import click

from pgmigrate import Migration, Plan
from pgmigrate._job import OnEvent
from pgmigrate._run_all import named_path
from pgmigrate.cli.call import DIFFERENT, DONE, PREFLIGHT, Answer, Call, for_each
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
    """Compare source and target."""
    migrations = call.migrations()

    def work(migration: Migration, on_event: OnEvent) -> Answer:
        plan = None
        if plan_path is not None:
            plan = Plan.load(named_path(plan_path, migration, migrations))
        result = migration.verify(plan, jobs=jobs, on_event=on_event)
        return Answer(result.text(), result.to_dict, DONE if result.ok else DIFFERENT)

    return for_each(call, migrations, work)


@click.command()
@connected
def status(call: Call) -> int:
    """Tell how far the last run is, with an estimate of the time left."""

    def work(migration: Migration, on_event: OnEvent) -> Answer:
        result = migration.status()
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
