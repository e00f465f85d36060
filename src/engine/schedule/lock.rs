//! Which tasks would wait for each other's locks on the target, so that no worker takes a task that can only wait.
//!
//! The server defines the conflicts (<https://www.postgresql.org/docs/current/explicit-locking.html#LOCKING-TABLES>): the build of an index
//! holds SHARE, which other builds on the table share; every other task after the rows holds a lock that conflicts with its own kind and
//! with the builds. Row tasks are not involved: by the plan's dependencies all of these follow them. Called by `schedule`.

use crate::catalog::object_kind::ObjectKind;
use crate::name::QualifiedName;
use crate::plan::{Phase, Task, TaskKind};
use std::collections::HashMap;

/// How a task holds a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hold {
    Shared,
    Exclusive,
}

/// The current locks on a table: of how many tasks, and of which batch where the lock is exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct TableLocks {
    tasks: usize,
    only: Option<usize>,
}

/// The tables that tasks need, and those that are held.
#[derive(Debug)]
pub struct Locks {
    needs: Vec<Vec<(usize, Hold)>>,
    tables: Vec<TableLocks>,
}

impl Locks {
    /// What each of `tasks` will hold.
    #[must_use]
    pub fn new(tasks: &[Task]) -> Self {
        let mut numbers: HashMap<QualifiedName, usize> = HashMap::new();
        let mut table_of: HashMap<&str, usize> = HashMap::new();
        let mut tables_of_key: HashMap<&str, Vec<usize>> = HashMap::new();
        let mut needs = Vec::with_capacity(tasks.len());
        for task in tasks {
            if task.is_data() {
                let next = numbers.len();
                table_of.insert(&task.id, *numbers.entry(task.source_table()).or_insert(next));
            }
            let tables = tables(task, &table_of);
            if task.kind == ObjectKind::FkConstraint {
                tables_of_key.insert(&task.id, tables.clone());
            }
            needs.push(match task.kind {
                TaskKind::FkValidation => {
                    validated(task, &numbers, task.requires.iter().find_map(|id| tables_of_key.get(id.as_str())))
                }
                _ => hold(task).map_or(Vec::new(), |hold| tables.into_iter().map(|table| (table, hold)).collect()),
            });
        }
        Locks { needs, tables: vec![TableLocks::default(); numbers.len()] }
    }

    /// Whether the task would wait for no task outside its own batch.
    #[must_use]
    pub fn is_free(&self, at: usize, batch: usize) -> bool {
        self.needs[at].iter().all(|(table, hold)| {
            let held = self.tables[*table];
            held.tasks == 0
                || match held.only {
                    Some(other) => other == batch,
                    None => *hold == Hold::Shared,
                }
        })
    }

    /// Notes what the task holds from now on.
    pub fn take(&mut self, at: usize, batch: usize) {
        for (table, hold) in &self.needs[at] {
            let held = &mut self.tables[*table];
            held.tasks += 1;
            if *hold == Hold::Exclusive {
                held.only = Some(batch);
            }
        }
    }

    /// Notes that the task no longer holds anything.
    pub fn release(&mut self, at: usize) {
        for (table, _) in &self.needs[at] {
            let held = &mut self.tables[*table];
            held.tasks -= 1;
            if held.tasks == 0 {
                held.only = None;
            }
        }
    }
}

/// The tables whose rows the task depends on.
fn tables(task: &Task, table_of: &HashMap<&str, usize>) -> Vec<usize> {
    let mut tables: Vec<usize> = task.requires.iter().filter_map(|id| table_of.get(id.as_str()).copied()).collect();
    tables.sort_unstable();
    tables.dedup();
    tables
}

fn hold(task: &Task) -> Option<Hold> {
    match task.kind {
        TaskKind::Entry(ObjectKind::Index) => Some(Hold::Shared),
        TaskKind::Entry(ObjectKind::Constraint | ObjectKind::FkConstraint | ObjectKind::StatisticsData)
        | TaskKind::Analyze => Some(Hold::Exclusive),
        // Triggers, rules, policies, extended statistics.
        _ => matches!(task.phase, Phase::Index | Phase::PostData).then_some(Hold::Exclusive),
    }
}

/// The check of a foreign key locks its own table exclusively, and keeps keys from being added to the referenced table.
fn validated(task: &Task, numbers: &HashMap<QualifiedName, usize>, key: Option<&Vec<usize>>) -> Vec<(usize, Hold)> {
    let own = task.foreign_key().and_then(|key| numbers.get(&key.table).copied());
    let others = key.into_iter().flatten().copied().filter(|table| Some(*table) != own);
    own.map(|table| (table, Hold::Exclusive)).into_iter().chain(others.map(|table| (table, Hold::Shared))).collect()
}
