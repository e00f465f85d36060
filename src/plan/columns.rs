//! The columns that the configuration leaves out: marked in the catalog, before any decision uses it.
//!
//! Pure; called by the engine wherever it has read the source's catalog.

use super::Rules;
use crate::catalog::{Catalog, Oid, Relation};
use crate::config::TableFilter;
use std::collections::HashMap;

/// Marks the columns of `tables.*.exclude_columns`.
pub fn exclude(relations: &mut [Relation], tables: &TableFilter) {
    let rules = Rules::new(tables);
    let by_oid: HashMap<Oid, &Relation> = relations.iter().map(|relation| (relation.oid, relation)).collect();
    let above = |relation: &Relation| relation.partition_of.and_then(|oid| by_oid.get(&oid).copied());
    let excluded = |relation: &Relation| -> Vec<usize> {
        let ancestors: Vec<&Relation> = std::iter::successors(above(relation), |parent| above(parent)).collect();
        let names = &rules.of(relation, &ancestors).exclude_columns;
        let columns = relation.columns.iter().enumerate();
        columns.filter(|(_, column)| names.iter().any(|name| column.name == *name)).map(|(at, _)| at).collect()
    };
    let marks: Vec<Vec<usize>> = relations.iter().map(excluded).collect();
    for (relation, marks) in relations.iter_mut().zip(marks) {
        for at in marks {
            relation.columns[at].is_excluded = true;
        }
    }
}

/// The columns that `tables.include` excludes and no table has, each with the path of its key.
pub(super) fn unknown(catalog: &Catalog, tables: &TableFilter) -> Vec<String> {
    let mut problems = Vec::new();
    for (at, rule) in tables.include.iter().enumerate() {
        let Some(relation) = catalog.relations.iter().find(|relation| relation.name == rule.table) else { continue };
        let own = rule.options.exclude_columns.iter().filter(|name| !tables.default.exclude_columns.contains(name));
        for name in own.filter(|name| !relation.columns.iter().any(|column| column.name == **name)) {
            problems.push(format!("tables.include[{at}].exclude_columns: {} has no column {name:?}", rule.table));
        }
    }
    let all = || catalog.relations.iter().flat_map(|relation| &relation.columns);
    for name in &tables.default.exclude_columns {
        if !all().any(|column| column.name == *name) {
            problems.push(format!("tables.default.exclude_columns: no table of the source has a column {name:?}"));
        }
    }
    problems
}
