//! A verb at work: the caller takes its events, asks it to stop, and takes its result.
//!
//! Waiting releases the GIL and looks for signals; a worker thread never takes it.

use super::convert::{self, from_python, to_python};
use super::{environment, error, logging};
use crate::config::Config;
use crate::engine::{self, Context, Stop};
use crate::error::{Error, Kind, Result};
use crate::event::{Event, Events};
use pyo3::prelude::*;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tracing::Instrument;

/// How often a waiting caller looks for signals.
const SIGNALS: Duration = Duration::from_millis(50);
/// Events handed over at once at most.
const BATCH: usize = 512;

/// A verb at work.
#[pyclass(frozen)]
pub struct Job {
    events: Arc<tokio::sync::Mutex<UnboundedReceiver<Event>>>,
    result: Arc<Mutex<Option<Result<Value>>>>,
    stop: Stop,
}

/// The runtime's threads do not live on in a forked child: whoever forks has to do so before the first verb.
fn check_process(py: Python<'_>) -> PyResult<()> {
    static OWNER: AtomicU32 = AtomicU32::new(0);
    let here = std::process::id();
    let owner = OWNER.compare_exchange(0, here, Ordering::SeqCst, Ordering::SeqCst).unwrap_or_else(|owner| owner);
    if owner == 0 || owner == here {
        return Ok(());
    }
    let error =
        Error::new(Kind::Internal, "pgmigrate was used before this process was forked off, and cannot be used in it")
            .remedy("start processes by spawn instead of fork, or import and use pgmigrate only in the child");
    Err(error::raise(py, &error))
}

/// Begins a verb.
#[pyfunction]
pub fn start(py: Python<'_>, verb: &str, options: &Bound<'_, PyAny>, settings: &Bound<'_, PyAny>) -> PyResult<Job> {
    static NUMBER: AtomicU64 = AtomicU64::new(1);
    check_process(py)?;
    let config = Config::from_value(&from_python(options)?, &environment()).map_err(|e| error::raise(py, &e))?;
    let settings = from_python(settings)?;
    let tools: Vec<PathBuf> = py.import("pgmigrate._tools")?.call_method0("pg_dump_candidates")?.extract()?;
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let (sender, receiver) = unbounded_channel();
    let context =
        Context { events: Events::new(sender), stop: Stop::default(), env: environment(), tools, cpus: super::cpus() };
    let job =
        Job { events: Arc::new(tokio::sync::Mutex::new(receiver)), result: Arc::default(), stop: context.stop.clone() };
    let records = logging::open(number, context.events.clone());
    let (slot, verb) = (Arc::clone(&job.result), verb.to_owned());
    let work = async move {
        let result = Box::pin(perform(&verb, &config, settings, &context)).await;
        // Whoever has the result may end the process, and with it what still closes its sessions.
        engine::at_rest().await;
        *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
        drop(records);
    };
    pyo3_async_runtimes::tokio::get_runtime().spawn(work.instrument(tracing::info_span!("job", job = number)));
    Ok(job)
}

async fn perform(verb: &str, config: &Config, settings: Value, context: &Context) -> Result<Value> {
    let path = |key: &str| settings.get(key).and_then(Value::as_str).map(PathBuf::from);
    let text = settings.get("plan").and_then(Value::as_str);
    match verb {
        "preflight" => Ok(json!({"findings": engine::preflight(config, context).await?})),
        "plan" => convert::plan(&engine::plan(config, context).await?),
        "run" => {
            let settings = serde_json::from_value(settings)
                .map_err(|e| Error::new(Kind::Internal, "the settings of a run cannot be read").caused_by(e))?;
            convert::value(&Box::pin(engine::run(config, &settings, context)).await?)
        }
        "verify" => {
            let jobs = settings.get("jobs").and_then(Value::as_u64).and_then(|jobs| usize::try_from(jobs).ok());
            convert::value(&engine::verify(config, text, jobs, context).await?)
        }
        "calibrate" => {
            let seconds = settings.get("seconds").and_then(Value::as_f64).unwrap_or_default();
            convert::value(&Box::pin(engine::calibrate(config, text, seconds, context)).await?)
        }
        "status" => convert::value(&engine::status(config, context).await?),
        "backup" => convert::value(&engine::backup(config, path("directory").as_deref(), context).await?),
        "restore" => {
            let path = path("path").unwrap_or_default();
            convert::value(&Box::pin(engine::restore(config, &path, context)).await?)
        }
        "cleanup" => Ok(json!({"dropped": engine::cleanup(config, context).await?})),
        other => Err(Error::new(Kind::Internal, format!("there is no verb {other:?}"))),
    }
}

type Receiver = Arc<tokio::sync::Mutex<UnboundedReceiver<Event>>>;

/// The next events; none once the job has ended and all are told.
async fn receive(events: Receiver) -> Option<Vec<Event>> {
    let mut events = events.lock().await;
    let mut batch = vec![events.recv().await?];
    while batch.len() < BATCH
        && let Ok(event) = events.try_recv()
    {
        batch.push(event);
    }
    Some(batch)
}

/// Events on their way to Python.
struct Batch(Option<Vec<Event>>);

impl<'py> IntoPyObject<'py> for Batch {
    type Target = PyAny;
    type Output = Bound<'py, PyAny>;
    type Error = PyErr;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Self::Output> {
        to_python(py, &self.0)
    }
}

#[pymethods]
impl Job {
    /// Waits for events; None once the job has ended and all are told.
    fn next(&self, py: Python<'_>) -> PyResult<Batch> {
        check_process(py)?;
        let runtime = pyo3_async_runtimes::tokio::get_runtime();
        loop {
            let events = Arc::clone(&self.events);
            let waited = py.detach(|| runtime.block_on(async { tokio::time::timeout(SIGNALS, receive(events)).await }));
            match waited {
                Ok(batch) => return Ok(Batch(batch)),
                Err(_) => py.check_signals()?,
            }
        }
    }

    /// As `next`, awaitable.
    fn next_async<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        check_process(py)?;
        let events = Arc::clone(&self.events);
        pyo3_async_runtimes::tokio::future_into_py(py, async move { Ok(Batch(receive(events).await)) })
    }

    /// Asks the job to stop in order; returns at once.
    fn stop(&self) {
        self.stop.stop();
    }

    /// The result, or the error as its exception.
    fn result<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let result = self.result.lock().unwrap_or_else(PoisonError::into_inner).take();
        match result {
            Some(Ok(value)) => to_python(py, &value),
            Some(Err(error)) => Err(error::raise(py, &error)),
            None => {
                let doing = "the job has no result: it is still at work, its result was taken, or its thread panicked";
                Err(error::raise(py, &Error::new(Kind::Internal, doing)))
            }
        }
    }
}
