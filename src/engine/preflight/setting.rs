//! The user's startup options that have no effect in pgmigrate's sessions, because the sessions set another value.

use super::look::{info, list};
use crate::error::Side;
use crate::finding::Finding;
use crate::pg::Session;

pub(super) fn check(source: &Session, target: &Session) -> Vec<Finding> {
    let ends = [(source, Side::Source), (target, Side::Target)];
    ends.into_iter().filter_map(|(session, side)| overridden(&session.conninfo().overridden(side), side)).collect()
}

fn overridden(names: &[&str], side: Side) -> Option<Finding> {
    let message =
        format!("options in the {side}'s conninfo are not used for {}: pgmigrate pins these settings", list(names));
    (!names.is_empty()).then(|| info(&format!("{side}_options"), "", message))
}
