//! How the tasks of a run ended, for its end and its report. Filled by `pool`, returned by `execute`, read by `close`.

use crate::error::Error;
use crate::finding::Finding;
use crate::status::TaskStatus;
use std::collections::HashMap;

/// How the tasks ended.
#[derive(Debug, Default)]
pub struct RunOutcome {
    /// Tasks that were settled in this run.
    pub settled: u64,
    /// Tasks that failed or were blocked in this run.
    pub failed: u64,
    /// Whether the run was asked to stop.
    pub stopped: bool,
    /// Findings of the tasks.
    pub found: Vec<Finding>,
    /// The error that kept the run from going on.
    pub failure: Option<Error>,
    /// What this process knows of tasks, by their place in the plan.
    pub known: HashMap<usize, Known>,
}

/// The result of a task, as far as a report without the ledger needs it.
#[derive(Debug, Clone, Copy)]
pub struct Known {
    /// Its status.
    pub status: TaskStatus,
    /// Rows written.
    pub rows: i64,
    /// Bytes written.
    pub bytes: i64,
}
