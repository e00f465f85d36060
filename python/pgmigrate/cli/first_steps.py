"""Commands for new users: `pgmigrate demo`, `example-config` and `reference`."""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources
from typing import Any

import click

from pgmigrate.cli.call import DONE, FAILED, Call, guarded
from pgmigrate.cli.options import jobs_option, log_options
from pgmigrate.errors import PgMigrateError


def _logged(command: Callable[..., int]) -> Callable[..., int]:
    for option in reversed(log_options):
        command = option(command)
    return command


@click.command()
@click.option("--keep", is_flag=True, help="Keep the servers running until Ctrl-C.")
@click.option(
    "--scale",
    type=click.FloatRange(min=0, max=1000, min_open=True),
    default=1.0,
    show_default=True,
    help="Size of the database; 1 is about a million rows.",
)
@jobs_option
@_logged
def demo(keep: bool, scale: float, jobs: int | None, **given: Any) -> int:
    """Demonstrate a whole migration between two temporary servers of different major versions."""
    from pgmigrate.demo import run_demo
    from pgmigrate.embedded import EmbeddedServerError

    call = Call(**given)

    def run() -> int:
        call.console.quiet = call.quiet
        try:
            ok = run_demo(keep=keep, scale=scale, jobs=jobs, console=call.console)
        except EmbeddedServerError as error:
            raise PgMigrateError(str(error), name="demo_failed") from error
        return DONE if ok else FAILED

    return guarded(call, run)


@click.command("example-config")
def example_config() -> int:
    """Print a commented config with every key."""
    return _print("config.example.yaml")


@click.command()
@click.option(
    "--messages",
    is_flag=True,
    help="Print every error and finding, with its stable name and remedy, instead.",
)
def reference(messages: bool) -> int:
    """Print the reference: every public name, command and key of a config, as Markdown."""
    return _print("messages.md" if messages else "reference.md")


def _print(file: str) -> int:
    text = resources.files("pgmigrate").joinpath(file).read_text(encoding="utf-8")
    click.echo(text, nl=False)
    return DONE
