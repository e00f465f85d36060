"""The page as a whole: its topics, its table of contents, and the links between its entries."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import Final

import griffe

from pgmigrate import _native
from reference.commands import command_lines
from reference.entries import Entries
from reference.public import (
    PACKAGE,
    awaited_twin,
    members,
    package,
    public_modules,
    public_names,
    shared_bases,
)

PAGE: Final = PACKAGE / "reference.md"

# Topic -> the names in it, by the modules that define them, or one by one where one leads.
TOPICS: Final = {
    "Migrations": ("_migration.migration", "_migration.run_all", "_migration.run_options"),
    "Options": (
        "_values.options.Configuration",
        "_values.options.Options",
        "_values.options",
    ),
    "Events": ("events.Event", "events.OnEvent", "_values.sets", "events"),
    "Plans": ("_results.plan.Plan", "_results.plan", "_results.plan_diff"),
    "Runs in parts": ("_results.hold", "_migration.held_snapshot"),
    "Estimates": (
        "_results.estimate.Estimate",
        "_results.rates.Rates",
        "_results.rates",
        "_results.estimate",
    ),
    "Runs": ("_results.report.Report", "_results.report"),
    "The safe procedure": (
        "_procedure.report.SafetyReport",
        "_procedure.report",
        "_journal.unfinished",
        "_procedure.checklist",
    ),
    "Verification": (
        "_results.verification.VerifyResult",
        "_results.verification.TableResult",
        "_values.finding.Difference",
        "_results.verification",
    ),
    "Results as tables and pictures": ("_results.tabular", "_results.arrow"),
    "Other results": (
        "_results.preflight",
        "_results.status",
        "_results.backup",
        "_values.record",
        "_values.finding.Finding",
        "_values.finding.Absent",
        "__version__",
    ),
    "Errors": ("_values.error.PgMigrateError", "errors", "_values.error"),
    "Progress": (
        "progress._terminal.progress",
        "progress._terminal.notebook",
        "progress._terminal",
        "progress._notebook",
        "progress._tally",
    ),
    "Airflow": ("airflow.whole", "airflow"),
    "alembic": ("alembic._hook", "alembic"),
    "Servers to try things on": ("embedded.server", "embedded", "demo_database", "demo"),
    "The program": ("cli",),
}
_HEAD: Final = """\
# Reference

Every public name of pgmigrate, every command and every key of a configuration. Written by
`python tests/reference` from docstrings, commands and the core; `pgmigrate reference` prints it.
"""


def page() -> str:
    """The text of the page."""
    topics = _topics()
    anchors = _anchors(topics)
    entries = Entries(partial(_link, anchors))
    lines = [*_HEAD.splitlines(), "", "## Contents", "", *_contents(topics), ""]
    introduced = {package().path}
    for topic, names in topics.items():
        lines += [f"## {topic}", ""]
        for title, target in names.items():
            module = _introduction(target, introduced)
            if module is not None:
                lines += [f"**{module.path}**", "", *entries.text(module.docstring)]
            lines += entries.entry(title, target)
    lines += ["## Commands", "", *command_lines()]
    lines += ["## Configuration", "", *configuration_lines()]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).rstrip() + "\n"


def configuration_lines() -> list[str]:
    """The table of the keys of a configuration."""
    lines = ["| key | type | default | meaning |", "|---|---|---|---|"]
    for key in _native.config_keys():
        default = f"`{key['default']}`" if key["default"] else ""
        lines.append(f"| `{key['key']}` | {key['type']} | {default} | {key['meaning']} |")
    return lines


def anchor(heading: str) -> str:
    """What GitHub makes of a heading for links to it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _topics() -> dict[str, dict[str, griffe.Object]]:
    """The names of each topic, with what they stand for, as their modules define them."""
    titles: dict[str, str] = {}
    targets: dict[str, griffe.Object] = {}
    for title, target in public_names().items():
        # The package's own names come first: one that is public twice goes by the shorter path.
        if titles.setdefault(target.path, title) == title:
            targets[title] = target
    targets |= {base.name: base for base in shared_bases().values()}
    places = {title: _place(target) for title, target in targets.items()}
    topics: dict[str, dict[str, griffe.Object]] = {topic: {} for topic in TOPICS}
    for title in sorted(targets, key=places.__getitem__):
        topics[list(TOPICS)[places[title][0]]][title] = targets[title]
    return topics


def _place(target: griffe.Object) -> tuple[int, int, int]:
    """Where a name stands: its topic, its place in `TOPICS`, its line."""
    path = target.path.partition(".")[2]
    for number, places in enumerate(TOPICS.values()):
        for at, place in enumerate(places):
            if f"{path}.".startswith(f"{place}."):
                return number, at, target.lineno or 0
    raise ValueError(f"{target.path} has no topic: name its module in TOPICS of {__file__}")


def _introduction(target: griffe.Object, introduced: set[str]) -> griffe.Module | None:
    """The public module that exports a name, where it is the first of its names on the page."""
    around = [one for one in public_modules() if _exports(one, target)]
    module = max(around, key=lambda one: len(one.path), default=package())
    if module.path in introduced:
        return None
    introduced.add(module.path)
    return module


def _exports(module: griffe.Module, target: griffe.Object) -> bool:
    member = module.members.get(target.name)
    found = member.final_target if isinstance(member, griffe.Alias) else member
    return target.name in (module.exports or ()) and found is target


def _contents(topics: Mapping[str, Mapping[str, griffe.Object]]) -> list[str]:
    lines = []
    for topic, names in topics.items():
        linked = ", ".join(f"[`{title.rpartition('.')[2]}`](#{anchor(title)})" for title in names)
        lines.append(f"- [{topic}](#{anchor(topic)}): {linked}")
    return [*lines, "- [Commands](#commands)", "- [Configuration](#configuration)"]


def _anchors(topics: Mapping[str, Mapping[str, griffe.Object]]) -> dict[str, str]:
    """The anchor of every name that a docstring may use."""
    found: dict[str, str] = {}
    for names in topics.values():
        for title, target in names.items():
            short = title.rpartition(".")[2]
            found[title] = found[short] = anchor(title)
            if isinstance(target, griffe.Class):
                own = members(target)
                for name, member in own.items():
                    place = title
                    if isinstance(member, griffe.Function):
                        place = f"{short}.{awaited_twin(name, own) or name}"
                    found[f"{short}.{name}"] = anchor(place)
    return found


def _link(anchors: Mapping[str, str], name: str, within: str) -> str:
    place = anchors.get(f"{within}.{name}") or anchors.get(name)
    return f"[`{name}`](#{place})" if place else f"`{name}`"
