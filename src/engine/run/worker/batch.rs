//! Several small tasks in one transaction: most of the cost of a small task is the round trip to the server.
//!
//! A batch is done as a whole or not at all; after any failure each of its tasks is done by itself, which determines the task at fault and
//! what the target refuses. Which tasks fit together is decided here, which are ready in `schedule`.

use super::{Outcome, Worker};
use crate::error::{Error, Kind, Result, Side};
use crate::pg::apply;
use crate::pg::copy::{Copied, Copy, Pump};
use crate::record::Effect;
use crate::status::TaskStatus;
use std::sync::Arc;
use std::time::Instant;

impl Worker {
    /// Does several tasks of one family.
    pub async fn perform_many(&mut self, batch: &[usize]) -> Vec<(usize, Outcome)> {
        let job = Arc::clone(&self.job);
        if batch.first().is_some_and(|at| job.atomic_groups.contains_key(at)) {
            return self.perform_together(batch).await;
        }
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
                    let settled = |(at, effect): (&usize, Effect)| (*at, Outcome::Settled(TaskStatus::Done, effect));
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
        let number = self.number_in_run();
        let target = self.target().await?;
        job.ledger.finish_many(target, job.run, &done, began.elapsed().as_secs_f64(), number).await?;
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
        let target = self.target().await?;
        target.forget_warnings();
        apply::begin_many(target, job.lock_timeout, purpose, &statements).await?;
        match target.take_warnings().into_iter().find(|warning| !warning.is_from_function) {
            None => Ok(()),
            // Each task, done by itself, determines whether the server warned about it.
            Some(warning) => Err(Error::new("server_warning", Kind::Schema, "running several tasks at once")
                .caused_by_server(warning.reply)),
        }
    }

    /// Copies several small tables, one after the other without waiting between them.
    async fn copy_many(&mut self, batch: &[usize]) -> Result<Vec<Effect>> {
        let job = Arc::clone(&self.job);
        self.open_source_of(batch.iter().map(|at| &job.tasks[*at])).await?;
        self.begin(&job.tasks[batch[0]]).await?;
        let (source, target) = self.sessions()?;
        let copy = |at: &usize| {
            let (task, format) = (&job.tasks[*at], job.forms[*at].format);
            Copy { from: format.apply(&task.source_sql), into: format.apply(&task.target_sql), format }
        };
        let copies: Vec<Copy> = batch.iter().map(copy).collect();
        let (pump, counts) = Pump::open(source, target).await?.copy(&copies, |_, _| {}).await?;
        pump.close();
        if let Some(short) = counts.iter().find(|copied| copied.sent.rows != copied.written) {
            let doing = format!("{} rows were sent and {} stored", short.sent.rows, short.written);
            return Err(Error::new("rows_not_stored", Kind::Copy, doing).on(Side::Target));
        }
        let effect = |copied: Copied| Effect {
            rows: copied.written,
            bytes: copied.sent.bytes,
            hash: copied.sent.hash_text(),
            snapshot: job.snapshot.text.clone(),
            ..Effect::default()
        };
        Ok(counts.into_iter().map(effect).collect())
    }
}
