//! Collects the tasks of a plan, which the other modules here add.

use super::draft::PlanWriter;
use crate::catalog::Oid;
use crate::catalog::archive::Entry;
use crate::finding::Finding;
use crate::plan::Task;
use std::collections::{BTreeMap, HashMap};

/// Collects tasks; a task's number here becomes its id once all are known.
#[derive(Debug, Default)]
pub struct Builder {
    /// The plan so far.
    pub draft: PlanWriter,
    /// The task that completes an entry.
    pub by_entry: HashMap<i32, usize>,
    /// The task that all rows wait for.
    pub before_rows: Option<usize>,
    /// The data tasks of a table.
    pub data_of: HashMap<Oid, Vec<usize>>,
    /// The tasks of a relation's indexes and extended statistics.
    pub indexes_of: HashMap<Oid, Vec<usize>>,
    /// The last task that attaches an index in a partition tree, by the tree's root.
    pub attached_in: HashMap<Oid, usize>,
    /// The last task that adds a foreign key to a partition tree or to what references one, by the tree's root.
    pub keyed_in: HashMap<Oid, usize>,
    /// The task that gathers a table's planner statistics.
    pub analyze_of: HashMap<Oid, usize>,
    /// The tasks that copy the rows of an extension's configuration tables, by the extension's entry.
    pub configuration_of: HashMap<i32, Vec<usize>>,
    /// The tasks that copy large objects, batch by batch.
    pub large_objects: Vec<usize>,
    /// What a reader of the plan should know.
    pub findings: Vec<Finding>,
}

impl Builder {
    /// Adds a task that requires the tasks numbered `requires`, and returns its number.
    #[expect(clippy::needless_pass_by_value, reason = "the caller has no use for a task after this")]
    pub fn push(&mut self, task: Task, requires: Vec<usize>) -> usize {
        self.draft.push(&task, requires);
        self.draft.len() - 1
    }

    /// How many tasks there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.draft.len()
    }

    /// Adds tasks that change the same row of a system catalog and therefore run one after another.
    pub fn push_in_turn(&mut self, tasks: impl IntoIterator<Item = Task>, requires: &[usize]) {
        let mut last = None;
        for task in tasks {
            let at = self.push(task, requires.to_vec());
            self.wait_for(at, last);
            last = Some(at);
        }
    }

    /// Lets task `at` wait for the end of `others`, whatever their result.
    pub fn wait_for(&mut self, at: usize, others: impl IntoIterator<Item = usize>) {
        for other in others.into_iter().filter(|&other| other < at) {
            self.draft.wait_for(at, other);
        }
    }

    /// The tasks that complete the entries which `entry` depends on.
    #[must_use]
    pub fn completing(&self, entry: &Entry) -> Vec<usize> {
        entry.dependencies.iter().filter_map(|id| self.by_entry.get(id).copied()).collect()
    }

    /// The data tasks of a relation and of everything below it.
    #[must_use]
    pub fn data_below(&self, oid: Oid, children: &BTreeMap<Oid, Vec<Oid>>) -> Vec<usize> {
        let mut found = Vec::new();
        let mut open = vec![oid];
        while let Some(next) = open.pop() {
            found.extend(self.data_of.get(&next).into_iter().flatten());
            open.extend(children.get(&next).into_iter().flatten());
        }
        found
    }
}
