//! Event triggers of the target that fire on the run's statements.
//!
//! A transaction that is rolled back tests whether one of them refuses the statements. Called by the parent module.

use super::look::{Look, list};
use crate::error::Result;
use crate::finding::{Finding, Severity};
use crate::pg::event_triggers;

/// The name of the finding.
pub(super) const CHECK: &str = "event_triggers";

/// Names them: blocking where one refuses a statement that the run needs.
pub(super) async fn check(look: &Look<'_>) -> Result<Vec<Finding>> {
    let target = look.subject.target;
    let names = event_triggers::firing(target).await?;
    let Some(first) = names.first() else { return Ok(Vec::new()) };
    let refused = event_triggers::refusal(target, look.ends.target.can_create).await?;
    let (severity, message) = match refused {
        Some(error) => (
            Severity::Blocking,
            format!("event triggers of the target refuse the run's statements ({}): {}", list(&names), error.chain()),
        ),
        None => {
            (Severity::Warning, format!("event triggers of the target fire on the run's statements: {}", list(&names)))
        }
    };
    Ok(vec![Finding::new(CHECK, severity, first, message, event_triggers::remedy(&names))])
}
