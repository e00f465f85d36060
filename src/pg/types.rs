//! The types of a database's columns, and the casts that it applies on assignment.
//!
//! This module only reads and translates; `catalog::assign` decides on type compatibility.

use super::Session;
use crate::catalog::assign::{Casts, Type, Types};
use crate::error::Result;
use tokio_postgres::Row;

/// The types of all columns of tables.
pub async fn types(session: &Session) -> Result<Types> {
    let mut types = Types::new();
    session
        .each(include_str!("../sql/catalog/types.sql"), |row| drop(types.insert(row.get("name"), type_of(row))))
        .await?;
    Ok(types)
}

fn type_of(row: &Row) -> Type {
    Type {
        brackets: row.get("brackets"),
        base: row.get("base"),
        full: row.get("full"),
        modifier: row.get("modifier"),
        is_built_in: row.get("is_built_in"),
        kind: row.get::<_, String>("kind").chars().next().unwrap_or(' '),
        is_string: row.get("is_string"),
        of_extension: row.get("of_extension"),
        labels: row.get("labels"),
        fields: row.get("fields"),
    }
}

/// The casts on assignment.
pub async fn casts(session: &Session) -> Result<Casts> {
    let rows = session.query(include_str!("../sql/catalog/casts.sql"), &[]).await?;
    Ok(rows.iter().map(|row| (row.get("source"), row.get("target"))).collect())
}
