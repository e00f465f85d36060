//! What the execution of a run obeys, and what of the plan is left to do for this process. Read by `execute` and `make_job`.

use super::connections::Inspection;
use super::outcome::Known;
use super::settings::Settings;
use crate::config::{ConnectionOptions, SchemaOptions, ScopeOptions};
use crate::engine::schedule::End;
use crate::plan::{Plan, Task};
use crate::record::Record;
use std::collections::{HashMap, HashSet};

/// What the execution of a run obeys and needs.
#[derive(Clone, Copy)]
pub struct Execution<'a> {
    pub connection: &'a ConnectionOptions,
    pub scope: &'a ScopeOptions,
    pub schema: &'a SchemaOptions,
    pub settings: &'a Settings,
    pub inspection: &'a Inspection,
    pub plan: &'a Plan,
    /// How many tasks run at once.
    pub jobs: usize,
}

/// A plan, and what is recorded about its tasks.
pub struct Work<'a> {
    pub plan: &'a Plan,
    records: HashMap<&'a str, &'a Record>,
    /// The tasks that this process does; all of them where none were chosen.
    chosen: Option<HashSet<&'a str>>,
}

impl<'a> Work<'a> {
    /// The work of a process with `chosen` tasks, to which those that it has put back are added; without a choice, all tasks.
    pub fn new(
        plan: &'a Plan,
        records: &'a [Record],
        chosen: Option<&'a [String]>,
        put_back: &'a [String],
    ) -> Work<'a> {
        let records = records.iter().map(|record| (record.task.as_str(), record)).collect();
        let chosen = chosen.map(|ids| ids.iter().chain(put_back).map(String::as_str).collect());
        Work { plan, records, chosen }
    }

    /// What is recorded, by the task.
    pub fn records(&self) -> &HashMap<&'a str, &'a Record> {
        &self.records
    }

    /// Whether only some tasks were chosen.
    pub fn is_part(&self) -> bool {
        self.chosen.is_some()
    }

    /// Whether the task was settled before this process began.
    pub fn is_settled(&self, task: &Task) -> bool {
        self.records.get(task.id.as_str()).is_some_and(|record| record.is_settled())
    }

    /// Whether this process does the task.
    pub fn is_open(&self, task: &Task) -> bool {
        !self.is_settled(task) && self.chosen.as_ref().is_none_or(|ids| ids.contains(task.id.as_str()))
    }

    /// How a task has ended before this process began; a task that it does not do counts as failed.
    pub fn ended(&self, at: usize) -> Option<End> {
        match &self.plan.tasks[at] {
            task if self.is_settled(task) => Some(End::Settled),
            task if self.is_open(task) => None,
            _ => Some(End::Failed),
        }
    }

    /// How many tasks were settled before this process began.
    pub fn settled(&self) -> usize {
        self.records.values().filter(|record| record.is_settled()).count()
    }

    /// The results of the settled tasks.
    pub fn known(&self) -> HashMap<usize, Known> {
        let known = |(at, task): (usize, &Task)| {
            let record = self.records.get(task.id.as_str())?;
            let known = || (at, Known { status: record.status, rows: record.rows, bytes: record.bytes });
            record.is_settled().then(known)
        };
        self.plan.tasks.iter().enumerate().filter_map(known).collect()
    }
}
