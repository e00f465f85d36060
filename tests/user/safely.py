"""A migration while the application is stopped, and the change ticket that goes with it."""

from __future__ import annotations

from pathlib import Path

from pgmigrate import (
    Check,
    Checklist,
    ChecklistItem,
    CommandError,
    Migration,
    PreflightResult,
    SafetyReport,
    SafetyStep,
)
from user.values import of_finding

Words = tuple[str, ...]


def main(migration: Migration, ticket: Path) -> None:
    """Moves a database by the procedure of its configuration."""
    dry = migration.run_safely(dry_run=True)
    print(of_report(dry))
    report: SafetyReport = migration.run_safely()
    ticket.write_text(report.markdown(), encoding="utf-8")
    try:
        report.raise_for_failures()
    except CommandError as error:
        print(error.message)
    print(of_report(report))
    print(of_checks(migration.preflight()))


async def awaited(migration: Migration) -> bool:
    report = await migration.run_safely_async(dry_run=True)
    return report.ok


def of_report(report: SafetyReport) -> tuple[bool, float, Words]:
    steps: Words = tuple(word for step in report.steps for word in of_step(step))
    if report.checklist is not None:
        steps = (*steps, of_checklist(report.checklist))
    if report.error is not None or report.report is None or report.verification is None:
        steps = (*steps, f"not moved: {report.error}")
    reported = report.to_dict().keys() - {"report"}
    steps = (*steps, report.target, *report.others, *report.by_hand)
    if report.continued is not None or report.stopped is not None:
        steps = (*steps, f"goes on with {report.continued}, stopped at {report.stopped}")
    words = (report.status, report.application, report.backup or "no backup", report.outcome())
    flags = report.ok and report.touched and report.migrated and not report.restored
    return flags, report.seconds, (*steps, *words, *sorted(reported), report.text())


def of_step(step: SafetyStep) -> Words:
    return step.name, step.about, step.state, step.note, f"{step.seconds:.1f} s", step.text()


def of_checklist(checklist: Checklist) -> str:
    items = [of_item(item) for item in checklist.items]
    ready = "ready" if checklist.ok else "not ready"
    return "\n".join([ready, checklist.summary(), checklist.text(), checklist.markdown(), *items])


def of_item(item: ChecklistItem) -> str:
    findings = [finding.words() for finding in item.findings if of_finding(finding)]
    box = "x" if item.is_ticked else " "
    words = [item.check, item.about, item.state, *item.words(), *findings]
    return f"[{box}] {item.mark} {'; '.join(words)}"


def of_checks(preflight: PreflightResult) -> Words:
    checklist = Checklist.of(preflight, by_hand=["tried on dev"])
    return (of_checklist(checklist), *(of_check(check) for check in preflight.checks))


def of_check(check: Check) -> str:
    return f"{check.check}: {check.about} ({check.state})"
