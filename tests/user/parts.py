"""A run in parts that see one snapshot, as several machines would share it."""

from __future__ import annotations

from pgmigrate import HeldSnapshot, HoldResult, Migration, Plan


def main(migration: Migration) -> None:
    """Migrates a database in parts, once with threads of control that block, once awaited."""
    plan = migration.plan()
    migration.run_tasks(plan, before(plan))
    with migration.hold_snapshot(plan) as held:
        print(of_held(held))
        shared(migration, plan)
        assert waited(held)
    migration.run(plan, resume=True).raise_for_failures()
    assert not migration.release_snapshot()
    migration.cleanup()


async def awaited(migration: Migration) -> None:
    plan = await migration.plan_async()
    await migration.run_tasks_async(plan, before(plan))
    async with await migration.hold_snapshot_async(plan) as held:
        await given_up(held)


def shared(migration: Migration, plan: Plan) -> None:
    for ids in plan.groups(2):
        migration.run_tasks(plan, ids, snapshot="held").raise_for_failures()


def before(plan: Plan) -> list[str]:
    return plan.ids("roles", "pre-data")


def waited(held: HeldSnapshot) -> bool:
    return of_result(held.wait())


async def given_up(held: HeldSnapshot) -> None:
    held.stop()
    assert not of_result(await held.wait_async())


def of_held(held: HeldSnapshot) -> tuple[int, str]:
    return held.run, f"{held.id} sees {held.snapshot}"


def of_result(result: HoldResult) -> bool:
    numbers: tuple[int, ...] = (result.run, result.settled, result.open)
    words: tuple[str, ...] = (result.status, result.snapshot, result.text())
    print(*numbers, *words, f"{result.seconds:.1f} s")
    return result.ok
