//! A verb at work: the caller takes its events, asks it to stop, and takes its result.
//!
//! Waiting releases the GIL and checks for signals; a worker thread never takes the GIL.

use super::answer::Answer;
use super::convert::{self, from_python, to_python};
use super::machine::{cpus, environment};
use super::rows::PlanText;
use super::{error, logging};
use crate::config::{self, Config};
use crate::engine::{self, Context, StopToken};
use crate::error::{Error, Kind, Result};
use crate::event::{Event, Queue, queue};
use crate::plan::document::Document;
use crate::plan::{Plan, tsv};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tracing::Instrument;

/// How often a waiting caller checks for signals.
const SIGNALS: Duration = Duration::from_millis(50);
/// Events handed over at once at most.
const BATCH: usize = 512;

/// A verb at work.
#[pyclass(frozen)]
pub struct Job {
    events: Receiver,
    result: Arc<Mutex<Option<Result<Answer>>>>,
    stop: StopToken,
    is_over: Arc<AtomicBool>,
}

/// A forked child does not inherit the runtime's threads: a program that forks has to fork before its first verb.
fn check_process(py: Python<'_>) -> PyResult<()> {
    static OWNER: AtomicU32 = AtomicU32::new(0);
    let here = std::process::id();
    let owner = OWNER.compare_exchange(0, here, Ordering::SeqCst, Ordering::SeqCst).unwrap_or_else(|owner| owner);
    if owner == 0 || owner == here {
        return Ok(());
    }
    let error = Error::new(
        "forked_process",
        Kind::Internal,
        "this process was forked after pgmigrate was used, and cannot use it",
    )
    .remedy("start processes by spawn instead of fork, or import and use pgmigrate only in the child");
    Err(error::raise(py, &error))
}

/// Begins a verb.
#[pyfunction]
pub fn start(py: Python<'_>, verb: &str, options: &Bound<'_, PyAny>, settings: &Bound<'_, PyAny>) -> PyResult<Job> {
    static NUMBER: AtomicU64 = AtomicU64::new(1);
    check_process(py)?;
    let config = Config::from_value(&from_python(options)?, &environment()).map_err(|e| error::raise(py, &e))?;
    let (plan, settings) = split_off_plan(settings)?;
    let tools: Vec<PathBuf> = py.import("pgmigrate._bridge.pg_tools")?.call_method0("pg_dump_candidates")?.extract()?;
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let (events, receiver) = queue();
    let context = Context { events, stop: StopToken::default(), env: environment(), tools, cpus: cpus() };
    let job = Job {
        events: Arc::new(tokio::sync::Mutex::new(receiver)),
        result: Arc::default(),
        stop: context.stop.clone(),
        is_over: Arc::default(),
    };
    let records = logging::open(number, context.events.clone());
    let (slot, verb, is_over) = (Arc::clone(&job.result), verb.to_owned(), Arc::clone(&job.is_over));
    let work = async move {
        let result = Box::pin(perform(&verb, &config, (plan, settings), &context)).await;
        // The caller may end the process as soon as it has the result, so this first waits for the tasks that still close sessions.
        engine::at_rest().await;
        *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
        is_over.store(true, Ordering::Release);
        drop(records);
    };
    pyo3_async_runtimes::tokio::get_runtime().spawn(work.instrument(tracing::info_span!("job", job = number)));
    Ok(job)
}

/// The plan among a verb's settings: its text, or the core's own object, which a `Value` cannot hold.
pub enum Given {
    /// Its text.
    Text(String),
    /// As the core holds it.
    Document(Arc<Document>),
}

impl Given {
    /// The plan that Python passed.
    pub fn from_python(plan: &Bound<'_, PyAny>) -> PyResult<Self> {
        match plan.cast::<PlanText>() {
            Ok(text) => Ok(Given::Document(Arc::clone(&text.get().0))),
            Err(_) => Ok(Given::Text(plan.extract()?)),
        }
    }

    /// The plan itself.
    pub fn read(self) -> Result<Plan> {
        match self {
            Given::Text(text) => tsv::read(&text),
            Given::Document(document) => Ok(document.plan()),
        }
    }
}

fn split_off_plan(settings: &Bound<'_, PyAny>) -> PyResult<(Option<Given>, Value)> {
    const KEY: &str = "plan";
    let others = settings.cast::<PyDict>()?.copy()?;
    let Some(plan) = others.get_item(KEY)? else { return Ok((None, from_python(&others)?)) };
    others.del_item(KEY)?;
    Ok((Some(Given::from_python(&plan)?), from_python(&others)?))
}

/// What Python passes to a verb, as the core's type.
fn read<T: DeserializeOwned>(settings: Value, what: &str) -> Result<T> {
    let unreadable =
        |e| Error::new("settings_unreadable", Kind::Internal, format!("{what} cannot be read")).caused_by(e);
    serde_json::from_value(settings).map_err(unreadable)
}

