"""The command line: `pgmigrate plan`, `pgmigrate migrate` and their kin.

Results go to standard output, progress and errors to standard error, and all that is logged into
pgmigrate.log. Exit codes: 0 all done, 1 something failed, 2 usage or configuration, 3 preflight,
4 verification found differences, 130 interrupted.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

import pgmigrate
from pgmigrate import Migration, Plan, Report
from pgmigrate._console import log_event, logging_to, show_error
from pgmigrate._estimate import asked
from pgmigrate._migration import Event, OnEvent, logger, named_path
from pgmigrate.errors import (
    ConfigError,
    InternalError,
    InterruptedRunError,
    PgMigrateError,
    PreflightError,
    StateError,
)

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["main"]

DONE: Final = 0
FAILED: Final = 1
USAGE: Final = 2
PREFLIGHT: Final = 3
DIFFERENT: Final = 4
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
        if self.source or self.target or self.schemas or self.tables:
            raise click.UsageError(
                "--config and --source, --target, --schema, --table exclude each other"
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


Work = Callable[[Migration, OnEvent], Answer]


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


# The options that several commands share.


_CALL_OPTIONS: Final = (
    click.option(
        "-c",
        "--config",
        type=click.Path(dir_okay=False, path_type=Path),
        metavar="FILE",
        help="The config file (YAML or JSON).",
    ),
    click.option("--source", metavar="CONNINFO", help="Without --config: the database to read."),
    click.option("--target", metavar="CONNINFO", help="Without --config: the database to write."),
    click.option(
        "--schema",
        "schemas",
        multiple=True,
        metavar="NAME",
        help="Without --config: a schema to migrate; repeatable.",
    ),
    click.option(
        "--table",
        "tables",
        multiple=True,
        metavar="SCHEMA.NAME",
        help="Without --config: a table to migrate; repeatable.",
    ),
    click.option(
        "--only",
        multiple=True,
        metavar="NAME",
        help="Of several migrations in the config, this one; repeatable.",
    ),
    click.option("--json", is_flag=True, help="Print the result as JSON."),
    click.option("--verbose", is_flag=True, help="Show INFO and WARN on the console, too."),
    click.option("--debug", is_flag=True, help="Log more, and show tracebacks of errors."),
)


def _connected(command: Callable[..., int]) -> Callable[..., int]:
    """Gives a command the options of `Call`, and calls it with one."""

    @wraps(command)
    def with_call(**given: Any) -> int:
        call = Call(
            **{name: given.pop(name) for name in Call.__dataclass_fields__ if name in given}
        )
        return _guarded(call, lambda: command(call, **given))

    for option in reversed(_CALL_OPTIONS):
        with_call = option(with_call)
    return with_call


def _guarded(call: Call, command: Callable[[], int]) -> int:
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


_plan_option = click.option(
    "--plan",
    "plan_path",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("plan.tsv"),
    show_default=True,
    metavar="FILE",
    help="The plan file.",
)
_jobs_option = click.option(
    "--jobs", type=click.IntRange(min=1), metavar="N", help="How many tasks run at once."
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(pgmigrate.__version__, prog_name="pgmigrate", message="%(prog)s %(version)s")
def commands() -> None:
    """Move a PostgreSQL database into another one: planned, parallel, resumable, verified."""


@commands.command("plan")
@_connected
@_plan_option
@click.option("--estimate", is_flag=True, help="Tell how long a run of the plan will take.")
@_jobs_option
@click.option(
    "--calibrate",
    "calibrate_path",
    is_flag=False,
    flag_value=Path("rates.json"),
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="[FILE]",
    help="As --estimate, with rates that are measured on both servers in about ten seconds, "
    "and written to FILE (rates.json). Leaves nothing on the servers.",
)
@click.option(
    "--rates",
    "rates_path",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="As --estimate, with the rates of an earlier --calibrate.",
)
def plan_command(
    call: Call,
    plan_path: Path,
    estimate: bool,
    jobs: int | None,
    calibrate_path: Path | None,
    rates_path: Path | None,
) -> int:
    """Decide what to do. Writes the plan file, changes no database."""
    if rates_path is not None and calibrate_path is not None:
        raise click.UsageError("--calibrate measures rates, and --rates has some: give one of them")
    is_asked = estimate or rates_path is not None or calibrate_path is not None
    if jobs is not None and not is_asked:
        raise click.UsageError("--jobs is about --estimate: a plan is the same for all")
    migrations = call.migrations()

    def own(path: Path | None, migration: Migration) -> Path | None:
        return None if path is None else named_path(path, migration, migrations)

    def work(migration: Migration, on_event: OnEvent) -> Answer:
        path = named_path(plan_path, migration, migrations)
        plan = _new_plan(call, migration, path, on_event)
        answer = Answer(f"{plan.summary()}\nwritten to {path}", lambda: _plan_data(plan, path))
        if is_asked:
            rates = own(rates_path, migration), own(calibrate_path, migration)
            told = asked(migration, plan, jobs, *rates, on_event)
            answer.text += f"\n\n{told}"
            answer.data = lambda: {**_plan_data(plan, path), "estimate": told.to_dict()}
        return answer

    return for_each(call, migrations, work)


@commands.command()
@_connected
@_plan_option
@click.option(
    "--state",
    "state_path",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("state.tsv"),
    show_default=True,
    metavar="FILE",
    help="The state file, which mirrors the ledger in the target.",
)
@_jobs_option
@click.option("--dry-run", is_flag=True, help="Write the plan, print its summary, touch nothing.")
@click.option("--resume", is_flag=True, help="Go on with an interrupted or failed run.")
@click.option("--backup", is_flag=True, help="Back up the target first, with pg_dump.")
@click.option("--verify", is_flag=True, help="Compare source and target afterwards.")
@click.option(
    "--not-consistent",
    is_flag=True,
    help="On --resume, let rows of several states of the source meet in one table.",
)
def migrate(
    call: Call,
    plan_path: Path,
    state_path: Path,
    jobs: int | None,
    dry_run: bool,
    resume: bool,
    backup: bool,
    verify: bool,
    not_consistent: bool,
) -> int:
    """Plan and migrate. With --resume, do what is left of the last run."""
    migrations = call.migrations()

    def work(migration: Migration, on_event: OnEvent) -> Answer:
        path = named_path(plan_path, migration, migrations)
        report = migration.run(
            Plan.load(path) if resume else None,
            resume=resume,
            jobs=jobs,
            plan_file=path,
            state=named_path(state_path, migration, migrations),
            dry_run=dry_run,
            # A flag that is not given leaves the decision to the configuration.
            backup=backup or None,
            verify=verify or None,
            consistent=False if not_consistent else None,
            on_event=on_event,
        )
        text = f"{Plan.load(path).summary()}\nwritten to {path}" if dry_run else report.text()
        return Answer(text, report.to_dict, report_code(report))

    try:
        code = for_each(call, migrations, work)
    except KeyboardInterrupt:
        code = INTERRUPTED
    if code == INTERRUPTED:
        files = ["--plan", str(plan_path), "--state", str(state_path)]
        _say_how_to_resume(call, files)
    return code


@commands.command()
@_connected
@click.option(
    "--plan",
    "plan_path",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Compare what this plan moves, instead of what the configuration selects.",
)
@_jobs_option
def verify(call: Call, plan_path: Path | None, jobs: int | None) -> int:
    """Compare source and target."""
    migrations = call.migrations()

    def work(migration: Migration, on_event: OnEvent) -> Answer:
        plan = None
        if plan_path is not None:
            plan = Plan.load(named_path(plan_path, migration, migrations))
        result = migration.verify(plan, jobs=jobs, on_event=on_event)
        return Answer(result.text(), result.to_dict, DONE if result.ok else DIFFERENT)

    return for_each(call, migrations, work)


@commands.command()
@_connected
def status(call: Call) -> int:
    """Tell how far the last run is, with an estimate of the time left."""

    def work(migration: Migration, on_event: OnEvent) -> Answer:
        result = migration.status()
        return Answer(result.text(), result.to_dict)

    return for_each(call, call.migrations(), work)


@commands.command()
@_connected
def preflight(call: Call) -> int:
    """Look for what would hinder a run. Touches nothing."""

    def work(migration: Migration, on_event: OnEvent) -> Answer:
        result = migration.preflight(on_event=on_event)
        return Answer(result.text(), result.to_dict, DONE if result.ok else PREFLIGHT)

    return for_each(call, call.migrations(), work)


@commands.command()
@_connected
@click.option(
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Where to, instead of the configuration's backup_dir.",
)
def backup(call: Call, directory: Path | None) -> int:
    """Back up the target database. Uses pg_dump, and reads the contents back."""

    def work(migration: Migration, on_event: OnEvent) -> Answer:
        result = migration.backup(directory, on_event=on_event)
        return Answer(result.text(), result.to_dict)

    return for_each(call, call.migrations(), work)


@commands.command()
@click.argument("path", type=click.Path(dir_okay=False, path_type=Path), metavar="BACKUP")
@_connected
@click.option("--yes", is_flag=True, help="Do not ask.")
def restore(call: Call, path: Path, yes: bool) -> int:
    """Restore a BACKUP into the target. It replaces what is there."""
    migration = call.one_migration()
    question = f"Restore {path} into the target, in place of what is there?"
    if not (yes or click.confirm(question, err=True)):
        click.echo("nothing was restored", err=True)
        return FAILED

    def work(migration: Migration, on_event: OnEvent) -> Answer:
        result = migration.restore(path, on_event=on_event)
        return Answer(result.text(), result.to_dict)

    return for_each(call, [migration], work)


@commands.command()
@_connected
def cleanup(call: Call) -> int:
    """Drop the ledger in the target. Its runs can then not be resumed."""

    def work(migration: Migration, on_event: OnEvent) -> Answer:
        result = migration.cleanup()
        return Answer(result.text(), result.to_dict)

    return for_each(call, call.migrations(), work)


@commands.command()
@click.option("--keep", is_flag=True, help="Keep the servers running until Ctrl-C.")
@click.option(
    "--scale",
    type=click.FloatRange(min=0, max=1000, min_open=True),
    default=1.0,
    show_default=True,
    help="Size of the database; 1 is about a million rows.",
)
@_jobs_option
@click.option("--verbose", is_flag=True, help="Show INFO and WARN on the console, too.")
@click.option("--debug", is_flag=True, help="Log more, and show tracebacks of errors.")
def demo(keep: bool, scale: float, jobs: int | None, verbose: bool, debug: bool) -> int:
    """Show a whole migration. Starts two throw-away servers of different majors."""
    from rich.console import Console

    from pgmigrate.demo import run_demo
    from pgmigrate.embedded import EmbeddedServerError

    call = Call(verbose=verbose, debug=debug)

    def run() -> int:
        console = Console(stderr=True, highlight=False)
        with logging_to(console, verbose=call.verbose, debug=call.debug):
            try:
                ok = run_demo(keep=keep, scale=scale, jobs=jobs, console=console)
            except EmbeddedServerError as error:
                raise PgMigrateError(str(error)) from error
        return DONE if ok else FAILED

    return _guarded(call, run)


@commands.command("example-config")
def example_config() -> int:
    """Print a commented config with every key."""
    text = resources.files("pgmigrate").joinpath("config.example.yaml").read_text(encoding="utf-8")
    click.echo(text, nl=False)
    return DONE


def _new_plan(call: Call, migration: Migration, path: Path, on_event: OnEvent) -> Plan:
    plan = migration.plan(on_event=on_event)
    if path.exists() and not plan.is_in(path):
        _keep_plan_of_unfinished_run(call, migration, path)
    plan.save(path)
    return plan


def _keep_plan_of_unfinished_run(call: Call, migration: Migration, path: Path) -> None:
    state = migration.status().state
    if state in ("running", "interrupted", "failed"):
        raise StateError(
            f"the last run is {state}, and {path} is its plan: not overwritten by another one",
            remedy=f"go on with `pgmigrate migrate {call.words()} --resume`, "
            f"or start over after `pgmigrate cleanup {call.words()}`",
        )


def _plan_data(plan: Plan, path: Path) -> dict[str, Any]:
    data = plan.to_dict()
    # The file has it.
    del data["text"]
    return {"path": str(path), **data}


def _say_how_to_resume(call: Call, files: Sequence[str]) -> None:
    again = f"pgmigrate migrate {call.words()} {shlex.join(files)} --resume"
    click.echo(f"interrupted; what was finished is kept. To go on: {again}", err=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the program.

    Args:
        arguments: what stands after the program's name; the process's own when None.

    Returns:
        The exit code.
    """
    try:
        return commands.main(args=arguments, prog_name="pgmigrate", standalone_mode=False) or DONE
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read standard output has gone; the interpreter must not fail again on flushing it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
