//! The error of findings that block a verb. Called by `run`, `ends` and `connect`.

use crate::error::{Error, Kind, Result};
use crate::finding::{Finding, Severity};

/// Gives the findings back, or the error of a verb that one of them blocks.
pub(super) fn refuse(findings: Vec<Finding>) -> Result<Vec<Finding>> {
    let blocking: Vec<&Finding> = findings.iter().filter(|finding| finding.severity == Severity::Blocking).collect();
    let Some(first) = blocking.first() else { return Ok(findings) };
    let doing = match blocking.len() {
        1 => format!("the preflight found what blocks the run: {}", first.words()),
        many => format!("the preflight found {many} things that block the run, the first: {}", first.words()),
    };
    let mut error = Error::new(Kind::Preflight, doing).object(first.object.clone()).remedy(first.remedy.clone());
    error.details.findings = findings;
    Err(error)
}
