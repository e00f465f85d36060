//! Tasks that run one after another in the plan's order: what an archive holds before the rows.
//!
//! The archive does not name every dependency of these entries; its order stands for them, as it does for `pg_restore`. They are taken
//! together, each with those ahead of it that it requires, for one worker that keeps their order. Called by `schedule`.

use crate::plan::{Phase, Task, kind};
use std::collections::BTreeSet;

/// The tasks that run in order, and where they stand.
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

    /// Those that have not been taken, in their order; none while a worker is at work on others.
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

/// The keys of the target's own tables are dropped by a worker's own steps.
fn is_ordered(task: &Task) -> bool {
    task.phase == Phase::PreData && task.kind != kind::FK_DROP
}
