//! Planner statistics, from the source where possible, and from ANALYZE otherwise.
//!
//! What no plan can know determines this: the target's version, and whether the rows are alone in their table. Called by `worker`.

use super::Worker;
use crate::catalog::object_kind::ObjectKind;
use crate::engine::run::job::TaskExecution;
use crate::error::{Error, Result};
use crate::finding::{Finding, Severity};
use crate::pg::copy::large_object;
use crate::pg::statistics;
use crate::plan::{Subject, Task, TaskKind};
use crate::record::{Effect, Record, RowMode};
use crate::status::TaskStatus;
use std::collections::HashMap;

/// How the rows for a task's statistics were written: [`RowMode::Copy`] where all of them were copied and their table holds no others.
pub fn mode_of_rows(task: &Task, records: &HashMap<&str, &Record>) -> RowMode {
    let is_alone = |record: &&Record| {
        record.status != TaskStatus::Skipped && matches!(record.mode, None | Some(RowMode::Create | RowMode::Copy))
    };
    if task.requires.iter().all(|id| records.get(id.as_str()).is_some_and(is_alone)) {
        RowMode::Copy
    } else {
        RowMode::Append
    }
}

/// Whether a task only gathers statistics for the planner: the data is complete without them.
fn is_about_statistics(task: &Task) -> bool {
    matches!(task.kind, TaskKind::Analyze | TaskKind::Entry(ObjectKind::StatisticsData))
}

impl Worker {
    /// Whether the target itself has reported that it cannot reach another server: ANALYZE requests rows from the servers of foreign
    /// tables, and another attempt would take as long.
    pub(super) fn is_remote_refusal(&self, task: &Task, error: &Error) -> bool {
        let is_open = self.target.as_ref().is_some_and(|target| !target.is_closed());
        is_about_statistics(task) && is_open && error.sqlstate.as_deref().is_some_and(|code| code.starts_with("08"))
    }

    /// Planner statistics never determine the result of a run: statistics that could not be gathered are a warning. None where the task is
    /// another one, or the target does not accept its ledger row.
    pub(super) async fn go_without_statistics(&mut self, task: &Task, error: &Error) -> Option<Effect> {
        if !is_about_statistics(task) {
            return None;
        }
        match self.analyze_local(task, error).await {
            Ok(effect) => Some(effect),
            Err(second) => {
                tracing::debug!("task {}: {}", task.id, second.chain());
                None
            }
        }
    }

    /// Gathers at least the statistics of those tables below that are not foreign, and settles the task as left out.
    async fn analyze_local(&mut self, task: &Task, error: &Error) -> Result<Effect> {
        self.begin(task).await?;
        let analyzed = match &task.subject {
            Some(Subject::Analyze(table)) => statistics::analyze_below(self.target().await?, table).await?,
            _ => Vec::new(),
        };
        let instead = if analyzed.is_empty() { String::new() } else { format!("; analyzed: {}", analyzed.join(", ")) };
        let note = format!("it could not be analyzed: {}{instead}", error.chain());
        let remedy = format!("remove the cause, then run: {}", task.target_sql);
        self.job.report(vec![Finding::new("not_analyzed", Severity::Warning, task.object(), &note, remedy)]);
        let effect = Effect { note, ..Effect::default() };
        self.settle(task, TaskStatus::Skipped, effect.clone()).await?;
        Ok(effect)
    }

    pub(super) async fn bring_statistics(&mut self, task: &Task, form: TaskExecution) -> Result<(TaskStatus, Effect)> {
        self.begin(task).await?;
        let note = match self.carry_statistics(task, form).await? {
            None => "copied from the source".into(),
            Some(obstacle) => {
                self.target().await?.batch(&task.target_sql).await?;
                format!("gathered by ANALYZE: {obstacle}")
            }
        };
        self.settle(task, TaskStatus::Done, Effect { note, ..Effect::default() }).await
    }

    /// Why the source's statistics cannot be used on the target, if so.
    async fn carry_statistics(&mut self, task: &Task, form: TaskExecution) -> Result<Option<String>> {
        if !self.target().await?.version().has_statistics_functions() {
            return Ok(Some("the target is older than 18".into()));
        }
        if !self.job.same_collation {
            return Ok(Some("the databases sort text in different ways".into()));
        }
        if form.mode != RowMode::Copy {
            return Ok(Some("the table holds other rows than the source's".into()));
        }
        self.open_source().await?;
        let (source, target) = self.sessions()?;
        let relations = large_object::oids(source, &task.source_sql).await?;
        let obstacle = statistics::copy(source, target, &relations).await?;
        if obstacle.is_some() {
            // A refusal by the source aborts the reader's transaction.
            self.source = None;
        }
        Ok(obstacle)
    }
}
