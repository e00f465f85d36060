"""Remedies in the words of the interface in use: a command line, Python, or an Airflow operator.

A remedy that names something of pgmigrate itself has a token such as ``{action:resume}`` in its
place. The core writes them (``src/action.rs``), and so do this package's own remedies, by `action`.
An error and a finding replace the tokens when they are made.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, Literal, TypeAlias

Face: TypeAlias = Literal["command", "python", "airflow"]
"""An interface of pgmigrate."""

Action: TypeAlias = Literal[
    "resume",
    "not_consistent",
    "jobs",
    "plan_file",
    "state_file",
    "backup_directory",
    "hold",
    "plan",
    "calibrate",
    "verify",
    "status",
    "stop",
    "restore",
    "safe",
    "cleanup",
]
"""What a remedy may ask for. The words are a noun, but for ``resume``, a whole instruction."""

WORDS: Final[Mapping[Action, Mapping[Face, str]]] = {
    "resume": {
        "command": "run again with --resume",
        "python": "run again with resume=True",
        "airflow": "let the task be tried again, or clear it",
    },
    "not_consistent": {
        "command": "--not-consistent",
        "python": "consistent=False",
        "airflow": "options.consistent: false in config",
    },
    "jobs": {"command": "--jobs {}", "python": "jobs={}", "airflow": "jobs={}"},
    "plan_file": {"command": "--plan", "python": "plan_file", "airflow": "plan_path"},
    "state_file": {
        "command": "--state",
        "python": "state",
        # No operator writes a state file: a program that an Airflow task calls may.
        "airflow": "state",
    },
    "backup_directory": {
        "command": "--directory or options.backup_dir",
        "python": "directory or backup_dir",
        "airflow": "options.backup_dir in config",
    },
    "hold": {
        # The command line runs no parts: they are a matter of programs.
        "command": "Migration.hold_snapshot()",
        "python": "Migration.hold_snapshot()",
        "airflow": "a PgMigrateHoldSnapshot task",
    },
    "plan": {
        "command": "`pgmigrate plan`",
        "python": "Migration.plan()",
        "airflow": "a PgMigratePlan task",
    },
    "calibrate": {
        "command": "`pgmigrate plan --calibrate`",
        "python": "Migration.calibrate()",
        "airflow": "`pgmigrate plan --calibrate`",
    },
    "verify": {
        "command": "`pgmigrate verify`",
        "python": "Migration.verify()",
        "airflow": "a PgMigrateVerify task",
    },
    "status": {
        "command": "`pgmigrate status`",
        "python": "Migration.status()",
        "airflow": "`pgmigrate status`",
    },
    "stop": {
        "command": "`pgmigrate stop`",
        "python": "Migration.stop()",
        "airflow": "`pgmigrate stop`",
    },
    "restore": {
        "command": "`pgmigrate restore`",
        "python": "Migration.restore()",
        "airflow": "`pgmigrate restore`",
    },
    "safe": {
        "command": "`pgmigrate safe`",
        "python": "Migration.run_safely()",
        "airflow": "`pgmigrate safe`",
    },
    "cleanup": {
        "command": "`pgmigrate cleanup`",
        "python": "Migration.cleanup()",
        "airflow": "`pgmigrate cleanup`",
    },
}
"""What each interface calls an action; ``{}`` is where its value is."""

_TOKEN: Final = re.compile(r"\{action:([a-z_]+)(?: ([^{}]*))?\}")
_face: ContextVar[Face] = ContextVar("pgmigrate_face", default="python")


@contextmanager
def facing(face: Face) -> Iterator[None]:
    """Lets remedies that are made inside the block speak the language of an interface.

    Args:
        face: the interface that the caller uses.
    """
    before = _face.set(face)
    try:
        yield
    finally:
        _face.reset(before)


def action(name: Action, value: object = None) -> str:
    """The token of an action, for the text of an error's or a finding's remedy.

    Args:
        name: the action.
        value: its value, for one that has a value.
    """
    return f"{{action:{name}}}" if value is None else f"{{action:{name} {value}}}"


def rendered(text: str) -> str:
    """A text with the words of the interface in use in place of its tokens."""
    return _TOKEN.sub(_words, text) if "{action:" in text else text


def _words(token: re.Match[str]) -> str:
    name, value = token[1], token[2]
    words = next((of[_face.get()] for known, of in WORDS.items() if known == name), None)
    return token[0] if words is None else words.replace("{}", value or "")
