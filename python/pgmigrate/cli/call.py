"""One call of the program: which migrations, what is printed for each, and the exit code."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import click

from pgmigrate import Migration, Rates, Report, VerifyResult
from pgmigrate._bridge.job import logger
from pgmigrate._migration.run_all import named_path
from pgmigrate._values.humanize import duration, plural, printable, printable_json
from pgmigrate._values.sets import Verdict
from pgmigrate._values.wording import facing
from pgmigrate.cli.again import command_line, shown_conninfo, typed
from pgmigrate.cli.console import (
    LOG_FILE,
    LogFormat,
    LogSettings,
    log_event,
    log_head,
    logging_to,
    show_error,
)
from pgmigrate.cli.interruption import interrupted, spare_the_report
from pgmigrate.cli.streams import can_encode, fitted, lost_output, untold_loss
from pgmigrate.errors import (
    ConfigError,
    ConnectError,
    DriftError,
    InternalError,
    InterruptedRunError,
    PgMigrateError,
    PreflightError,
)
from pgmigrate.events import Event, OnEvent

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
UNREACHABLE: Final = 10
DRIFT: Final = 11
INTERRUPTED: Final = 130
_OF_VERDICT: Final[Mapping[Verdict, int]] = {
    "equal": DONE,
    "contains_source": MORE_ROWS,
    "different": DIFFERENT,
    "not_compared": NOT_COMPARED,
}


@dataclass
class Answer:
    """What a command returns for one migration.

    Attributes:
        text: the output for people.
        data: creates the output for machines.
        code: the exit code.
        state: the outcome in a few words, for a summary of several migrations; if empty, it follows
            from the exit code.
    """

    text: str
    data: Callable[[], dict[str, Any]]
    code: int = DONE
    state: str = ""


@dataclass
class Call:
    """One call of the program: which migrations, and how to show what happens.

    Attributes:
        config: the config file.
        source: the source's conninfo, without a config file.
        target: the target's conninfo, without a config file.
        schemas: schemas to migrate, without a config file.
        exclude_schemas: schemas to leave out, without a config file.
        tables: tables to migrate, without a config file.
        exclude_tables: tables to leave out, without a config file.
        data_only: only rows, into existing tables of the target, without a config file.
        no_owner: the target's role owns what is created, without a config file.
        no_privileges: nothing is granted or revoked, without a config file.
        no_roles: no roles are created, without a config file.
        only: names of migrations of a config file; all if empty.
        json: results are JSON.
        verbose: the console shows INFO and WARN, too.
        quiet: the console shows no progress.
        debug: the log has DEBUG, and errors have tracebacks.
        log: the log file.
        log_format: ``text`` or ``json``.
        needs_source: whether the command also connects to the source.
    """

    config: Path | None = None
    source: str | None = None
    target: str | None = None
    schemas: tuple[str, ...] = ()
    exclude_schemas: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    exclude_tables: tuple[str, ...] = ()
    data_only: bool = False
    no_owner: bool = False
    no_privileges: bool = False
    no_roles: bool = False
    only: tuple[str, ...] = ()
    json: bool = False
    verbose: bool = False
    quiet: bool = False
    debug: bool = False
    log: Path = LOG_FILE
    log_format: LogFormat = "text"
    needs_source: bool = True
    _all: list[Migration] = field(default_factory=list)

    def migrations(self) -> list[Migration]:
        """The migrations of the call.

        Raises:
            ConfigError: the config is wrong, or ``only`` names none of its migrations.
            click.UsageError: neither a config nor two databases are given, or both.
        """
        if self.config is None:
            self._all = [self._from_endpoints()]
            return self._all
        filters = self.schemas or self.exclude_schemas or self.tables or self.exclude_tables
        left_out = self.no_owner or self.no_privileges or self.no_roles
        if self.source or self.target or filters or self.data_only or left_out:
            raise click.UsageError(
                "--config and --source, --target, --schema, --exclude-schema, --table, "
                "--exclude-table, --data-only, --no-owner, --no-privileges, --no-roles "
                "exclude each other"
            )
        self._all = found = Migration.load_all(self.config)
        unknown = set(self.only) - {migration.name for migration in found}
        if unknown:
            raise ConfigError(
                f"--only: no migration is named {', '.join(sorted(unknown))}",
                name="migration_unknown",
                remedy=f"there are: {', '.join(migration.name for migration in found)}",
            )
        return [migration for migration in found if not self.only or migration.name in self.only]

    def _from_endpoints(self) -> Migration:
        if self.target is None or (self.source is None and self.needs_source):
            needed = "both --source and --target" if self.needs_source else "--target"
            raise click.UsageError(
                f"give --config FILE, or {needed} (or PGMIGRATE_SOURCE and PGMIGRATE_TARGET)"
            )
        if self.only:
            raise click.UsageError("--only chooses among the migrations of a --config FILE")
        given: dict[str, Any] = {
            # A command that connects only to the target does not use the source.
            "source": self.source or self.target,
            "target": self.target,
            "schemas": _filter(self.schemas, self.exclude_schemas),
            "tables": _filter(self.tables, self.exclude_tables),
            "roles": "none" if self.no_roles else None,
            "options": self._options() or None,
        }
        return Migration(**given)

    def _options(self) -> dict[str, object]:
        given = {
            "data_only": self.data_only or None,
            "owners": False if self.no_owner else None,
            "privileges": False if self.no_privileges else None,
        }
        return {name: value for name, value in given.items() if value is not None}

    @cached_property
    def console(self) -> Console:
        """Standard error; messages and live bars share it, so as not to overwrite each other."""
        from rich.console import Console

        return Console(stderr=True, highlight=False)

    def log_settings(self) -> LogSettings:
        """The settings of the log."""
        return LogSettings(
            path=self.log,
            format=self.log_format,
            verbose=self.verbose,
            debug=self.debug,
            quiet=self.quiet,
        )

    def one_migration(self) -> Migration:
        """The only migration of the call.

        Raises:
            ConfigError: the config is wrong.
            click.UsageError: there are several.
        """
        migrations = self.migrations()
        if len(migrations) != 1:
            raise click.UsageError("the config has several migrations: choose one with --only NAME")
        return migrations[0]

    def own_path(self, path: Path, migration: Migration) -> Path:
        """The path of a migration's own file; it does not depend on how many are selected."""
        return named_path(path, migration, self._all)

    def only_name(self, migration: Migration) -> str | None:
        """The name that selects one of several migrations; None if there is only one."""
        return None if self.config is None or len(self._all) < 2 else migration.name or None

    def own_rates(self, path: Path | None, migration: Migration) -> Rates | None:
        """The rates in a migration's own file, if one is given."""
        return None if path is None else Rates.load(self.own_path(path, migration))

    def words_of(self, migration: Migration) -> str:
        """`words`, for one of the migrations."""
        name = self.only_name(migration)
        if name is None:
            return self.words()
        return shlex.join(["--config", str(self.config), "--only", name])

    def words(self) -> str:
        """The options that select the migrations, to repeat a command; never a password.

        What is set in the environment is left out.
        """
        if self.config is None:
            context = click.get_current_context()
            sides = {"source": self.source, "target": self.target}
            return " ".join(
                f"--{side} {shown_conninfo(conninfo)}"
                for side, conninfo in sides.items()
                if conninfo is not None and typed(context, side)
            )
        chosen = [word for name in self.only for word in ("--only", name)]
        return shlex.join(["--config", str(self.config), *chosen])


