"""What plans and results hold, by name and type: each function names every field of one value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pgmigrate import (
    Absent,
    BackupResult,
    ChainStep,
    CleanupResult,
    Difference,
    Estimate,
    Finding,
    JobsEstimate,
    KindCount,
    PhaseEstimate,
    PhaseResult,
    Plan,
    PlanChange,
    PlanDiff,
    PreflightResult,
    Rates,
    Remark,
    Report,
    RestoreResult,
    Speedup,
    Status,
    TableEstimate,
    TableRates,
    TableResult,
    Task,
    TaskCounts,
    TaskResult,
    Unchecked,
    UnfinishedProcedure,
    VerifyResult,
)

Words = tuple[str, ...]


def of_task(task: Task) -> tuple[Words, Words, list[int]]:
    sql = (task.source_sql, task.target_sql, task.optional_sql, task.merge_sql)
    names = (task.id, task.phase, task.kind, task.object, task.schema, task.name)
    return (
        (*names, *sql, task.format, task.on_existing, task.note),
        (*task.requires, *task.after),
        [task.rows, task.bytes],
    )


def of_plan(plan: Plan) -> tuple[str, dict[str, Any], list[Task], dict[str, list[Task]]]:
    for absent in plan.absent:
        of_absent(absent)
    for finding in plan.findings:
        of_finding(finding)
    for task in plan:
        of_task(task)
    first: Task = plan.tasks[0]
    few: tuple[Task, ...] = plan[:2]
    whole: str = plan.text
    assert whole == str(plan.source)
    return plan.summary(), plan.header, [first, *few], plan.by_phase()


def of_absent(absent: Absent) -> Words:
    return absent.kind, absent.object, absent.reason


def of_finding(finding: Finding) -> Words:
    about = (finding.check, finding.severity, finding.object)
    words = (finding.words(), finding.message, finding.remedy, finding.text())
    return (*about, *words, *finding.objects)


def of_preflight(result: PreflightResult) -> tuple[bool, str]:
    result.raise_for_blocking()
    for finding in (*result.findings, *result.blocking):
        of_finding(finding)
    return result.ok, result.text()


def of_estimate(estimate: Estimate) -> tuple[int, list[float], bool, str]:
    for jobs in estimate.by_jobs:
        of_jobs(jobs)
    for phase in estimate.phases:
        of_phase_estimate(phase)
    for link in estimate.chain:
        of_link(link)
    for table in estimate.tables:
        of_table_estimate(table)
    notes: tuple[str, ...] = estimate.notes
    seconds = [estimate.seconds, estimate.low, estimate.high, estimate.preparation]
    return estimate.jobs, seconds, estimate.calibrated, "\n".join((estimate.text(), *notes))


def of_jobs(jobs: JobsEstimate) -> tuple[int, list[float]]:
    return jobs.jobs, [jobs.seconds, jobs.low, jobs.high]


def of_phase_estimate(phase: PhaseEstimate) -> tuple[str, int, list[float]]:
    return phase.phase, phase.tasks, [phase.starts, phase.seconds, phase.work]


def of_link(link: ChainStep) -> tuple[Words, int, list[float]]:
    words = (link.task, link.object, link.kind, link.phase, link.waits_for)
    return words, link.tasks, [link.starts, link.seconds]


def of_table_estimate(table: TableEstimate) -> tuple[str, int, float]:
    return table.table, table.bytes, table.work


def of_rates(rates: Rates) -> tuple[int, bool, list[float], Words]:
    for speedup in (*rates.copy_speedup, *rates.build_speedup):
        of_speedup(speedup)
    for table in rates.tables:
        of_table_rates(table)
    megabytes = [rates.copy_binary, rates.copy_text, rates.index, rates.validation, rates.scan]
    seconds = [rates.analyze, rates.create_table, rates.statement, rates.small_copy]
    seconds += [rates.source_round_trip, rates.target_round_trip, rates.preparation]
    assert rates.text()
    return rates.version, rates.calibrated, [*megabytes, *seconds, rates.uncertainty], rates.notes


def of_speedup(speedup: Speedup) -> tuple[int, float]:
    return speedup.sessions, speedup.speedup


def of_table_rates(table: TableRates) -> tuple[str, list[float | None]]:
    return table.table, [table.copy, table.index, table.validation, table.analyze]


def of_report(report: Report) -> tuple[bool, Words]:
    report.raise_for_failures()
    tasks: Sequence[TaskResult] = report.tasks
    for task in (*tasks, *report.failed):
        of_task_result(task)
    for phase in report.phases:
        of_phase(phase)
    for absent in report.absent:
        of_absent(absent)
    for finding in report.findings:
        of_finding(finding)
    if report.verification is not None:
        of_verification(report.verification)
    number: int = report.run or 0
    took: float = report.seconds
    databases = (report.source, report.target, report.backup or "no backup")
    whole: str | None = report.run_state
    words = (
        whole or "",
        report.status,
        report.started,
        *databases,
        *report.snapshots,
        report.text(),
    )
    return report.ok and report.consistent, (*words, f"run {number} took {took:.1f} s")


def of_task_result(task: TaskResult) -> tuple[Words, list[int], list[float | None]]:
    words = (task.id, task.phase, task.kind, task.object, task.status)
    why = (task.snapshot, task.note, task.sqlstate)
    times: list[float | None] = [task.seconds, task.begun]
    return (*words, *why), [task.rows, task.bytes, task.attempts, task.worker or 0], times


def of_phase(phase: PhaseResult) -> tuple[str, list[int], float]:
    numbers = [phase.tasks, phase.done, phase.kept, phase.failed, phase.blocked]
    numbers += [phase.rows, phase.bytes]
    return phase.phase, numbers, phase.seconds


def of_verification(result: VerifyResult) -> tuple[bool, str]:
    result.raise_for_differences()
    for table in result.tables:
        of_table(table)
    for difference in result.differences:
        of_difference(difference)
    for unchecked in result.unchecked:
        of_unchecked(unchecked)
    for view in (*result.materialized_views, *result.changed_views):
        of_table(view)
    for remark in (*result.by_version, *result.only_on_target, *result.not_moved):
        of_remark(remark)
    amounts = [of_count(count) for count in result.compared]
    for table in result.larger_tables:
        of_table(table)
    words = f"{result.verdict}: {result.headline()}\n{result.text()}"
    return result.ok and result.equal and bool(amounts), words


def of_plan_diff(diff: PlanDiff) -> tuple[bool, Words]:
    changes = [word for change in diff.changes for word in of_plan_change(change)]
    return diff.same, (*diff.basis, *changes, *diff.resized, diff.headline(), diff.text())


def of_plan_change(change: PlanChange) -> Words:
    return change.object, change.kind, change.change, change.text()


def of_remark(remark: Remark) -> Words:
    return remark.kind, remark.object, remark.message, remark.text()


def of_count(count: KindCount) -> tuple[str, int]:
    return count.kind, count.objects


def of_table(table: TableResult) -> tuple[Words, list[int | None], float]:
    words = (table.object, table.status, table.note)
    rows = [table.source_rows, table.target_rows, table.more_rows, int(table.held_rows)]
    return words, rows, table.seconds


def of_difference(difference: Difference) -> tuple[Words, str | None, Words]:
    words = (difference.kind, difference.object, difference.message)
    return (*words, difference.text(with_key=False)), difference.key, difference.columns


def of_unchecked(unchecked: Unchecked) -> Words:
    return unchecked.object, unchecked.reason


def of_status(
    status: Status,
) -> tuple[int | None, str | None, bool | None, str, float | None, float]:
    of_counts(status.tasks)
    for task in (*status.running, *status.failed):
        of_task_result(task)
    numbers = (status.rows_done, status.rows_total, status.bytes_done, status.bytes_total)
    share: float = sum(numbers[::2]) / max(1, sum(numbers[1::2]))
    return (
        status.run,
        status.plan,
        status.consistent,
        f"{status.state} {status.active}: {status.text()} {len(status.findings)}"
        f" {of_unfinished(status.procedure)}",
        status.seconds_left,
        status.seconds * share,
    )


def of_unfinished(left: UnfinishedProcedure | None) -> tuple[Words, bool]:
    if left is None:
        return (), False
    known = (left.began, left.worker, left.application, left.target, *left.commands, left.text())
    found = (left.step, left.step_state, left.step_at, left.stopped, left.backup, left.outcome)
    shell = left.for_command_line("--config c.yaml").commands
    return (*known, *filter(None, found), *shell), left.at_work


def of_counts(counts: TaskCounts) -> int:
    settled = counts.done + counts.kept
    return settled + counts.running + counts.failed + counts.blocked + counts.pending


def of_backup(backup: BackupResult) -> tuple[str, int, float, str]:
    return backup.path, backup.bytes + backup.entries, backup.seconds, backup.text()


def of_restore(restored: RestoreResult) -> tuple[str, int, float, str]:
    reported = f"{restored.message}\n{restored.text()}"
    return restored.path, restored.entries, restored.seconds, reported


def of_cleanup(cleaned: CleanupResult) -> tuple[Words, str, bool]:
    return cleaned.dropped, cleaned.text(), cleaned.ok or bool(cleaned.findings)
