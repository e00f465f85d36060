"""What preflight found, and what it checked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from pgmigrate._results.tabular import Tabular
from pgmigrate._values.finding import Finding, finding_lines
from pgmigrate._values.humanize import printed
from pgmigrate._values.record import Record
from pgmigrate._values.sets import CheckState
from pgmigrate.errors import PreflightError


@dataclass(frozen=True)
class Check(Record):
    """A check that preflight makes.

    Attributes:
        check: its stable name, which its findings carry, too.
        about: what is true if it finds nothing.
        state: ``ok``; ``info``, ``warning`` or ``blocking``, as its most severe finding;
            ``not_made`` if an earlier check already forbids the run.
    """

    check: str
    about: str
    state: CheckState


@dataclass(frozen=True, repr=False)
class PreflightResult(Tabular):
    """What preflight found.

    Attributes:
        findings: all findings, of every severity.
        checks: all checks, also those that found nothing.
    """

    _table: ClassVar[str] = "findings"
    _parts: ClassVar[Mapping[str, type[Record]]] = {"findings": Finding, "checks": Check}

    findings: tuple[Finding, ...]
    checks: tuple[Check, ...]

    @property
    def blocking(self) -> tuple[Finding, ...]:
        """The findings that forbid a run."""
        return tuple(finding for finding in self.findings if finding.severity == "blocking")

    @property
    def ok(self) -> bool:
        """Whether a run may start."""
        return not self.blocking

    def raise_for_blocking(self) -> None:
        """Raises an error if findings forbid a run; does nothing if a run may start.

        Raises:
            PreflightError: a finding forbids a run.
        """
        if not self.ok:
            named = "; ".join(finding.message for finding in self.blocking)
            raise PreflightError(
                f"preflight: {named}", name="preflight_blocked", findings=self.findings
            )

    @printed
    def text(self) -> str:
        """A text for people."""
        if not self.findings:
            return "preflight: nothing found"
        order = {"blocking": 0, "warning": 1, "info": 2}
        found = sorted(self.findings, key=lambda finding: order.get(finding.severity, 3))
        weights = Counter(finding.severity for finding in found)
        head = ", ".join(f"{number} {severity}" for severity, number in weights.items())
        return "\n".join([f"preflight: {head}", *finding_lines(found, "")])
