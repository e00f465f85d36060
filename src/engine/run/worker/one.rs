//! One task by itself, with as many attempts as the options allow. Called by `batch`.

use super::retry::{Attempt, Attempted};
use super::{Outcome, Settled, Worker};
use crate::engine::run::job::TaskExecution;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::plan::Task;
use crate::record::Effect;
use crate::status::TaskStatus;
use std::sync::Arc;

/// The attempt of one task.
struct OneTask<'a> {
    task: &'a Task,
    form: TaskExecution,
}

impl Attempt for OneTask<'_> {
    type Done = Settled;

    async fn make(&self, worker: &mut Worker) -> Result<Settled> {
        worker.attempt_by_path(self.task, self.form).await
    }

    fn locate(&self, error: Error) -> Error {
        error.task(&self.task.id, self.task.phase.as_str()).object(self.task.object())
    }

    fn is_final(&self, worker: &Worker, error: &Error) -> bool {
        worker.is_remote_refusal(self.task, error)
    }

    fn report(&self, worker: &Worker, attempt: u32, error: &Error) {
        let (task, reason) = (self.task, error.chain());
        tracing::warn!("task {} ({}): attempt {attempt} failed: {reason}", task.id, task.object());
        worker.job.context.events.send(Event::TaskRetried { task: task.id.clone(), attempt, reason });
    }
}

impl Worker {
    /// Does a task, with as many attempts as the options allow.
    pub async fn perform(&mut self, at: usize) -> Outcome {
        let job = Arc::clone(&self.job);
        let task = &job.tasks[at];
        match self.try_repeatedly(OneTask { task, form: job.forms[at] }).await {
            Attempted::Done((status, effect)) => Outcome::Settled(status, effect),
            Attempted::Stopped => self.abandon(task).await,
            Attempted::Failed(_) if self.is_settled(task).await => {
                Outcome::Settled(TaskStatus::Done, Effect::default())
            }
            Attempted::Failed(error) => self.give_up(task, error).await,
        }
    }
}
