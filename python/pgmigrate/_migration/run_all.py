"""`run_all`: several migrations one after another, each with files of its own."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from pgmigrate._bridge.files import is_file
from pgmigrate._bridge.job import outcome_of
from pgmigrate._bridge.keywords import check_known, spelled_out
from pgmigrate._migration.migration import Migration
from pgmigrate._migration.run_options import RunOptions
from pgmigrate._results.plan import OnDrift, Plan
from pgmigrate._results.report import Report
from pgmigrate._values.wording import calling
from pgmigrate.errors import ConfigError, InterruptedRunError, PgMigrateError
from pgmigrate.events import Event, OnEvent

if TYPE_CHECKING:
    from typing_extensions import Unpack

Outcome: TypeAlias = tuple[Migration, Report | PgMigrateError]
"""A migration with its report, or with the error that ended it before it had one."""

_OUTCOMES: Final = "_pgmigrate_outcomes"


@spelled_out(RunOptions)
def run_all(
    migrations: Sequence[Migration],
    *,
    plan: str | os.PathLike[str] | None = None,
    on_drift: OnDrift | None = None,
    on_event: Callable[[Migration, Event], object] | None = None,
    **options: Unpack[RunOptions],
) -> list[Outcome]:
    """Runs migrations one after another, and goes on after one that fails.

    Ctrl-C, an exception of a signal handler and one of ``on_event`` stop the run cleanly and are
    raised again; the migrations after it are not started. `outcomes_of` returns the outcomes of
    those that had ended by then.

    Args:
        migrations: what to run, in this order.
        plan: where plans are kept; with several migrations ``plan.tsv`` means ``plan-<name>.tsv``
            for each of them. A new plan replaces an existing file, unless ``on_drift`` is given.
        on_drift: follow existing plan files, such as reviewed ones, and make a new plan only where
            there is no file. A plan that differs from the one that would be made now is followed
            with ``warn``; with ``refuse`` its migration ends with `DriftError` before its target
            is touched, and the others go on. None: make new plans.
        on_event: called with the migration and each of its events.
        options: the keywords that `RunOptions` lists; the state files are named as the plans are.

    Returns:
        Each migration with its report, or with the error that ended it.

    Raises:
        ConfigError: ``on_drift`` is given without ``plan``, or together with ``resume``.
        InterruptedRunError: a run was stopped before it began; those after it were not started.
    """
    check_known("run_all", RunOptions, options)
    _check_drift(plan, on_drift, options)
    files = _Files(migrations, plan, options.get("state"), on_drift)
    outcomes: list[Outcome] = []
    with calling("run_all"):
        for migration in migrations:
            try:
                report = files.run(migration, _with_migration(migration, on_event), options)
            except BaseException as error:
                outcomes += _outcome(migration, error)
                is_own = bool(outcomes) and outcomes[-1][1] is error
                if is_own and not isinstance(error, InterruptedRunError):
                    continue
                _keep(error, outcomes)
                raise
            outcomes.append((migration, report))
    return outcomes


def _check_drift(
    plan: str | os.PathLike[str] | None, on_drift: OnDrift | None, options: RunOptions
) -> None:
    if on_drift is not None and plan is None:
        raise ConfigError(
            "on_drift applies to the plan files that plan names: give plan, too",
            name="conflicting_arguments",
        )
    if on_drift is not None and options.get("resume"):
        raise ConfigError(
            "resume and on_drift exclude each other: a resumed run follows the plan in its ledger",
            name="conflicting_arguments",
        )


@dataclass(frozen=True)
class _Files:
    """The files of the migrations, each with files of its own.

    Attributes:
        migrations: all migrations of the call.
        plan: where plans are kept.
        state: where the ledgers are mirrored.
        on_drift: as in `run_all`.
    """

    migrations: Sequence[Migration]
    plan: str | os.PathLike[str] | None
    state: str | os.PathLike[str] | None
    on_drift: OnDrift | None

    def run(self, migration: Migration, on_event: OnEvent | None, options: RunOptions) -> Report:
        """Runs one of the migrations with its files."""
        path = self._own(self.plan, migration)
        kept = None if self.on_drift is None or path is None else _kept_plan(path)
        own: RunOptions = {**options}
        if (state := self._own(self.state, migration)) is not None:
            own["state"] = state
        return migration.run(
            kept,
            plan_file=path,
            on_drift="warn" if kept is None or self.on_drift is None else self.on_drift,
            on_event=on_event,
            **own,
        )

    def _own(self, path: str | os.PathLike[str] | None, migration: Migration) -> Path | None:
        return None if path is None else named_path(Path(path), migration, self.migrations)


def _outcome(migration: Migration, error: BaseException) -> list[Outcome]:
    """The outcome of the migration that an exception ended, if it has one."""
    outcome = outcome_of(error, "run")
    if isinstance(outcome, Mapping):
        return [(migration, Report.from_mapping(outcome))]
    if outcome is not None:
        return [(migration, outcome)]
    # The error of the run itself. An exception of `on_event` has the outcome of the run that it
    # ended.
    return [(migration, error)] if isinstance(error, PgMigrateError) else []


def _kept_plan(path: Path) -> Plan | None:
    # A new plan is written into a device or a pipe; it is never read.
    return Plan.load(path) if is_file(path, "plan file") else None


def outcomes_of(interruption: BaseException) -> tuple[Outcome, ...]:
    """The outcomes of `run_all` at the time when an exception ended it.

    Args:
        interruption: what `run_all` raised, such as ``KeyboardInterrupt``.

    Returns:
        The migrations that had ended and, as the last one, the interrupted one, with its report or
        its error; those that were not started are not included. Empty if the exception was not
        raised by `run_all`.
    """
    found: tuple[Outcome, ...] = getattr(interruption, _OUTCOMES, ())
    return found


def _keep(interruption: BaseException, outcomes: Sequence[Outcome]) -> None:
    # An exception of the caller's may not accept attributes.
    with suppress(AttributeError, TypeError):
        setattr(interruption, _OUTCOMES, tuple(outcomes))


def _with_migration(
    migration: Migration, on_event: Callable[[Migration, Event], object] | None
) -> OnEvent | None:
    return None if on_event is None else lambda event: on_event(migration, event)


def named_path(path: Path, migration: Migration, migrations: Sequence[Migration]) -> Path:
    """The path of a migration's own file: ``plan.tsv``, or ``plan-<name>.tsv`` among several.

    If a name has characters that are not allowed in a file's name, a part of its hash is added to
    the file's name, so that two names never share a file.
    """
    if len(migrations) == 1:
        return path
    name = migration.name or str(migrations.index(migration))
    safe = "".join(char if char.isalnum() or char in "-_." else "_" for char in name)
    # Some file systems do not distinguish capitals and small letters.
    if safe != name.casefold():
        safe += f"-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    return path.with_name(f"{path.stem}-{safe}{path.suffix}")
