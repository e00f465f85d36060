"""Migrations, from the blocking verbs to the awaited ones, and everything in between."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Final

import yaml
from rich.console import Console

from pgmigrate import (
    Estimate,
    Event,
    Migration,
    OnEvent,
    Outcome,
    Plan,
    Rates,
    Report,
    __version__,
    outcomes_of,
    run_all,
)
from pgmigrate.progress import (
    BarProgress,
    LineProgress,
    NotebookProgress,
    PhaseTally,
    RunTally,
    notebook,
    progress,
)
from user import values

OPTIONS: Final[dict[str, Any]] = {"roles": "none", "options": {"on_existing": "truncate"}}


def main(source: str, target: str, folder: Path) -> None:
    """Migrates a database several times; the target's ledger is gone at the end."""
    config = folder / "config.yaml"
    databases = {"source": {"conninfo": source}, "target": {"conninfo": target}}
    config.write_text(yaml.safe_dump({**databases, **OPTIONS, "name": "of a user"}))
    blocking(Migration.from_file(config), folder)
    several(Migration.load_all(config), folder)
    asyncio.run(awaited(Migration(source=source, target=target, **OPTIONS), folder))


def blocking(migration: Migration, folder: Path) -> None:
    console = Console(stderr=True)
    tally = RunTally()
    print(__version__, migration.name, sorted(migration.config))
    print(values.of_preflight(migration.preflight()))
    plan = kept(migration.plan(), folder / "plan.tsv")
    rates = known(migration.calibrate(plan, seconds=0.5), folder / "rates.json")
    print(estimated(plan, rates))
    with progress(console) as show:
        report = migration.run(
            plan, rates=Rates.typical(), on_drift="refuse", on_event=both(show, tally)
        )
    pictured(plan, report, folder)
    print(values.of_report(report), json(report), brief(tally))
    print(values.of_verification(migration.verify(plan)))
    print(values.of_status(migration.status(rates=Rates.typical())))
    assert not migration.stop()
    backup = migration.backup(folder)
    print(values.of_backup(backup))
    print(values.of_restore(migration.restore(backup.path)))
    print(values.of_cleanup(migration.cleanup()))


def several(migrations: list[Migration], folder: Path) -> None:
    outcomes: list[Outcome] = []
    try:
        outcomes += run_all(migrations, plan=folder / "all.tsv", jobs=2, rates=Rates.typical())
    except KeyboardInterrupt as interruption:
        outcomes += outcomes_of(interruption)
    for migration, outcome in outcomes:
        print(migration.name, outcome.ok if isinstance(outcome, Report) else outcome)
        values.of_cleanup(migration.cleanup())


async def awaited(migration: Migration, folder: Path) -> None:
    await migration.preflight_async()
    plan = await migration.plan_async()
    await migration.calibrate_async(plan, seconds=0.5)
    await migration.run_async(plan)
    await migration.verify_async(plan)
    backup = await migration.backup_async(folder)
    await migration.restore_async(backup.path)
    migration.cleanup()


def kept(plan: Plan, path: Path) -> Plan:
    values.of_plan(plan)
    plan.save(path)
    assert plan.is_in(path)
    assert values.of_plan_diff(plan.diff(Plan.load(path)))[0]
    assert Plan.load(path) == Plan.parse(path.read_text(encoding="utf-8")) == plan
    return plan


def known(rates: Rates, path: Path) -> Rates:
    for some in (rates, Rates.typical()):
        values.of_rates(some)
    rates.save(path)
    return Rates.load(path)


def estimated(plan: Plan, rates: Rates) -> str:
    jobs, _, calibrated, reported = values.of_estimate(plan.estimate(jobs=2, rates=rates))
    return reported if jobs == 2 and calibrated else "not as asked"


def json(report: Report) -> int:
    assert Report.from_mapping(report.to_dict()) == report
    return len(report.to_json(indent=2))


def pictured(plan: Plan, report: Report, folder: Path) -> None:
    report.save(folder / "report.html")
    estimate: Estimate = plan.estimate(jobs=2)
    charts = [plan.chart(), report.timeline(), report.throughput(), report.slowest()]
    for chart in (*charts, estimate.chart()):
        print(chart.to_json()[:80])
    frame = report.to_pandas("phases")
    print(len(frame), len(report.arrow()), plan.arrow("absent"))


def watched(migration: Migration) -> Report:
    """In the cell of a notebook."""
    return migration.run(on_event=notebook())


def both(show: BarProgress | LineProgress | NotebookProgress, tally: RunTally) -> OnEvent:
    def on_event(event: Event) -> None:
        show(event)
        phase = tally.take(event)
        if phase is not None:
            of_phase(phase)

    return on_event


def brief(tally: RunTally) -> str:
    left: float | None = tally.seconds_left
    now = tally.clock()
    reported = f"{now} {tally.share:.0%} {tally.elapsed:.1f} {tally.brief()} {tally.left()} {left}"
    return f"{list(tally.phases)} {reported}"


def of_phase(phase: PhaseTally) -> tuple[str, str, list[int]]:
    began: float | None = phase.began
    totals = [phase.tasks, phase.rows, phase.bytes]
    so_far = [phase.over, phase.failed, phase.rows_now, phase.bytes_now]
    reported = f"{began}: {phase.share:.0%} {phase.brief()} {phase.numbers()} {phase.left()}"
    model: list[float | None] = [phase.work, phase.seconds_left, phase.active]
    reported = f"{reported} {model}"
    return phase.name, reported, totals + so_far


def counted(phase: PhaseTally) -> None:
    """What `RunTally.take` does for each event."""
    phase.start("t0001", 0.0)
    phase.pass_time(0.5)
    phase.advance("t0001", 10, 1000)
    phase.finish("t0001", 20, 2000, failed=False)
