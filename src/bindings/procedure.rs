//! What the Python package needs to run the procedure's commands: the checked section with the variables' values, and the redaction of
//! passwords.

use super::convert::{from_python, to_python};
use super::error;
use super::machine::environment;
use crate::config::Config;
use crate::pg::redaction;
use pyo3::prelude::*;
use serde_json::json;
use std::collections::BTreeMap;

fn checked(py: Python<'_>, options: &Bound<'_, PyAny>) -> PyResult<Config> {
    Config::from_value(&from_python(options)?, &environment()).map_err(|e| error::raise(py, &e))
}

/// The section `procedure` of one migration's options with all defaults, and the variables as the commands get them.
#[pyfunction]
pub fn procedure<'py>(py: Python<'py>, options: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let procedure = checked(py, options)?.procedure;
    let env: BTreeMap<&str, &str> = procedure.env.iter().map(|(name, value)| (name.as_str(), value.expose())).collect();
    let mapping = to_python(py, &procedure)?;
    mapping.set_item("env", to_python(py, &json!(env))?)?;
    Ok(mapping)
}

/// Redacts the passwords of a migration's two databases in texts from other programs.
#[pyclass(frozen)]
pub struct Redaction(redaction::Redaction);

#[pymethods]
impl Redaction {
    #[new]
    fn new(py: Python<'_>, options: &Bound<'_, PyAny>) -> PyResult<Self> {
        Ok(Redaction(redaction::Redaction::new(&checked(py, options)?, &environment())))
    }

    /// The text with `***` for every password.
    fn hide(&self, text: &str) -> String {
        self.0.hide(text)
    }
}
