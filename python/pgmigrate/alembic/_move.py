"""The data moves that revisions request: the values of `on`, checked and ready to run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias

from pgmigrate import (
    Migration,
    OnEvent,
    Options,
    Parallel,
    Plan,
    Report,
    Roles,
    RolesMode,
    Schemas,
    TableRule,
    Tables,
)
from pgmigrate._bridge.options import from_keywords
from pgmigrate.errors import ConfigError, PgMigrateError, StateError


class CopyOptions(Options, total=False):
    """Keywords of ``op.pgmigrate_copy``: the keys of `Options`, and these.

    Attributes:
        name: the migration's name in logs and summaries.
        schemas: which schemas.
        roles: which roles.
        parallel: the section ``parallel``.
        options: the section ``options``, whose keys may also be given as keywords.
    """

    name: str
    schemas: Schemas | Sequence[str]
    roles: Roles | RolesMode
    parallel: Parallel
    options: Options


class MoveOptions(CopyOptions, total=False):
    """Keywords of `Migration` for a data move between the databases of its hook.

    Attributes:
        tables: which tables and how.
    """

    tables: Tables | Sequence[str | TableRule]


What: TypeAlias = Literal[True] | Sequence[str] | MoveOptions | Callable[[Migration], object]
"""What is done after an upgrade. True runs the migration as it is. A list of ``schema.table``
copies the rows of these tables. A mapping runs the migration with these keywords of `Migration`
instead of its own, and with ``data_only`` unless it is set otherwise, because alembic makes the
schema. A function is called with the migration, and its work must be repeatable.
"""

_SECTIONS: Final = ("schemas", "tables", "roles", "parallel", "options", "name")
_OF_BOTH: Final = ("source", "target")


class Move:
    """One thing to do after an upgrade.

    Args:
        migration: the hook's migration.
        what: what is done with it.

    Raises:
        ConfigError: it is not one of the kinds of `What`, or is not a valid migration.
    """

    def __init__(self, migration: Migration, what: What) -> None:
        self._call: Callable[[Migration], object] | None = None
        self._migration = migration
        if callable(what):
            self._call = what
        elif isinstance(what, Mapping):
            self._migration = derived(migration, _rows_only(what))
        elif isinstance(what, Sequence) and not isinstance(what, str | bytes):
            self._migration = derived(migration, _rows_only({"tables": list(what)}))
        elif what is not True:
            raise ConfigError(
                f"a data move is True, a list of tables, a mapping of Migration's keywords or "
                f"a function, not {type(what).__name__}",
                name="data_move_invalid",
            )

    def words(self) -> str:
        """What is moved, as a text for people."""
        if self._call is not None:
            return getattr(self._call, "__qualname__", type(self._call).__name__)
        tables = self._migration.config["tables"]
        if tables["mode"] != "include":
            return "the whole migration"
        return ", ".join(f"{table['schema']}.{table['name']}" for table in tables["include"])

    def call(self) -> list[Report] | None:
        """Calls the function; returns None if there is no function, but a plan to run.

        Raises:
            PgMigrateError: as the function raises it.
            StateError: the function raised something else, which may hold values of rows.
        """
        if self._call is None:
            return None
        try:
            report = self._call(self._migration)
        except PgMigrateError:
            raise
        except Exception as error:
            raise StateError(
                f"{self.words()}: {type(error).__name__}", name="data_move_failed"
            ) from error
        if not isinstance(report, Report):
            return []
        check(report)
        return [report]

    def plan(self, version_table: tuple[str, str], on_event: OnEvent | None) -> Plan:
        """A new plan without alembic's version table, which records the target's own revision.

        Args:
            version_table: schema and name of that table.
            on_event: called with every event.
        """
        plan = self._migration.plan(on_event=on_event)
        listed = {(rule["schema"], rule["name"]) for rule in self._tables["include"]}
        moved = {(task.schema, task.name) for task in plan if task.kind == "data"}
        if version_table in moved - listed:
            plan = self._without(version_table).plan(on_event=on_event)
        return plan

    def is_unfinished(self) -> bool:
        """Whether the target's ledger has a run that must be resumed."""
        return self._migration.status().state not in ("none", "done")

    def run(
        self,
        plan: Plan,
        version_table: tuple[str, str],
        *,
        resume: bool,
        on_event: OnEvent | None,
    ) -> Report:
        """Runs a plan of this move, or resumes an earlier run of it.

        Args:
            plan: the result of `plan`, now or before an earlier run.
            version_table: as in `plan`.
            resume: whether an earlier run is resumed.
            on_event: called with every event.

        Raises:
            PgMigrateError: something was not moved.
        """
        migration = self._migration
        if ".".join(version_table) in plan.header["config"]["tables"]["exclude"]:
            migration = self._without(version_table)
        report = migration.run(plan, resume=resume, on_event=on_event)
        check(report)
        return report

    @property
    def _tables(self) -> dict[str, Any]:
        tables: dict[str, Any] = self._migration.config["tables"]
        return tables

    def _without(self, table: tuple[str, str]) -> Migration:
        excluded = {"schema": table[0], "name": table[1]}
        if excluded in self._tables["exclude"]:
            return self._migration
        tables = {**self._tables, "exclude": [*self._tables["exclude"], excluded]}
        return derived(self._migration, {"tables": tables})


def derived(migration: Migration, keywords: Mapping[str, object]) -> Migration:
    """A migration between the same databases with other keywords.

    Args:
        migration: the one whose keywords are used unless they are given.
        keywords: keywords of `Migration`; ``options`` and keys of it are merged, all others
            replaced.

    Raises:
        ConfigError: a keyword names another database, or is wrong.
    """
    problems = [
        f"{key}: a data move is between the hook's own" for key in _OF_BOTH if key in keywords
    ]
    if problems:
        raise ConfigError(
            f"invalid configuration: {'; '.join(problems)}",
            name="invalid_configuration",
            problems=problems,
        )
    sections = {key: value for key, value in keywords.items() if key in _SECTIONS}
    flat = {key: value for key, value in keywords.items() if key not in _SECTIONS}
    written = from_keywords(sections, flat)
    old, new = migration._options.get("options"), written.get("options")
    if isinstance(old, dict) and isinstance(new, dict):
        written["options"] = {**old, **new}
    made = Migration._from_options({**migration._options, **written})
    made._jobs = migration._jobs
    return made


def _rows_only(keywords: Mapping[str, object]) -> Mapping[str, object]:
    """The keywords, with ``data_only`` unless they set it, because alembic makes the schema."""
    options = keywords.get("options")
    is_said = "data_only" in keywords or (isinstance(options, Mapping) and "data_only" in options)
    return keywords if is_said else {"data_only": True, **keywords}


def check(report: Report) -> None:
    """Raises an error for what failed according to a report."""
    report.raise_for_failures()
    if report.verification is not None:
        report.verification.raise_for_differences()
