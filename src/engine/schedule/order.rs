//! Tasks that run one after another in the plan's order: the entries of an archive before the rows.
//!
//! The archive does not name every dependency of these entries; its order replaces them, as it does for `pg_restore`. One worker takes them
//! together, each with the earlier ones that it requires, and keeps their order. Called by `schedule`.

use crate::plan::{Phase, Task, TaskKind};
use std::collections::BTreeSet;

/// The tasks that run in order, and their state.
#[derive(Debug)]
pub struct InOrder {
    is_ordered: Vec<bool>,
    /// Those that have not been taken, in the plan's order.
    waiting: BTreeSet<usize>,
    running: usize,
}

impl InOrder {
    /// Which of `tasks` run in order.
    #[must_use]
    pub fn new(tasks: &[Task]) -> Self {
        let is_ordered: Vec<bool> = tasks.iter().map(is_ordered).collect();
        let waiting = (0..tasks.len()).filter(|at| is_ordered[*at]).collect();
        InOrder { is_ordered, waiting, running: 0 }
    }

    /// Whether the task is one of them.
    #[must_use]
    pub fn has(&self, at: usize) -> bool {
        self.is_ordered[at]
    }

    /// Those that have not been taken, in their order; none while a worker works on others.
    #[must_use]
    pub fn waiting(&self) -> Vec<usize> {
        if self.is_running() { Vec::new() } else { self.waiting.iter().copied().collect() }
    }

    /// Whether a worker is at work on them.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.running > 0
    }

    /// Notes that a task was taken.
    pub fn take(&mut self, at: usize) {
        if self.waiting.remove(&at) {
            self.running += 1;
        }
    }

    /// Notes that a task has ended, taken before or not.
    pub fn end(&mut self, at: usize) {
        if self.is_ordered[at] && !self.waiting.remove(&at) {
            self.running -= 1;
        }
    }
}

/// The keys of existing tables of the target are dropped by separate steps of a worker.
fn is_ordered(task: &Task) -> bool {
    task.phase == Phase::PreData && task.kind != TaskKind::FkDrop
}
