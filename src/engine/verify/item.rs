//! One thing to compare. Made by `pairs` and `objects`, compared by `pool`.

use super::pair::Pair;
use crate::catalog::Oid;
use crate::name::QualifiedName;
use crate::verification::Verification;

/// One thing to compare.
#[derive(Debug)]
pub enum Item {
    /// A table's rows.
    Table(Box<Pair>),
    /// Some sequences.
    Sequences(Vec<SequencePair>),
    /// A batch of large objects.
    LargeObjects(LargeObjects),
    /// A materialized view's rows.
    View(QualifiedName),
    /// A table whose rows need not be read.
    Settled(Box<Verification>),
}

/// A sequence on both sides.
#[derive(Debug, Clone)]
pub struct SequencePair {
    /// The sequence.
    pub object: String,
    /// The query that reads it.
    pub sql: String,
    /// Whether it existed before, so that its value could only go forward.
    pub may_be_ahead: bool,
}

/// A batch of large objects.
#[derive(Debug, Clone)]
pub struct LargeObjects {
    /// Its name for a reader.
    pub name: String,
    /// Their OIDs.
    pub oids: Vec<Oid>,
    /// Whether their owners are compared.
    pub with_owners: bool,
    /// Whether their privileges are compared.
    pub with_privileges: bool,
}
