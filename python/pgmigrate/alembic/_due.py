"""The data moves that are due on a target, in a table of the ledger's schema.

A row is written in alembic's own transaction, so that the upgrade and the record that its data move
is due are committed together or not at all. The row is deleted when the move is done, and the table
is dropped with its last row.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.schema import CreateSchema, DropSchema

from pgmigrate import Plan
from pgmigrate._bridge.logs import SteadyLogger
from pgmigrate._values.wording import action
from pgmigrate.alembic._move import MoveOptions
from pgmigrate.errors import StateError

logger: Final = SteadyLogger("pgmigrate.alembic")

NAME: Final = "migration_due"
# The core's own tables: the runs, and what refers to them.
LEDGER: Final = (
    "migration_run",
    "migration_task",
    "migration_snapshot",
    "migration_foreign_key",
    "migration_plan",
)
# The core creates the schema with the same comment, and drops it only if it has this comment.
SCHEMA_COMMENT: Final = "ledger of pgmigrate"
# The core's advisory lock, held by each process that works on a run; and the hook's own lock.
_LOCK_CLASS: Final = 0x70676D69
_LOCK_RUN: Final = 1
_LOCK_MOVES: Final = 0x616C656D


@dataclass(frozen=True)
class Due:
    """A data move that is due.

    Attributes:
        number: its number in the table, ascending in the order of the steps.
        revision: the revision whose upgrade requested it.
        key: its key in `on`; None for one that a migration script requested.
        copy: what that script requested, as keywords of `Migration`.
        plan: the plan that an earlier attempt followed; None before the first.
    """

    number: int
    revision: str
    key: str | None
    copy: MoveOptions | None
    plan: str | None


class DueTable:
    """The table for one version table of alembic.

    Args:
        schema: the ledger's schema.
        version_table: alembic's version table, as ``schema.table``: several environments may share
            a database.
    """

    def __init__(self, schema: str, version_table: str) -> None:
        self._version_table = version_table
        self._table = sa.Table(
            NAME,
            sa.MetaData(),
            sa.Column("number", sa.BigInteger, sa.Identity(always=True), primary_key=True),
            sa.Column("version_table", sa.Text, nullable=False),
            sa.Column("revision", sa.Text, nullable=False),
            sa.Column("on_key", sa.Text),
            sa.Column("copy", sa.Text),
            sa.Column("plan", sa.Text),
            sa.Column("since", sa.DateTime(timezone=True), server_default=sa.func.now()),
            schema=schema,
        )

    def add(
        self, connection: Connection, revision: str, key: str | None, copy: MoveOptions | None
    ) -> None:
        """Records a data move as due, in the connection's transaction.

        Args:
            connection: alembic's.
            revision: the revision that requests it.
            key: as in `Due`.
            copy: as in `Due`.
        """
        schema = str(self._table.schema)
        if not sa.inspect(connection).has_schema(schema):
            connection.execute(CreateSchema(schema))
            quoted = connection.dialect.identifier_preparer.quote_schema(schema)
            connection.execute(sa.text(f"COMMENT ON SCHEMA {_plain(quoted)} IS '{SCHEMA_COMMENT}'"))
        self._table.create(connection, checkfirst=True)
        values = {
            "version_table": self._version_table,
            "revision": revision,
            "on_key": key,
            "copy": None if copy is None else json.dumps(copy),
        }
        connection.execute(self._table.insert().values(values))

    def forget(self, connection: Connection, applied: Collection[str]) -> None:
        """Deletes the data moves, and their progress, of revisions that are no longer applied.

        Args:
            connection: alembic's.
            applied: the revisions that are applied.

        Raises:
            StateError: another process works on a run, or an unfinished run has dropped foreign
                keys.
        """
        if self._exists(connection):
            gone = self._table.c.revision.not_in(applied)
            plans = sa.select(self._table.c.plan).where(self._mine, gone)
            self._forget_runs(connection, [plan for (plan,) in connection.execute(plans) if plan])
            connection.execute(self._table.delete().where(self._mine, gone))
            self._drop_if_empty(connection)

    def _forget_runs(self, connection: Connection, plans: Sequence[str]) -> None:
        """Deletes unfinished runs of these plans from the ledger, where they would block others."""
        fingerprints = [Plan.parse(plan).header["fingerprint"] for plan in plans]
        if fingerprints and not _is_had(connection, "pg_try_advisory_xact_lock", _LOCK_RUN):
            raise StateError(
                "a run of pgmigrate is active on the target, and the record of its data move "
                "cannot be deleted",
                name="run_active",
                remedy=f"wait for its end, or stop it with {action('stop')}, then downgrade",
            )
        there = set(sa.inspect(connection).get_table_names(schema=self._table.schema))
        if not fingerprints or not there.issuperset(LEDGER):
            # A run that is left in an older ledger only makes the next run fail with its name;
            # nothing is lost.
            return
        runs, *others = (self._of_ledger(name) for name in LEDGER)
        is_open = runs.c.plan.in_(fingerprints) & (runs.c.state != "done")
        numbers = list(connection.scalars(sa.select(runs.c.run).where(is_open)))
        keys = self._of_ledger("migration_foreign_key")
        taken = sa.select(sa.exists().where(keys.c.run.in_(numbers), ~keys.c.is_back))
        if connection.scalar(taken):
            raise StateError(
                "an unfinished data move has dropped foreign keys of the target, and only its "
                "record in the ledger has their definitions",
                name="foreign_keys_left",
                remedy="run `alembic upgrade head`, which creates them again, then downgrade",
            )
        for table in (*others, runs):
            connection.execute(table.delete().where(table.c.run.in_(numbers)))

    def _of_ledger(self, name: str) -> sa.TableClause:
        names = ("run", "plan", "state", "is_back")
        columns: list[sa.ColumnClause[Any]] = [sa.column(name) for name in names]
        return sa.table(name, *columns, schema=self._table.schema)

    def rows(self, connection: Connection) -> list[Due]:
        """The data moves that are due, in the order in which they were requested."""
        if not self._exists(connection):
            return []
        columns = self._table.c
        query = sa.select(
            columns.number, columns.revision, columns.on_key, columns.copy, columns.plan
        ).where(self._mine)
        found = connection.execute(query.order_by(columns.number))
        return [
            Due(number, revision, key, None if copy is None else json.loads(copy), plan)
            for number, revision, key, copy, plan in found
        ]

    def keep_plan(self, connection: Connection, due: Due, plan: str) -> bool:
        """Stores the plan of a data move, for a later attempt that has to resume it.

        Returns:
            Whether it is still due: a downgrade may have deleted it.
        """
        if not self._exists(connection):
            return False
        mine = self._table.c.number == due.number
        return connection.execute(self._table.update().where(mine).values(plan=plan)).rowcount > 0

    def settle(self, connection: Connection, due: Due) -> None:
        """Deletes a data move that is done from the table."""
        connection.execute(self._table.delete().where(self._table.c.number == due.number))
        self._drop_if_empty(connection)

    @property
    def _mine(self) -> sa.ColumnElement[bool]:
        return self._table.c.version_table == self._version_table

    def _exists(self, connection: Connection) -> bool:
        return sa.inspect(connection).has_table(NAME, schema=self._table.schema)

    def _drop_if_empty(self, connection: Connection) -> None:
        full_name = connection.dialect.identifier_preparer.format_table(self._table)
        # Otherwise another session's row that is not committed yet would be dropped with the table.
        connection.execute(sa.text(f"LOCK TABLE {_plain(full_name)} IN ACCESS EXCLUSIVE MODE"))
        if connection.scalar(sa.select(sa.exists().select_from(self._table))):
            return
        self._table.drop(connection)
        own_and_empty = sa.text(
            "SELECT pg_catalog.obj_description(n.oid, 'pg_namespace') = :comment "
            "AND pg_catalog.pg_has_role(n.nspowner, 'USAGE') "
            "AND NOT EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.relnamespace = n.oid) "
            "FROM pg_catalog.pg_namespace n WHERE n.nspname = :schema"
        )
        schema = str(self._table.schema)
        if connection.scalar(own_and_empty, {"comment": SCHEMA_COMMENT, "schema": schema}):
            connection.execute(DropSchema(schema))


@contextmanager
def turn(connection: Connection) -> Iterator[None]:
    """Takes the lock for data moves on this target; waits while another process holds it.

    Args:
        connection: alembic's; the lock is held by a separate connection.
    """
    with connection.engine.connect() as own:
        # The lock may be held for hours, and an open transaction would hold back vacuum.
        held = own.execution_options(isolation_level="AUTOCOMMIT")
        if not _is_had(held, "pg_try_advisory_lock", _LOCK_MOVES):
            logger.info("another process does what is due on the target: waiting for it")
            held.execute(_locking("pg_advisory_lock", _LOCK_MOVES))
        try:
            yield
        finally:
            # A broken connection has also lost its lock.
            with suppress(SQLAlchemyError):
                held.execute(_locking("pg_advisory_unlock", _LOCK_MOVES))


def _is_had(connection: Connection, function: str, lock: int) -> bool:
    """Calls a function that tries to take an advisory lock; returns whether it was taken."""
    return bool(connection.scalar(_locking(function, lock)))


def _locking(function: str, lock: int) -> sa.Select[Any]:
    keys = (sa.cast(key, sa.Integer) for key in (_LOCK_CLASS, lock))
    return sa.select(getattr(sa.func.pg_catalog, function)(*keys))


def _plain(quoted: str) -> str:
    """A quoted name for `sqlalchemy.text`, in which an unescaped colon begins a parameter."""
    return quoted.replace(":", r"\:")
