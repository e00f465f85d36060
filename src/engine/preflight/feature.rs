//! Features that the scope uses and the target's server was built without, and clauses of the configuration that the source refuses.

use super::activity;
use super::entry::entry_label;
use super::look::{Look, blocking, warning};
use crate::catalog::archive::Entry;
use crate::catalog::{Oid, Relation};
use crate::config::{TableFilter, TableOptions};
use crate::error::{Result, Side};
use crate::finding::Finding;
use crate::name::QualifiedName;
use crate::pg::survey::{self, FeatureUse};
use crate::pg::{Session, apply};
use std::collections::{BTreeMap, HashMap};

const NEEDED: &str = "use a target that was built with it, or leave these out";

pub(super) async fn check(look: &Look<'_>) -> Result<Vec<Finding>> {
    let entries: HashMap<(Oid, Oid), &Entry> = look
        .entries()
        .filter(|entry| entry.oid != 0 && !entry.is_part())
        .map(|entry| ((entry.catalog, entry.oid), entry))
        .collect();
    let mut uses: BTreeMap<String, Vec<(FeatureUse, String)>> = BTreeMap::new();
    for one in survey::feature_uses(look.leader()).await? {
        if let Some(entry) = entries.get(&(one.catalog, one.oid)) {
            uses.entry(one.feature.clone()).or_default().push((one, entry_label(entry)));
        }
    }
    if uses.is_empty() {
        return Ok(Vec::new());
    }
    let [has_lz4, has_icu] = survey::has_lz4_and_icu(look.subject.target).await?;
    let own = Session::open(look.subject.target.conninfo(), Side::Target, "preflight").await?;
    let has_xml = !uses.contains_key("xml") || survey::has_xml(&own).await?;
    let lacks = [("lz4", has_lz4), ("ICU", has_icu), ("xml", has_xml)];
    let mut findings = Vec::new();
    for (feature, _) in lacks.into_iter().filter(|(_, is_there)| !is_there) {
        let Some(found) = uses.get(feature) else { continue };
        let message = format!("the target's server was built without {feature}, which these need");
        findings.push(blocking("build", feature, message, NEEDED).of(labels(found)));
    }
    if let Some(functions) = uses.get("library").filter(|_| look.ends.target.is_superuser) {
        findings.extend(libraries(&own, functions).await?);
    }
    Ok(findings)
}

fn labels(found: &[(FeatureUse, String)]) -> Vec<String> {
    found.iter().map(|(_, label)| label.clone()).collect()
}

/// Libraries that the target does not have. LOAD requires a superuser; other roles cannot create such functions anyway.
async fn libraries(target: &Session, functions: &[(FeatureUse, String)]) -> Result<Vec<Finding>> {
    let mut by_library: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (one, label) in functions {
        by_library.entry(one.library.as_deref().unwrap_or_default()).or_default().push(label.clone());
    }
    let mut findings = Vec::new();
    for (library, functions) in by_library {
        if let Some(reason) = survey::refused_library(target, library).await? {
            let message = format!("the target cannot load the library {library} ({reason}), and these will fail");
            findings.push(warning("library", library, message, "install it on the target's server").of(functions));
        }
    }
    Ok(findings)
}

/// The clauses of tables that the configuration names.
pub(super) async fn clauses_of_rules(
    tables: &TableFilter,
    source: &Session,
    lock_timeout: u64,
) -> Result<Vec<Finding>> {
    let rules = tables.include.iter().map(|rule| (&rule.table, &rule.options));
    let rules = rules.filter(|(table, _)| !tables.exclude.contains(table));
    clauses(source, lock_timeout, rules.collect()).await
}

/// The clauses that apply to all other tables.
pub(super) async fn clauses_of_all(look: &Look<'_>) -> Result<Vec<Finding>> {
    let tables = &look.subject.options.plan.scope.tables;
    let is_named = |table: &&Relation| tables.include.iter().any(|rule| rule.table == table.name);
    let others = look.tables().filter(|table| !is_named(table));
    let lock_timeout = look.subject.options.connection.lock_timeout;
    clauses(look.leader(), lock_timeout, others.map(|table| (&table.name, &tables.default)).collect()).await
}

/// A table that no session can read at present is not queried: the findings about locks name it.
async fn clauses(
    source: &Session,
    lock_timeout: u64,
    tables: Vec<(&QualifiedName, &TableOptions)>,
) -> Result<Vec<Finding>> {
    let has_clause = |options: &TableOptions| options.filter.is_some() || options.order_by.is_some();
    let tables: Vec<_> = tables.into_iter().filter(|(_, options)| has_clause(options)).collect();
    if tables.is_empty() {
        return Ok(Vec::new());
    }
    // An error would end the leader's transaction, and the snapshot with it.
    let own = Session::open(source.conninfo(), Side::Source, "preflight").await?;
    apply::limit_lock_wait(&own, lock_timeout).await?;
    let closed = activity::unreadable(&own).await?;
    let mut findings = Vec::new();
    for (table, options) in tables.into_iter().filter(|(table, _)| !closed.contains(table)) {
        let mut add = |key: &str, reason: Option<String>| {
            findings.extend(reason.map(|reason| {
                let message = format!("the source refuses its {key}: {reason}");
                blocking("clause", table.to_string(), message, format!("correct {key} of {table} in the configuration"))
            }));
        };
        if let Some(condition) = &options.filter {
            add("where", survey::refused_where(&own, table, condition).await?);
        }
        if let Some(order) = &options.order_by {
            add("order_by", survey::refused_order(&own, table, order).await?);
        }
    }
    Ok(findings)
}
