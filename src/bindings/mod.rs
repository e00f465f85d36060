//! The extension module `pgmigrate._native`: mappings in, mappings out, one function a verb, no decision.
//!
//! Private to the Python package. Work runs on the runtime's threads, which never touch Python; the calling thread takes events and the
//! result from a [`Job`].

// pyo3 hands arguments over by value and expects results of functions that may come to fail.
#![allow(clippy::needless_pass_by_value)]

mod answer;
mod convert;
mod error;
mod job;
mod logging;
mod machine;
mod procedure;
mod rows;

use crate::config::{Config, KEYS, MAX_JOBS, TextFormat};
use crate::engine;
use crate::pg::Conninfo;
use crate::pg::redaction::Redaction;
use crate::plan::document::Document;
use crate::plan::{difference, group, tsv};
use crate::rates::Rates;
use answer::Answer;
use convert::{from_python, to_python};
use job::Given;
use machine::{cpus, environment};
use pyo3::prelude::*;
use serde_json::{Value, json};

/// The version of the core.
#[pyfunction]
fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

/// Whether the core was built without optimization, which no measurement should be made with.
#[pyfunction]
fn is_debug_build() -> bool {
    cfg!(debug_assertions)
}

/// Reads the text of a configuration file: one mapping a migration, as written.
#[pyfunction]
fn documents<'py>(py: Python<'py>, text: &str, format: &str) -> PyResult<Bound<'py, PyAny>> {
    let format = if format == "json" { TextFormat::Json } else { TextFormat::Yaml };
    let checked = Config::all_from_text(text, format, &environment());
    let documents = checked.and_then(|_| crate::config::documents(text, format)).map_err(|e| error::raise(py, &e))?;
    to_python(py, &documents)
}

/// Checks one migration's options: the effective configuration, secrets redacted.
#[pyfunction]
#[pyo3(signature = (options, path = ""))]
fn config<'py>(py: Python<'py>, options: &Bound<'py, PyAny>, path: &str) -> PyResult<Bound<'py, PyAny>> {
    let options = from_python(options)?;
    let config = Config::from_value_at(&options, &environment(), path).map_err(|e| error::raise(py, &e))?;
    let redaction = Redaction::new(&config, &environment());
    let mut value = config.to_value();
    hide(&mut value["procedure"], &redaction);
    to_python(py, &value)
}

/// Redacts passwords in every text of a value: a user may have written one into a command.
fn hide(value: &mut Value, redaction: &Redaction) {
    match value {
        Value::String(text) => *text = redaction.hide(text),
        Value::Array(elements) => elements.iter_mut().for_each(|element| hide(element, redaction)),
        Value::Object(entries) => entries.values_mut().for_each(|entry| hide(entry, redaction)),
        _ => {}
    }
}

/// Every key of a configuration.
#[pyfunction]
fn config_keys(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    let keys: Vec<Value> = KEYS
        .iter()
        .map(|key| json!({"key": key.path, "type": key.kind, "default": key.default, "meaning": key.meaning}))
        .collect();
    to_python(py, &keys)
}

/// Where source and target are, as `host:port/dbname`; none where a conninfo cannot be read.
#[pyfunction]
fn places<'py>(py: Python<'py>, options: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let env = environment();
    let config = Config::from_value(&from_python(options)?, &env).map_err(|e| error::raise(py, &e))?;
    let place = |secret: &crate::config::Secret| Conninfo::parse(secret.expose(), &env).ok().map(|one| one.describe());
    to_python(py, &json!({"source": place(&config.connection.source), "target": place(&config.connection.target)}))
}

/// How a plan that was kept differs from one that was made later.
#[pyfunction]
fn plan_difference<'py>(
    py: Python<'py>,
    kept: &Bound<'py, PyAny>,
    now: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let (kept, now) = (Given::from_python(kept)?, Given::from_python(now)?);
    let compared = py.detach(|| Ok(difference::compare(&kept.read()?, &now.read()?)));
    to_python(py, &compared.map_err(|e| error::raise(py, &e))?)
}

