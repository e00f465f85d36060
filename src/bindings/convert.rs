//! Values between Python and Rust, by way of JSON's shapes.

use crate::error::{Error, Kind, Result};
use crate::plan::Plan;
use pyo3::prelude::*;
use serde::Serialize;
use serde_json::{Value, json};

/// A Python mapping, list or scalar as a value.
pub fn from_python(object: &Bound<'_, PyAny>) -> PyResult<Value> {
    pythonize::depythonize(object).map_err(Into::into)
}

/// Anything serializable as Python's mappings, lists and scalars.
pub fn to_python<'py>(py: Python<'py>, value: &(impl Serialize + ?Sized)) -> PyResult<Bound<'py, PyAny>> {
    pythonize::pythonize(py, value).map_err(Into::into)
}

/// A result as a value.
pub fn value(result: &impl Serialize) -> Result<Value> {
    serde_json::to_value(result).map_err(|e| Error::new(Kind::Internal, "a result cannot be told").caused_by(e))
}

/// A plan with what Python shows of it: each task's object in words, and the plan's text.
pub fn plan(plan: &Plan) -> Result<Value> {
    let mut tasks = Vec::with_capacity(plan.tasks.len());
    for task in &plan.tasks {
        let mut mapping = value(task)?;
        mapping["object"] = Value::String(task.object());
        tasks.push(mapping);
    }
    let mut header = value(&plan.header)?;
    header["fingerprint"] = Value::String(plan.fingerprint());
    Ok(json!({
        "header": header,
        "tasks": tasks,
        "absent": plan.header.absent,
        "findings": plan.header.findings,
        "text": crate::plan::tsv::write(plan),
    }))
}
