//! The revisions of alembic at which both databases must be before anything is migrated.
//!
//! This is only the requirement; the reader makes it, and preflight checks the databases against it. A database may be at several
//! revisions, the heads of its branches (<https://alembic.sqlalchemy.org/en/latest/branches.html>).

use crate::name::QualifiedName;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

/// Which revisions are required. If neither side is named, both must be at the same.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RevisionRule {
    /// The source's revisions in order; none: any.
    pub source: Option<Vec<String>>,
    /// The target's.
    pub target: Option<Vec<String>>,
    /// Alembic's version table; none: it is searched for.
    pub table: Option<QualifiedName>,
}

impl RevisionRule {
    /// Whether both sides must be at the same revisions, whatever these are.
    #[must_use]
    pub fn is_same(&self) -> bool {
        self.source.is_none() && self.target.is_none()
    }
}

/// As it is written: the word `same`, or a mapping.
impl Serialize for RevisionRule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if *self == RevisionRule::default() {
            return serializer.serialize_str("same");
        }
        let mut map = serializer.serialize_map(None)?;
        for (side, revisions) in [("source", &self.source), ("target", &self.target)] {
            if let Some(revisions) = revisions {
                map.serialize_entry(side, revisions)?;
            }
        }
        if let Some(table) = &self.table {
            map.serialize_entry("table", &table.to_string())?;
        }
        map.end()
    }
}
