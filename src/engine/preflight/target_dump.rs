//! What prevents `pg_dump` from reading the target: for a backup all of it with its rows, otherwise the definitions of what exists.
//!
//! One table of the target that the connecting role may not read makes a dump fail, even if the run does not use the table. Called by
//! `preflight`.

use super::look::{Look, blocking};
use crate::error::Result;
use crate::finding::Finding;
use crate::name::{ident, readable};
use crate::pg::survey::{self, MissingRight};

pub(super) async fn check(look: &Look<'_>) -> Result<Vec<Finding>> {
    let backs_up = look.subject.backs_up;
    // Only a process that begins a run compares existing objects, and rows need no definitions.
    let is_read = backs_up || look.subject.programs.is_some() && !look.subject.resuming;
    if look.ends.target.is_superuser || !is_read {
        return Ok(Vec::new());
    }
    let is_missing = |right: &&MissingRight| {
        let is_table = !right.is_sequence && !right.is_member && (right.lacks_usage || right.lacks_lock);
        backs_up && (right.lacks_usage || right.lacks_select) || is_table
    };
    let missing = survey::missing_rights(look.subject.target).await?;
    let unread: Vec<String> = missing.iter().filter(is_missing).map(|right| right.name.to_string()).collect();
    let (server, me) = (&look.ends.target, ident(&look.ends.target.role));
    let why = if backs_up { "to back it up" } else { "to compare what it has already" };
    let or = if backs_up { ", or run without a backup" } else { "" };
    let mut findings = Vec::new();
    if !unread.is_empty() {
        let message =
            format!("{} may not read these, and pg_dump has to read the whole target {why}", readable(&server.role));
        let remedy = if server.version.has_read_role() {
            format!("GRANT pg_read_all_data TO {me}{or}")
        } else {
            format!("GRANT SELECT on each of them, and USAGE on its schema, to {me}{or}")
        };
        findings.push(blocking("target_dump", readable(&server.database), message, remedy).of(unread));
    }
    if backs_up {
        findings.extend(rows(look));
        findings.extend(large_objects(look).await?);
    }
    Ok(findings)
}

/// Tables whose rows `pg_dump` would not receive, which it refuses.
fn rows(look: &Look<'_>) -> Option<Finding> {
    let hidden = look.existing.iter().filter(|table| matches!(table.kind, 'r' | 'p') && table.has_row_security);
    let objects: Vec<String> = hidden.map(|table| table.name.to_string()).collect();
    let role = &look.ends.target.role;
    let message = format!("row security applies to {} in these, and pg_dump refuses to back them up", readable(role));
    let remedy = format!("ALTER ROLE {} BYPASSRLS, or run without a backup", ident(role));
    (!objects.is_empty()).then(|| blocking("target_dump", "row security", message, remedy).of(objects))
}

async fn large_objects(look: &Look<'_>) -> Result<Option<Finding>> {
    let oids = survey::unreadable_large_objects(look.subject.target).await?;
    let objects: Vec<String> = oids.iter().map(|oid| format!("large object {oid}")).collect();
    let role = &look.ends.target.role;
    let message = format!("{} may not read these, and pg_dump has to read all to back the target up", readable(role));
    let remedy = format!("GRANT SELECT ON LARGE OBJECT ... TO {}, or run without a backup", ident(role));
    Ok((!objects.is_empty()).then(|| blocking("target_dump", "large objects", message, remedy).of(objects)))
}
