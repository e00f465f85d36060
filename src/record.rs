//! What the ledger says of a run and of its tasks, as values.
//!
//! Pure data: `ledger` reads and writes it, `report` sums it up, the engine decides by it.

use crate::closed_set::{closed_set, text_or_empty};
use crate::phase::Phase;
use crate::plan::{Task, TaskKind};
use crate::row_format::RowFormat;
use crate::status::{RunState, TaskStatus};
use serde::Serialize;

closed_set! {
    /// How rows are written into a table.
    pub enum RowMode, "mode of rows" {
        /// Into a table that this run has made.
        Create = "create",
        /// Into an existing table that was empty.
        Copy = "copy",
        /// In addition to rows that existed before.
        Append = "append",
        /// Through a staging table, because some of the rows may exist already.
        Merge = "merge",
        /// Into a table that an extension of this run has made, in place of the rows that the extension inserted.
        Replace = "replace",
        /// A sequence that existed before: its value never goes back.
        Forward = "forward",
    }
}

/// A run, as its row says.
#[derive(Debug, Clone)]
pub struct Run {
    /// Its number.
    pub run: i64,
    /// The plan's fingerprint.
    pub plan: String,
    /// The source's identity.
    pub source: String,
    /// The target's identity.
    pub target: String,
    /// The configuration's fingerprint text.
    pub config: String,
    /// How it stands.
    pub state: RunState,
    /// What its snapshot saw, as `pg::snapshot` writes it.
    pub snapshot: String,
    /// Whether all tasks so far saw one state of the source.
    pub consistent: bool,
    /// When it began, in ISO form.
    pub started: String,
    /// Seconds since it began, or until it ended.
    pub seconds: f64,
}

/// A task, as its row says.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Record {
    /// Its id in the plan.
    pub task: String,
    /// Its phase.
    pub phase: Phase,
    /// Its kind.
    pub kind: TaskKind,
    /// What it is about.
    pub object: String,
    /// How rows are written to the table, or a sequence's value; none for other tasks.
    pub mode: Option<RowMode>,
    /// The format that rows travel in.
    #[serde(serialize_with = "text_or_empty")]
    pub format: Option<RowFormat>,
    /// How it stands.
    pub status: TaskStatus,
    /// How often it was tried.
    pub attempts: i32,
    /// Rows by the plan.
    pub planned_rows: i64,
    /// Bytes by the plan.
    pub planned_bytes: i64,
    /// Rows written.
    pub rows: i64,
    /// Bytes written.
    pub bytes: i64,
    /// The order-independent hash of the rows as the source sent them.
    pub hash: String,
    /// What its snapshot saw.
    pub snapshot: String,
    /// When it was last started, in seconds after the run's start; none where it never was.
    pub begun: Option<f64>,
    /// How long it took.
    pub seconds: f64,
    /// The number of the worker that took it, from 0; no other process at work in the run has a worker of this number.
    pub worker: Option<i32>,
    /// Why it failed, as a code.
    pub sqlstate: String,
    /// Why it failed, or what else there is to say.
    pub note: String,
}

impl Record {
    /// A task of the plan that was not tried yet.
    #[must_use]
    pub fn planned(task: &Task) -> Self {
        Record {
            task: task.id.clone(),
            phase: task.phase,
            kind: task.kind.clone(),
            object: task.object(),
            mode: task.is_data().then_some(RowMode::Create),
            format: task.format,
            status: TaskStatus::Pending,
            attempts: 0,
            planned_rows: task.rows.cast_signed(),
            planned_bytes: task.bytes.cast_signed(),
            rows: 0,
            bytes: 0,
            hash: String::new(),
            snapshot: String::new(),
            begun: None,
            seconds: 0.0,
            worker: None,
            sqlstate: String::new(),
            note: String::new(),
        }
    }

    /// Whether nothing is left to do for the task.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.status.is_settled()
    }
}

/// What a task did, for its row.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Effect {
    /// Rows written.
    pub rows: u64,
    /// Bytes written.
    pub bytes: u64,
    /// The order-independent hash of the rows as the source sent them.
    pub hash: String,
    /// What its snapshot saw.
    pub snapshot: String,
    /// The format that the rows travelled in, where it is not the planned one.
    pub format: Option<RowFormat>,
    /// What a reader should know.
    pub note: String,
}
