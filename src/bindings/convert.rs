//! Values of Python as values of the core, and back.

use crate::error::{Error, Kind, Result};
use pyo3::prelude::*;
use serde::Serialize;
use serde_json::Value;

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
    serde_json::to_value(result)
        .map_err(|e| Error::new("result_not_serializable", Kind::Internal, "a result cannot be converted").caused_by(e))
}
