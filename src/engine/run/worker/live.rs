//! Tasks of a data-only run for the triggers and foreign keys of existing tables of the target.
//!
//! Triggers are disabled only within the transaction that copies the rows; foreign keys are dropped between two tasks, and the ledger keeps
//! their definitions. What the role may not change stays as it is, and is reported. Called by `worker`.

use super::retry::{Attempt, Attempted};
use super::{Outcome, Worker, rows};
use crate::engine::run::job::{Job, TaskExecution};
use crate::engine::target::foreign_keys::Place;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::finding::{Finding, Severity};
use crate::name::QualifiedName;
use crate::pg::triggers::{self, Silenced};
use crate::pg::{apply, merge};
use crate::plan::{Task, TaskKind};
use crate::record::{Effect, RowMode};
use crate::row_format::RowFormat;
use crate::status::TaskStatus;
use std::collections::HashSet;
use std::sync::Arc;

/// The attempt of tasks that one transaction does.
struct OneTransaction<'a> {
    group: &'a [usize],
    /// The note for rows that are sent as text, once a type has refused its binary form.
    as_text: Option<String>,
}

impl Attempt for OneTransaction<'_> {
    type Done = Vec<Effect>;

    async fn make(&self, worker: &mut Worker) -> Result<Vec<Effect>> {
        worker.attempt_together_by_path(self.group, self.as_text.as_deref()).await
    }

    fn change(&mut self, worker: &Worker, error: &Error) -> bool {
        let is_binary = self.group.iter().any(|at| worker.job.forms[*at].format == RowFormat::Binary);
        let is_refused = self.as_text.is_none() && is_binary && rows::may_be_text(error);
        if is_refused {
            self.as_text = Some(rows::as_text(error));
        }
        is_refused
    }

    fn report(&self, _worker: &Worker, attempt: u32, error: &Error) {
        tracing::warn!("tables in a cycle: attempt {attempt} failed: {}", error.chain());
    }
}

impl Worker {
    /// Disables the triggers of a task's table where that is requested.
    pub(super) async fn silence(&mut self, task: &Task, table: &str, form: TaskExecution) -> Result<Silenced> {
        if !form.is_silent {
            return Ok(Silenced::default());
        }
        let silenced = triggers::silence(self.target().await?, table).await?;
        if silenced.refused.is_some() {
            tracing::warn!("{}: {}", task.object(), silenced.note());
        }
        Ok(silenced)
    }

    async fn at_work<'a>(&'a mut self, job: &'a Job) -> Result<Place<'a>> {
        let lock_timeout = job.lock_timeout;
        Ok(Place { target: self.target().await?, ledger: &job.ledger, lock_timeout })
    }

    pub(super) async fn take_keys(&mut self, task: &Task) -> Result<(TaskStatus, Effect)> {
        let job = Arc::clone(&self.job);
        let rows = job.tasks.iter().filter(|task| task.is_data());
        let tables: HashSet<QualifiedName> = rows.map(|task| QualifiedName::new(&task.schema, &task.name)).collect();
        self.begin(task).await?;
        let (count, kept) = self.at_work(&job).await?.take(job.run, &tables).await?;
        let mut notes = vec![format!("{count} dropped")];
        if !kept.is_empty() {
            notes.push(format!("not owned by the run's role: {}", kept.join(", ")));
            let message =
                format!("foreign keys that the role may not drop stay, and check copied rows: {}", kept.join(", "));
            let remedy = "connect as the owner of their tables, with REFERENCES on what they reference";
            job.context.events.send(Event::Found(Finding::new(
                "foreign_keys_kept",
                Severity::Warning,
                "",
                message,
                remedy,
            )));
        }
        self.settle(task, TaskStatus::Done, Effect { note: notes.join("; "), ..Effect::default() }).await
    }

