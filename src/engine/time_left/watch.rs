//! The model alongside a run: it notes events as they are sent, queries the progress of index builds while there are any, and sends the
//! time left as an event.
//!
//! Made by `run`, driven by the pool's check of what the run depends on.

use super::model::{Model, Start};
use crate::engine::run::job::Job;
use crate::event::{Event, Observer};
use crate::pg::{Session, progress};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};
use tokio::task::JoinHandle;

/// The time between two simulations of the rest of the run is at least this many times the time that one takes.
const REST: u32 = 20;

/// The model of a run at work.
#[derive(Debug)]
pub struct Watch {
    model: Arc<Mutex<Model>>,
    /// The task that computes the time left, and returns when it may be computed again.
    play: Option<JoinHandle<Instant>>,
    next: Instant,
}

#[derive(Debug)]
struct Noted(Arc<Mutex<Model>>);

impl Observer for Noted {
    fn observe(&self, event: &Event) {
        locked(&self.0).take(event, now());
    }
}

fn locked(model: &Mutex<Model>) -> MutexGuard<'_, Model> {
    model.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The machine's time: unlike that of `Instant` it advances while the machine sleeps, and so shows that it did.
fn now() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

impl Watch {
    /// Begins with the run.
    pub fn new(start: &Start<'_>) -> Watch {
        Watch { model: Arc::new(Mutex::new(Model::new(start))), play: None, next: Instant::now() }
    }

    /// The observer that notes the run's events.
    pub fn observer(&self) -> Arc<dyn Observer> {
        Arc::new(Noted(Arc::clone(&self.model)))
    }

    /// Notes the progress of builds, and starts the computation of the time left, which sends it as an event: on a thread of its own,
    /// because a plan may have many tasks. An error of the query is ignored: the pool finds a lost session by itself.
    pub async fn tick(&mut self, session: &Session, job: &Arc<Job>) {
        let has_builds = locked(&self.model).has_builds();
        let builds = if has_builds { progress::builds(session).await.unwrap_or_default() } else { Vec::new() };
        locked(&self.model).tick(&builds, now());
        if self.play.as_ref().is_some_and(|play| !play.is_finished()) {
            return;
        }
        if let Some(play) = self.play.take() {
            self.next = play.await.unwrap_or(self.next);
        }
        if Instant::now() < self.next {
            return;
        }
        let (model, job) = (locked(&self.model).clone(), Arc::clone(job));
        self.play = Some(tokio::task::spawn_blocking(move || {
            let began = Instant::now();
            job.context.events.send(Event::TimeLeft(model.left(&job.tasks)));
            let ended = Instant::now();
            ended + (ended - began) * REST
        }));
    }
}
