"""The exceptions of this package; they say where an error happened and what to do about it.

Every error of this package is a `PgMigrateError`. It can be pickled with its attributes, and so
passed between processes. No message holds a password or the value of a row.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from pgmigrate._values.error import InternalError, PgMigrateError

if TYPE_CHECKING:
    from pgmigrate._values.finding import Difference, Finding

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
    """A server cannot be reached, refuses the login, or the connection was lost for good."""

    kind = "connect"


class PreflightError(PgMigrateError):
    """A finding forbids the run; the target was not touched.

    Args:
        message: a summary.
        findings: all findings, not only the blocking ones.
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
    """The ledger, the plan or the state file cannot be used as requested."""

    kind = "state"


class DriftError(StateError):
    """The plan was made for another source, target, configuration or catalog than the current one.

    Args:
        message: a summary.
        problems: every difference, the object first, if the plan was compared with a new one.
        attributes: as in `PgMigrateError`.
    """

    kind = "drift"

    def __init__(self, message: str, *, problems: Iterable[str] = (), **attributes: Any) -> None:
        super().__init__(message, **attributes)
        self.problems: tuple[str, ...] = tuple(problems)


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
    """The run was stopped cleanly on request; it can be resumed."""

    kind = "interrupted"


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
    """The exception for an error of the core; called by the core.

    Args:
        mapping: ``name``, ``kind``, ``message`` and the attributes of the error.
    """
    from pgmigrate._values.finding import Finding

    given = dict(mapping)
    kind = given.pop("kind")
    problems = given.pop("problems", None)
    findings = given.pop("findings", None)
    error = _BY_KIND.get(kind, InternalError)
    if error in (ConfigError, DriftError):
        given["problems"] = problems or ()
    elif error is PreflightError:
        given["findings"] = [Finding.from_mapping(item) for item in findings or ()]
    return error(given.pop("message"), **given)
