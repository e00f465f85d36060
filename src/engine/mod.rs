//! What a migration does, verb by verb: order, parallelism, retry, stopping. The engine has no SQL text; adapters hold it.

pub mod backup;
mod calibrate;
mod connect;
mod dump_filter;
pub mod estimate;
mod hold;
mod lifecycle;
mod opened;
mod others;
pub mod preflight;
mod privileges;
mod procedure;
mod process;
mod programs;
mod quiesce;
mod raw_text;
mod refuse;
mod run;
mod schedule;
mod secret;
mod status;
mod stop;
mod stop_token;
mod target;
mod time_left;
mod verbs;
pub mod verify;

pub use calibrate::calibrate;
pub use connect::{Endpoints, Source};
pub use estimate::estimate;
pub use hold::{Held, HoldSettings, hold};
pub use others::{Backed, Others, target_counters, written_by_others};
pub use procedure::{hold_procedure, read_journal, remove_journal, write_journal};
pub use quiesce::{quiet_since, wait_for_writers};
pub use run::run;
pub use run::settings::Settings;
pub use status::{Counts, Status, status};
pub use stop::stop;
pub use stop_token::{StopToken, interrupted};
pub use verbs::{
    backup, cleanup, make_foreign_keys, plan, preflight, release, restore, restore_unless_written, verify,
};

use crate::event::{Event, Events};
use crate::finding::Finding;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Waits until verbs that have ended have no session and no statement left on any server.
pub use crate::pg::closed as at_rest;

/// Interval between two queries for what another process does: a request in the ledger, a lease, a lock.
const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// The inputs of a verb besides its configuration.
#[derive(Debug, Clone, Default)]
pub struct Context {
    /// Where events go.
    pub events: Events,
    /// Where a request to stop comes from.
    pub stop: StopToken,
    /// The environment that conninfo defaults come from.
    pub env: BTreeMap<String, String>,
    /// Places to search for `pg_dump`, in addition to the usual ones.
    pub tools: Vec<PathBuf>,
    /// How many CPUs this machine has.
    pub cpus: usize,
}

impl Context {
    /// Emits findings as soon as they are known.
    pub fn report(&self, findings: &[Finding]) {
        for finding in findings {
            self.events.send(Event::Found(finding.clone()));
        }
    }

    /// Runs one step of a verb, with events for its beginning and its end; the step is given up when the run is asked to stop.
    pub async fn step<T>(&self, name: &str, work: impl Future<Output = crate::Result<T>>) -> crate::Result<T> {
        let started = self.begin_step(name);
        let result = self.stop.or(work).await;
        self.end_step(name, started, result)
    }

    /// The same for work that checks stop requests itself, because it cannot be given up at every point.
    pub async fn step_to_its_end<T>(
        &self,
        name: &str,
        work: impl Future<Output = crate::Result<T>>,
    ) -> crate::Result<T> {
        let started = self.begin_step(name);
        let result = work.await;
        self.end_step(name, started, result)
    }

    fn begin_step(&self, name: &str) -> Instant {
        self.events.send(Event::StepStarted { step: name.to_owned() });
        tracing::info!("{name} started");
        Instant::now()
    }

    fn end_step<T>(&self, name: &str, started: Instant, result: crate::Result<T>) -> crate::Result<T> {
        let seconds = started.elapsed().as_secs_f64();
        match &result {
            Ok(_) => tracing::info!("{name} done in {seconds:.1} s"),
            Err(error) => tracing::debug!("{name} failed: {}", error.chain()),
        }
        self.events.send(Event::StepFinished { step: name.to_owned(), seconds });
        result
    }
}
