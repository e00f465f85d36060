//! What is moved and the target's major version lacks or no longer accepts.
//!
//! An older target fails on statements that it does not know; each is found here by the catalogs of both, never by reading SQL text.

use super::entry::entry_task;
use super::look::{Look, info, warning};
use crate::catalog::Oid;
use crate::catalog::archive::Entry;
use crate::catalog::object_kind::ObjectKind;
use crate::error::Result;
use crate::finding::Finding;
use crate::name::readable;
use crate::pg::survey::{self, BuiltIn, NewerFeature};
use crate::plan::TaskKind;
use crate::server_version::PUBLICATIONS_OF_SCHEMAS;
use std::collections::{BTreeMap, BTreeSet, HashMap};

pub(super) async fn check(look: &Look<'_>) -> Result<Vec<Finding>> {
    let mut findings = missing(look).await?;
    findings.extend(names_with_line_breaks(look));
    findings.extend(inet_indexes(look).await?);
    Ok(findings)
}

/// Objects by what the target lacks for them; first the major version that introduced it.
type Lacking = BTreeMap<(u32, String), BTreeSet<String>>;

/// Features that are newer than the target's version.
async fn missing(look: &Look<'_>) -> Result<Vec<Finding>> {
    let target = look.ends.target.version.major();
    if look.subject.options.plan.scope.data_only || look.ends.source.version.major() <= target {
        return Ok(Vec::new());
    }
    let mut moved: HashMap<(Oid, Oid), &Entry> = HashMap::new();
    for entry in look.entries().filter(|entry| entry.oid != 0) {
        // What completes an object follows it.
        moved.entry((entry.catalog, entry.oid)).or_insert(entry);
    }
    // The archive's name of the kind is sufficient.
    let is_lacking = !look.ends.target.version.has_publications_of_schemas();
    let of_schemas = look.entries().filter(|entry| is_lacking && entry.kind == ObjectKind::PublicationTablesInSchema);
    let of_schemas: BTreeSet<String> = of_schemas.map(|entry| entry_task(entry).object()).collect();
    let expressions = survey::newer_expressions(look.leader()).await?;
    let mut lacking = Lacking::new();
    for found in survey::newer_features(look.leader()).await?.iter().chain(&expressions.features) {
        if let Some(object) = object(&moved, found).filter(|_| found.since > target) {
            lacking.entry((found.since, found.feature.clone())).or_default().insert(object);
        }
    }
    if !of_schemas.is_empty() {
        lacking.insert((PUBLICATIONS_OF_SCHEMAS, "publications FOR TABLES IN SCHEMA".into()), of_schemas);
    }
    let finding = |((since, feature), objects): ((u32, String), BTreeSet<String>)| {
        let message = format!(
            "the target is PostgreSQL {target}, and {feature} requires {since}: these fail, and so does what depends on them"
        );
        let remedy = "use a target of the source's major version, or leave these out of the scope";
        warning("target_lacks", feature, message, remedy).of(objects.into_iter().collect())
    };
    let mut findings: Vec<Finding> = lacking.into_iter().map(finding).collect();
    findings.extend(functions(look, &moved, &expressions.calls).await?);
    findings.extend(maintain(look, &moved).await?);
    Ok(findings)
}

/// Privileges that the target's version does not have. Their statements are run without them.
async fn maintain(look: &Look<'_>, moved: &HashMap<(Oid, Oid), &Entry>) -> Result<Option<Finding>> {
    if !look.subject.options.plan.scope.privileges || look.ends.target.version.has_maintain_privilege() {
        return Ok(None);
    }
    let granted = survey::maintain_grants(look.leader()).await?;
    let objects: BTreeSet<String> =
        granted.iter().filter_map(|of| moved.get(of)).map(|entry| entry_task(entry).object()).collect();
    let message = format!(
        "the target is PostgreSQL {}, which has no privilege MAINTAIN: it is left out of the privileges on these",
        look.ends.target.version
    );
    let remedy = "grant it once the target is of version 17 or later";
    let found = warning("lost_privileges", "MAINTAIN", message, remedy).of(objects.iter().cloned().collect());
    Ok((!objects.is_empty()).then_some(found))
}

/// Built-in functions that are called and that the target does not have.
async fn functions(
    look: &Look<'_>,
    moved: &HashMap<(Oid, Oid), &Entry>,
    calls: &[(NewerFeature, BuiltIn)],
) -> Result<Vec<Finding>> {
    let mut callers: BTreeMap<&BuiltIn, BTreeSet<String>> = BTreeMap::new();
    for (found, function) in calls {
        if let Some(object) = object(moved, found) {
            callers.entry(function).or_default().insert(object);
        }
    }
    let called: Vec<&BuiltIn> = callers.keys().copied().collect();
    let lacking = survey::lacking_functions(look.subject.target, &called).await?;
    let findings = lacking.into_iter().map(|function| {
        let feature = format!("{}({})", function.name, function.arguments);
        let message = format!(
            "the target is PostgreSQL {} and has no built-in function {feature}: these fail, with what depends on them",
            look.ends.target.version
        );
        let remedy = "use a target of the source's major version, or leave these out of the scope";
        let objects = callers.remove(&function).unwrap_or_default();
        warning("target_lacks", feature, message, remedy).of(objects.into_iter().collect())
    });
    Ok(findings.collect())
}

/// The name of the object that uses a feature, or of the one that it is part of; none where neither is moved.
fn object(moved: &HashMap<(Oid, Oid), &Entry>, found: &NewerFeature) -> Option<String> {
    let entry = moved.get(&(found.catalog, found.oid)).or_else(|| moved.get(&found.whole?))?;
    Some(found.object.clone().unwrap_or_else(|| entry_task(entry).object()))
}

fn names_with_line_breaks(look: &Look<'_>) -> Option<Finding> {
    if look.ends.target.version.allows_line_breaks_in_global_names() {
        return None;
    }
    let tasks = look.subject.plan.tasks.iter().filter(|task| task.kind == TaskKind::Role);
    let refused = tasks.filter(|task| task.name.contains(['\r', '\n'])).map(|task| readable(&task.name));
    let mut refused: Vec<String> = refused.collect();
    refused.sort();
    refused.dedup();
    (!refused.is_empty()).then(|| {
        let message = "PostgreSQL 19 and later refuse line breaks in names of roles: these roles fail";
        let remedy = "ALTER ROLE ... RENAME TO ... on the source, or leave their objects out of the scope";
        warning("role_name", "", message, remedy).of(refused)
    })
}

/// The statements name no operator class, so the target's default is used.
async fn inet_indexes(look: &Look<'_>) -> Result<Option<Finding>> {
    if look.subject.options.plan.scope.data_only || !look.ends.target.version.has_default_gist_inet_ops() {
        return Ok(None);
    }
    let found = survey::inet_indexes(look.leader()).await?;
    let moved = found.into_iter().filter(|(relation, _)| look.scope.tables.contains(relation));
    let indexes: Vec<String> = moved.map(|(_, object)| object).collect();
    Ok((!indexes.is_empty()).then(|| {
        let message = "its version 1.9, that of the target, has no operator classes for inet and cidr: inet_ops takes their place";
        info("operator_class", "btree_gist", message).of(indexes)
    }))
}
