//! The error of findings that block a verb. Called by `run`, `open`, `part`, `leader` and `connect`.

use crate::error::{Error, Kind, Result, Side};
use crate::finding::{Finding, Severity};

/// Returns the findings, or the error of a verb that one of them blocks.
pub(super) fn refuse(findings: Vec<Finding>) -> Result<Vec<Finding>> {
    let blocking: Vec<&Finding> = findings.iter().filter(|finding| finding.severity == Severity::Blocking).collect();
    let Some(first) = blocking.first() else { return Ok(findings) };
    let doing = match blocking.len() {
        1 => format!("preflight blocks the run: {}", first.words()),
        many => format!("preflight has {many} findings that block the run, the first: {}", first.words()),
    };
    let mut error = Error::new("preflight_blocked", Kind::Preflight, doing)
        .object(first.object.clone())
        .remedy(first.remedy.clone());
    error.details.findings = findings;
    Err(error)
}

/// The error of a verb while another process works on the same target.
pub(super) fn already_running() -> Error {
    let finding = Finding::new(
        "already_running",
        Severity::Blocking,
        "",
        "another run of pgmigrate is active on this target",
        "wait for it, or stop it; its sessions have an application_name that begins with pgmigrate",
    );
    let mut error =
        Error::new("run_active", Kind::Preflight, &*finding.message).on(Side::Target).remedy(&*finding.remedy);
    error.details.findings.push(finding);
    error
}
