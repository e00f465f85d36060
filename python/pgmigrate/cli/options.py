"""The options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, Final

import click

from pgmigrate.cli.again import typed
from pgmigrate.cli.call import Call, guarded
from pgmigrate.cli.console import LOG_FILE
from pgmigrate.cli.reviewed import PlanChoice


def file_option(*names: str, metavar: str = "FILE", **settings: Any) -> Callable[..., Any]:
    """An option that names a file."""
    kind = click.Path(dir_okay=False, path_type=Path)
    has_default = settings.get("default") is not None
    return click.option(*names, type=kind, metavar=metavar, show_default=has_default, **settings)


log_options: Final = (
    click.option("-v", "--verbose", is_flag=True, help="Show INFO and WARN on the console, too."),
    click.option("-q", "--quiet", is_flag=True, help="Show no progress: only results and errors."),
    click.option("--debug", is_flag=True, help="Log more, and show tracebacks of errors."),
    click.option(
        "--log",
        type=click.Path(path_type=Path),
        default=LOG_FILE,
        show_default=True,
        metavar="FILE",
        help="The log file, to which each command appends.",
    ),
    click.option(
        "--log-format",
        type=click.Choice(["text", "json"]),
        default="text",
        show_default=True,
        help="One record on each line, as text or as a JSON object.",
    ),
)
_CALL_OPTIONS: Final = (
    file_option("-c", "--config", help="The config file (YAML or JSON)."),
    click.option(
        "--source",
        metavar="CONNINFO",
        envvar="PGMIGRATE_SOURCE",
        show_envvar=True,
        help="Without --config: the database to read.",
    ),
    click.option(
        "--target",
        metavar="CONNINFO",
        envvar="PGMIGRATE_TARGET",
        show_envvar=True,
        help="Without --config: the database to write.",
    ),
    click.option(
        "-n",
        "--schema",
        "schemas",
        multiple=True,
        metavar="NAME",
        help="Without --config: a schema to migrate; repeatable.",
    ),
    click.option(
        "-N",
        "--exclude-schema",
        "exclude_schemas",
        multiple=True,
        metavar="NAME",
        help="Without --config: a schema to leave out; repeatable.",
    ),
    click.option(
        "-t",
        "--table",
        "tables",
        multiple=True,
        metavar="SCHEMA.NAME",
        help="Without --config: a table to migrate; repeatable.",
    ),
    click.option(
        "-T",
        "--exclude-table",
        "exclude_tables",
        multiple=True,
        metavar="SCHEMA.NAME",
        help="Without --config: a table to leave out; repeatable.",
    ),
    click.option(
        "--data-only",
        is_flag=True,
        help="Without --config: only rows, into tables that the target has.",
    ),
    click.option("--no-owner", is_flag=True, help="Without --config: set no owners."),
    click.option("--no-privileges", is_flag=True, help="Without --config: set no privileges."),
    click.option("--no-roles", is_flag=True, help="Without --config: create no roles."),
    click.option(
        "--only",
        multiple=True,
        metavar="NAME",
        help="Of several migrations in the config, this one; repeatable.",
    ),
    click.option("--json", is_flag=True, help="Print the result as JSON."),
    *log_options,
)


def connected(command: Callable[..., int]) -> Callable[..., int]:
    """Gives a command the options of `Call`, and calls it with one."""
    return _with_call(command, Call)


def connected_to_target(command: Callable[..., int]) -> Callable[..., int]:
    """As `connected`, for a command that connects only to the target and needs no source."""
    return _with_call(command, lambda **given: Call(**given, needs_source=False))


def _with_call(command: Callable[..., int], make: Callable[..., Call]) -> Callable[..., int]:
    @wraps(command)
    def with_call(**given: Any) -> int:
        context = click.get_current_context()
        own = {name: given.pop(name) for name in Call.__dataclass_fields__ if name in given}
        if own.get("config") is not None:
            for side in ("source", "target"):
                # A config file overrides the environment, which is set for all commands.
                if not typed(context, side):
                    own[side] = None
        call = make(**own)
        return guarded(call, lambda: command(call, **given))

    for option in reversed(_CALL_OPTIONS):
        with_call = option(with_call)
    return with_call


plan_option = file_option("--plan", "plan_path", default=Path("plan.tsv"), help="The plan file.")
_REVIEWED_PLAN_OPTIONS: Final = (
    file_option(
        "--plan",
        "plan_path",
        default=Path("plan.tsv"),
        help="Run this plan if the file exists and only sizes have changed since it was made. "
        "Otherwise, and without --plan, a new plan is made and written to the file.",
    ),
    click.option(
        "--replan",
        is_flag=True,
        help="Make a new plan, and replace the file that --plan names.",
    ),
    click.option(
        "--accept-drift",
        is_flag=True,
        help="Run the plan that --plan names as it is, although the source has changed since.",
    ),
)
jobs_option = click.option(
    "-j", "--jobs", type=click.IntRange(min=1), metavar="N", help="How many tasks run at once."
)
rates_option = file_option(
    "--rates",
    "rates_path",
    help="Estimate the time left from the rates that plan --calibrate has measured.",
)
state_option = file_option(
    "--state",
    "state_path",
    default=Path("state.tsv"),
    help="The state file, which mirrors the ledger in the target.",
)


def reviewable(command: Callable[..., int]) -> Callable[..., int]:
    """Gives a command the options of a run that can follow a plan that was reviewed.

    It is called with the `PlanChoice` that they make with its own option ``--resume``.
    """

    @wraps(command)
    def with_choice(
        call: Call, plan_path: Path, *, replan: bool, accept_drift: bool, resume: bool, **given: Any
    ) -> int:
        choice = PlanChoice.of(plan_path, replan=replan, accept_drift=accept_drift, resume=resume)
        return command(call, choice=choice, resume=resume, **given)

    for option in reversed(_REVIEWED_PLAN_OPTIONS):
        with_choice = option(with_choice)
    return with_choice
