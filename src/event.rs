//! Everything that a run can report to its caller while it runs: the output besides the result.
//!
//! Events carry names and numbers, never a row value or a password. They are sent from worker threads into a queue
//! that the caller's thread empties; the sender never waits.

mod queue;

use crate::finding::Finding;
use crate::phase::Phase;
use crate::status::{TableStatus, TaskStatus};
pub use queue::{Events, Observer, Queue, queue};
use serde::Serialize;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A step outside the plan began: `preflight`, `snapshot`, `plan`, `backup`, `verify`...
    StepStarted {
        /// The step's name.
        step: String,
    },
    /// The step ended.
    StepFinished {
        /// The step's name.
        step: String,
        /// How long it took.
        seconds: f64,
    },
    /// The run knows its work; totals are what the plan estimates.
    RunStarted {
        /// The run's number in the ledger.
        run: i64,
        /// Tasks to do, without those that the ledger has as done.
        tasks: u64,
        /// Tasks that an earlier run has done.
        done: u64,
        /// How many tasks run at once.
        jobs: usize,
        /// The work of each phase, in order.
        phases: Vec<PhaseSize>,
    },
    /// A worker took a task.
    TaskStarted {
        /// The task's id in the plan.
        task: String,
        /// Its phase.
        phase: Phase,
        /// Its kind.
        kind: String,
        /// What it is about.
        object: String,
        /// The worker's number, from 0.
        worker: usize,
    },
    /// Rows on their way; counts are of this attempt so far.
    TaskProgress {
        /// The task's id.
        task: String,
        /// Its phase.
        phase: Phase,
        /// Rows sent to the target, 0 while the format does not show their number.
        rows: u64,
        /// Bytes sent to the target.
        bytes: u64,
    },
    /// A task ended.
    TaskFinished {
        /// The task's id.
        task: String,
        /// Its phase.
        phase: Phase,
        /// Its kind.
        kind: String,
        /// What it is about.
        object: String,
        /// How it stands; pending where it was stopped before its end.
        status: TaskStatus,
        /// Rows written.
        rows: u64,
        /// Bytes written.
        bytes: u64,
        /// How long it took.
        seconds: f64,
        /// Why it failed, or what else there is to say.
        note: String,
    },
    /// How far the run is, counted with the model of the estimate; about every two seconds.
    TimeLeft(TimeLeft),
    /// An attempt failed and is made again.
    TaskRetried {
        /// The task's id.
        task: String,
        /// The attempt that failed, from 1.
        attempt: u32,
        /// Why.
        reason: String,
    },
    /// Something that a person should know.
    Found(Finding),
    /// A holder has registered its snapshot lease.
    SnapshotHeld {
        /// The run's number in the ledger.
        run: i64,
        /// The snapshot's name, by which sessions on the source join it.
        id: String,
        /// Which transactions it sees, as `pg::snapshot` writes it.
        sees: String,
    },
    /// The lock of the safe procedure is taken.
    ProcedureLocked,
    /// How far the copy of the rows is that a snapshot is held for.
    HoldProgress {
        /// Tasks of the data phase that are settled.
        settled: u64,
        /// Those that a part has started.
        running: u64,
        /// Those that failed.
        failed: u64,
        /// Those that no part has started.
        pending: u64,
    },
    /// A table was compared.
    TableVerified {
        /// The table.
        object: String,
        /// How the comparison ended.
        status: TableStatus,
        /// Rows on the target.
        rows: u64,
    },
    /// No task of the run is under way any more; a verification may follow.
    RunFinished {
        /// Tasks done, in this run and before.
        done: u64,
        /// Tasks failed, or blocked by one that did.
        failed: u64,
        /// How long this run took.
        seconds: f64,
    },
    /// A log record.
    Log {
        /// `ERROR`, `WARN`, `INFO` or `DEBUG`.
        level: String,
        /// The words.
        message: String,
    },
}

/// How much a phase has to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PhaseSize {
    /// The phase.
    pub phase: Phase,
    /// Its tasks.
    pub tasks: u64,
    /// Its rows by the source's statistics.
    pub rows: u64,
    /// Its bytes by the source's statistics.
    pub bytes: u64,
}

/// How long the rest of a run takes, and how much of its work is done.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct TimeLeft {
    /// Seconds to the end of the last task; none where that is not known.
    pub seconds: Option<f64>,
    /// The part of the run's work that is done, from 0 to 1.
    pub share: f64,
    /// The same of the phases that have work in this run, in their order.
    pub phases: Vec<PhaseLeft>,
}

/// The same of a phase.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PhaseLeft {
    /// The phase.
    pub phase: Phase,
    /// Seconds to the end of its last task, what comes before included; none where that is not known.
    pub seconds: Option<f64>,
    /// The part of its work that is done, from 0 to 1.
    pub share: f64,
}
