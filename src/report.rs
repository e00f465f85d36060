//! What a run did: the ledger's rows joined with the plan's tasks, summed up by phase.
//!
//! Pure data; the engine makes it at the end of a run, and the bindings hand it to Python.

use crate::catalog::scope::Absent;
use crate::finding::Finding;
use crate::plan::{Phase, Plan, TaskKind};
use crate::record::Record;
use crate::status::{ReportStatus, RunState, TaskStatus};
use crate::verification::Verification;
use serde::Serialize;
use std::collections::BTreeSet;

/// The result of a run.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Its number in the ledger; none for a dry run.
    pub run: Option<i64>,
    /// How it ended.
    pub status: ReportStatus,
    /// The state of the run as a whole, of which this report may show a part; none for a dry run, and if the ledger could not be read.
    pub run_state: Option<RunState>,
    /// Whether all rows are of one state of the source.
    pub consistent: bool,
    /// Where the rows came from, without secrets.
    pub source: String,
    /// Where they went.
    pub target: String,
    /// When the run began, in ISO form.
    pub started: String,
    /// How long it took.
    pub seconds: f64,
    /// The states of the source that tasks saw, as `pg_current_snapshot()` writes them.
    pub snapshots: Vec<String>,
    /// Sums by phase.
    pub phases: Vec<PhaseResult>,
    /// All tasks.
    pub tasks: Vec<TaskResult>,
    /// What does not exist on the target, and why.
    pub absent: Vec<Absent>,
    /// What was found before and during the run.
    pub findings: Vec<Finding>,
    /// The comparison of both databases, if it was requested.
    pub verification: Option<Verification>,
    /// The backup of the target, where one was made.
    pub backup: Option<String>,
}

/// What a phase did.
#[derive(Debug, Clone, Serialize)]
pub struct PhaseResult {
    /// The phase.
    pub phase: Phase,
    /// Its tasks.
    pub tasks: u64,
    /// Those that are done.
    pub done: u64,
    /// Those whose object the target already had, or that were not requested.
    pub kept: u64,
    /// Those that failed.
    pub failed: u64,
    /// Those that were not tried because of a failed task.
    pub blocked: u64,
    /// Rows of tables written.
    pub rows: i64,
    /// Bytes written.
    pub bytes: i64,
    /// Seconds of work, summed over workers.
    pub seconds: f64,
}

/// What a task did.
#[derive(Debug, Clone, Serialize)]
pub struct TaskResult {
    /// Its id in the plan.
    pub id: String,
    /// Its phase.
    pub phase: Phase,
    /// Its kind.
    pub kind: TaskKind,
    /// What it was about.
    pub object: String,
    /// How it stands; one that was at work at the end is pending.
    pub status: TaskStatus,
    /// Rows written.
    pub rows: i64,
    /// Bytes written.
    pub bytes: i64,
    /// When it was last started, in seconds after the run's start; none where it never was.
    pub begun: Option<f64>,
    /// How long it took.
    pub seconds: f64,
    /// The worker that took it, as a number of the run; none where it was never started.
    pub worker: Option<i32>,
    /// How often it was tried.
    pub attempts: i32,
    /// The state of the source that it saw.
    pub snapshot: String,
    /// Why it failed, or what else there is to say.
    pub note: String,
    /// Why it failed, as a code.
    pub sqlstate: String,
}

impl From<Record> for TaskResult {
    fn from(record: Record) -> Self {
        // While a part works on a task, its row has the snapshot that the part is going to read; only that of a settled task was read.
        let snapshot = if record.is_settled() { record.snapshot } else { String::new() };
        TaskResult {
            id: record.task,
            phase: record.phase,
            kind: record.kind,
            object: record.object,
            status: if record.status == TaskStatus::Running { TaskStatus::Pending } else { record.status },
            rows: record.rows,
            bytes: record.bytes,
            begun: record.begun,
            seconds: record.seconds,
            worker: record.worker,
            attempts: record.attempts,
            snapshot,
            note: record.note,
            sqlstate: record.sqlstate,
        }
    }
}

/// Sums the tasks up by phase, in the phases' order.
#[must_use]
pub fn phases(tasks: &[TaskResult]) -> Vec<PhaseResult> {
    let of = |phase: Phase| {
        let mut sum =
            PhaseResult { phase, tasks: 0, done: 0, kept: 0, failed: 0, blocked: 0, rows: 0, bytes: 0, seconds: 0.0 };
        for task in tasks.iter().filter(|task| task.phase == phase) {
            sum.tasks += 1;
            match task.status {
                TaskStatus::Done => sum.done += 1,
                TaskStatus::Kept | TaskStatus::Skipped => sum.kept += 1,
                TaskStatus::Failed => sum.failed += 1,
                TaskStatus::Blocked => sum.blocked += 1,
                TaskStatus::Pending | TaskStatus::Running => {}
            }
            // A large object is no row.
            sum.rows += if task.kind == TaskKind::LargeObjects { 0 } else { task.rows };
            sum.bytes += task.bytes;
            sum.seconds += task.seconds;
        }
        sum
    };
    Phase::ALL.into_iter().map(of).filter(|sum| sum.tasks > 0).collect()
}

/// The snapshots that tasks saw, each once.
#[must_use]
pub fn snapshots(tasks: &[TaskResult]) -> Vec<String> {
    let all: BTreeSet<&str> = tasks.iter().map(|task| task.snapshot.as_str()).filter(|s| !s.is_empty()).collect();
    all.into_iter().map(str::to_owned).collect()
}

/// The objects that are missing on the target: those of failed tasks, and of the tasks that these blocked.
pub fn not_arrived(tasks: &[TaskResult]) -> impl Iterator<Item = &TaskResult> {
    tasks.iter().filter(|task| task.status.is_failed())
}

/// The head of a report for a plan that was not run.
#[must_use]
pub fn dry_run(plan: &Plan) -> Vec<TaskResult> {
    let result = |task: &crate::plan::Task| TaskResult {
        id: task.id.clone(),
        phase: task.phase,
        kind: task.kind.clone(),
        object: task.object(),
        status: TaskStatus::Pending,
        rows: 0,
        bytes: 0,
        begun: None,
        seconds: 0.0,
        worker: None,
        attempts: 0,
        snapshot: String::new(),
        note: task.note.clone(),
        sqlstate: String::new(),
    };
    plan.tasks.iter().map(result).collect()
}
