"""Commands for backup and undo: `pgmigrate backup`, `restore` and `cleanup`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Final

import click

from pgmigrate import BackupResult, CleanupResult, Migration, RestoreResult, _native
from pgmigrate.cli.call import DONE, FAILED, INTERRUPTED, Answer, Call, for_each
from pgmigrate.cli.interruption import InterruptionMessages, with_answer, with_result
from pgmigrate.cli.options import connected_to_target, state_option
from pgmigrate.events import OnEvent

_NOTHING: Final = "nothing was restored"
_UNANSWERED: Final = InterruptionMessages(
    nothing_done=_NOTHING,
    not_known="it is not known whether the target was restored",
    remedy="look whether the target holds what the backup holds, or run it again: it replaces what "
    "is there",
)


@click.command()
@connected_to_target
@click.option(
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="The folder of the backup, instead of the configuration's backup_dir.",
)
def backup(call: Call, directory: Path | None) -> int:
    """Back up the target database. Uses pg_dump, and reads the contents back.

    Needs no source.
    """

    def work(migration: Migration, on_event: OnEvent) -> Answer:
        made = partial(migration.backup, directory, on_event=on_event)
        result, is_late = with_result("backup", made, BackupResult.from_mapping)
        return Answer(result.text(), result.to_dict, INTERRUPTED if is_late else DONE)

    return for_each(call, call.migrations(), work)


@click.command()
@click.argument("path", type=click.Path(dir_okay=False, path_type=Path), metavar="BACKUP")
@connected_to_target
@state_option
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
def restore(call: Call, path: Path, state_path: Path, yes: bool) -> int:
    """Restore a BACKUP into the target. It replaces the target's contents.

    Needs no source. Asks first: an answer other than yes ends with exit code 1; Ctrl-C and the end
    of the input end with 130. Ctrl-C while the restore is being committed cannot undo it: the
    command says whether the target was restored (0), was not (1 or 130), or that this is not known
    (1 or 130). Refused while a safe procedure is running on the target. The journal of a procedure
    that has ended before its last step, in the ledger and next to the state file, then says that
    the target was restored.
    """
    migration = call.one_migration()
    place = _native.places(migration._options)["target"] or "the target"
    question = f"Restore {path} into the target {place}, in place of what is there?"
    try:
        is_wanted = yes or click.confirm(question, err=True)
    except click.Abort:
        click.echo(f"\ninterrupted; {_NOTHING}", err=True)
        return INTERRUPTED
    if not is_wanted:
        click.echo(_NOTHING, err=True)
        return FAILED

    def work(migration: Migration, on_event: OnEvent) -> Answer:
        state = call.own_path(state_path, migration)
        restored = partial(migration.restore, path, state=state, on_event=on_event)
        result = with_answer("restore", restored, RestoreResult.from_mapping, _UNANSWERED)
        return Answer(result.text(), result.to_dict)

    return for_each(call, [migration], work)


@click.command()
@connected_to_target
def cleanup(call: Call) -> int:
    """Drop the ledger in the target. Its runs can then not be resumed.

    Needs no source. Foreign keys that a data-only run has dropped are created again first. Exit
    code 1: some of them cannot be valid, because rows reference nothing.
    """

    def work(migration: Migration, on_event: OnEvent) -> Answer:
        result, is_late = with_result("cleanup", migration.cleanup, CleanupResult.from_mapping)
        code = DONE if result.ok else FAILED
        return Answer(result.text(), result.to_dict, INTERRUPTED if is_late else code)

    return for_each(call, call.migrations(), work)
