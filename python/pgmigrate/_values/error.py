"""The base class of all errors, and the error for a defect, which lower layers need.

They are public as part of `pgmigrate.errors`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from pgmigrate._values.humanize import printable
from pgmigrate._values.wording import rendered


class PgMigrateError(Exception):
    """The base of all errors of this package.

    Args:
        message: what failed, in lower case.
        name: a stable name of what failed for machines, such as ``plan_mismatch``. One name has one
            meaning; ``pgmigrate reference --messages`` lists all of them. The default is ``kind``.
        phase: the phase of the run.
        task: the task's id in the plan.
        object: the database object, quoted as SQL quotes it.
        side: ``source`` or ``target``.
        sqlstate: the five characters of the server's code, if a server replied with one.
        remedy: what to do about it.

    Attributes:
        kind: a stable name of the class for machines, such as ``config``.
    """

    kind: ClassVar[str] = "error"
    # Its public module, for tracebacks and pickles.
    __module__ = "pgmigrate.errors"

    def __init__(
        self,
        message: str,
        *,
        name: str | None = None,
        phase: str | None = None,
        task: str | None = None,
        object: str | None = None,
        side: str | None = None,
        sqlstate: str | None = None,
        remedy: str | None = None,
    ) -> None:
        message = rendered(message)
        super().__init__(message)
        self.message = message
        self.name = self.kind if name is None else name
        self.phase = phase
        self.task = task
        self.object = object
        self.side = side
        self.sqlstate = sqlstate
        self.remedy = None if remedy is None else rendered(remedy)

    def __str__(self) -> str:
        return printable(f"{self.message}; {self.remedy}" if self.remedy else self.message)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.message!r}, name={self.name!r})"

    def __reduce__(self) -> tuple[Callable[..., PgMigrateError], tuple[Any, ...]]:
        return _restore, (type(self), self.message, self._attributes())

    def to_dict(self) -> dict[str, Any]:
        """The error as plain values: ``kind``, ``message``, ``name`` and all other attributes."""
        plain = {"kind": self.kind, "message": self.message, **self._attributes()}
        for key in ("findings", "differences"):
            if key in plain:
                plain[key] = [item.to_dict() for item in plain[key]]
        return plain

    def _attributes(self) -> dict[str, Any]:
        # Notes that a caller added are in the same dictionary, under a name with underscores.
        return {
            name: value
            for name, value in vars(self).items()
            if name != "message" and not name.startswith("_")
        }


class InternalError(PgMigrateError):
    """A defect of this package."""

    kind = "internal"
    __module__ = "pgmigrate.errors"


def _restore(
    error: type[PgMigrateError], message: str, attributes: Mapping[str, Any]
) -> PgMigrateError:
    return error(message, **attributes)
