//! Something found out about the two databases that a person should know before, or after, they are touched.
//!
//! A finding is not a failed check: it names an object, says what it means and what to do. Preflight makes most of
//! them; the plan and the run add theirs.

use crate::closed_set::closed_set;
use serde::{Deserialize, Serialize};

closed_set! {
    /// How much a finding weighs.
    pub enum Severity, "severity" {
        /// Good to know.
        Info = "info",
        /// The run goes on, and a person should check.
        Warning = "warning",
        /// The run ends before the target is touched.
        Blocking = "blocking",
    }
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
    /// All objects that it is about, if there are several; `message` names some of them.
    #[serde(default)]
    pub objects: Vec<String>,
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
        Finding {
            check: check.into(),
            severity,
            object: object.into(),
            objects: Vec::new(),
            message: message.into(),
            remedy: remedy.into(),
        }
    }

    /// What was found, with the object that it is about in front.
    #[must_use]
    pub fn words(&self) -> String {
        if self.object.is_empty() || self.message.contains(&self.object) {
            return self.message.clone();
        }
        format!("{}: {}", self.object, self.message)
    }

    /// The same for several objects of one cause: the message names the first ones; a single one is named as the object.
    #[must_use]
    pub fn of(mut self, objects: Vec<String>) -> Self {
        self.message = format!("{}: {}", self.message, examples(&objects));
        if let [one] = objects.as_slice() {
            self.object.clone_from(one);
        }
        self.objects = objects;
        self
    }
}

/// How many names a message about the keys or tables of a whole plan lists.
pub const LISTED: usize = 10;

/// The first of several names as examples, and how many more there are.
#[must_use]
pub fn examples(names: &[String]) -> String {
    listed(names, 3)
}

/// The first `most` names, and how many more there are.
#[must_use]
pub fn listed<S: AsRef<str>>(names: &[S], most: usize) -> String {
    let shown = names.iter().take(most).map(AsRef::as_ref).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(most) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
