//! The error of findings that block a verb. Called by `run`, `open`, `part`, `leader` and `connect`, and by the preflight.

use crate::action::Action;
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

/// The name of the finding, and of its error.
pub(in crate::engine) const RUN_ACTIVE: &str = "run_active";

/// The finding that another process works on the same target.
pub(in crate::engine) fn run_active() -> Finding {
    let remedy = format!(
        "wait for its end, or stop it with {}; the application_name of its sessions begins with pgmigrate",
        Action::Stop
    );
    Finding::new(RUN_ACTIVE, Severity::Blocking, "", "another run of pgmigrate is active on the target", remedy)
}

/// The error of a verb while another process works on the same target.
pub(super) fn already_running() -> Error {
    let finding = run_active();
    let mut error =
        Error::new(RUN_ACTIVE, Kind::Preflight, &*finding.message).on(Side::Target).remedy(&*finding.remedy);
    error.details.findings.push(finding);
    error
}