/// Reads the text of a plan.
#[pyfunction]
fn parse_plan<'py>(py: Python<'py>, text: &str) -> PyResult<Bound<'py, PyAny>> {
    let plan = tsv::read(text).map_err(|e| error::raise(py, &e))?;
    Answer::plan(Document::new(plan)).into_python(py)
}

/// The ids of a plan's tasks of these phases; of all where none is named.
#[pyfunction]
fn plan_ids(py: Python<'_>, plan: &Bound<'_, PyAny>, phases: Vec<String>) -> PyResult<Vec<String>> {
    let plan = Given::from_python(plan)?;
    py.detach(|| group::ids(&plan.read()?, &phases)).map_err(|e| error::raise(py, &e))
}

/// The tasks of a plan's data phase in balanced groups.
#[pyfunction]
fn plan_groups(py: Python<'_>, plan: &Bound<'_, PyAny>, count: usize) -> PyResult<Vec<Vec<String>>> {
    let plan = Given::from_python(plan)?;
    py.detach(|| group::groups(&plan.read()?, count)).map_err(|e| error::raise(py, &e))
}

/// How many tasks run at once here by default.
#[pyfunction]
#[pyo3(signature = (max_jobs = MAX_JOBS))]
fn default_jobs(max_jobs: usize) -> usize {
    crate::config::jobs(max_jobs, cpus())
}

/// The rates used for servers that were not measured.
#[pyfunction]
fn typical_rates(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    to_python(py, &Rates::typical())
}

/// Reads the text of rates.
#[pyfunction]
fn parse_rates<'py>(py: Python<'py>, text: &str) -> PyResult<Bound<'py, PyAny>> {
    to_python(py, &Rates::read(text).map_err(|e| error::raise(py, &e))?)
}

/// Estimates a run of the plan, at these rates.
#[pyfunction]
fn estimate<'py>(
    py: Python<'py>,
    plan: &Bound<'py, PyAny>,
    rates: &Bound<'py, PyAny>,
    jobs: usize,
) -> PyResult<Bound<'py, PyAny>> {
    let (plan, rates): (Given, Value) = (Given::from_python(plan)?, from_python(rates)?);
    let estimate = || Ok(engine::estimate(&plan.read()?, &Rates::read(&rates.to_string())?, jobs));
    let estimate = py.detach(estimate).map_err(|e| error::raise(py, &e))?;
    to_python(py, &estimate)
}

// Its classes are `Send` and `Sync`, its state is behind locks, and it relies on the GIL for nothing: an interpreter without one need not turn it on.
#[pymodule(gil_used = false)]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    logging::install();
    module.add_function(wrap_pyfunction!(version, module)?)?;
    module.add_function(wrap_pyfunction!(is_debug_build, module)?)?;
    module.add_function(wrap_pyfunction!(documents, module)?)?;
    module.add_function(wrap_pyfunction!(config, module)?)?;
    module.add_function(wrap_pyfunction!(config_keys, module)?)?;
    module.add_function(wrap_pyfunction!(parse_plan, module)?)?;
    module.add_function(wrap_pyfunction!(plan_difference, module)?)?;
    module.add_function(wrap_pyfunction!(places, module)?)?;
    module.add_function(wrap_pyfunction!(plan_ids, module)?)?;
    module.add_function(wrap_pyfunction!(plan_groups, module)?)?;
    module.add_function(wrap_pyfunction!(default_jobs, module)?)?;
    module.add_function(wrap_pyfunction!(typical_rates, module)?)?;
    module.add_function(wrap_pyfunction!(parse_rates, module)?)?;
    module.add_function(wrap_pyfunction!(estimate, module)?)?;
    module.add_function(wrap_pyfunction!(job::start, module)?)?;
    module.add_function(wrap_pyfunction!(procedure::procedure, module)?)?;
    module.add_class::<procedure::Redaction>()?;
    module.add_class::<rows::PlanText>()?;
    module.add_class::<rows::TaskRows>()?;
    module.add_class::<rows::ResultRows>()?;
    module.add_class::<job::Job>()
}
