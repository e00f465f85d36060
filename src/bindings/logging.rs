//! Log records of a job, sent into its events: worker threads never call Python's logging.
//!
//! A job's work runs inside a span that carries the job's number; a record finds its job by the span around it.

use crate::event::{Event, Events};
use std::collections::HashMap;
use std::fmt::Write;
use std::sync::{LazyLock, Mutex, PoisonError};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

static JOBS: LazyLock<Mutex<HashMap<u64, Events>>> = LazyLock::new(Mutex::default);

/// Makes this the program's subscriber, unless it has one.
pub fn install() {
    let subscriber = tracing_subscriber::registry().with(ToJob);
    // A second import finds the first one's subscriber in place.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

/// A job whose records go into its events until this value is dropped: the caller that waits for the last event also waits for the drop.
pub struct Records(u64);

/// Lets records of job `number` go into `events`.
pub fn open(number: u64, events: Events) -> Records {
    JOBS.lock().unwrap_or_else(PoisonError::into_inner).insert(number, events);
    Records(number)
}

impl Drop for Records {
    fn drop(&mut self) {
        JOBS.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.0);
    }
}

struct ToJob;

#[derive(Clone, Copy)]
struct JobNumber(u64);

#[derive(Default)]
struct Fields {
    job: Option<u64>,
    message: String,
}

impl Visit for Fields {
    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "job" {
            self.job = Some(value);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            // Writing into a string does not fail.
            let _ = write!(self.message, "{value:?}");
        }
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for ToJob {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        metadata.target().starts_with("pgmigrate") && *metadata.level() <= Level::DEBUG
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let (Some(job), Some(span)) = (fields.job, context.span(id)) {
            span.extensions_mut().insert(JobNumber(job));
        }
    }

    fn on_event(&self, event: &tracing::Event<'_>, context: Context<'_, S>) {
        let Some(scope) = context.event_scope(event) else { return };
        let Some(job) = scope.into_iter().find_map(|span| span.extensions().get::<JobNumber>().copied()) else {
            return;
        };
        let mut fields = Fields::default();
        event.record(&mut fields);
        if let Some(events) = JOBS.lock().unwrap_or_else(PoisonError::into_inner).get(&job.0) {
            events.send(Event::Log { level: event.metadata().level().to_string(), message: fields.message });
        }
    }
}