    pub(super) async fn bring_keys_back(&mut self, task: &Task) -> Result<(TaskStatus, Effect)> {
        let job = Arc::clone(&self.job);
        self.at_work(&job).await?.bring_back().await?;
        self.begin(task).await?;
        self.settle(task, TaskStatus::Done, Effect::default()).await
    }

    pub(super) async fn check_keys(&mut self, task: &Task) -> Result<(TaskStatus, Effect)> {
        let job = Arc::clone(&self.job);
        let table = QualifiedName::new(&task.schema, &task.name);
        let count = self.at_work(&job).await?.check(&table).await?;
        self.begin(task).await?;
        let note = if count == 0 { String::new() } else { format!("{count} checked") };
        self.settle(task, TaskStatus::Done, Effect { note, ..Effect::default() }).await
    }

    /// Does a group of tasks in one transaction: all of them, or none.
    pub(super) async fn perform_together(&mut self, group: &[usize]) -> Vec<(usize, Outcome)> {
        let job = Arc::clone(&self.job);
        let error = match self.try_repeatedly(OneTransaction { group, as_text: None }).await {
            Attempted::Stopped => {
                self.abandon(&job.tasks[group[0]]).await;
                return group.iter().map(|at| (*at, Outcome::Stopped)).collect();
            }
            Attempted::Done(effects) => {
                let settled = |(at, effect): (&usize, Effect)| (*at, Outcome::Settled(TaskStatus::Done, effect));
                return group.iter().zip(effects).map(settled).collect();
            }
            Attempted::Failed(error) => error,
        };
        let mut outcomes = Vec::with_capacity(group.len());
        for at in group {
            let task = &job.tasks[*at];
            let doing = match task.kind {
                TaskKind::Truncate => "emptying tables that reference each other in one transaction",
                _ => "copying tables that reference each other in one transaction",
            };
            let mut own =
                Error::new(error.name, error.kind, doing).task(&task.id, task.phase.as_str()).object(task.object());
            own.remedy.clone_from(&error.remedy);
            let own = match error.server().cloned() {
                Some(reply) => own.caused_by_server(reply),
                None => own.caused_by(error.chain()),
            };
            outcomes.push((*at, self.give_up(task, own).await));
        }
        outcomes
    }

    /// Copies the rows of tables that reference each other in one transaction, with their deferrable checks at its end; as text where
    /// `as_text` has a note.
    pub(super) async fn attempt_together(&mut self, group: &[usize], as_text: Option<&str>) -> Result<Vec<Effect>> {
        let job = Arc::clone(&self.job);
        let number = self.number_in_run();
        let Some(first) = group.first() else { return Ok(Vec::new()) };
        if job.ledger.is_settled(self.target().await?, job.run, &job.tasks[*first].id).await? {
            // An earlier attempt, whose commit was not confirmed, has done all of them together.
            return Ok(vec![Effect::default(); group.len()]);
        }
        for at in group {
            job.ledger.start(self.target().await?, job.run, &job.tasks[*at].id, number).await?;
        }
        if job.tasks[*first].kind == TaskKind::Truncate {
            return self.empty_together(&job, group).await;
        }
        self.open_source_of(group.iter().map(|at| &job.tasks[*at])).await?;
        self.begin(&job.tasks[*first]).await?;
        triggers::defer(self.target().await?).await?;
        let (mut effects, mut silenced) = (Vec::new(), Vec::new());
        for at in group {
            let (task, mut form) = (&job.tasks[*at], job.forms[*at]);
            form.format = if as_text.is_some() { RowFormat::Text } else { form.format };
            let (mut effect, quiet) =
                self.bring_rows(task, form, false).await.map_err(|error| error.object(task.object()))?;
            effect.note = rows::joined([as_text.unwrap_or_default(), &effect.note]);
            effects.push(effect);
            silenced.push(quiet);
            if form.mode == RowMode::Merge {
                merge::drop_stage(self.target().await?).await?;
            }
        }
        let target = self.target().await?;
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
