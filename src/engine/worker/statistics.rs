//! Planner statistics that come from the source where they can, and from ANALYZE where not.
//!
//! What no plan can know decides here: how new the target is, and whether the rows are alone in their table. Called by `worker`.

use super::Worker;
use crate::engine::job::{Form, Mode};
use crate::error::Result;
use crate::pg::{large_object, statistics};
use crate::plan::Task;
use crate::record::{Effect, Record};
use std::collections::HashMap;

/// How the rows came that a task's statistics are of: [`Mode::Copy`] where all of them came and their table holds no others.
pub fn mode_of_rows(task: &Task, records: &HashMap<&str, &Record>) -> Mode {
    let is_alone = |record: &&Record| {
        record.status != "skipped" && matches!(Mode::from_word(&record.mode), Mode::Create | Mode::Copy)
    };
    if task.requires.iter().all(|id| records.get(id.as_str()).is_some_and(is_alone)) {
        Mode::Copy
    } else {
        Mode::Append
    }
}

impl Worker {
    pub(super) async fn bring_statistics(&mut self, task: &Task, form: Form) -> Result<(&'static str, Effect)> {
        self.begin(task).await?;
        let note = match self.carry_statistics(task, form).await? {
            None => "copied from the source".into(),
            Some(obstacle) => {
                self.target().await?.batch(&task.target_sql).await?;
                format!("gathered by ANALYZE: {obstacle}")
            }
        };
        self.settle(task, "done", Effect { note, ..Effect::default() }).await
    }

    /// Why the source's statistics cannot stand on the target, if so.
    async fn carry_statistics(&mut self, task: &Task, form: Form) -> Result<Option<String>> {
        if self.target().await?.version() < statistics::SINCE {
            return Ok(Some("the target is older than 18".into()));
        }
        if !self.job.same_collation {
            return Ok(Some("the databases sort text in different ways".into()));
        }
        if form.mode != Mode::Copy {
            return Ok(Some("the table holds other rows than the source's".into()));
        }
        self.open_source().await?;
        let (source, target) = self.sessions()?;
        let relations = large_object::oids(source, &task.source_sql).await?;
        let obstacle = statistics::copy(source, target, &relations).await?;
        if obstacle.is_some() {
            // A refusal of the source spoils the reader's transaction.
            self.source = None;
        }
        Ok(obstacle)
    }
}
