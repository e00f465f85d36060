//! The approximate cost of tasks: exact enough to start the longest chain of them first.
//!
//! Sizes are the source's, rates those of an average server. The simulation of a whole run, which is shown to users, has rates of its own;
//! here only the order of the figures matters. Pure; called by the engine's schedule and its batches.

use super::{Task, TaskKind};
use crate::catalog::object_kind::ObjectKind;
use std::collections::HashMap;

/// Bytes up to which the cost of a task is that of its statements and not of its rows.
pub const SMALL: u64 = 512 * 1024;

/// Microseconds of a task without data: its statements and its row in the ledger.
const STATEMENT: u64 = 300;
/// ANALYZE reads at most 30,000 pages with the default statistics target (<https://www.postgresql.org/docs/current/sql-analyze.html>).
const ANALYZED: u64 = 30_000 * 8192;

/// The bytes that each task moves or reads: its own, and those of the rows that it depends on.
#[must_use]
pub fn weights(tasks: &[Task]) -> Vec<u64> {
    let mut weights: HashMap<&str, u64> = HashMap::new();
    let mut all = Vec::with_capacity(tasks.len());
    for task in tasks {
        let rows = |id: &String| weights.get(id.as_str()).copied().unwrap_or_default();
        let below: u64 = task.requires.iter().map(rows).sum();
        let weight = if task.is_data() { task.bytes } else { task.bytes + below };
        if task.is_data() || matches!(task.kind, TaskKind::Entry(ObjectKind::FkConstraint | ObjectKind::Index)) {
            weights.insert(&task.id, weight);
        }
        all.push(weight);
    }
    all
}

/// The approximate microseconds of a task that moves or reads `weight` bytes.
#[must_use]
pub fn microseconds(task: &Task, weight: u64) -> u64 {
    // Megabytes per second equal bytes per microsecond.
    let rows = match task.kind {
        TaskKind::Data => weight / 150,
        TaskKind::LargeObjects => weight / 30,
        TaskKind::Entry(ObjectKind::Index) => weight / 200,
        TaskKind::Entry(ObjectKind::Constraint) if !task.target_sql.contains(" USING INDEX ") => weight / 200,
        TaskKind::FkValidation => weight / 300,
        TaskKind::Entry(ObjectKind::FkConstraint) if !task.target_sql.ends_with(" NOT VALID") => weight / 300,
        TaskKind::Analyze => weight.min(ANALYZED) / 500,
        TaskKind::Refresh => weight / 100,
        _ => 0,
    };
    STATEMENT + rows
}
