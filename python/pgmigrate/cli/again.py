"""Command lines to repeat: what was typed, without a conninfo that may hold a password."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final

import click
from click.core import ParameterSource

_CONNINFOS: Final = ("source", "target")
_HIDDEN: Final = "..."


def shown_conninfo(conninfo: str) -> str:
    """A conninfo quoted for a shell; ``...`` for one that may hold a password."""
    return _HIDDEN if _may_hold_password(conninfo) else shlex.quote(conninfo)


def _may_hold_password(conninfo: str) -> bool:
    if "password" in conninfo.lower():
        return True
    if "://" not in conninfo:
        return False
    _, rest = conninfo.split("://", 1)
    # A name of a parameter may be written with escapes.
    return "%" in rest or ("@" in rest and ":" in rest.split("@", 1)[0])


def typed(context: click.Context, name: str) -> bool:
    """Whether a parameter was given on the command line."""
    return context.get_parameter_source(name) is ParameterSource.COMMANDLINE


def command_line(
    command: str | None = None,
    *,
    extra: Sequence[str] = (),
    without: Collection[str] = (),
    always: Collection[str] = (),
    only: str | None = None,
) -> str:
    """The command that runs now, as it was typed; environment variables are still used.

    Args:
        command: another command, which receives the options that both have.
        extra: options to add.
        without: parameters to leave out.
        always: parameters to include although they were not typed.
        only: the one migration of the config to select; as typed if None.
    """
    context = click.get_current_context()
    parameters = context.command.params
    if command is not None:
        group = context.find_root().command
        assert isinstance(group, click.Group)
        known = {parameter.name for parameter in group.commands[command].params}
        parameters = [parameter for parameter in parameters if parameter.name in known]
    words = ["pgmigrate", command or context.info_name or ""]
    for parameter in parameters:
        name = parameter.name or ""
        if name == "only" and only is not None:
            words += _words(parameter, [only])
        elif name not in without and (typed(context, name) or name in always):
            words += _words(parameter, context.params.get(name))
    return " ".join([*words, *map(shlex.quote, extra)])


def typed_words(*names: str) -> list[str]:
    """The words of the given options of the command that runs now, if they were typed."""
    context = click.get_current_context()
    found = [one for one in context.command.params if one.name in names]
    typed_ones = [one for one in found if typed(context, one.name or "")]
    return [word for one in typed_ones for word in _words(one, context.params.get(one.name or ""))]


def _words(parameter: click.Parameter, value: Any) -> Iterator[str]:
    # An argument has no such attribute.
    values = value if getattr(parameter, "multiple", False) else (value,)
    for one in values:
        if isinstance(parameter, click.Argument):
            yield shlex.quote(str(one))
            continue
        option = max(parameter.opts, key=len)
        if isinstance(parameter, click.Option) and parameter.is_flag:
            yield option
            continue
        yield option
        yield shown_conninfo(str(one)) if parameter.name in _CONNINFOS else shlex.quote(str(one))
