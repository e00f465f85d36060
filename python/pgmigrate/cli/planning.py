"""`pgmigrate plan`: what a run would do, and how long it would take."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import click

from pgmigrate import Estimate, Migration, Plan, Rates, _native
from pgmigrate.cli.call import DONE, DRIFT, Answer, Call, for_each
from pgmigrate.cli.options import connected, file_option, jobs_option, plan_option
from pgmigrate.cli.outputs import check_writable
from pgmigrate.errors import StateError
from pgmigrate.events import OnEvent


@click.command("plan")
@connected
@plan_option
@click.option(
    "--diff",
    is_flag=True,
    help="Show how the plan file differs from the plan that would be made now; write nothing. "
    "Exit code 11 if they differ.",
)
@click.option("--estimate", is_flag=True, help="Estimate how long a run of the plan will take.")
@jobs_option
@file_option(
    "--calibrate",
    "calibrate_path",
    is_flag=False,
    flag_value=Path("rates.json"),
    metavar="[FILE]",
    help="As --estimate, with rates that are measured on both servers in about ten seconds, "
    "and written to FILE (rates.json). Leaves nothing on the servers.",
)
@file_option(
    "--rates",
    "rates_path",
    help="As --estimate, with the rates of an earlier --calibrate.",
)
def plan_command(
    call: Call,
    plan_path: Path,
    diff: bool,
    estimate: bool,
    jobs: int | None,
    calibrate_path: Path | None,
    rates_path: Path | None,
) -> int:
    """Make a plan. Writes the plan file, changes no database."""
    if rates_path is not None and calibrate_path is not None:
        raise click.UsageError("--calibrate measures rates, and --rates has some: give one of them")
    is_asked = estimate or rates_path is not None or calibrate_path is not None
    if jobs is not None and not is_asked:
        raise click.UsageError("--jobs is about --estimate: a plan is the same for all")
    if diff and is_asked:
        raise click.UsageError("--diff compares two plans, and an estimate is about one")
    migrations = call.migrations()
    if diff:
        return for_each(call, migrations, partial(_compare, call, plan_path))

    def own(path: Path | None, migration: Migration) -> Path | None:
        return None if path is None else call.own_path(path, migration)

    check_writable("--plan", (own(plan_path, migration) for migration in migrations))
    check_writable("--calibrate", (own(calibrate_path, migration) for migration in migrations))

    def work(migration: Migration, on_event: OnEvent) -> Answer:
        path = call.own_path(plan_path, migration)
        plan = _new_plan(call, migration, path, on_event)
        answer = Answer(f"{plan.summary()}\nwritten to {path}", lambda: _plan_data(plan, path))
        if is_asked:
            rates = own(rates_path, migration), own(calibrate_path, migration)
            estimated = _estimate(migration, plan, jobs, *rates, on_event)
            answer.text += f"\n\n{estimated}"
            answer.data = lambda: {**_plan_data(plan, path), "estimate": estimated.to_dict()}
        return answer

    return for_each(call, migrations, work)


def _estimate(
    migration: Migration,
    plan: Plan,
    jobs: int | None,
    rates_path: Path | None,
    calibrate_path: Path | None,
    on_event: OnEvent,
) -> Estimate:
    """The estimate of ``pgmigrate plan --estimate``.

    Args:
        migration: the migration of the plan.
        plan: the plan.
        jobs: how many tasks run at once; as the configuration says if None.
        rates_path: a file of rates; typical rates if None.
        calibrate_path: measure the rates, and write them into this file; not if None.
        on_event: called with every event.

    Raises:
        StateError: the file of rates cannot be used.
        OSError: the file of measured rates cannot be written.
    """
    rates = None if rates_path is None else Rates.load(rates_path)
    if calibrate_path is not None:
        rates = migration.calibrate(plan, on_event=on_event)
        rates.save(calibrate_path)
    if jobs is None:
        jobs = _native.default_jobs(migration.config["parallel"]["max_jobs"])
    return plan.estimate(jobs, rates=rates)


def _compare(call: Call, path: Path, migration: Migration, on_event: OnEvent) -> Answer:
    kept = Plan.load(call.own_path(path, migration))
    found = kept.diff(migration.plan(like=kept, on_event=on_event))
    code = DONE if found.same else DRIFT
    return Answer(found.text(), found.to_dict, code, found.headline())


def _new_plan(call: Call, migration: Migration, path: Path, on_event: OnEvent) -> Plan:
    plan = migration.plan(on_event=on_event)
    if path.exists() and not plan.is_in(path):
        _keep_plan_of_unfinished_run(call, migration, path)
    plan.save(path)
    return plan


def _keep_plan_of_unfinished_run(call: Call, migration: Migration, path: Path) -> None:
    state = migration.status().state
    if state in ("running", "interrupted", "failed"):
        raise StateError(
            f"the last run is {state}, and {path} is its plan: not overwritten by another one",
            name="plan_file_in_use",
            remedy=f"go on with `pgmigrate migrate {call.words()} --resume`, "
            f"or start over after `pgmigrate cleanup {call.words()}`",
        )


def _plan_data(plan: Plan, path: Path) -> dict[str, Any]:
    data = plan.to_dict()
    # The plan file has it.
    del data["text"]
    return {"path": str(path), **data}
