//! Objects that a target has before a run makes any.
//!
//! This module only reads; `engine::existing` decides what happens to existing objects.

use super::{Session, introspect, unqualified};
use crate::catalog::{Constraint, Oid, Relation, RelationKind};
use crate::error::Result;
use crate::name::QualifiedName;
use std::collections::{HashMap, HashSet};

/// What was found.
#[derive(Debug, Default)]
pub struct Present {
    /// Relations by name.
    pub relations: HashMap<QualifiedName, Relation>,
    /// Those of the given tables that hold rows.
    pub with_rows: HashSet<QualifiedName>,
    /// Tables with triggers of their owners that fire when a row is inserted.
    pub with_triggers: HashSet<QualifiedName>,
    /// Constraints by table and name.
    pub constraints: HashMap<(Oid, String), Constraint>,
    /// Subscriptions, which an archive names to superusers only.
    pub subscriptions: HashSet<String>,
}

/// Reads the relations, and which of `tables` hold rows. Functions of their indexes may need `source_path`.
#[expect(clippy::implicit_hasher, reason = "only the engine passes its own set")]
pub async fn look(target: &Session, tables: &HashSet<QualifiedName>, source_path: &str) -> Result<Present> {
    let relations = introspect::relations(target).await?;
    let mut with_rows = HashSet::new();
    for relation in relations.iter().filter(|relation| tables.contains(&relation.name)) {
        // A partitioned table has its rows in its partitions.
        let only = if relation.kind == RelationKind::Partitioned { "" } else { "ONLY " };
        let sql = format!("SELECT EXISTS (SELECT FROM {only}{})", relation.name.sql());
        if unqualified::query_one(target, &sql, &[], source_path).await?.get(0) {
            with_rows.insert(relation.name.clone());
        }
    }
    let sql = "SELECT DISTINCT n.nspname::text, c.relname::text FROM pg_catalog.pg_trigger t \
               JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
               WHERE (NOT t.tgisinternal OR t.tgparentid <> 0 AND t.tgconstraint = 0) AND t.tgenabled IN ('O', 'A') AND t.tgtype & 4 <> 0";
    let triggers = target.query(sql, &[]).await?;
    let with_triggers =
        triggers.iter().map(|row| QualifiedName::new(row.get::<_, String>(0), row.get::<_, String>(1))).collect();
    let constraints = introspect::constraints(target).await?;
    let sql = "SELECT s.subname::text FROM pg_catalog.pg_subscription s JOIN pg_catalog.pg_database d ON d.oid = s.subdbid \
               WHERE d.datname = pg_catalog.current_database()";
    let subscriptions = target.query(sql, &[]).await?;
    Ok(Present {
        relations: relations.into_iter().map(|relation| (relation.name.clone(), relation)).collect(),
        with_rows,
        with_triggers,
        constraints: constraints.into_iter().map(|c| ((c.relation, c.name.clone()), c)).collect(),
        subscriptions: subscriptions.iter().map(|row| row.get(0)).collect(),
    })
}

/// Whether the database holds any object of a user, except pgmigrate's ledger in `ledger_schema`.
pub async fn is_empty(target: &Session, ledger_schema: &str) -> Result<bool> {
    let row = target.query_one(include_str!("../sql/is_empty.sql"), &[&ledger_schema]).await?;
    Ok(row.get(0))
}
