//! Alembic's version tables, and the revisions in them.
//!
//! This module only reads and translates; `super` names its callers.

use super::{name, read};
use crate::error::Result;
use crate::name::QualifiedName;
use crate::pg::Session;

/// A table with alembic's column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionTable {
    /// Its name.
    pub name: QualifiedName,
    /// Whether it has no other column.
    pub is_only_column: bool,
    /// SELECT, USAGE of the schema included.
    pub may_select: bool,
}

/// The tables in which alembic may keep its revision.
pub async fn version_tables(session: &Session) -> Result<Vec<VersionTable>> {
    let sql = include_str!("../../sql/survey/version_tables.sql");
    read(session, sql, |row| VersionTable {
        name: name(row),
        is_only_column: row.get("is_only_column"),
        may_select: row.get("may_select"),
    })
    .await
}

/// The revisions in a version table, in order: one, none before the first upgrade, several if branches are open.
pub async fn revisions(session: &Session, table: &QualifiedName) -> Result<Vec<String>> {
    let sql = format!("SELECT version_num::text FROM {} ORDER BY version_num::text COLLATE \"C\"", table.sql());
    read(session, &sql, |row| row.get(0)).await
}
