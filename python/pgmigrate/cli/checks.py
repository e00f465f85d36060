"""Commands that change nothing: `pgmigrate preflight`, `status`, `verify`; and `stop`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from pgmigrate import Migration, Plan, Status
from pgmigrate.cli.call import (
    DONE,
    FAILED,
    INTERRUPTED,
    PREFLIGHT,
    Answer,
    Call,
    for_each,
    verdict_code,
)
from pgmigrate.cli.options import (
    connected,
    connected_to_target,
    file_option,
    jobs_option,
    rates_option,
)
from pgmigrate.cli.watching import watch
from pgmigrate.events import OnEvent


@click.command()
@connected
@file_option(
    "--plan",
    "plan_path",
    help="Compare what this plan moves, instead of what the configuration selects.",
)
@jobs_option
def verify(call: Call, plan_path: Path | None, jobs: int | None) -> int:
    """Compare source and target, in both directions.

    Exit code 4: something differs, is only on the target and was not there before the first run, or
    is in scope but not in the plan. 7: the target has all rows of the source, and more. 8: no
    difference was found, but something could not be compared. Reported, but not as differences:
    rows of materialized views that a refresh changed, differences between the servers' versions,
    and what the target had before.
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
@connected_to_target
@click.option(
    "--watch",
    "interval",
    is_flag=False,
    flag_value=2.0,
    type=click.FloatRange(min=0.1),
    metavar="[SECONDS]",
    help="Show it again every N seconds (default: 2) while a run is active.",
)
@rates_option
def status(call: Call, interval: float | None, rates_path: Path | None) -> int:
    """Show how far the last run is, with an estimate of the time left.

    A safe procedure that is running, or that ended before its last step, is shown from its journal.
    Needs no source. Exit code 1: the last run failed.
    --watch redraws it on a terminal, writes a line each time elsewhere, and ends with the run.
    """
    if interval is not None and call.json:
        raise click.UsageError("--watch shows a status to people: --json prints one")
    migrations = call.migrations()

    def look(migration: Migration) -> Status:
        return migration.status(rates=call.own_rates(rates_path, migration))

    if interval is not None:
        try:
            watch(migrations, look, interval)
        except KeyboardInterrupt:
            click.echo("no longer watched; the run goes on", err=True)
            return INTERRUPTED

    def work(migration: Migration, on_event: OnEvent) -> Answer:
        result = look(migration)
        if result.procedure is not None:
            left = result.procedure.for_command_line(call.words_of(migration))
            result = replace(result, procedure=left)
        text = result.text()
        if result.state in ("failed", "interrupted") and result.procedure is None:
            # `status` needs no source, but the command for a run does.
            source = "" if call.config is not None or call.source is not None else " --source ..."
            words = f"{call.words_of(migration)}{source}"
            text += f"\nto go on: pgmigrate migrate {words} --resume"
        code = FAILED if result.state == "failed" else DONE
        run = "no run" if result.run is None else f"run {result.run} {result.state}"
        at_work = ", a process is active" if result.active and result.state != "running" else ""
        return Answer(text, result.to_dict, code, f"{run}{at_work}")

    return for_each(call, migrations, work)


@click.command()
@connected_to_target
def stop(call: Call) -> int:
    """Stop the run on the target cleanly, from any machine; it can be resumed.

    Needs no source.
    """

    def work(migration: Migration, on_event: OnEvent) -> Answer:
        stopped = migration.stop()
        words = "the run has stopped" if stopped else "no run is active on the target"
        return Answer(words, lambda: {"stopped": stopped}, state=words)

    return for_each(call, call.migrations(), work)


@click.command()
@connected
def preflight(call: Call) -> int:
    """Check both databases for what would prevent a run. Touches nothing."""

    def work(migration: Migration, on_event: OnEvent) -> Answer:
        result = migration.preflight(on_event=on_event)
        state = result.text().partition("\n")[0].removeprefix("preflight: ")
        code = DONE if result.ok else PREFLIGHT
        return Answer(result.text(), result.to_dict, code, state)

    return for_each(call, call.migrations(), work)
