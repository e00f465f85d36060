"""`PostUpgrade`: the object in env.py that moves data once an upgrade has committed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from copy import copy as copied
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from pgmigrate import Migration, OnEvent, Plan, Report
from pgmigrate._bridge.logs import SteadyLogger
from pgmigrate._values.wording import calling
from pgmigrate.alembic._due import Due, DueTable, turn
from pgmigrate.alembic._move import Move, MoveOptions, What
from pgmigrate.alembic._revision import HEAD, applied, resolved
from pgmigrate.errors import ConfigError, PgMigrateError, StateError

if TYPE_CHECKING:
    from alembic.runtime.migration import MigrationContext, MigrationInfo
    from alembic.script import ScriptDirectory
    from sqlalchemy.engine import Connection

logger: Final = SteadyLogger("pgmigrate.alembic")

_COMMAND: Final = "`alembic upgrade head`"
AGAIN: Final = f"run the upgrade again ({_COMMAND}): it does what is still due"
INSTALL: Final = (
    "in env.py, give a PostUpgrade to context.configure(on_version_apply=...) and call its run() "
    "after `with context.begin_transaction()`"
)


class PostUpgrade:
    """Runs a migration, or moves some tables, once an alembic upgrade has committed.

    Passed to ``context.configure(on_version_apply=...)``, it records in the transaction of each
    upgrade that a data move is due; `run`, called after that transaction, does what is due. A move
    that fails, or whose process is killed, stays due: the next ``alembic upgrade head`` does it,
    even if alembic has no step left. A downgrade moves nothing and deletes the moves that its
    revisions had requested; ``stamp`` and the other commands move nothing; ``--sql`` writes a
    comment into the script. The hook never writes to alembic's own version table.

    The rest of alembic's environment stays as it is: asynchronous engines (call `run` in the
    function passed to ``run_sync``), ``transaction_per_migration``, several databases (one hook
    for each).

    Args:
        migration: the source and the target of the rows; its target is the database that alembic
            upgrades.
        on: what is due after which revision. The keys are names as in alembic's commands; ``head``
            means that all existing revisions are applied to the database. The values are `What`.
        on_event: called with every event of a run.

    Raises:
        ConfigError: a value of ``on`` is wrong.
    """

    def __init__(
        self, migration: Migration, on: Mapping[str, What], *, on_event: OnEvent | None = None
    ) -> None:
        self._migration = migration
        self._moves = {key: Move(migration, what) for key, what in on.items()}
        self._on_event = on_event
        self._queued: list[MoveOptions] = []
        self._context: MigrationContext | None = None
        self._noted: set[tuple[str, str | None]] = set()
        self._moves_data = False

    def _ask_for(self, keywords: MoveOptions) -> None:
        Move(self._migration, keywords)
        self._queued.append(keywords)

    def __call__(
        self,
        ctx: MigrationContext,
        step: MigrationInfo,
        heads: Collection[Any],
        run_args: Mapping[str, Any],
    ) -> None:
        """Records the data moves that a step makes due; called in the step's transaction.

        Args:
            ctx: alembic's context.
            step: the step.
            heads: the database's revisions after it.
            run_args: unused.

        Raises:
            ConfigError: ``on`` names a revision that the scripts do not have, or a downgrade
                requests a data move.
        """
        queued, self._queued = self._queued, []
        self._context = ctx
        self._moves_data = step.is_upgrade and not step.is_stamp
        script = _script_of(ctx)
        if self._moves_data:
            asked: list[tuple[str | None, MoveOptions | None]]
            asked = [(key, None) for key in self._keys(script, step, set(heads))]
            asked += [(None, keywords) for keywords in queued]
            self._note(ctx, ", ".join(step.up_revision_ids), asked)
        elif queued:
            raise ConfigError(
                "op.pgmigrate_copy is in the downgrade of revision "
                f"{', '.join(step.up_revision_ids)}",
                name="copy_in_downgrade",
                remedy="remove it: a downgrade moves no data",
            )
        elif not ctx.as_sql:
            connection = _connection_of(ctx)
            self._table(ctx, connection).forget(connection, applied(script, set(heads)))

    def run(self, connection: Connection | None = None) -> list[Report]:
        """Does what is due, in the order in which the steps requested it.

        Nothing is done after any command except an upgrade, and nothing in ``--sql`` mode. If
        several upgrades run at once, one of them does it, and the others wait until it is done.

        Args:
            connection: the one that alembic has upgraded; the context's own if None. Required if
                env.py configures several databases before it commits.

        Returns:
            The reports of the runs.

        Raises:
            StateError: the upgrade is not committed, or the hook is not in alembic's context.
            PgMigrateError: a data move failed, as `Migration.run` and
                `Report.raise_for_failures` say; the upgrade stays, and the move stays due.
        """
        context = self._context or self._running(connection)
        if context.as_sql or not (self._moves_data or self._is_idle_upgrade(context)):
            return []
        connection = connection or _connection_of(context)
        table = self._table(context, connection)
        with connection.engine.begin() as own:
            due = table.rows(own)
        if not self._noted <= {(item.revision, item.key) for item in due}:
            raise StateError(
                "the upgrade is not committed, and its data move would not see it",
                name="upgrade_not_committed",
                remedy="call the hook's run() after the block that ends the transaction, or "
                "connection.commit() before it",
            )
        self._noted.clear()
        reports: list[Report] = []
        if due:
            with turn(connection):
                # The process that held the lock before may have done what was due.
                with connection.engine.begin() as own:
                    due = table.rows(own)
                for item in due:
                    reports += self._do(item, table, connection)
        return reports

    def _do(self, due: Due, table: DueTable, connection: Connection) -> list[Report]:
        if due.key is not None and due.key not in self._moves:
            logger.warning(
                "revision %s is due a data move under %r, which `on` names no more: left as it is",
                due.revision,
                due.key,
            )
            return []
        try:
            move = self._move(due.key, due.copy)
            logger.info("data move of revision %s: %s", due.revision, move.words())
            with calling("upgrade"):
                reports = move.call()
                if reports is None:
                    reports = self._run(move, due, table, connection)
            with connection.engine.begin() as own:
                table.settle(own, due)
        except PgMigrateError as error:
            raise _reported(error, due.revision) from error
        except SQLAlchemyError as error:
            unsettled = StateError(
                f"the table of due data moves cannot be read: {type(error).__name__}",
                name="data_moves_unreadable",
            )
            raise _reported(unsettled, due.revision) from error
        return reports

    def _run(self, move: Move, due: Due, table: DueTable, connection: Connection) -> list[Report]:
        is_open = due.plan is not None and move.is_unfinished()
        if due.plan is not None and is_open:
            plan = Plan.parse(due.plan)
        else:
            plan = move.plan(self._version_table, self._on_event)
            # Stored before the first row is copied: without its plan an interrupted run cannot be
            # resumed.
            with connection.engine.begin() as own:
                is_due = table.keep_plan(own, due, plan.text)
            if not is_due:
                logger.warning("the data move of revision %s is not due any more", due.revision)
                return []
        return [move.run(plan, self._version_table, resume=is_open, on_event=self._on_event)]

    def _note(
        self,
        context: MigrationContext,
        revision: str,
        asked: Sequence[tuple[str | None, MoveOptions | None]],
    ) -> None:
        for key, copy in asked:
            if context.as_sql:
                words = self._move(key, copy).words()
                context.impl.static_output(
                    f"-- pgmigrate: after revision {revision} a data move is due, which this "
                    f"script does not make: {words}"
                )
            else:
                connection = _connection_of(context)
                table = self._table(context, connection)
                try:
                    table.add(connection, revision, key, copy)
                except DBAPIError as error:
                    raise _not_noted(revision, error) from error
                self._noted.add((revision, key))

    def _keys(self, script: ScriptDirectory, step: MigrationInfo, heads: set[str]) -> list[str]:
        """The keys of `on` that a step reaches."""
        reached = []
        for key in self._moves:
            found = set(resolved(script, key))
            if found == heads if key in HEAD else found & set(step.up_revision_ids):
                reached.append(key)
        return reached

    def _move(self, key: str | None, copy: MoveOptions | None) -> Move:
        return self._moves[key] if key is not None else Move(self._migration, copy or {})

    def _table(self, context: MigrationContext, connection: Connection) -> DueTable:
        schema = context.version_table_schema or _current_schema(connection)
        self._version_table = (schema, context.version_table)
        ledger = self._migration.config["options"]["ledger_schema"]
        return DueTable(ledger, ".".join(self._version_table))

    def _running(self, connection: Connection | None) -> MigrationContext:
        """The context of the env.py that runs, if no step has set it."""
        from alembic import context

        try:
            found = context.get_context()
        except NameError as error:
            raise StateError(
                "no env.py of alembic is running", name="hook_not_installed", remedy=INSTALL
            ) from error
        # With several databases this is the last context, which serves for the others, too.
        if connection is None and self not in found.on_version_apply_callbacks:
            raise StateError(
                "the hook is not in alembic's context", name="hook_not_installed", remedy=INSTALL
            )
        return found

    def _is_idle_upgrade(self, context: MigrationContext) -> bool:
        """Whether the command is an upgrade without a step left, and not one that only reads."""
        command = getattr(context.opts.get("fn"), "__name__", "")
        return self._context is None and command.endswith("upgrade")


def ask_for_copy(context: MigrationContext, keywords: MoveOptions) -> None:
    """Requests a data move from env.py's hook, for the step that runs now.

    Args:
        context: alembic's.
        keywords: of `Migration`.

    Raises:
        ConfigError: env.py has no hook, or the keywords are not a valid migration.
    """
    for callback in context.on_version_apply_callbacks:
        if isinstance(callback, PostUpgrade):
            callback._ask_for(keywords)
            return
    raise ConfigError(
        "op.pgmigrate_copy: alembic has no pgmigrate hook",
        name="hook_not_installed",
        remedy=INSTALL,
    )


def _script_of(context: MigrationContext) -> ScriptDirectory:
    if context.script is None:
        raise StateError(
            "alembic's context has no scripts", name="hook_not_installed", remedy=INSTALL
        )
    return context.script


def _connection_of(context: MigrationContext) -> Connection:
    if context.connection is None:
        raise StateError(
            "alembic's context has no connection", name="hook_not_installed", remedy=INSTALL
        )
    return context.connection


def _not_noted(revision: str, error: DBAPIError) -> StateError:
    return StateError(
        f"the data move of revision {revision} cannot be recorded on the target: "
        f"{type(error.orig).__name__}",
        name="data_move_not_recorded",
        sqlstate=getattr(error.orig, "sqlstate", None),
        remedy="GRANT CREATE ON DATABASE to alembic's role, or let it write in the ledger's "
        "schema, or name another schema with options.ledger_schema",
    )


def _current_schema(connection: Connection) -> str:
    if connection.closed:
        return str(connection.dialect.default_schema_name)
    was_open = connection.in_transaction()
    schema = str(connection.scalar(text("SELECT pg_catalog.current_schema()")))
    if not was_open:
        connection.rollback()
    return schema


def _reported(error: PgMigrateError, revision: str) -> PgMigrateError:
    """The same error, saying that the upgrade is kept and how to repeat the data move."""
    reported = copied(error)
    reported.message = (
        f"the upgrade is committed, but the data move of revision {revision} failed: "
        f"{error.message}"
    )
    if not error.remedy:
        reported.remedy = AGAIN
    elif _COMMAND not in error.remedy:
        reported.remedy = f"{error.remedy}; then {AGAIN}"
    return reported
