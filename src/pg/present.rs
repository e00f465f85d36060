//! What a target holds already, before anything of a run is made there.
//!
//! Only looks; what becomes of what is there, `engine::existing` decides.

use super::{Session, introspect};
use crate::catalog::{Constraint, Oid, Relation};
use crate::error::Result;
use crate::name::QualifiedName;
use std::collections::{HashMap, HashSet};

/// What was found.
#[derive(Debug, Default)]
pub struct Present {
    /// Relations by name.
    pub relations: HashMap<QualifiedName, Relation>,
    /// The tables among those asked for that hold rows.
    pub with_rows: HashSet<QualifiedName>,
    /// Constraints by table and name.
    pub constraints: HashMap<(Oid, String), Constraint>,
}

/// Looks at the relations, and at which of `tables` hold rows.
pub async fn look(target: &Session, tables: &HashSet<QualifiedName>) -> Result<Present> {
    let relations = introspect::relations(target).await?;
    let mut with_rows = HashSet::new();
    for relation in relations.iter().filter(|relation| tables.contains(&relation.name)) {
        let sql = format!("SELECT EXISTS (SELECT FROM ONLY {})", relation.name.sql());
        if target.query_one(&sql, &[]).await?.get(0) {
            with_rows.insert(relation.name.clone());
        }
    }
    let constraints = introspect::constraints(target).await?;
    Ok(Present {
        relations: relations.into_iter().map(|relation| (relation.name.clone(), relation)).collect(),
        with_rows,
        constraints: constraints.into_iter().map(|c| ((c.relation, c.name.clone()), c)).collect(),
    })
}

/// Whether the database holds anything that a person made, but for our ledger in `ledger_schema`.
pub async fn is_empty(target: &Session, ledger_schema: &str) -> Result<bool> {
    let row = target.query_one(include_str!("../sql/is_empty.sql"), &[&ledger_schema]).await?;
    Ok(row.get(0))
}
