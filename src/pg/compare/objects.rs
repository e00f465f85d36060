//! Sequences, large objects, and objects that exist but cannot be relied on.
//!
//! Contents of large objects are compared by `large_object`.

use super::Readers;
use crate::error::Result;
use crate::pg::Session;
use crate::pg::apply::sequence_value;
use crate::pg::copy::large_object;
use crate::pg::copy::{self, RowSum};
use crate::row_format::RowFormat;
use std::collections::BTreeMap;
use std::fmt;

/// The state of a sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SequenceValue {
    /// The last value.
    pub last: i64,
    /// Whether it was used.
    pub is_called: bool,
    /// Whether the sequence ascends.
    pub ascends: bool,
}

impl SequenceValue {
    /// Whether it reaches its next number later than `other`.
    #[must_use]
    pub fn is_ahead_of(&self, other: &SequenceValue) -> bool {
        let further = if self.ascends { self.last > other.last } else { self.last < other.last };
        further || self.last == other.last && self.is_called && !other.is_called
    }
}

impl fmt::Display for SequenceValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.last, if self.is_called { "" } else { " (not given out yet)" })
    }
}

/// The state of a sequence, by a plan's query; none if there is no such sequence.
pub async fn sequence(session: &Session, sql: &str) -> Result<Option<SequenceValue>> {
    match sequence_value(session, sql).await {
        Ok((last, is_called, ascends)) => Ok(Some(SequenceValue { last, is_called, ascends })),
        Err(error) if error.is("42P01") || error.is("3F000") => Ok(None),
        Err(error) => Err(error),
    }
}

/// The properties of a large object except its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LargeObjectFacts {
    /// Its owner.
    pub owner: String,
    /// Its comment.
    pub comment: Option<String>,
    /// Its privileges, one a text.
    pub privileges: Vec<String>,
}

/// The properties of those large objects that exist.
pub async fn large_objects(session: &Session, oids: &[u32]) -> Result<BTreeMap<u32, LargeObjectFacts>> {
    let rows = session.query(include_str!("../../sql/verify/large_objects.sql"), &[&oids]).await?;
    let read = |row: &tokio_postgres::Row| LargeObjectFacts {
        owner: row.get("owner"),
        comment: row.get("comment"),
        privileges: row.get("privileges"),
    };
    Ok(rows.iter().map(|row| (row.get("oid"), read(row))).collect())
}

/// The versions of the extensions.
pub async fn extension_versions(session: &Session) -> Result<BTreeMap<String, String>> {
    let rows = session.query("SELECT extname::text, extversion FROM pg_catalog.pg_extension", &[]).await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// A foreign key that is not enforced although it counts as valid, because the triggers that enforce it are disabled.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SilencedKey {
    /// The schema of the table whose triggers are disabled.
    pub schema: String,
    /// That table.
    pub table: String,
    /// The constraint.
    pub constraint: String,
}

/// The foreign keys of the database that some disabled trigger does not enforce.
pub async fn silenced_keys(session: &Session) -> Result<Vec<SilencedKey>> {
    let rows = session.query(include_str!("../../sql/verify/silenced_keys.sql"), &[]).await?;
    let read = |row: &tokio_postgres::Row| SilencedKey {
        schema: row.get("schema"),
        table: row.get("table"),
        constraint: row.get("constraint"),
    };
    Ok(rows.iter().map(read).collect())
}

/// The bytes of a materialized view's rows, as a sum that does not depend on their order.
pub async fn view_rows(session: &Session, view: &str) -> Result<RowSum> {
    let sql = format!("COPY (SELECT * FROM {view}) TO STDOUT");
    copy::sum(session, &RowFormat::Text.apply(&sql), RowFormat::Text).await
}

/// Those of `oids`, which exist on both sides, whose contents differ.
pub async fn differing_contents(readers: &Readers, oids: &[u32]) -> Result<Vec<u32>> {
    large_object::differing(&readers.source, &readers.target, oids).await
}

/// The kind of something that cannot be relied on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UnusableKind {
    /// An index that queries do not use.
    Index,
    /// A constraint whose rows were not checked.
    Constraint,
    /// A materialized view that was never filled.
    View,
}

/// Something that exists and cannot be relied on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Unusable {
    /// Its kind.
    pub kind: UnusableKind,
    /// Its schema.
    pub schema: String,
    /// Its table, or the view itself.
    pub relation: String,
    /// Its own name.
    pub name: String,
}

/// Everything in the database that cannot be relied on.
pub async fn unusable(session: &Session) -> Result<Vec<Unusable>> {
    let rows = session.query(include_str!("../../sql/verify/unusable.sql"), &[]).await?;
    let kind = |word: &str| match word {
        "index" => UnusableKind::Index,
        "constraint" => UnusableKind::Constraint,
        _ => UnusableKind::View,
    };
    let read = |row: &tokio_postgres::Row| Unusable {
        kind: kind(row.get("kind")),
        schema: row.get("schema"),
        relation: row.get("relation"),
        name: row.get("name"),
    };
    Ok(rows.iter().map(read).collect())
}
