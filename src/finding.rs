//! Something found out about the two databases that a person should know before, or after, they are touched.
//!
//! A finding is not a failed check: it names an object, says what it means and what to do. Preflight makes most of
//! them; the plan and the run add theirs.

use serde::{Deserialize, Serialize};

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Good to know.
    Info,
    /// The run goes on, and somebody should look.
    Warning,
    /// The run ends before the target is touched.
    Blocking,
}

/// One thing found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// A stable name of the check, such as `target_version`; scripts may rely on it.
    pub check: String,
    /// How much it weighs.
    pub severity: Severity,
    /// The object it is about, quoted as SQL quotes it; empty where it is about a whole server.
    pub object: String,
    /// What was found.
    pub message: String,
    /// What to do about it; empty where there is nothing to do.
    pub remedy: String,
}

impl Finding {
    /// A finding of `check` with the given weight and words.
    pub fn new(
        check: &str,
        severity: Severity,
        object: impl Into<String>,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Finding { check: check.into(), severity, object: object.into(), message: message.into(), remedy: remedy.into() }
    }
}
