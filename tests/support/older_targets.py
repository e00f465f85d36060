"""What a run into an older server fails on, held against what preflight has named."""

from __future__ import annotations

from pgmigrate import Migration, Report
from support import servers

UNSUBSCRIBE = """
    SELECT format('ALTER SUBSCRIPTION %1$I SET (slot_name = NONE); DROP SUBSCRIPTION %1$I', subname)
    FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid
    WHERE d.datname = current_database() \\gexec
"""
"""Drops the subscriptions of a database, which could not be dropped with them."""


def assert_all_is_named(source: str, target: str, script: str) -> tuple[set[str], Report]:
    """Runs the script on the source, and a migration: each failed task was named, and no other."""
    try:
        servers.run_script(source, script)
        migration = Migration(
            source=source,
            target=target,
            roles="needed",
            options={"publications": True, "subscriptions": True},
        )
        found = [one for one in migration.preflight().findings if one.check == "target_lacks"]
        report = migration.run(jobs=2)
    finally:
        for side in (source, target):
            servers.run_script(side, UNSUBSCRIBE)
    named = {name for finding in found for name in finding.objects}
    notes = {task.object: task.note for task in report.tasks if task.status == "failed"}
    # A column is named with its table, and it is the table that fails.
    failed_of = {name: [one for one in notes if _is_of(name, one)] for name in named}
    assert [name for name, failed in failed_of.items() if not failed] == []
    unnamed = set(notes).difference(*failed_of.values())
    assert {one: notes[one] for one in unnamed} == {}
    return named, report


def _is_of(name: str, task: str) -> bool:
    return name == task or name.startswith(f"{task}.")
