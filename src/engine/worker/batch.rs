//! Several small tasks in one transaction: most of what a small task costs is the way to the server and back.
//!
//! A batch is done as a whole or not at all; after any failure each of its tasks is done by itself, which finds out whose fault it was
//! and what the target refuses. Which tasks fit together is decided here, what is ready in `schedule`.

use super::{Outcome, Worker};
use crate::engine::job::{Job, Mode};
use crate::error::Result;
use crate::pg::apply;
use crate::pg::copy::Pump;
use crate::plan::kind;
use crate::record::Effect;
use std::sync::Arc;
use std::time::Instant;

/// Tasks in a batch at most: their locks are held to its end, and a failure costs the time of all.
pub const LARGEST: usize = 48;
/// Bytes that a task of a batch may move or look through at most.
const SMALL: u64 = 512 * 1024;

/// What tasks must have in common to share a batch; none for a task that has a way of its own.
#[must_use]
pub fn family(job: &Job, at: usize) -> Option<&str> {
    let task = &job.tasks[at];
    if job.weights[at] > SMALL {
        return None;
    }
    match task.kind.as_str() {
        kind::DATA if matches!(job.forms[at].mode, Mode::Create | Mode::Copy) => Some(kind::DATA),
        kind::DATA | kind::SEQUENCE_VALUE | kind::LARGE_OBJECTS | kind::ROLE | kind::TRUNCATE | kind::REFRESH => None,
        other => Some(other),
    }
}

impl Worker {
    /// Does several tasks of one family.
    pub async fn perform_many(&mut self, batch: &[usize]) -> Vec<(usize, Outcome)> {
        let job = Arc::clone(&self.job);
        if batch.len() > 1 {
            let done = tokio::select! {
                biased;
                () = job.context.stop.stopped() => None,
                done = self.attempt_many(batch) => Some(done),
            };
            match done {
                None => {
                    self.abandon(&job.tasks[batch[0]]).await;
                    return batch.iter().map(|at| (*at, Outcome::Stopped)).collect();
                }
                Some(Ok(effects)) => {
                    let settled = |(at, effect): (&usize, Effect)| (*at, Outcome::Settled("done", effect));
                    return batch.iter().zip(effects).map(settled).collect();
                }
                Some(Err(error)) => {
                    tracing::debug!("a batch of {} is done task by task: {}", batch.len(), error.chain());
                    self.clear(&error).await;
                }
            }
        }
        let mut outcomes = Vec::with_capacity(batch.len());
        for at in batch {
            outcomes.push((*at, self.perform(*at).await));
        }
        outcomes
    }

    async fn attempt_many(&mut self, batch: &[usize]) -> Result<Vec<Effect>> {
        let job = Arc::clone(&self.job);
        let began = Instant::now();
        let effects = if job.tasks[batch[0]].is_data() {
            self.copy_many(batch).await?
        } else {
            self.run_many(batch).await?;
            vec![Effect::default(); batch.len()]
        };
        let done: Vec<(&str, &Effect)> =
            batch.iter().zip(&effects).map(|(at, effect)| (job.tasks[*at].id.as_str(), effect)).collect();
        let target = self.target().await?;
        job.ledger.finish_many(target, job.run, &done, began.elapsed().as_secs_f64()).await?;
        apply::commit(target).await?;
        Ok(effects)
    }

    async fn run_many(&mut self, batch: &[usize]) -> Result<()> {
        let job = Arc::clone(&self.job);
        let mut statements: Vec<&str> = Vec::with_capacity(batch.len() * 2);
        for at in batch {
            let task = &job.tasks[*at];
            statements.push(&task.target_sql);
            statements.push(&task.optional_sql);
        }
        let purpose = &job.tasks[batch[0]].id;
        apply::begin_many(self.target().await?, job.options.lock_timeout, purpose, &statements).await
    }

    /// Copies several small tables over streams that are taken once.
    async fn copy_many(&mut self, batch: &[usize]) -> Result<Vec<Effect>> {
        let job = Arc::clone(&self.job);
        self.open_source().await?;
        self.begin(&job.tasks[batch[0]]).await?;
        let (source, sees, target) = self.sessions()?;
        let mut pump = Pump::open(source, target).await?;
        let mut effects = Vec::with_capacity(batch.len());
        for at in batch {
            let (task, format) = (&job.tasks[*at], job.forms[*at].format);
            let (from, into) = (format.apply(&task.source_sql), format.apply(&task.target_sql));
            let (open, sum) = pump.copy(&from, &into, format, |_, _| {}).await?;
            pump = open;
            let (rows, bytes, snapshot) = (sum.rows, sum.bytes, sees.to_owned());
            effects.push(Effect { rows, bytes, hash: sum.hash_text(), snapshot, note: String::new() });
        }
        pump.close();
        Ok(effects)
    }
}
