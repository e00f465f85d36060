"""One call of the program: which migrations, what is printed for each, and the exit code."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import click

from pgmigrate import Migration, Report, VerifyResult
from pgmigrate._console import log_event, logging_to, show_error
from pgmigrate._job import Event, OnEvent, logger
from pgmigrate._run_all import named_path
from pgmigrate._text import printable, printable_json
from pgmigrate._verification import Verdict
from pgmigrate.cli.interruption import interrupted, spare_the_report
from pgmigrate.cli.streams import can_encode, untold_loss
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
LOST: Final = 6
MORE_ROWS: Final = 7
NOT_COMPARED: Final = 8
NOT_RESTORED: Final = 9
INTERRUPTED: Final = 130
_OF_VERDICT: Final[Mapping[Verdict, int]] = {
    "equal": DONE,
    "contains_source": MORE_ROWS,
    "different": DIFFERENT,
    "not_compared": NOT_COMPARED,
}


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
    _all: list[Migration] = field(default_factory=list)

    def migrations(self) -> list[Migration]:
        """The migrations that the call is about.

        Raises:
            ConfigError: the config is wrong, or ``only`` names none of its migrations.
            click.UsageError: neither a config nor two databases are given, or both.
        """
        if self.config is None:
            self._all = [self._from_endpoints()]
            return self._all
        if self.source or self.target or self.schemas or self.tables or self.data_only:
            raise click.UsageError(
                "--config and --source, --target, --schema, --table, --data-only exclude each other"
            )
        self._all = found = Migration.load_all(self.config)
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

    def own_path(self, path: Path, migration: Migration) -> Path:
        """The path of a migration's own file, the same however many of the config are chosen."""
        return named_path(path, migration, self._all)

    def words_of(self, migration: Migration) -> str:
        """`words`, for one of the migrations; never a conninfo."""
        if self.config is None or len(self._all) < 2 or not migration.name:
            return self.words()
        return shlex.join(["--config", str(self.config), "--only", migration.name])

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

    An interruption ends it: those before it, and what the interrupted one has come to, are printed.

    Returns:
        The exit code.
    """
    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    with logging_to(console, verbose=call.verbose, debug=call.debug):
        answers: list[tuple[Migration, Answer]] = []
        for migration in migrations:
            if len(migrations) > 1:
                title = printable(f"migration {migration.name}")
                console.print(title, markup=False, soft_wrap=True)
                logger.info("%s", title)
            answer = _attempt(call, console, migration, work)
            if not call.json:
                # A plan or a report is not kept for nothing while the next migration runs.
                answer.data = dict
            answers.append((migration, answer))
            if not call.json and answer.text:
                click.echo(printable(answer.text))
            if answer.code == INTERRUPTED:
                break
        if call.json:
            click.echo(_as_json(answers, many=len(migrations) > 1))
        elif len(migrations) > 1:
            click.echo(printable(_summary(answers, migrations)))
        _tell_loss()
    codes = {answer.code for _, answer in answers} - {DONE}
    if INTERRUPTED in codes:
        return INTERRUPTED
    # A lost report is the least that can be wrong.
    codes = codes - {LOST} or codes
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
        failure = error
    except KeyboardInterrupt:
        spare_the_report()
        failure = interrupted()
    show_error(failure, call.debug)
    mapping = {"error": failure.to_dict()}
    return Answer("", lambda: mapping, exit_code(failure))


def _tell_loss() -> None:
    """The work is done, and its result is not where somebody will look for it."""
    reason = untold_loss()
    if reason is not None:
        logger.error("the result could not be written to standard output: %s", reason)


def _as_json(answers: Sequence[tuple[Migration, Answer]], *, many: bool) -> str:
    if not many:
        return _json(answers[0][1].data())
    return _json([{"name": migration.name, **answer.data()} for migration, answer in answers])


def _json(value: Any) -> str:
    text = printable_json(value)
    # Escapes of JSON's own lose nothing.
    return text if can_encode(text) else printable_json(value, ascii_only=True)


def _summary(answers: Sequence[tuple[Migration, Answer]], migrations: Sequence[Migration]) -> str:
    words = {DONE: "done", PREFLIGHT: "stopped by preflight", DIFFERENT: "different"}
    words |= {INTERRUPTED: "interrupted", LOST: "done", NOT_COMPARED: "not all compared"}
    words[MORE_ROWS] = "done, the target has more rows"
    ended = [words.get(answer.code, "failed") for _, answer in answers]
    ended += ["not started"] * (len(migrations) - len(ended))
    lines = [
        f"  {migration.name}: {word}" for migration, word in zip(migrations, ended, strict=True)
    ]
    done = sum(word.startswith("done") for word in ended)
    return "\n".join([f"{done} of {len(migrations)} migrations done", *lines])


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
    return DONE if report.verification is None else verdict_code(report.verification)


def verdict_code(result: VerifyResult) -> int:
    """The exit code for what a verification came to."""
    return _OF_VERDICT[result.verdict]


def guarded(call: Call, command: Callable[[], int]) -> int:
    """Runs a command; whatever it raises before or beside its work is one line, not a traceback."""
    from rich.console import Console

    try:
        return command()
    except PgMigrateError as error:
        failure = error
    except OSError as error:
        failure = PgMigrateError(f"{error.filename or 'input or output'}: {error.strerror}")
    except KeyboardInterrupt:
        spare_the_report()
        failure = interrupted()
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
            click.echo(_json({"error": failure.to_dict()}))
        _tell_loss()
    return exit_code(failure)
