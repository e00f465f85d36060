"""The command line's part of the page, from the commands themselves."""

from __future__ import annotations

from inspect import cleandoc

import click

from pgmigrate.cli import commands

Option = tuple[str, str]


def command_lines() -> list[str]:
    """The lines of all commands, and before them the options that most of them share."""
    group = click.Context(commands, info_name="pgmigrate")
    found = {
        name: click.Context(command, info_name=name, parent=group)
        for name, command in commands.commands.items()
    }
    options = {name: _options(context) for name, context in found.items()}
    shared = _shared(list(options.values()))
    lines = ["### Common options", "", *map(_item, shared), ""]
    for name, context in found.items():
        own = options[name]
        lines += [f"### pgmigrate {name}", "", "```console", _usage(context), "```", ""]
        lines += [*cleandoc(context.command.help or "").splitlines(), ""]
        if set(shared) <= set(own):
            own = [option for option in own if option not in shared]
            lines += ["Takes the [common options](#common-options)" + (", and:" if own else ".")]
            lines.append("")
        lines += [*map(_item, own), ""] if own else []
    return lines


def _usage(context: click.Context) -> str:
    return " ".join([context.command_path, *context.command.collect_usage_pieces(context)])


def _options(context: click.Context) -> list[Option]:
    return [
        record
        for parameter in context.command.params
        if isinstance(parameter, click.Option)
        and (record := parameter.get_help_record(context)) is not None
    ]


def _shared(options: list[list[Option]]) -> list[Option]:
    """What at least half of the commands take."""
    return [
        option
        for option in max(options, key=len)
        if sum(option in others for others in options) * 2 >= len(options)
    ]


def _item(option: Option) -> str:
    words, reported = option
    return f"- `{words}`: {' '.join(reported.split())}"