def _filter(chosen: Sequence[str], left_out: Sequence[str]) -> Mapping[str, object] | None:
    """A section ``schemas`` or ``tables``; None if nothing is filtered."""
    if not (chosen or left_out):
        return None
    include = {"mode": "include", "include": list(chosen)} if chosen else {"mode": "all"}
    return {**include, "exclude": list(left_out)}


Work: TypeAlias = Callable[[Migration, OnEvent], Answer]
"""What a command does for one migration."""


def for_each(call: Call, migrations: Sequence[Migration], work: Work) -> int:
    """Does the work for every migration, goes on after one that fails, and prints the answers.

    An interruption ends the loop: the earlier answers and that of the interrupted migration are
    printed.

    Returns:
        The exit code.
    """
    console = call.console
    answers: list[tuple[Migration, Answer]] = []
    for migration in migrations:
        if len(migrations) > 1:
            title = printable(f"migration {migration.name}")
            if not call.quiet:
                console.print(title, markup=False, soft_wrap=True)
            logger.info("%s", title)
        answer = _attempt(call, console, migration, work)
        if not call.json:
            # Do not keep a plan or a report in memory while the next migration runs.
            answer.data = dict
        answers.append((migration, answer))
        if not call.json and answer.text:
            click.echo(fitted(printable(answer.text)))
        if answer.code == INTERRUPTED:
            break
    if call.json:
        click.echo(_as_json(answers, many=len(migrations) > 1))
    elif len(migrations) > 1:
        click.echo(printable(_summary(answers, migrations)))
    _report_loss()
    codes = {answer.code for _, answer in answers} - {DONE}
    if INTERRUPTED in codes:
        return INTERRUPTED
    # Any other failure is more important than a lost report.
    codes = codes - {LOST} or codes
    return codes.pop() if len(codes) == 1 else (FAILED if codes else DONE)


