//! Attempts at a task, or at tasks of one transaction, until one succeeds, fails for good, or the run is stopped.
//!
//! The one loop of attempts, and the pause before each further one. Called by `worker` and `live`; `order` tries again in rounds of its own
//! and uses the pause. `Error::is_retryable` says which SQLSTATEs are tried again; `pool` puts tasks off for others, and `rows` copies once
//! more as text.

use super::Worker;
use crate::engine::StopToken;
use crate::error::{Error, Result};
use std::sync::Arc;
use std::time::Duration;

const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// The pause before the next attempt, twice as long each time.
#[derive(Debug)]
pub(super) struct Pause(Duration);

impl Default for Pause {
    fn default() -> Self {
        Pause(FIRST_PAUSE)
    }
}

impl Pause {
    /// Waits; false where the run was stopped meanwhile.
    pub(super) async fn wait(&mut self, stop: &StopToken) -> bool {
        let pause = self.0;
        self.0 = (pause * 2).min(LONGEST_PAUSE);
        tokio::select! {
            biased;
            () = stop.stopped() => false,
            () = tokio::time::sleep(pause) => true,
        }
    }
}

/// What is attempted.
pub(super) trait Attempt {
    /// What a successful attempt returns.
    type Done;

    /// Makes one attempt.
    async fn make(&self, worker: &mut Worker) -> Result<Self::Done>;

    /// Names what the error is about.
    fn locate(&self, error: Error) -> Error {
        error
    }

    /// Whether an error that could be retried is final for this work.
    fn is_final(&self, _worker: &Worker, _error: &Error) -> bool {
        false
    }

    /// Changes how the work is done because of the error; whether it is then done at once.
    fn change(&mut self, _worker: &Worker, _error: &Error) -> bool {
        false
    }

    /// Reports that another attempt follows.
    fn report(&self, worker: &Worker, attempt: u32, error: &Error);
}

/// How the attempts ended.
pub(super) enum Attempted<T> {
    /// One succeeded.
    Done(T),
    /// The last one failed, or one that another would not help.
    Failed(Error),
    /// The run was stopped; what was open on the servers still is.
    Stopped,
}

impl Worker {
    /// Attempts the work as often as the options allow. Nothing of a failed attempt stays open.
    pub(super) async fn try_repeatedly<A: Attempt>(&mut self, mut work: A) -> Attempted<A::Done> {
        let job = Arc::clone(&self.job);
        let mut pause = Pause::default();
        let mut attempt = 0;
        loop {
            attempt += 1;
            let made = tokio::select! {
                biased;
                () = job.context.stop.stopped() => None,
                made = work.make(self) => Some(made),
            };
            let error = match made {
                None => return Attempted::Stopped,
                Some(Ok(done)) => return Attempted::Done(done),
                Some(Err(error)) => work.locate(error),
            };
            let is_final = attempt > job.retries || !error.is_retryable() || work.is_final(self, &error);
            self.clear(&error).await;
            if work.change(self, &error) {
                continue;
            }
            if is_final {
                return Attempted::Failed(error);
            }
            work.report(self, attempt, &error);
            if !pause.wait(&job.context.stop).await {
                return Attempted::Stopped;
            }
        }
    }
}
