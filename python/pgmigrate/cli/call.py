"""One call of the program: which migrations, what is printed for each, and the exit code."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import click

from pgmigrate import Migration, Report
from pgmigrate._console import log_event, logging_to, show_error
from pgmigrate._job import Event, OnEvent, logger
from pgmigrate.errors import (
    ConfigError,
    InternalError,
    InterruptedRunError,
    PgMigrateError,
    PreflightError,
)

if TYPE_CHECKING:
    from rich.console import Console

DONE: Final = 0
FAILED: Final = 1
USAGE: Final = 2
PREFLIGHT: Final = 3
DIFFERENT: Final = 4
NOT_STARTED: Final = 5
INTERRUPTED: Final = 130


@dataclass
class Answer:
    """What a command gives back for one migration.

    Attributes:
        text: for people.
        data: makes what is for machines.
        code: the exit code.
    """

    text: str
    data: Callable[[], dict[str, Any]]
    code: int = DONE


@dataclass
class Call:
    """One call of the program: which migrations, and how to show what happens.

    Attributes:
        config: the config file.
        source: the source's conninfo, where there is no config file.
        target: the target's conninfo, where there is no config file.
        schemas: schemas to migrate, where there is no config file.
        tables: tables to migrate, where there is no config file.
        data_only: only rows, into tables that the target has, where there is no config file.
        only: names of migrations of a config file; all where empty.
        json: results are JSON.
        verbose: the console shows INFO and WARN, too.
        debug: the log has DEBUG, and errors have tracebacks.
    """

    config: Path | None = None
    source: str | None = None
    target: str | None = None
    schemas: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    data_only: bool = False
    only: tuple[str, ...] = ()
    json: bool = False
    verbose: bool = False
    debug: bool = False

    def migrations(self) -> list[Migration]:
        """The migrations that the call is about.

        Raises:
            ConfigError: the config is wrong, or ``only`` names none of its migrations.
            click.UsageError: neither a config nor two databases are given, or both.
        """
        if self.config is None:
            return [self._from_endpoints()]
        if self.source or self.target or self.schemas or self.tables or self.data_only:
            raise click.UsageError(
                "--config and --source, --target, --schema, --table, --data-only exclude each other"
            )
        found = Migration.load_all(self.config)
        unknown = set(self.only) - {migration.name for migration in found}
        if unknown:
            raise ConfigError(
                f"--only: no migration is named {', '.join(sorted(unknown))}",
                remedy=f"there are: {', '.join(migration.name for migration in found)}",
            )
        return [migration for migration in found if not self.only or migration.name in self.only]

    def _from_endpoints(self) -> Migration:
        if self.source is None or self.target is None:
            raise click.UsageError("give --config FILE, or both --source and --target")
        if self.only:
            raise click.UsageError("--only chooses among the migrations of a --config FILE")
        return Migration(
            source=self.source,
            target=self.target,
            schemas=self.schemas or None,
            tables=self.tables or None,
            options={"data_only": True} if self.data_only else None,
        )

    def one_migration(self) -> Migration:
        """The one migration that the call is about.

        Raises:
            ConfigError: the config is wrong.
            click.UsageError: there are several.
        """
        migrations = self.migrations()
        if len(migrations) != 1:
            raise click.UsageError("the config has several migrations: choose one with --only NAME")
        return migrations[0]

    def words(self) -> str:
        """The options that choose the migrations, to type them again; never a conninfo."""
        if self.config is None:
            return "--source ... --target ..."
        chosen = [word for name in self.only for word in ("--only", name)]
        return shlex.join(["--config", str(self.config), *chosen])


Work: TypeAlias = Callable[[Migration, OnEvent], Answer]
"""What a command does for one migration."""


def for_each(call: Call, migrations: Sequence[Migration], work: Work) -> int:
    """Does the work for every migration, goes on after one that fails, and prints the answers.

    Returns:
        The exit code.
    """
    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    with logging_to(console, verbose=call.verbose, debug=call.debug):
        answers: list[tuple[Migration, Answer]] = []
        for migration in migrations:
            if len(migrations) > 1:
                console.print(f"migration {migration.name}", markup=False, soft_wrap=True)
                logger.info("migration %s", migration.name)
            answer = _attempt(call, console, migration, work)
            if not call.json:
                # A plan or a report is not kept for nothing while the next migration runs.
                answer.data = dict
            answers.append((migration, answer))
            if not call.json and answer.text:
                click.echo(answer.text)
            if answer.code == INTERRUPTED:
                break
    if call.json:
        click.echo(_as_json(answers, many=len(migrations) > 1))
    elif len(migrations) > 1:
        click.echo(_summary(answers, migrations))
    codes = {answer.code for _, answer in answers} - {DONE}
    if INTERRUPTED in codes:
        return INTERRUPTED
    return codes.pop() if len(codes) == 1 else (FAILED if codes else DONE)


def _attempt(call: Call, console: Console, migration: Migration, work: Work) -> Answer:
    from pgmigrate.progress import progress

    try:
        with progress(console) as show:

            def on_event(event: Event) -> None:
                log_event(event)
                show(event)

            return work(migration, on_event)
    except PgMigrateError as error:
        show_error(error, call.debug)
        told = {"error": error.to_dict()}
        return Answer("", lambda: told, exit_code(error))


def _as_json(answers: Sequence[tuple[Migration, Answer]], *, many: bool) -> str:
    if not many:
        return json.dumps(answers[0][1].data(), ensure_ascii=False, indent=2)
    named = [{"name": migration.name, **answer.data()} for migration, answer in answers]
    return json.dumps(named, ensure_ascii=False, indent=2)


def _summary(answers: Sequence[tuple[Migration, Answer]], migrations: Sequence[Migration]) -> str:
    words = {DONE: "done", PREFLIGHT: "stopped by preflight", DIFFERENT: "different"}
    words[INTERRUPTED] = "interrupted"
    ended = [words.get(answer.code, "failed") for _, answer in answers]
    ended += ["not started"] * (len(migrations) - len(ended))
    lines = [
        f"  {migration.name}: {word}" for migration, word in zip(migrations, ended, strict=True)
    ]
    return "\n".join([f"{ended.count('done')} of {len(migrations)} migrations done", *lines])


def exit_code(error: PgMigrateError) -> int:
    """The exit code for an error that ended a migration."""
    if isinstance(error, ConfigError):
        return USAGE
    if isinstance(error, PreflightError):
        return PREFLIGHT
    return INTERRUPTED if isinstance(error, InterruptedRunError) else FAILED


def report_code(report: Report) -> int:
    """The exit code for a run that came to its end."""
    if report.status == "interrupted":
        return INTERRUPTED
    if report.failed or report.status == "failed":
        return FAILED
    return DONE if report.ok else DIFFERENT


def guarded(call: Call, command: Callable[[], int]) -> int:
    """Runs a command; whatever it raises before or beside its work is one line, not a traceback."""
    from rich.console import Console

    try:
        return command()
    except PgMigrateError as error:
        failure = error
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        failure = PgMigrateError(f"{error.filename or 'input or output'}: {error.strerror}")
    except click.ClickException:
        raise
    except Exception as error:
        if call.debug:
            raise
        failure = InternalError(
            f"{type(error).__name__}: {error}", remedy="run again with --debug and report it"
        )
    console = Console(stderr=True, highlight=False)
    with logging_to(console, verbose=call.verbose, debug=call.debug):
        show_error(failure, call.debug)
    if call.json:
        click.echo(json.dumps({"error": failure.to_dict()}, ensure_ascii=False, indent=2))
    return exit_code(failure)
