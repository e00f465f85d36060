//! Comments that the target will refuse the connecting role, because it does not own the commented objects.
//!
//! A comment that the target has on the same object is kept, whatever its text, and is not refused. Called by `refused_objects`; `label`
//! uses this module for the owners of labelled objects.

use super::entry::{entry_label, entry_task};
use super::look::warning;
use super::rights::{self, Rights};
use crate::catalog::archive::Entry;
use crate::catalog::object_kind::ObjectKind;
use crate::error::Result;
use crate::finding::Finding;
use crate::name::{readable, unquoted};
use crate::pg::survey::{self, Identified};
use crate::plan::build::privilege;
use crate::plan::build::privilege::Place;
use std::collections::{HashMap, HashSet};

pub(super) async fn check(rights: &Rights<'_>) -> Result<Option<Finding>> {
    let look = rights.look;
    let entries: HashMap<i32, &Entry> = look.entries().map(|entry| (entry.id, entry)).collect();
    let foreign = foreign_extensions(rights).await?;
    let is_others = |entry: &&Entry| match entry.tag.strip_prefix("EXTENSION ") {
        Some(extension) => foreign.contains(&unquoted(extension)),
        None => match identified(rights, &entries, entry) {
            Some(object) => !object.may_comment && !object.has_comment,
            None => place(&entries, entry).is_some_and(|place| is_of_other(rights, &place)),
        },
    };
    let others: Vec<&Entry> =
        look.entries().filter(|entry| entry.kind == ObjectKind::Comment).filter(is_others).collect();
    if others.is_empty() {
        return Ok(None);
    }
    let there: HashSet<(String, String)> = survey::commented(look.subject.target).await?;
    let is_missing = |entry: &&&Entry| !there.contains(&(entry.namespace.to_string(), entry.tag.clone()));
    let objects: Vec<String> = others.iter().filter(is_missing).map(|entry| entry_label(entry)).collect();
    let message = format!("{} does not own these objects and cannot comment on them", readable(&look.ends.target.role));
    let remedy = "as their owner, run COMMENT ON on the target";
    Ok((!objects.is_empty()).then(|| warning("comment_refused", "comments", message, remedy).of(objects)))
}

/// The extensions that are on the target and belong to a role that the connecting role does not act for.
async fn foreign_extensions(rights: &Rights<'_>) -> Result<HashSet<String>> {
    if !rights.look.entries().any(|entry| entry.kind == ObjectKind::Comment && entry.tag.starts_with("EXTENSION ")) {
        return Ok(HashSet::new());
    }
    let all = survey::extensions(rights.look.subject.target).await?;
    Ok(all.into_iter().filter(|extension| !extension.is_owner).map(|extension| extension.name).collect())
}

pub(super) fn is_of_other(rights: &Rights<'_>, place: &Place) -> bool {
    rights.owner(place).is_some_and(|owner| !rights.acts_for(owner))
}

/// The object of a comment, where the target has it and only its identity names it.
fn identified<'a>(rights: &'a Rights<'_>, entries: &HashMap<i32, &Entry>, comment: &Entry) -> Option<&'a Identified> {
    let objects = comment.dependencies.iter().filter_map(|id| entries.get(id));
    objects.filter(|object| comment.tag.starts_with(object.kind.as_str())).find_map(|object| rights.identified(object))
}

/// The object whose owner may set a comment or a security label: the commented object itself, or its table.
pub(super) fn place(entries: &HashMap<i32, &Entry>, comment: &Entry) -> Option<Place> {
    if let Some(schema) = comment.tag.strip_prefix("SCHEMA ") {
        return Some(rights::schema(unquoted(schema)));
    }
    let about = |entry: &Entry| privilege::place(&entry_task(entry));
    let object = comment.dependencies.iter().find_map(|id| entries.get(id))?;
    about(object).or_else(|| {
        // The name of a part follows that of its table, except for an index. A foreign key depends on two tables.
        let is_of = |owner: &&&Entry| {
            object.kind == ObjectKind::Index
                || object.tag.strip_prefix(&owner.tag).is_some_and(|rest| rest.starts_with(' '))
        };
        object.dependencies.iter().filter_map(|id| entries.get(id)).filter(is_of).find_map(|entry| about(entry))
    })
}