async fn perform(
    verb: &str,
    config: &Config,
    (plan, settings): (Option<Given>, Value),
    context: &Context,
) -> Result<Answer> {
    let path = |key: &str| settings.get(key).and_then(Value::as_str).map(PathBuf::from);
    let plan = plan.map(Given::read).transpose()?;
    // A verb that leaves nothing half done is cancelled at any point; the other verbs finish cleanly what they have begun.
    let stop = &context.stop;
    let value = match verb {
        "preflight" => {
            let settings = read(settings, "the settings of a preflight")?;
            convert::value(&stop.or(Box::pin(engine::preflight(config, settings, context))).await?)?
        }
        "plan" => return Ok(Answer::plan(stop.or(Box::pin(engine::plan(config, plan.as_ref(), context))).await?)),
        "run" => {
            let settings = read(settings, "the settings of a run")?;
            return Answer::report(Box::pin(engine::run(config, plan, &settings, context)).await?);
        }
        "hold" => {
            let settings = read(settings, "the settings of a hold")?;
            let plan =
                plan.ok_or_else(|| Error::new("plan_missing", Kind::Internal, "a snapshot is held for a plan"))?;
            convert::value(&Box::pin(engine::hold(config, &plan, &settings, context)).await?)?
        }
        "stop" => json!({"stopped": stop.or(engine::stop(config.target(), context)).await?}),
        "release" => json!({"released": stop.or(engine::release(config.target(), context)).await?}),
        "verify" => {
            let settings = read(settings, "the settings of a comparison")?;
            convert::value(&stop.or(Box::pin(engine::verify(config, plan, settings, context))).await?)?
        }
        "calibrate" => {
            let seconds = settings.get("seconds").and_then(Value::as_f64).unwrap_or_default();
            convert::value(&Box::pin(engine::calibrate(config, plan, seconds, context)).await?)?
        }
        "status" => {
            let rates = read(settings.get("rates").cloned().unwrap_or_default(), "the rates")?;
            let jobs = config::jobs(config.copy.max_jobs, context.cpus);
            convert::value(&stop.or(engine::status(config.target(), jobs, rates, context)).await?)?
        }
        "backup" => {
            let directory = path("directory").unwrap_or_else(|| PathBuf::from(&config.safety.backup_dir));
            convert::value(&engine::backup(&config.connection, &directory, context).await?)?
        }
        "restore" => {
            let path = path("path").unwrap_or_default();
            convert::value(&Box::pin(engine::restore(&config.connection, &path, context)).await?)?
        }
        "cleanup" => convert::value(&engine::cleanup(config.target(), context).await?)?,
        other => perform_for_procedure(other, config, settings, context).await?,
    };
    Ok(Answer::Value(value))
}

/// The verbs of the safe procedure.
async fn perform_for_procedure(verb: &str, config: &Config, settings: Value, context: &Context) -> Result<Value> {
    let stop = &context.stop;
    let (target, keys) = (config.target(), config.copy.target_foreign_keys);
    let value = match verb {
        "hold_procedure" => {
            let taker = read(settings, "the process that takes the lock")?;
            engine::hold_procedure(target, &taker, context).await?;
            Value::Null
        }
        "read_journal" => convert::value(&stop.or(engine::read_journal(target, context)).await?)?,
        "write_journal" => {
            let entry = read(settings, "the entry of a journal")?;
            engine::write_journal(target, &entry, context).await?;
            Value::Null
        }
        "remove_journal" => {
            let removal = read(settings, "the journal to remove")?;
            engine::remove_journal(target, &removal, context).await?;
            Value::Null
        }
        "target_counters" => convert::value(&stop.or(engine::target_counters(target, context)).await?)?,
        "written_by_others" => {
            let before = read(settings, "the counters of the target")?;
            convert::value(&stop.or(engine::written_by_others(target, keys, &before, context)).await?)?
        }
        "wait_for_writers" => {
            let most = config.procedure.wait_for_writers;
            convert::value(&stop.or(engine::wait_for_writers(&config.connection, most, context)).await?)?
        }
        "quiet_since" => {
            let before = read(settings, "the counters of the source")?;
            stop.or(engine::quiet_since(&config.connection, before, context)).await?;
            Value::Null
        }
        "restore_unless_written" => {
            let before = read(settings, "the counters of the target")?;
            convert::value(&Box::pin(engine::restore_unless_written(target, keys, &before, context)).await?)?
        }
        "foreign_keys" => convert::value(&engine::make_foreign_keys(target, context).await?)?,
        other => return Err(Error::new("verb_unknown", Kind::Internal, format!("there is no verb {other:?}"))),
    };
    Ok(value)
}

type Receiver = Arc<tokio::sync::Mutex<Queue>>;

/// The next events; none once the job has ended and all events were delivered.
async fn receive(events: Receiver) -> Option<Vec<Event>> {
    events.lock().await.take(BATCH).await
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
    /// Waits for events; None once the job has ended and all events were delivered.
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

    /// Asks the job to stop cleanly; returns at once.
    fn stop(&self) {
        self.stop.stop();
    }

    /// Whether the job has ended.
    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }

    /// The result, or the error as its exception.
    fn result<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let result = self.result.lock().unwrap_or_else(PoisonError::into_inner).take();
        match result {
            Some(Ok(answer)) => answer.into_python(py),
            Some(Err(error)) => Err(error::raise(py, &error)),
            None => {
                let doing = "the job has no result: it is still at work, its result was taken, or its thread panicked";
                Err(error::raise(py, &Error::new("job_without_result", Kind::Internal, doing)))
            }
        }
    }
}
