//! The objects that belong to the extensions of a database, and a sum over the rows of one of their tables.
//!
//! This module only reads; `engine::members` decides what a difference between both sides means.

use super::Session;
use super::copy::{self, RowSum};
use crate::catalog::Relation;
use crate::error::Result;
use crate::name::ident_list;
use crate::row_format::RowFormat;
use std::collections::BTreeSet;

/// An object that belongs to an extension.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Member {
    /// The extension.
    pub extension: String,
    /// The kind of object, as `pg_identify_object` names it.
    pub kind: String,
    /// The object, quoted where SQL requires it.
    pub object: String,
}

/// The members of all extensions, and the versions of these.
#[derive(Debug, Default)]
pub struct Members {
    /// The members.
    pub all: BTreeSet<Member>,
    /// Each extension with its version.
    pub versions: BTreeSet<(String, String)>,
}

/// Reads them.
pub async fn read(session: &Session) -> Result<Members> {
    let mut members = Members::default();
    for row in session.query(include_str!("../sql/survey/extension_members.sql"), &[]).await? {
        let extension: String = row.get("extension");
        members.versions.insert((extension.clone(), row.get("version")));
        members.all.insert(Member { extension, kind: row.get("kind"), object: row.get("object") });
    }
    Ok(members)
}

/// Sums up the table's first `most` rows.
pub async fn rows(session: &Session, table: &Relation, most: u64) -> Result<RowSum> {
    let columns = ident_list(table.columns.iter().filter(|c| !c.is_generated).map(|column| &column.name));
    let statement = format!("COPY (SELECT {columns} FROM ONLY {} LIMIT {most}) TO STDOUT", table.name.sql());
    copy::sum(session, &RowFormat::Text.apply(&statement), RowFormat::Text).await
}

/// The value of a sequence.
pub async fn sequence(session: &Session, sequence: &Relation) -> Result<(i64, bool)> {
    let row = session.query_one(&format!("SELECT last_value, is_called FROM {}", sequence.name.sql()), &[]).await?;
    Ok((row.get(0), row.get(1)))
}
