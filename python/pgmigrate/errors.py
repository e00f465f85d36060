"""What can go wrong, as exceptions that say where it happened and what to do about it.

Every error of this package is a `PgMigrateError`. It pickles with its attributes, so it can cross
the border between processes. No message holds a password or the value of a row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pgmigrate._text import printable

if TYPE_CHECKING:
    from pgmigrate._model import Finding
    from pgmigrate._verification import Difference

__all__ = [
    "BackupError",
    "CommandError",
    "ConfigError",
    "ConnectError",
    "CopyError",
    "DriftError",
    "InternalError",
    "InterruptedRunError",
    "PgMigrateError",
    "PreflightError",
    "SchemaError",
    "StateError",
    "VerifyError",
]


class PgMigrateError(Exception):
    """The base of all errors of this package.

    Args:
        message: what failed, in lower case.
        phase: the phase of the run.
        task: the task's id in the plan.
        object: the database object, quoted as SQL quotes it.
        side: ``source`` or ``target``.
        sqlstate: the five characters of the server's code, where a server replied with one.
        remedy: what to do about it.

    Attributes:
        kind: a stable name of the class for machines, such as ``config``.
    """

    kind: ClassVar[str] = "error"

    def __init__(
        self,
        message: str,
        *,
        phase: str | None = None,
        task: str | None = None,
        object: str | None = None,
        side: str | None = None,
        sqlstate: str | None = None,
        remedy: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.phase = phase
        self.task = task
        self.object = object
        self.side = side
        self.sqlstate = sqlstate
        self.remedy = remedy

    def __str__(self) -> str:
        return printable(f"{self.message}; {self.remedy}" if self.remedy else self.message)

    def __reduce__(self) -> tuple[Callable[..., PgMigrateError], tuple[Any, ...]]:
        return _restore, (type(self), self.message, self._attributes())

    def to_dict(self) -> dict[str, Any]:
        """The error as plain values: ``kind``, ``message`` and all attributes."""
        plain = {"kind": self.kind, "message": self.message, **self._attributes()}
        for key in ("findings", "differences"):
            if key in plain:
                plain[key] = [item.to_dict() for item in plain[key]]
        return plain

    def _attributes(self) -> dict[str, Any]:
        # Notes that a caller added live in the same place, under a name with underscores.
        return {
            name: value
            for name, value in vars(self).items()
            if name != "message" and not name.startswith("_")
        }


class ConfigError(PgMigrateError, ValueError):
    """A wrong key, type or value in what the user wrote, found before any connection is made.

    Args:
        message: all of it on one line.
        problems: every mistake, each with the path of its key.
        attributes: as in `PgMigrateError`.
    """

    kind = "config"

    def __init__(self, message: str, *, problems: Iterable[str] = (), **attributes: Any) -> None:
        super().__init__(message, **attributes)
        self.problems: tuple[str, ...] = tuple(problems)


class ConnectError(PgMigrateError, ConnectionError):
    """A server cannot be reached, refuses the login, or went away for good."""

    kind = "connect"


class PreflightError(PgMigrateError):
    """Something that forbids the run was found before the target was touched.

    Args:
        message: a summary.
        findings: everything that was found, not only what blocks.
        attributes: as in `PgMigrateError`.
    """

    kind = "preflight"

    def __init__(
        self, message: str, *, findings: Iterable[Finding] = (), **attributes: Any
    ) -> None:
        super().__init__(message, **attributes)
        self.findings: tuple[Finding, ...] = tuple(findings)


class SchemaError(PgMigrateError):
    """A statement on an object of the schema failed."""

    kind = "schema"


class CopyError(PgMigrateError):
    """Rows could not be copied."""

    kind = "copy"


class StateError(PgMigrateError):
    """The ledger, the plan or the state file cannot be used as asked."""

    kind = "state"


class DriftError(StateError):
    """The plan belongs to another source, target, configuration or catalog than it meets now."""

    kind = "drift"


class VerifyError(PgMigrateError):
    """Source and target differ, or could not be compared.

    Args:
        message: a summary.
        differences: what differs, by table, key and column.
        attributes: as in `PgMigrateError`.
    """

    kind = "verify"

    def __init__(
        self, message: str, *, differences: Iterable[Difference] = (), **attributes: Any
    ) -> None:
        super().__init__(message, **attributes)
        self.differences: tuple[Difference, ...] = tuple(differences)


class BackupError(PgMigrateError):
    """A backup of the target, or its restore, failed."""

    kind = "backup"


class CommandError(PgMigrateError):
    """A command of the procedure failed, took too long or cannot be started."""

    kind = "command"


class InterruptedRunError(PgMigrateError):
    """The run was asked to stop and did, in order; it can be resumed."""

    kind = "interrupted"


class InternalError(PgMigrateError):
    """A defect of this package."""

    kind = "internal"


_BY_KIND: dict[str, type[PgMigrateError]] = {
    error.kind: error
    for error in (
        ConfigError,
        ConnectError,
        PreflightError,
        SchemaError,
        CopyError,
        StateError,
        DriftError,
        VerifyError,
        BackupError,
        InterruptedRunError,
        InternalError,
    )
}


def from_native(mapping: Mapping[str, Any]) -> PgMigrateError:
    """The typed exception for an error of the core, which calls this.

    Args:
        mapping: ``kind``, ``message`` and the attributes of the error.
    """
    from pgmigrate._model import Finding

    given = dict(mapping)
    kind = given.pop("kind")
    problems = given.pop("problems", None)
    findings = given.pop("findings", None)
    error = _BY_KIND.get(kind, InternalError)
    if error is ConfigError:
        given["problems"] = problems or ()
    elif error is PreflightError:
        given["findings"] = [Finding.from_mapping(item) for item in findings or ()]
    return error(given.pop("message"), **given)


def _restore(
    error: type[PgMigrateError], message: str, attributes: Mapping[str, Any]
) -> PgMigrateError:
    return error(message, **attributes)