def _attempt(call: Call, console: Console, migration: Migration, work: Work) -> Answer:
    try:
        with _progress(call, console) as show:

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


def _progress(call: Call, console: Console) -> AbstractContextManager[OnEvent]:
    from pgmigrate.progress import progress

    return nullcontext(lambda event: None) if call.quiet else progress(console)


def _report_loss() -> None:
    """Logs that the work is done, but its result could not be written."""
    reason = untold_loss()
    if reason is not None:
        logger.error("the result could not be written to standard output: %s", reason)


def _as_json(answers: Sequence[tuple[Migration, Answer]], *, many: bool) -> str:
    if not many:
        return _json(answers[0][1].data())
    return _json([{"name": migration.name, **answer.data()} for migration, answer in answers])


def _json(value: Any) -> str:
    text = printable_json(value)
    # JSON has its own escapes, so no character is lost.
    return text if can_encode(text) else printable_json(value, ascii_only=True)


def _summary(answers: Sequence[tuple[Migration, Answer]], migrations: Sequence[Migration]) -> str:
    states = [answer.state for _, answer in answers]
    if any(states):
        states = [state or "failed" for state in states]
        states += ["not inspected"] * (len(migrations) - len(states))
        named = zip(migrations, states, strict=True)
        return "\n".join(
            [
                f"{plural(len(migrations), 'migration')}:",
                *(f"  {migration.name}: {state}" for migration, state in named),
            ]
        )
    words = {DONE: "done", PREFLIGHT: "stopped by preflight", DIFFERENT: "different"}
    words |= {INTERRUPTED: "interrupted", LOST: "done", NOT_COMPARED: "not all compared"}
    words[MORE_ROWS] = "done, the target has more rows"
    words |= {UNREACHABLE: "a database cannot be reached", DRIFT: "stopped: the plan differs"}
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
    if isinstance(error, ConnectError):
        return UNREACHABLE
    if isinstance(error, DriftError):
        return DRIFT
    return INTERRUPTED if isinstance(error, InterruptedRunError) else FAILED


def report_code(report: Report) -> int:
    """The exit code for a run that came to its end."""
    if report.status == "interrupted":
        return INTERRUPTED
    if report.failed or report.status == "failed":
        return FAILED
    return DONE if report.verification is None else verdict_code(report.verification)


def verdict_code(result: VerifyResult) -> int:
    """The exit code for the result of a verification."""
    return _OF_VERDICT[result.verdict]


def guarded(call: Call, command: Callable[[], int]) -> int:
    """Runs a command, and logs from its beginning to its exit code."""
    began = time.monotonic()
    with facing("command"), logging_to(call.console, call.log_settings()):
        of_log = {"is_of_log": True}
        logger.info("%s", log_head(command_line()), extra=of_log)
        try:
            code = _guarded(call, command)
        except click.UsageError as error:
            logger.error("%s", usage_words(error), extra={"remedy": usage_remedy(error)})
            if call.json:
                click.echo(usage_json(error))
            code = USAGE
        if code == DONE and lost_output() is not None:
            code = LOST
        took = duration(time.monotonic() - began)
        logger.info("exit code %d after %s", code, took, extra=of_log)
    return code


def usage_words(error: click.ClickException) -> str:
    """The mistake on the command line, in the style of pgmigrate's own messages."""
    words = error.format_message().rstrip(".")
    return words[:1].lower() + words[1:]


def usage_json(error: click.ClickException) -> str:
    """The same for machines."""
    found = ConfigError(usage_words(error), name="command_line", remedy=usage_remedy(error))
    return _json({"error": found.to_dict()})


def usage_remedy(error: click.ClickException) -> str:
    """Where the options are explained."""
    context = getattr(error, "ctx", None)
    path = "pgmigrate" if context is None else context.command_path
    return f"`{path} --help` lists what there is"


def _guarded(call: Call, command: Callable[[], int]) -> int:
    """Runs a command; an error outside of its work is printed as one line, not a traceback."""
    try:
        return command()
    except PgMigrateError as error:
        failure = error
    except OSError as error:
        failure = PgMigrateError(
            f"reading or writing {error.filename or 'a file'} failed: {error.strerror}",
            name="file_error",
        )
    except KeyboardInterrupt:
        spare_the_report()
        failure = interrupted()
    except (click.ClickException, click.Abort):
        raise
    except Exception as error:
        if call.debug:
            raise
        failure = InternalError(
            f"internal error: {type(error).__name__}: {error}",
            name="defect",
            remedy="run again with --debug and report it",
        )
    show_error(failure, call.debug)
    if call.json:
        click.echo(_json({"error": failure.to_dict()}))
    _report_loss()
    return exit_code(failure)
