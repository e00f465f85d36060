"""Remedies in the words of the interface in use: a command line, Python, or an Airflow operator.

A remedy that names something of pgmigrate itself has a token such as ``{action:resume}`` in its
place. The core writes them (``src/action.rs``), and so do this package's own remedies, by `action`.
An error and a finding replace the tokens when they are made.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Final, Literal, TypeAlias

Face: TypeAlias = Literal["command", "python", "airflow"]
"""An interface of pgmigrate."""

Call: TypeAlias = Literal[
    "run",
    "run_all",
    "run_safely",
    "run_tasks",
    "hold",
    "backup",
    "load_plan",
    "upgrade",
]
"""A call whose words for an action differ: its parameters have other names, or it resumes."""

Action: TypeAlias = Literal[
    "again",
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
"""What a remedy may ask for. The words are a noun; ``again``, which repeats the call that was made,
and ``resume``, which continues the run of the ledger, are whole instructions."""

_RESUME: Final[Mapping[Face, str]] = {
    "command": "run again with --resume",
    "python": "run again with resume=True",
    "airflow": "let the task be tried again, or clear it",
}

WORDS: Final[Mapping[Action, Mapping[Face, str]]] = {
    "again": {
        "command": "run it again",
        "python": "call it again",
        "airflow": "let the task be tried again, or clear it",
    },
    "resume": _RESUME,
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
        "command": "options.backup_dir",
        "python": "options.backup_dir",
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

WORDS_OF_CALL: Final[Mapping[Call, Mapping[Action, Mapping[Face, str]]]] = {
    "run": {"again": _RESUME},
    "run_all": {"again": _RESUME, "plan_file": {"python": "plan"}},
    "run_safely": {
        "again": _RESUME,
        "not_consistent": {
            "command": "options.consistent: false",
            "python": "options.consistent: false",
        },
    },
    # Every part continues the run of its plan.
    "run_tasks": {"resume": {"python": "run the tasks again"}},
    "hold": {"resume": {"python": "hold the snapshot again"}},
    "backup": {
        "backup_directory": {
            "command": "--directory or options.backup_dir",
            "python": "directory or options.backup_dir",
        },
    },
    "load_plan": {"plan_file": {"python": "path"}},
    # A data move within a migration of alembic: alembic's commands are its interface.
    "upgrade": {
        "again": {"python": "run `alembic upgrade head` again"},
        "resume": {"python": "run `alembic upgrade head` again"},
    },
}
"""The words of an action in one call, where they are not those of `WORDS`."""

_TOKEN: Final = re.compile(r"\{action:([a-z_]+)(?: ([^{}]*))?\}")
_face: ContextVar[Face] = ContextVar("pgmigrate_face", default="python")
_call: ContextVar[str] = ContextVar("pgmigrate_call", default="")


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


@contextmanager
def calling(call: str) -> Iterator[None]:
    """Lets remedies that are made inside the block name what a call has.

    The outermost call decides, because it is the one that the user has made.

    Args:
        call: a `Call`, or a verb of the core whose words are those of `WORDS`.
    """
    before = _call.set(_call.get() or call)
    try:
        yield
    finally:
        # A coroutine may be closed in another context, which has no call.
        with suppress(ValueError):
            _call.reset(before)


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


def words_of(name: Action, face: Face, call: str = "") -> str:
    """What an interface calls an action in a call; ``{}`` is where its value is."""
    of_call = next((words for known, words in WORDS_OF_CALL.items() if known == call), {})
    return of_call.get(name, {}).get(face) or WORDS[name][face]


def _words(token: re.Match[str]) -> str:
    value = token[2]
    name = next((known for known in WORDS if known == token[1]), None)
    if name is None:
        return token[0]
    return words_of(name, _face.get(), _call.get()).replace("{}", value or "")
