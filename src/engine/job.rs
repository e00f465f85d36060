//! A run in progress, as all of its workers share it: the plan's tasks, how each is to be done, and where.
//!
//! Made by `run` once everything is decided; workers only read it.

use super::Context;
use super::tuning::Tuning;
use crate::config::Options;
use crate::finding::Finding;
use crate::ledger::Ledger;
use crate::pg::Conninfo;
use crate::pg::copy::RowFormat;
use crate::pg::snapshot::Snapshot;
use crate::plan::Task;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// How rows come into a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Into a table that this run has made.
    Create,
    /// Into a table that was there before and held nothing.
    Copy,
    /// Behind rows that were there before.
    Append,
    /// Through a stage, for some of the rows may be there already.
    Merge,
    /// Into a table that an extension of this run has made, in place of the rows that came with it.
    Replace,
    /// A sequence that was there before: its value never goes back.
    Forward,
}

impl Mode {
    /// The mode of the ledger's word.
    #[must_use]
    pub fn from_word(word: &str) -> Mode {
        match word {
            "create" => Mode::Create,
            "append" => Mode::Append,
            "merge" => Mode::Merge,
            "replace" => Mode::Replace,
            "forward" => Mode::Forward,
            _ => Mode::Copy,
        }
    }
}

/// How one task is to be done, as the run found the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form {
    /// How rows come in.
    pub mode: Mode,
    /// How they travel.
    pub format: RowFormat,
    /// Whether the rows are frozen as they come in.
    pub is_frozen: bool,
    /// Whether triggers of the target's table are off meanwhile.
    pub is_silent: bool,
}

/// A run in progress.
#[derive(Debug)]
pub struct Job {
    /// Its number in the ledger.
    pub run: i64,
    /// Whether other processes may be at work in the run.
    pub is_part: bool,
    /// What its first worker is called in the ledger, where other processes may have workers, too.
    pub first_worker: i32,
    /// The plan's tasks.
    pub tasks: Vec<Task>,
    /// How each is to be done.
    pub forms: Vec<Form>,
    /// Groups of tasks that are done in one transaction, by their first.
    pub together: HashMap<usize, Vec<usize>>,
    /// The ledger.
    pub ledger: Ledger,
    /// The source, narrowed to the leader's server.
    pub source: Conninfo,
    /// The target, narrowed to the leader's server.
    pub target: Conninfo,
    /// What the readers join.
    pub snapshot: Snapshot,
    /// The encoding that both databases have, where it is the same and not UTF8.
    pub encoding: Option<String>,
    /// The role that owns on the target what it creates, where that is known.
    pub owner: Option<String>,
    /// Whether both databases sort text in the same way.
    pub same_collation: bool,
    /// The options.
    pub options: Options,
    /// What the target gives to index builds.
    pub tuning: Tuning,
    /// Events and the request to stop.
    pub context: Context,
    /// What workers have found that a person should know when the run ends.
    pub found: Mutex<Vec<Finding>>,
}

impl Job {
    /// Reports what a task has found, while it is new and at the end of the run.
    pub fn report(&self, findings: Vec<Finding>) {
        self.context.tell(&findings);
        self.found.lock().unwrap_or_else(PoisonError::into_inner).extend(findings);
    }

    /// Takes all that was reported.
    pub fn take_found(&self) -> Vec<Finding> {
        std::mem::take(&mut *self.found.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
