"""Commands for the way back: `pgmigrate backup`, `restore` and `cleanup`."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from pgmigrate import BackupResult, CleanupResult, Migration, RestoreResult
from pgmigrate._job import OnEvent
from pgmigrate.cli.call import DONE, FAILED, INTERRUPTED, Answer, Call, for_each
from pgmigrate.cli.interruption import with_result
from pgmigrate.cli.options import connected, state_option


@click.command()
@connected
@click.option(
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Where to, instead of the configuration's backup_dir.",
)
def backup(call: Call, directory: Path | None) -> int:
    """Back up the target database. Uses pg_dump, and reads the contents back."""

    def work(migration: Migration, on_event: OnEvent) -> Answer:
        made = partial(migration.backup, directory, on_event=on_event)
        result, is_late = with_result(made, BackupResult.from_mapping)
        return Answer(result.text(), result.to_dict, INTERRUPTED if is_late else DONE)

    return for_each(call, call.migrations(), work)


@click.command()
@click.argument("path", type=click.Path(dir_okay=False, path_type=Path), metavar="BACKUP")
@connected
@state_option
@click.option("--yes", is_flag=True, help="Do not ask.")
def restore(call: Call, path: Path, state_path: Path, yes: bool) -> int:
    """Restore a BACKUP into the target. It replaces what is there.

    Refused while a safe procedure is at work on the target. The journal of one that was left, in
    the ledger and next to the state file, says afterwards that the target was restored.
    """
    migration = call.one_migration()
    question = f"Restore {path} into the target, in place of what is there?"
    if not (yes or click.confirm(question, err=True)):
        click.echo("nothing was restored", err=True)
        return FAILED

    def work(migration: Migration, on_event: OnEvent) -> Answer:
        state = call.own_path(state_path, migration)
        restored = partial(migration.restore, path, state=state, on_event=on_event)
        result, is_late = with_result(restored, RestoreResult.from_mapping)
        return Answer(result.text(), result.to_dict, INTERRUPTED if is_late else DONE)

    return for_each(call, [migration], work)


@click.command()
@connected
def cleanup(call: Call) -> int:
    """Drop the ledger in the target. Its runs can then not be resumed.

    Foreign keys that a data-only run has taken away are made again before. Exit code 1: some of
    them cannot be valid, for rows reference nothing.
    """

    def work(migration: Migration, on_event: OnEvent) -> Answer:
        result, is_late = with_result(migration.cleanup, CleanupResult.from_mapping)
        code = DONE if result.ok else FAILED
        return Answer(result.text(), result.to_dict, INTERRUPTED if is_late else code)

    return for_each(call, call.migrations(), work)
