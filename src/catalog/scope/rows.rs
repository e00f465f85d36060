//! What a data-only run moves: the rows of the tables that the filters choose, and the values of their sequences.
//!
//! It needs no archive: the catalog alone has the tables and the sequences that number their rows. No other object is included because it
//! is needed; the preflight reports what the target lacks. Called by `select`.

use super::model::{Scope, chooses_schema};
use super::selection::Selection;
use crate::catalog::{Oid, RelationKind, Sequence};
use crate::config::Mode;
use std::collections::HashSet;

/// Selects tables and sequences.
pub(super) fn select(selection: &Selection<'_>) -> Scope {
    let tables = selection.catalog.relations.iter().filter(|relation| {
        // A member of an extension is copied only if it is listed by name, because CREATE EXTENSION may have filled it.
        let is_offered = !relation.is_plain_member() || selection.names.listed.contains(&relation.name);
        relation.kind == RelationKind::Table
            && is_offered
            && !selection.is_of_ledger(relation)
            && selection.chooses(relation)
    });
    let mut scope = Scope { ledgers: selection.left_ledgers(), ..Scope::default() };
    let mut served: HashSet<Oid> = HashSet::new();
    for table in tables {
        scope.tables.insert(table.oid);
        served.insert(table.oid);
        served.extend(selection.lookup.ancestors(table).iter().map(|ancestor| ancestor.oid));
    }
    let chosen = selection.catalog.sequences.iter().filter(|sequence| chooses(selection, &served, sequence));
    scope.sequences = chosen.map(|sequence| sequence.oid).collect();
    scope
}

/// A sequence is included with a table whose rows it numbers, if it is listed by name, or with its schema if no table owns it.
fn chooses(selection: &Selection<'_>, served: &HashSet<Oid>, sequence: &Sequence) -> bool {
    if selection.names.excluded.contains(&sequence.name) {
        return false;
    }
    selection.names.listed.contains(&sequence.name)
        || sequence.owner_relation.iter().chain(&sequence.used_by).any(|oid| served.contains(oid))
        || sequence.owner_relation.is_none()
            && !selection.lookup.relations.get(&sequence.oid).is_some_and(|relation| relation.is_plain_member())
            && selection.options.tables.mode != Mode::Include
            && chooses_schema(selection.options, &sequence.name.schema)
}
