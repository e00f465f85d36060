//! Sequences, large objects, and what exists but cannot be relied on.
//!
//! Contents of large objects are digested on their servers slice by slice, many objects at a time, so that neither
//! this program nor a server holds more than a batch of slices.

use super::Readers;
use crate::error::Result;
use crate::pg::Session;
use crate::pg::apply::sequence_value;
use std::collections::BTreeMap;
use std::fmt;

/// Bytes of a large object that are digested at once.
const SLICE: i32 = 1024 * 1024;

/// Where a sequence stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SequenceValue {
    /// The last value.
    pub last: i64,
    /// Whether it was given out.
    pub is_called: bool,
    /// Whether the sequence ascends.
    pub ascends: bool,
}

impl SequenceValue {
    /// Whether it will give out its next number later than `other`.
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

/// Where a sequence stands, by a plan's query; none where there is no such sequence.
pub async fn sequence(session: &Session, sql: &str) -> Result<Option<SequenceValue>> {
    match sequence_value(session, sql).await {
        Ok((last, is_called, ascends)) => Ok(Some(SequenceValue { last, is_called, ascends })),
        Err(error) if error.is("42P01") || error.is("3F000") => Ok(None),
        Err(error) => Err(error),
    }
}

/// The owners of those large objects that exist.
pub async fn owners(session: &Session, oids: &[u32]) -> Result<BTreeMap<u32, String>> {
    let rows = session.query(include_str!("../../sql/verify/large_objects.sql"), &[&oids]).await?;
    Ok(rows.iter().map(|row| (row.get("oid"), row.get("owner"))).collect())
}

/// Those of `oids`, which exist on both sides, whose contents differ.
pub async fn differing_contents(readers: &Readers, oids: &[u32]) -> Result<Vec<u32>> {
    let mut differing = Vec::new();
    let mut open = oids.to_vec();
    let mut offset = 0_i64;
    while !open.is_empty() {
        let (source, target) =
            tokio::try_join!(digests(&readers.source, &open, offset), digests(&readers.target, &open, offset))?;
        let (same, other): (Vec<&Slice>, Vec<&Slice>) = source.iter().partition(|slice| target.contains(slice));
        differing.extend(other.iter().map(|slice| slice.oid));
        open = same.iter().filter(|slice| slice.length == SLICE).map(|slice| slice.oid).collect();
        offset += i64::from(SLICE);
    }
    Ok(differing)
}

#[derive(Debug, PartialEq, Eq)]
struct Slice {
    oid: u32,
    length: i32,
    digest: Vec<u8>,
}

async fn digests(session: &Session, oids: &[u32], offset: i64) -> Result<Vec<Slice>> {
    let sql = "SELECT oid, pg_catalog.length(slice), pg_catalog.sha256(slice) \
               FROM (SELECT oid, pg_catalog.lo_get(oid, $2, $3) AS slice \
                     FROM unnest($1::pg_catalog.oid[]) AS oid OFFSET 0) AS o";
    let rows = session.query(sql, &[&oids, &offset, &SLICE]).await?;
    Ok(rows.iter().map(|row| Slice { oid: row.get(0), length: row.get(1), digest: row.get(2) }).collect())
}

/// What kind of thing cannot be relied on.
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
    /// What kind of thing it is.
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
