//! Which tasks may share a batch. Called by `run/execute` and by the estimate.

use crate::catalog::object_kind::ObjectKind;
use crate::engine::run::job::{Job, TaskExecution};
use crate::plan::{Task, TaskKind, cost};
use crate::record::RowMode;
use std::collections::{HashMap, HashSet};

/// The largest number of tasks in a batch: their locks are held to its end, and a failure costs the time of all.
pub const LARGEST: usize = 48;

/// Which tasks may share a batch, by a number for each kind of batch; none for a task that is done differently.
#[must_use]
pub fn families(job: &Job) -> Vec<Option<u16>> {
    let grouped: HashSet<usize> = job.atomic_groups.values().flatten().copied().collect();
    let is_direct = |form: &TaskExecution| matches!(form.mode, RowMode::Create | RowMode::Copy) && !form.is_silent;
    families_of(&job.tasks, |at| is_direct(&job.forms[at]) && !grouped.contains(&at))
}

/// The same, where `is_direct` says for which data tasks the rows are copied directly into their tables.
#[must_use]
pub fn families_of(tasks: &[Task], is_direct: impl Fn(usize) -> bool) -> Vec<Option<u16>> {
    let weights = cost::weights(tasks);
    let mut numbers: HashMap<&TaskKind, u16> = HashMap::new();
    let all = tasks.iter().zip(weights).enumerate();
    all.map(|(at, (task, weight))| {
        let next = u16::try_from(numbers.len()).ok()?;
        let is_batched = match task.kind {
            TaskKind::Data => is_direct(at),
            TaskKind::SequenceValue
            | TaskKind::LargeObjects
            | TaskKind::Role
            | TaskKind::Membership
            | TaskKind::DatabaseAcl
            | TaskKind::PrivilegeCheck
            | TaskKind::Truncate
            | TaskKind::FkDrop
            | TaskKind::FkRestore
            | TaskKind::FkCheck
            | TaskKind::Refresh
            | TaskKind::Entry(ObjectKind::StatisticsData) => false,
            // Each of them locks as many objects as a transaction should.
            _ => !task.grants_on_large_objects(),
        };
        (is_batched && weight <= cost::SMALL).then(|| *numbers.entry(&task.kind).or_insert(next))
    })
    .collect()
}
