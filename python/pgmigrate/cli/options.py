"""The options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, Final

import click

from pgmigrate.cli.call import Call, guarded

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
        "--data-only",
        is_flag=True,
        help="Without --config: only rows, into tables that the target has.",
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


def connected(command: Callable[..., int]) -> Callable[..., int]:
    """Gives a command the options of `Call`, and calls it with one."""

    @wraps(command)
    def with_call(**given: Any) -> int:
        call = Call(
            **{name: given.pop(name) for name in Call.__dataclass_fields__ if name in given}
        )
        return guarded(call, lambda: command(call, **given))

    for option in reversed(_CALL_OPTIONS):
        with_call = option(with_call)
    return with_call


plan_option = click.option(
    "--plan",
    "plan_path",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("plan.tsv"),
    show_default=True,
    metavar="FILE",
    help="The plan file.",
)
jobs_option = click.option(
    "--jobs", type=click.IntRange(min=1), metavar="N", help="How many tasks run at once."
)
state_option = click.option(
    "--state",
    "state_path",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("state.tsv"),
    show_default=True,
    metavar="FILE",
    help="The state file, which mirrors the ledger in the target.",
)
