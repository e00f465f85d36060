//! Ledgers in the source: a database that was the target of a migration has one, in the schema that its run was configured with.
//!
//! A ledger describes work on its own database and has no meaning in another one, so it is not migrated: neither the tables with everything
//! that belongs to them, nor their schema if that was made for the ledger and holds nothing else. Pure; called by the parent module.

use crate::catalog::archive::Entry;
use crate::catalog::object_kind::ObjectKind;
use crate::catalog::{Catalog, Relation, RelationKind};
use crate::name::{LEDGER_TABLES, SCHEMA_COMMENT, is_ledger_table, literal, unquoted};
use std::collections::HashSet;

/// The columns that distinguish a ledger's two main tables from users' tables with the same names.
const COLUMNS: [&[&str]; 2] =
    [&["run", "plan", "source", "target", "config", "state"], &["run", "task", "phase", "kind", "object", "status"]];

/// The schemas of the source that hold a ledger's two main tables, and `own`, which the run would use for its own.
#[must_use]
pub fn schemas<'a>(catalog: &'a Catalog, own: &'a str) -> HashSet<&'a str> {
    let holds = |relation: &Relation, at: usize| {
        let has = |wanted: &&str| relation.columns.iter().any(|column| column.name == **wanted);
        relation.kind == RelationKind::Table && relation.name.name == LEDGER_TABLES[at] && COLUMNS[at].iter().all(has)
    };
    let of = |at: usize| -> HashSet<&'a str> {
        let tables = catalog.relations.iter().filter(|relation| holds(relation, at));
        tables.map(|relation| relation.name.schema.as_str()).collect()
    };
    let mut found: HashSet<&str> = of(0).intersection(&of(1)).copied().collect();
    found.insert(own);
    found
}

/// The schemas that a run has made for its ledger and that hold nothing else.
pub(super) fn kept_for_ledgers(catalog: &Catalog, ledgers: &HashSet<&str>) -> HashSet<String> {
    let is_made = |schema: &&&str| {
        catalog.entries.iter().any(|entry| {
            entry.kind == ObjectKind::Comment
                && schema_of(entry) == ***schema
                && entry.statement.contains(&literal(SCHEMA_COMMENT))
        })
    };
    let relations: HashSet<u32> =
        catalog.relations.iter().filter(|table| is_ledger_table(&table.name.name)).map(|table| table.oid).collect();
    let is_other = |entry: &&Entry| match &entry.kind {
        ObjectKind::Table => !relations.contains(&entry.oid),
        ObjectKind::Sequence => {
            let owners = catalog.sequences.iter().filter(|sequence| sequence.oid == entry.oid);
            !owners.filter_map(|sequence| sequence.owner_relation).any(|owner| relations.contains(&owner))
        }
        // Parts of tables, and rows; what belongs to another object than a ledger's table depends on the entry of that object.
        kind => !kind.is_of_ledgers(),
    };
    let schemas = ledgers.iter().filter(is_made);
    let bare =
        schemas.filter(|schema| !catalog.entries.iter().filter(|e| e.namespace == ***schema).any(|e| is_other(&e)));
    bare.map(|schema| (*schema).to_owned()).collect()
}

/// The schema that an entry makes or describes; empty for other entries.
pub(super) fn schema_of(entry: &Entry) -> String {
    match &entry.kind {
        ObjectKind::Schema => entry.tag.clone(),
        kind if kind.is_about_another() => entry.tag.strip_prefix("SCHEMA ").map(unquoted).unwrap_or_default(),
        _ => String::new(),
    }
}
