"""The parts of an env.py of alembic that are pgmigrate's."""

from __future__ import annotations

from sqlalchemy.engine import Connection

from pgmigrate import Event, Migration, Report
from pgmigrate.alembic import PostUpgrade, What, require_revision


def prices(migration: Migration) -> Report:
    return migration.run()


def reported(event: Event) -> None:
    print(event["event"])


def main(migration: Migration, ini: str) -> PostUpgrade:
    """The hook of an environment."""
    guarded = require_revision(migration, source=None, target="head", alembic_config=ini)
    on: dict[str, What] = {
        "4f2a9c81d0be": ["app.t"],
        "app@head": {"tables": ["app.child"], "on_conflict": "update"},
        "head": prices,
    }
    return PostUpgrade(guarded, on, on_event=reported)


def after(hook: PostUpgrade, connection: Connection | None = None) -> int:
    """What stands after the transaction of the upgrade."""
    reports: list[Report] = hook.run(connection)
    return len(reports)
