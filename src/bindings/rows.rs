//! Long results that Python reads row by row: a plan's tasks, their results, and the plan's text.
//!
//! Each stays in the core as one value; a mapping is made for one row when it is requested, so a result costs Python nothing until it is
//! read. The Python package wraps these in its own types.

use super::convert::to_python;
use crate::closed_set::Unknown;
use crate::plan::document::Document;
use crate::report::TaskResult;
use crate::status::TaskStatus;
use pyo3::exceptions::{PyIndexError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString, PyTuple};
use serde::Serialize;
use std::sync::Arc;

/// The tasks of a plan.
#[pyclass(frozen)]
pub struct TaskRows(pub Arc<Document>);

/// The results of a run's tasks.
#[pyclass(frozen)]
pub struct ResultRows(pub Vec<TaskResult>);

/// The text of a plan.
#[pyclass(frozen)]
pub struct PlanText(pub Arc<Document>);

/// A task with its object as people read it.
#[derive(Serialize)]
struct Shown {
    object: String,
    #[serde(flatten)]
    task: crate::plan::Task,
}

fn outside(at: usize) -> PyErr {
    PyIndexError::new_err(format!("there is no row {at}"))
}

#[pymethods]
impl TaskRows {
    fn __len__(&self) -> usize {
        self.0.tasks()
    }

    fn __getitem__<'py>(&self, py: Python<'py>, at: usize) -> PyResult<Bound<'py, PyAny>> {
        let task = self.0.task(at).ok_or_else(|| outside(at))?;
        to_python(py, &Shown { object: task.object(), task })
    }
}

#[pymethods]
impl ResultRows {
    fn __len__(&self) -> usize {
        self.0.len()
    }

    fn __getitem__<'py>(&self, py: Python<'py>, at: usize) -> PyResult<Bound<'py, PyAny>> {
        to_python(py, self.0.get(at).ok_or_else(|| outside(at))?)
    }

    /// The positions of the tasks that have a status.
    fn having(&self, status: &str) -> PyResult<Vec<usize>> {
        let status: TaskStatus =
            status.parse().map_err(|unknown: Unknown| PyValueError::new_err(unknown.to_string()))?;
        let wanted = self.0.iter().enumerate().filter(|(_, task)| task.status == status);
        Ok(wanted.map(|(at, _)| at).collect())
    }
}

#[pymethods]
impl PlanText {
    /// In how many pieces it is.
    fn __len__(&self) -> usize {
        self.0.pieces().len()
    }

    /// A piece in UTF-8.
    fn __getitem__<'py>(&self, py: Python<'py>, at: usize) -> PyResult<Bound<'py, PyBytes>> {
        let piece = self.0.pieces().get(at).ok_or_else(|| outside(at))?;
        Ok(PyBytes::new(py, piece.as_bytes()))
    }

    fn __str__<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        PyString::new(py, &self.0.text())
    }

    /// It is unpickled as a plain text.
    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
        Ok((py.get_type::<PyString>().into_any(), PyTuple::new(py, [self.__str__(py)])?))
    }

    /// For each phase its tasks, their rows and their bytes.
    fn sums(&self) -> Vec<(&'static str, u64, u64, u64)> {
        self.0.sums().iter().map(|sum| (sum.phase.as_str(), sum.tasks, sum.rows, sum.bytes)).collect()
    }
}
