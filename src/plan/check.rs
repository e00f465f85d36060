//! Checks the configuration against the source. Names that match nothing are errors, and all of them are reported at once.
//!
//! Called by the engine between reading the catalog and building the plan.

use super::columns;
use crate::catalog::{Catalog, RelationKind};
use crate::config::{OnConflict, ScopeOptions, TableRule};
use std::collections::HashSet;

/// The names in `options` that match nothing in `catalog`, each with the path of its key.
#[must_use]
pub fn check(catalog: &Catalog, schemas: &[String], options: &ScopeOptions) -> Vec<String> {
    let mut problems = Vec::new();
    let existing: HashSet<&str> = schemas.iter().map(String::as_str).collect();
    for (list, names) in [("include", &options.schemas.include), ("exclude", &options.schemas.exclude)] {
        for (at, name) in names.iter().enumerate().filter(|(_, name)| !existing.contains(name.as_str())) {
            problems.push(format!("schemas.{list}[{at}]: the source has no schema {name:?}"));
        }
    }
    problems.extend(check_default(catalog, options));
    problems.extend(columns::unknown(catalog, &options.tables));
    for (at, rule) in options.tables.include.iter().enumerate() {
        check_rule(catalog, options, rule, &format!("tables.include[{at}]"), &mut problems);
    }
    for (at, name) in options.tables.exclude.iter().enumerate() {
        if !catalog.relations.iter().any(|relation| relation.name == *name) {
            problems.push(format!("tables.exclude[{at}]: the source has no table {name}"));
        }
    }
    problems
}

/// The default chunk column applies to the tables that have it; one that no table has is an error.
fn check_default(catalog: &Catalog, options: &ScopeOptions) -> Option<String> {
    let column = options.tables.default.chunk_column.as_ref()?;
    let mut all = catalog.relations.iter().flat_map(|relation| &relation.columns);
    let is_known = all.any(|c| c.name == *column && c.is_integer);
    (!is_known).then(|| format!("tables.default.chunk_column: no table of the source has an integer column {column:?}"))
}

fn check_rule(catalog: &Catalog, options: &ScopeOptions, rule: &TableRule, path: &str, problems: &mut Vec<String>) {
    let Some(relation) = catalog.relations.iter().find(|relation| relation.name == rule.table) else {
        problems.push(format!("{path}: the source has no table {}", rule.table));
        return;
    };
    if let Some(column) =
        rule.options.chunk_column.as_ref().filter(|_| rule.options.chunk_column != options.tables.default.chunk_column)
    {
        match relation.columns.iter().find(|c| c.name == *column) {
            None => problems.push(format!("{path}.chunk_column: {} has no column {column:?}", rule.table)),
            Some(c) if !c.is_integer => problems.push(format!(
                "{path}.chunk_column: {column:?} of {} is {}, expected smallint, integer or bigint",
                rule.table, c.type_name
            )),
            Some(_) => {}
        }
    }
    let has_key = || catalog.indexes.iter().any(|index| index.relation == relation.oid && index.is_arbiter);
    if rule.options.on_conflict == OnConflict::Update && relation.kind == RelationKind::Table && !has_key() {
        problems.push(format!(
            "{path}.on_conflict: update needs a unique key that is not deferrable, {} has none",
            rule.table
        ));
    }
}
