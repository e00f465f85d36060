//! A verb's result on its way to Python. Called by `job`.

use super::convert::{to_python, value};
use super::rows::{PlanText, ResultRows, TaskRows};
use crate::error::Result;
use crate::plan::document::Document;
use crate::report::{Report, TaskResult};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use serde_json::Value;
use std::sync::Arc;

/// A verb's result on its way to Python.
pub enum Answer {
    /// As it is.
    Value(Value),
    /// A plan, whose text and tasks stay here.
    Plan(Arc<Document>),
    /// A report, whose tasks stay here.
    Report(Value, Vec<TaskResult>),
}

impl Answer {
    /// A plan.
    pub fn plan(document: Document) -> Self {
        Answer::Plan(Arc::new(document))
    }

    /// A report.
    pub fn report(mut report: Report) -> Result<Self> {
        let tasks = std::mem::take(&mut report.tasks);
        Ok(Answer::Report(value(&report)?, tasks))
    }

    /// The mapping that Python gets.
    pub fn into_python(self, py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
        match self {
            Answer::Value(value) => to_python(py, &value),
            Answer::Plan(document) => plan(py, document),
            Answer::Report(head, tasks) => {
                let mapping = to_python(py, &head)?;
                mapping.set_item("tasks", ResultRows(tasks))?;
                Ok(mapping)
            }
        }
    }
}

/// A plan with what Python shows of it.
pub fn plan(py: Python<'_>, document: Arc<Document>) -> PyResult<Bound<'_, PyAny>> {
    let mapping = PyDict::new(py);
    let header = to_python(py, document.header())?;
    header.set_item("fingerprint", document.fingerprint())?;
    mapping.set_item("header", header)?;
    mapping.set_item("tasks", TaskRows(Arc::clone(&document)))?;
    mapping.set_item("absent", to_python(py, &document.header().absent)?)?;
    mapping.set_item("findings", to_python(py, &document.header().findings)?)?;
    mapping.set_item("text", PlanText(document))?;
    Ok(mapping.into_any())
}
