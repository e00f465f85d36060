"""The command line: `pgmigrate plan`, `pgmigrate migrate` and the other commands.

Results go to standard output, progress and errors to standard error, and the log to pgmigrate.log.
Exit codes: 0 all done, 1 something failed, 2 usage or configuration, 3 preflight,
4 verification found differences, 5 the migration is done, but the application is not started,
6 all done, but a result could not be written to standard output or into its file, 7 the target has
more rows, 8 not all was compared, 9 the target is not restored, 10 a database cannot be reached, 11
the plan is not the one that would be made now, 130 interrupted.
A failure to write the log, the progress or the state file does not affect the exit code.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence

import click

import pgmigrate
from pgmigrate.cli.call import DONE, INTERRUPTED, LOST, USAGE, usage_json, usage_remedy, usage_words
from pgmigrate.cli.checks import preflight, status, stop, verify
from pgmigrate.cli.first_steps import demo, example_config, reference
from pgmigrate.cli.interruption import ended_in_order
from pgmigrate.cli.planning import plan_command
from pgmigrate.cli.recovery import backup, cleanup, restore
from pgmigrate.cli.running import migrate
from pgmigrate.cli.safety import safe
from pgmigrate.cli.streams import steady_streams, untold_loss

__all__ = ["main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(pgmigrate.__version__, prog_name="pgmigrate", message="%(prog)s %(version)s")
def commands() -> None:
    """Move a PostgreSQL database into another one: planned, parallel, resumable, verified."""


for _command in (
    plan_command,
    migrate,
    safe,
    preflight,
    status,
    stop,
    verify,
    backup,
    restore,
    cleanup,
    demo,
    example_config,
    reference,
):
    commands.add_command(_command)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the program.

    Args:
        arguments: the arguments after the program's name; the process's own if None.

    Returns:
        The exit code.
    """
    with ended_in_order(), steady_streams() as out:
        code = _run(arguments)
        reason = untold_loss()
        # The reader has closed the pipe and needs no more, as in `pgmigrate reference | head`.
        if reason is not None and reason != os.strerror(errno.EPIPE):
            click.echo(f"error: standard output: {reason}", err=True)
        return LOST if out.failure is not None and code == DONE else code


def _run(arguments: Sequence[str] | None) -> int:
    try:
        return commands.main(args=arguments, prog_name="pgmigrate", standalone_mode=False) or DONE
    except click.ClickException as error:
        click.echo(f"error: {usage_words(error)}\nremedy: {usage_remedy(error)}", err=True)
        if "--json" in (sys.argv[1:] if arguments is None else arguments):
            click.echo(usage_json(error))
        return USAGE
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return INTERRUPTED
