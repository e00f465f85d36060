//! How far the latest run on a target is, read from its ledger alone: from any machine, while the run goes on or after it.

use super::Context;
use super::connect::Endpoints;
use super::foreign_keys::Left;
use crate::config::Config;
use crate::error::{Result, Side};
use crate::finding::Finding;
use crate::ledger::Ledger;
use crate::pg::Session;
use crate::record::{Record, RunState};
use crate::report::TaskResult;
use serde::Serialize;

/// How far a run is.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Status {
    /// Its number; none where the target has no ledger.
    pub run: Option<i64>,
    /// The fingerprint of the plan that it follows.
    pub plan: Option<String>,
    /// Whether all of its rows are of one state of the source; none before it is done.
    pub consistent: Option<bool>,
    /// `none`, `running`, `interrupted`, `failed` or `done`.
    pub state: String,
    /// Whether a process works on the target, or holds a snapshot for parts: from before a backup, and so before the run begins.
    pub active: bool,
    /// Tasks by what has become of them.
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
    /// Seconds left if the rest goes as the tasks so far went; none before the first is done and after the last.
    pub seconds_left: Option<f64>,
    /// Tasks that run now.
    pub running: Vec<TaskResult>,
    /// Tasks that failed.
    pub failed: Vec<TaskResult>,
    /// The latest journal of a safe procedure; none where the ledger keeps none.
    pub procedure: Option<Procedure>,
    /// What a person should know of what runs have left on the target.
    pub findings: Vec<Finding>,
}

/// A journal of a safe procedure, and whether that is at work.
#[derive(Debug, Clone, Serialize)]
pub struct Procedure {
    /// The journal, as its text.
    pub journal: String,
    /// The process that has the lock of the procedure; none where no process has it.
    pub holder: Option<String>,
}

/// Tasks by what has become of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Settled.
    pub done: u64,
    /// Taken by a worker.
    pub running: u64,
    /// Failed.
    pub failed: u64,
    /// Not tried, because of a failed one.
    pub blocked: u64,
    /// Not tried yet.
    pub pending: u64,
}

/// Reads the status of the latest run.
pub async fn status(config: &Config, context: &Context) -> Result<Status> {
    let endpoints = Endpoints::new(config, context)?;
    let target = Session::open(&endpoints.target, Side::Target, "status").await?;
    let ledger = Ledger::new(&config.options.ledger_schema);
    let exists = ledger.exists(&target).await?;
    let procedure = if exists { procedure(&ledger, &target).await? } else { None };
    let run = if exists { ledger.last_run(&target).await? } else { None };
    let Some(run) = run else {
        // The lock needs no ledger, and is taken before there is one.
        let active = ledger.is_locked(&target).await?;
        return Ok(Status { state: "none".into(), active, procedure, ..Status::default() });
    };
    let records = ledger.records(&target, run.run).await?;
    let is_active = ledger.is_locked(&target).await? || ledger.holder(&target).await?.is_some();
    // A run that was killed could not say so; the lock of a living one is held by its session.
    let state = if run.state == RunState::Running && !is_active { RunState::Interrupted } else { run.state };
    let known = Status {
        run: Some(run.run),
        plan: Some(run.plan),
        consistent: (state == RunState::Done).then_some(run.consistent),
        state: state.word().into(),
        active: is_active,
        seconds: run.seconds,
        procedure,
        findings: match state {
            // It makes them again itself.
            RunState::Running => Vec::new(),
            _ => Left::read(&ledger, &target).await?.finding().into_iter().collect(),
        },
        ..Status::default()
    };
    Ok(sum(known, &records))
}

async fn procedure(ledger: &Ledger, target: &Session) -> Result<Option<Procedure>> {
    // Who ends meanwhile is still named, and its journal is read as it ends.
    let holder = ledger.procedure_holder(target).await?.map(|holder| holder.words());
    let journal = ledger.last_journal(target).await?;
    Ok(journal.map(|journal| Procedure { journal: journal.journal, holder }))
}

fn sum(mut status: Status, records: &[Record]) -> Status {
    for record in records {
        let counter = match record.status.as_str() {
            "running" if status.state == "running" => &mut status.tasks.running,
            "failed" => &mut status.tasks.failed,
            "blocked" => &mut status.tasks.blocked,
            "pending" | "running" => &mut status.tasks.pending,
            _ => &mut status.tasks.done,
        };
        *counter += 1;
        if record.kind == crate::plan::kind::DATA {
            status.rows_done += record.rows;
            status.rows_total += record.planned_rows;
            status.bytes_done += record.bytes;
            status.bytes_total += record.planned_bytes;
        }
    }
    let of =
        |wanted: &str| records.iter().filter(|r| r.status == wanted).cloned().map(TaskResult::from).collect::<Vec<_>>();
    if status.state == "running" {
        status.running =
            of("running").into_iter().map(|task| TaskResult { status: "running".into(), ..task }).collect();
    }
    status.failed = of("failed");
    status.seconds_left = seconds_left(&status, records);
    status
}

/// The time that the rest takes if it goes as the work so far went: data by its planned bytes, everything else by the task.
#[expect(clippy::cast_precision_loss, reason = "an estimate of seconds")]
fn seconds_left(status: &Status, records: &[Record]) -> Option<f64> {
    if status.state != "running" {
        return None;
    }
    // A byte more a task, so that empty tables count as work, too.
    let size = |r: &Record| if r.kind == crate::plan::kind::DATA { r.planned_bytes as f64 + 1.0 } else { 1.0 };
    let rate = |is_data: bool| {
        let of_kind = || records.iter().filter(move |r| (r.kind == crate::plan::kind::DATA) == is_data);
        let done: f64 = of_kind().filter(|r| r.is_settled()).map(size).sum();
        let left: f64 = of_kind().filter(|r| !r.is_settled()).map(size).sum();
        let seconds: f64 = of_kind().filter(|r| r.is_settled()).map(|r| r.seconds).sum();
        (
            seconds,
            if done > 0.0 {
                Some(left * seconds / done)
            } else if left == 0.0 {
                Some(0.0)
            } else {
                None
            },
        )
    };
    let (data, others) = (rate(true), rate(false));
    // Workers run side by side: their work so far took the time that has passed.
    let speed = (data.0 + others.0) / status.seconds.max(0.001);
    (speed > 0.0).then(|| (data.1.unwrap_or_default() + others.1.unwrap_or_default()) / speed)
}
