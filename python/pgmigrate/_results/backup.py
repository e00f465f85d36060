"""What backup, restore and cleanup did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from pgmigrate._results.tabular import Tabular
from pgmigrate._values.finding import Finding
from pgmigrate._values.humanize import duration, plural, printed, size
from pgmigrate._values.record import Record


@dataclass(frozen=True, repr=False)
class BackupResult(Tabular):
    """A backup of the target.

    Attributes:
        path: the file, an archive of pg_dump's custom format.
        bytes: its size.
        seconds: how long it took.
        entries: entries of its table of contents, as read back.
    """

    path: str
    bytes: int
    seconds: float
    entries: int

    @printed
    def text(self) -> str:
        """A text for people."""
        return (
            f"backup: {self.path} ({size(self.bytes)}, {plural(self.entries, 'object')}, "
            f"{duration(self.seconds)})"
        )


@dataclass(frozen=True, repr=False)
class RestoreResult(Tabular):
    """What a restore did.

    Attributes:
        path: the backup.
        entries: entries of its table of contents.
        seconds: how long it took.
        message: what was done, in words.
    """

    path: str
    entries: int
    seconds: float
    message: str

    @printed
    def text(self) -> str:
        """A text for people."""
        return (
            f"restore: {self.path} ({plural(self.entries, 'object')}, {duration(self.seconds)}): "
            f"{self.message}"
        )


@dataclass(frozen=True, repr=False)
class CleanupResult(Tabular):
    """What a cleanup dropped on the target.

    Attributes:
        dropped: the objects, quoted as SQL quotes them.
        findings: the foreign keys that runs had dropped and that are NOT VALID now, with the
            number of rows that reference nothing and a query that lists them. Nothing else records
            them.
    """

    _table: ClassVar[str] = "findings"
    _parts: ClassVar[Mapping[str, type[Record]]] = {"findings": Finding}

    dropped: tuple[str, ...]
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether everything that runs had dropped is as it was before."""
        return not self.findings

    @printed
    def text(self) -> str:
        """A text for people."""
        dropped = f"cleanup: dropped {', '.join(self.dropped) if self.dropped else 'nothing'}"
        return "\n".join([dropped, *(finding.text() for finding in self.findings)])
