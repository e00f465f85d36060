"""The checklist before a migration: every check of the preflight with a mark, as data and Markdown.

A finding says what is wrong; a checklist also says what was checked and is right.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Final

from pgmigrate._results.preflight import PreflightResult
from pgmigrate._values.finding import Finding
from pgmigrate._values.humanize import plural, printed
from pgmigrate._values.record import Record

MARKS: Final[Mapping[str, str]] = {
    "ok": "✓",
    "info": "✓",
    "warning": "!",
    "blocking": "✗",
    "not_made": "-",
    "to_do": "·",
}
_MARKDOWN: Final = re.compile(r"([\\`*_{}\[\]<>#|~&])")


def escaped(text: str) -> str:
    """A text on one line in which Markdown finds nothing to format."""
    return _MARKDOWN.sub(r"\\\1", " ".join(text.split()))


@dataclass(frozen=True)
class ChecklistItem(Record):
    """A point of a checklist.

    Attributes:
        check: the stable name of the check; empty for a point that only a person can tick.
        about: what is true if nothing was found.
        state: the state of the check, or ``to_do`` if a person has to check.
        findings: what was found.
    """

    _parts: ClassVar[Mapping[str, type[Record]]] = {"findings": Finding}

    check: str
    about: str
    state: str
    findings: tuple[Finding, ...] = ()

    @property
    def mark(self) -> str:
        """``✓`` passed, ``!`` a warning, ``✗`` forbids the run, ``-`` not made, ``·`` to do."""
        return MARKS[self.state]

    @property
    def is_ticked(self) -> bool:
        """Whether the point has passed, or is a warning that does not forbid the run."""
        return self.state in ("ok", "info", "warning")

    def words(self) -> list[str]:
        """The lines to show: what was found with its remedy, else what is true."""
        if not self.findings:
            return [f"{self.about}: not checked" if self.state == "not_made" else self.about]
        return [
            "; remedy: ".join(filter(None, (finding.words(), finding.remedy)))
            for finding in self.findings
        ]


@dataclass(frozen=True)
class Checklist(Record):
    """The points of a checklist, those that forbid the run first.

    Attributes:
        items: the points.
    """

    _parts: ClassVar[Mapping[str, type[Record]]] = {"items": ChecklistItem}

    items: tuple[ChecklistItem, ...]

    @classmethod
    def of(
        cls,
        preflight: PreflightResult,
        more: Iterable[ChecklistItem] = (),
        by_hand: Iterable[str] = (),
    ) -> Checklist:
        """The checklist of a preflight.

        Args:
            preflight: its checks and findings.
            more: points in addition to its own.
            by_hand: points that only a person can tick.
        """
        found: dict[str, list[Finding]] = {}
        for finding in preflight.findings:
            found.setdefault(finding.check, []).append(finding)
        items = [
            ChecklistItem(item.check, item.about, item.state, tuple(found.pop(item.check, ())))
            for item in preflight.checks
        ]
        items += [
            ChecklistItem(check, findings[0].message, findings[0].severity, tuple(findings))
            for check, findings in found.items()
        ]
        items += [*more, *(ChecklistItem("", text, "to_do") for text in by_hand)]
        order = ("blocking", "warning", "to_do", "not_made", "info", "ok")
        return cls(tuple(sorted(items, key=lambda item: order.index(item.state))))

    @property
    def ok(self) -> bool:
        """Whether nothing forbids the run."""
        return all(item.state != "blocking" for item in self.items)

    def summary(self) -> str:
        """The number of points by mark."""
        counts = {
            "forbid the run": sum(item.state == "blocking" for item in self.items),
            "not made": sum(item.state == "not_made" for item in self.items),
            "to tick by hand": sum(item.state == "to_do" for item in self.items),
        }
        warnings = sum(item.state == "warning" for item in self.items)
        parts = [plural(len(self.items), "check"), plural(warnings, "warning")]
        return ", ".join(
            [*parts, *(f"{number} {words}" for words, number in counts.items() if number)]
        )

    @printed
    def text(self) -> str:
        """A text for people."""
        lines = [f"  {item.mark} {words}" for item in self.items for words in item.words()]
        return "\n".join([f"checklist: {self.summary()}", *lines])

    @printed
    def markdown(self) -> str:
        """A list with boxes, for a change ticket; a warning is ticked, as it allows the run."""
        lines = [
            f"- [{'x' if item.is_ticked else ' '}] {item.mark} {escaped(words)}"
            for item in self.items
            for words in item.words()
        ]
        return "\n".join(lines)
