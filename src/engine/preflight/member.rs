//! Objects that the plan creates and whose names belong to objects of extensions on the target.
//!
//! An archive of the target does not list what extensions have created there, so such an object is not kept: creating it fails.

use super::entry::entry_label;
use super::look::{Look, warning};
use crate::catalog::Oid;
use crate::catalog::archive::Entry;
use crate::catalog::object_kind::ObjectKind;
use crate::error::Result;
use crate::finding::Finding;
use crate::name::{ident, readable};
use crate::pg::{members, survey};
use std::collections::{BTreeMap, BTreeSet, HashMap};

pub(super) async fn check(look: &Look<'_>) -> Result<Vec<Finding>> {
    let mut taken: HashMap<(String, String), String> = HashMap::new();
    for member in members::read(look.subject.target).await?.all {
        for class in classes(&member.kind) {
            taken.insert((class.to_owned(), member.object.clone()), member.extension.clone());
        }
    }
    let is_made = |entry: &&Entry| entry.oid != 0 && !entry.is_part() && entry.kind != ObjectKind::Extension;
    // Such a statement replaces an existing object.
    let is_replaced = |entry: &&Entry| entry.statement.trim_start().starts_with("CREATE OR REPLACE ");
    let entries: HashMap<(Oid, Oid), &Entry> = look
        .entries()
        .filter(is_made)
        .filter(|entry| !is_replaced(entry))
        .map(|entry| ((entry.catalog, entry.oid), entry))
        .collect();
    if taken.is_empty() || entries.is_empty() {
        return Ok(Vec::new());
    }
    let addresses: Vec<(Oid, Oid)> = entries.keys().copied().collect();
    let mut refused: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for object in survey::made(look.leader(), &addresses).await? {
        let Some(entry) = entries.get(&(object.catalog, object.oid)) else { continue };
        let extension =
            classes(&object.kind).into_iter().find_map(|class| taken.get(&(class.to_owned(), object.identity.clone())));
        if let Some(extension) = extension {
            refused.entry(extension).or_default().insert(entry_label(entry));
        }
    }
    let findings = refused.into_iter().map(|(extension, objects)| {
        let message = format!(
            "the extension {} on the target has objects of these names, and creating these will fail",
            readable(extension)
        );
        let remedy = format!(
            "on the target: DROP EXTENSION {0}, or ALTER EXTENSION {0} SET SCHEMA to another one; or leave the objects out",
            ident(extension)
        );
        warning("extension_member", readable(extension), message, remedy).of(objects.into_iter().collect())
    });
    Ok(findings.collect())
}

/// The sets of names in which an object of a kind has its name: those of `pg_class`, `pg_type` and `pg_proc` are common to several kinds.
fn classes(kind: &str) -> Vec<&str> {
    match kind {
        "table" | "view" | "materialized view" | "foreign table" | "composite type" => vec!["relation", "type"],
        "sequence" | "index" => vec!["relation"],
        "function" | "procedure" | "aggregate" => vec!["routine"],
        other => vec![other],
    }
}
