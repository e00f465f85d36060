//! The crate's error as the Python package's exceptions, which that package makes itself from a mapping.

use super::convert::to_python;
use crate::error::Error;
use pyo3::prelude::*;
use serde_json::json;

/// The exception for an error.
pub fn raise(py: Python<'_>, error: &Error) -> PyErr {
    make(py, error).unwrap_or_else(|failure| failure)
}

fn make(py: Python<'_>, error: &Error) -> PyResult<PyErr> {
    let mapping = json!({
        "name": error.name,
        "kind": error.kind,
        "message": error.chain(),
        "phase": error.context.phase,
        "task": error.context.task,
        "object": error.context.object,
        "side": error.context.side,
        "sqlstate": error.sqlstate,
        "remedy": error.remedy,
        "problems": error.details.problems,
        "findings": error.details.findings,
    });
    let exception = py.import("pgmigrate.errors")?.call_method1("from_native", (to_python(py, &mapping)?,))?;
    Ok(PyErr::from_value(exception))
}
