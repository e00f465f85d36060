//! Sequences of the target whose values the run sets: in a data-only run they must exist, and in every run the connecting role must be
//! allowed to set them.
//!
//! A value that is ahead of the source's is kept, and requires no privilege except to read it. Called by `preflight`.

use super::entry::label;
use super::look::{Look, blocking, warning};
use crate::catalog::Sequence;
use crate::error::Result;
use crate::finding::Finding;
use crate::name::{QualifiedName, ident, readable};
use crate::pg::survey::ExistingTable;
use crate::pg::{apply, introspect};
use crate::plan::{Task, TaskKind};
use std::collections::{BTreeMap, HashMap};

/// A GRANT names at most this many sequences; for more it names all of their schema.
const NAMED: usize = 3;

pub(super) async fn check(look: &Look<'_>) -> Result<Vec<Finding>> {
    let there: HashMap<&QualifiedName, &ExistingTable> =
        look.existing.iter().map(|relation| (&relation.name, relation)).collect();
    let (mut missing, mut others) = (Vec::new(), Vec::new());
    let mut refused: BTreeMap<String, Vec<&Task>> = BTreeMap::new();
    for task in look.subject.plan.tasks.iter().filter(|task| task.kind == TaskKind::SequenceValue) {
        let name = QualifiedName::new(&task.schema, &task.name);
        match there.get(&name) {
            None => missing.push(name),
            Some(found) if found.kind != 'S' => others.push(name),
            Some(found) if is_refused(look, task, found).await? => {
                refused.entry(task.schema.clone()).or_default().push(task);
            }
            Some(_) => {}
        }
    }
    let mut findings: Vec<Finding> =
        refused.into_iter().map(|(schema, tasks)| refusal(look, &schema, &tasks)).collect();
    if !look.subject.options.plan.scope.data_only {
        return Ok(findings);
    }
    let remedy = "rename or drop it there, or leave the sequence out with tables.exclude";
    let other = |name: QualifiedName| {
        blocking("sequence_missing", name.to_string(), "the target's object of this name is not a sequence", remedy)
    };
    findings.extend(others.into_iter().map(other));
    if !missing.is_empty() {
        findings.extend(lacking(look, &missing).await?);
    }
    Ok(findings)
}

/// Whether the connecting role may not set the value of a sequence of the target, and must set it.
async fn is_refused(look: &Look<'_>, task: &Task, found: &ExistingTable) -> Result<bool> {
    if found.may_select && found.may_update {
        return Ok(false);
    }
    let is_this = |sequence: &&Sequence| sequence.name == found.name;
    let source = look.subject.catalog.sequences.iter().find(is_this);
    if !found.may_select || source.is_none_or(|sequence| !sequence.is_readable) {
        return Ok(true);
    }
    let wanted = apply::sequence_value(look.leader(), &task.source_sql).await?;
    Ok(!apply::is_ahead(apply::sequence_value(look.subject.target, &task.source_sql).await?, wanted))
}

/// Where nothing else is moved, rows may lack their numbers; in a whole run only the tasks fail.
fn refusal(look: &Look<'_>, schema: &str, tasks: &[&Task]) -> Finding {
    let me = &look.ends.target.role;
    let names: Vec<String> = tasks.iter().map(|task| QualifiedName::new(&task.schema, &task.name).sql()).collect();
    let (shown, role) = (ident(schema), ident(me));
    let sequences = if names.len() > NAMED {
        format!("ALL SEQUENCES IN SCHEMA {shown}")
    } else {
        format!("SEQUENCE {}", names.join(", "))
    };
    let remedy = format!("GRANT USAGE ON SCHEMA {shown} TO {role}; GRANT SELECT, UPDATE ON {sequences} TO {role}");
    let message = format!("{} may not set the values of these sequences on the target", readable(me));
    let object = format!("schema {}", readable(schema));
    let finding = if look.subject.options.plan.scope.data_only {
        blocking("target_right", object, message, remedy)
    } else {
        warning("target_right", object, message, remedy)
    };
    finding.of(tasks.iter().map(|task| label(task)).collect())
}

/// Sequences that the target does not have, with the one that its table has in their place, if there is one.
async fn lacking(look: &Look<'_>, missing: &[QualifiedName]) -> Result<Vec<Finding>> {
    let on_target = introspect::sequences(look.subject.target).await?;
    let tables = introspect::relations(look.subject.target).await?;
    let names: HashMap<u32, &QualifiedName> = tables.iter().map(|table| (table.oid, &table.name)).collect();
    let owner = |name: &QualifiedName| {
        let sequence = look.subject.catalog.sequences.iter().find(|sequence| sequence.name == *name)?;
        let owner = sequence.owner_relation?;
        look.subject.catalog.relations.iter().find(|relation| relation.oid == owner).map(|relation| &relation.name)
    };
    let findings = missing.iter().map(|name| {
        let owner = owner(name);
        let of_owner = |sequence: &&Sequence| {
            owner.is_some() && sequence.owner_relation.and_then(|oid| names.get(&oid).copied()) == owner
        };
        let mut others = on_target.iter().filter(of_owner);
        let remedy = match (others.next(), others.next()) {
            (Some(other), None) => format!(
                "ALTER SEQUENCE {} RENAME TO {} there, or leave it out with tables.exclude and set the target's by hand",
                other.name.sql(),
                ident(&name.name)
            ),
            _ => "create it there, or leave it out with tables.exclude".to_owned(),
        };
        blocking("sequence_missing", name.to_string(), "the target has no sequence of this name", remedy)
    });
    Ok(findings.collect())
}
