//! Tables that reference each other in a cycle and are emptied: by one statement, because none of them can be emptied before the others.
//!
//! Their ledger rows are in the same transaction, so that a resumed run finds all of them emptied or none. Called by `live`.

use super::Worker;
use super::rows::joined;
use crate::engine::run::job::Job;
use crate::error::Result;
use crate::name::QualifiedName;
use crate::pg::{apply, emptying};
use crate::record::Effect;
use crate::status::TaskStatus;
use std::sync::Arc;

impl Worker {
    /// Empties the tables of a group of tasks and commits.
    pub(super) async fn empty_together(&mut self, job: &Arc<Job>, group: &[usize]) -> Result<Vec<Effect>> {
        let Some(first) = group.first() else { return Ok(Vec::new()) };
        self.begin(&job.tasks[*first]).await?;
        let (mut tables, mut silenced) = (Vec::new(), Vec::new());
        for at in group {
            let task = &job.tasks[*at];
            let table = QualifiedName::new(&task.schema, &task.name).sql();
            silenced.push(self.silence(task, &table, job.forms[*at]).await?);
            tables.push(table);
        }
        self.target().await?;
        let target = self.target.as_ref().ok_or_else(super::no_session)?;
        self.enter_source_path(target).await?;
        emptying::empty_together(target, &tables).await?;
        self.leave_source_path(target).await?;
        let note = format!("emptied together with {} that it references or that reference it", tables.len() - 1);
        let effects: Vec<Effect> =
            silenced.iter().map(|quiet| Effect { note: joined([&note, &quiet.note()]), ..Effect::default() }).collect();
        for quiet in silenced {
            quiet.restore(target).await?;
        }
        for (at, effect) in group.iter().zip(&effects) {
            job.ledger.finish(target, job.run, &job.tasks[*at].id, TaskStatus::Done, effect).await?;
        }
        apply::commit(target).await?;
        Ok(effects)
    }
}
