//! Puts the values that a plan does not hold into the statements of a run's tasks, in memory only.
//!
//! Called by `run` before the first task begins. A value that the plan expects and the source does not have is drift.

use crate::catalog::secret::{HIDDEN, describe, fill};
use crate::config::Secret;
use crate::error::{Error, Kind, Result, Side};
use crate::name::literal;
use crate::pg::{Session, secret};
use crate::plan::Task;

/// Fails where a statement cannot be completed, before anything is written.
pub async fn check(source: &Session, tasks: &[Task]) -> Result<()> {
    let is_hidden = |task: &&Task| task.target_sql.contains(HIDDEN) && !task.source_sql.is_empty();
    let mut hidden: Vec<Task> = tasks.iter().filter(is_hidden).cloned().collect();
    complete(source, &mut hidden, &|_| true).await.map(drop)
}

/// Completes the statements of open tasks; returns the values that were inserted.
pub async fn complete(source: &Session, tasks: &mut [Task], is_open: &impl Fn(&Task) -> bool) -> Result<Vec<Secret>> {
    let mut all = Vec::new();
    for task in tasks.iter_mut().filter(|task| task.target_sql.contains(HIDDEN) && !task.source_sql.is_empty()) {
        if !is_open(task) {
            continue;
        }
        let values = secret::values(source, &task.source_sql).await?;
        let shown = std::mem::take(&mut task.target_sql);
        task.target_sql = fill(&shown, &values).map_err(|place| {
            let doing = format!("{}: its value cannot be read", describe(&place));
            Error::new("secret_unreadable", Kind::State, doing)
                .on(Side::Source)
                .object(task.object())
                .task(&task.id, task.phase.as_str())
                .remedy("make the plan again with the role that runs it")
        })?;
        let is_hidden = |value: &String| !shown.contains(literal(value).trim_start());
        all.extend(values.into_iter().map(|(_, value)| value).filter(is_hidden).map(Secret::new));
    }
    Ok(all)
}
