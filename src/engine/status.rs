//! The progress of the latest run on a target, read from its ledger alone: from any machine, during the run or after it.

use super::Context;
use super::opened;
use super::time_left::{Now, recorded};
use crate::config::TargetOptions;
use crate::engine::target::foreign_keys::Left;
use crate::error::Result;
use crate::finding::Finding;
use crate::ledger::Ledger;
use crate::pg::{Session, progress};
use crate::plan::{TaskKind, tsv};
use crate::rates::Rates;
use crate::record::Record;
use crate::report::TaskResult;
use crate::status::{RunState, TaskStatus};
use serde::{Serialize, Serializer};
use std::collections::HashSet;

/// The progress of a run.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Status {
    /// Its number; none where the target has no ledger.
    pub run: Option<i64>,
    /// The fingerprint of the plan that it follows.
    pub plan: Option<String>,
    /// Whether all of its rows are of one state of the source; none before it is done.
    pub consistent: Option<bool>,
    /// How it stands; `none` where there was no run.
    #[serde(serialize_with = "state_text")]
    pub state: Option<RunState>,
    /// Whether a process works on the target, or holds a snapshot for parts: already during a backup, before the run begins.
    pub active: bool,
    /// Tasks by their state.
    pub tasks: Counts,
    /// Rows written.
    pub rows_done: i64,
    /// Rows to write, by the plan's estimate.
    pub rows_total: i64,
    /// Bytes written.
    pub bytes_done: i64,
    /// Bytes to write, by the plan's estimate.
    pub bytes_total: i64,
    /// Seconds since the run began, or until it ended.
    pub seconds: f64,
    /// Seconds to the end of the last task; none where that is not known, and where no run is active.
    pub seconds_left: Option<f64>,
    /// Tasks that run now.
    pub running: Vec<TaskResult>,
    /// Tasks that failed.
    pub failed: Vec<TaskResult>,
    /// The latest journal of a safe procedure; none where the ledger keeps none.
    pub procedure: Option<Procedure>,
    /// Findings about what runs have left on the target.
    pub findings: Vec<Finding>,
}

/// A journal of a safe procedure, and whether the procedure is at work.
#[derive(Debug, Clone, Serialize)]
pub struct Procedure {
    /// The journal, as its text.
    pub journal: String,
    /// The process that has the lock of the procedure; none where no process has it.
    pub holder: Option<String>,
}

/// Tasks by their state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Done.
    pub done: u64,
    /// The target had the object, or they were not requested.
    pub kept: u64,
    /// Taken by a worker.
    pub running: u64,
    /// Failed.
    pub failed: u64,
    /// Not tried, because of a failed one.
    pub blocked: u64,
    /// Not tried yet.
    pub pending: u64,
}

/// Reads the status of the latest run. The time left is computed with `rates`, or with typical ones, and for `jobs` tasks at once, or as
/// many as are at work.
pub async fn status(
    options: TargetOptions<'_>,
    jobs: usize,
    rates: Option<Rates>,
    context: &Context,
) -> Result<Status> {
    let rates = rates.map_or_else(|| Ok(Rates::typical()), Rates::checked)?;
    let (target, ledger) = opened::target(options, "status", context).await?;
    let exists = ledger.exists(&target).await?;
    let procedure = if exists { procedure(&ledger, &target).await? } else { None };
    let run = if exists { ledger.last_run(&target).await? } else { None };
    let Some(run) = run else {
        // The lock needs no ledger, and is taken before one exists.
        let active = ledger.is_locked(&target).await?;
        return Ok(Status { active, procedure, ..Status::default() });
    };
    let records = ledger.records(&target, run.run).await?;
    let is_active = ledger.is_locked(&target).await? || ledger.holder(&target).await?.is_some();
    // A run that was killed could not record that; the lock of a living run is held by its session.
    let state = if run.state == RunState::Running && !is_active { RunState::Interrupted } else { run.state };
    let known = Status {
        run: Some(run.run),
        plan: Some(run.plan),
        consistent: (state == RunState::Done).then_some(run.consistent),
        state: Some(state),
        active: is_active,
        seconds: run.seconds,
        procedure,
        findings: match state {
            // The run creates them again itself.
            RunState::Running => Vec::new(),
            _ => Left::read(&ledger, &target).await?.finding().into_iter().collect(),
        },
        ..Status::default()
    };
    let mut status = sum(known, &records);
    if state == RunState::Running {
        let jobs = jobs.max(workers(&records));
        status.seconds_left = seconds_left(&ledger, &target, run.run, &records, &rates, jobs).await?;
    }
    Ok(status)
}

/// How many workers are at work.
fn workers(records: &[Record]) -> usize {
    let running = records.iter().filter(|record| record.status == TaskStatus::Running);
    running.filter_map(|record| record.worker).collect::<HashSet<i32>>().len()
}

/// The time that the rest takes, by the plan in the ledger and the current statements of the run's sessions.
async fn seconds_left(
    ledger: &Ledger,
    target: &Session,
    run: i64,
    records: &[Record],
    rates: &Rates,
    jobs: usize,
) -> Result<Option<f64>> {
    let Some(plan) = ledger.plan(target, run).await? else { return Ok(None) };
    let now = Now { builds: progress::builds(target).await?, copies: progress::copies(target).await? };
    // Another version of pgmigrate may have begun the run: its state is known, the time that the rest takes is not.
    match tsv::read(&plan) {
        Ok(plan) => Ok(recorded(&plan.tasks, records, rates, jobs, &now).seconds),
        Err(error) => {
            tracing::debug!("the time left is not estimated: {}", error.chain());
            Ok(None)
        }
    }
}

async fn procedure(ledger: &Ledger, target: &Session) -> Result<Option<Procedure>> {
    // The holder is read first: a process that ends meanwhile is still named, and its journal is read as it ends.
    let holder = ledger.procedure_holder(target).await?.map(|holder| holder.words());
    let journal = ledger.last_journal(target).await?;
    Ok(journal.map(|journal| Procedure { journal: journal.journal, holder }))
}

#[expect(clippy::ref_option, clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference to the field")]
fn state_text<S: Serializer>(state: &Option<RunState>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(state.map_or("none", RunState::as_str))
}

fn sum(mut status: Status, records: &[Record]) -> Status {
    let is_running = status.state == Some(RunState::Running);
    for record in records {
        let counter = match record.status {
            TaskStatus::Running if is_running => &mut status.tasks.running,
            TaskStatus::Pending | TaskStatus::Running => &mut status.tasks.pending,
            TaskStatus::Done => &mut status.tasks.done,
            TaskStatus::Kept | TaskStatus::Skipped => &mut status.tasks.kept,
            TaskStatus::Failed => &mut status.tasks.failed,
            TaskStatus::Blocked => &mut status.tasks.blocked,
        };
        *counter += 1;
        if record.kind == TaskKind::Data {
            status.rows_done += record.rows;
            status.rows_total += record.planned_rows;
            status.bytes_done += record.bytes;
            status.bytes_total += record.planned_bytes;
        }
    }
    let of = |wanted: TaskStatus| {
        let results = records.iter().filter(move |r| r.status == wanted).cloned().map(TaskResult::from);
        results.map(move |task| TaskResult { status: wanted, ..task }).collect::<Vec<_>>()
    };
    if is_running {
        status.running = of(TaskStatus::Running);
    }
    status.failed = of(TaskStatus::Failed);
    status
}
