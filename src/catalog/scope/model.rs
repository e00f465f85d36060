//! What a migration moves and what it leaves out, as values, and the evaluation of the filters for a name.

use crate::catalog::Oid;
use crate::config::{Mode, ScopeOptions};
use crate::name::QualifiedName;
use std::collections::HashSet;

/// Something that will not exist on the target, and why.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Absent {
    /// The archive's word for the kind of object, in lower case.
    pub kind: String,
    /// The object.
    pub object: String,
    /// Why it will not exist.
    pub reason: String,
}

/// What a migration moves.
#[derive(Debug, Default)]
pub struct Scope {
    /// The entries to make, by the archive's number.
    pub entries: HashSet<i32>,
    /// The tables whose rows are moved.
    pub tables: HashSet<Oid>,
    /// The sequences whose values are moved without their entries.
    pub sequences: HashSet<Oid>,
    /// Objects that are left out although a reader could expect them.
    pub absent: Vec<Absent>,
    /// Objects outside the filters that chosen ones need.
    pub pulled: Vec<String>,
    /// Schemas with a ledger of earlier runs into the source, which is not migrated.
    pub ledgers: Vec<String>,
}

/// Whether neither schemas nor tables are filtered, so that objects of the whole database are included.
#[must_use]
pub fn is_whole(options: &ScopeOptions) -> bool {
    options.schemas.mode == Mode::All
        && options.schemas.exclude.is_empty()
        && options.tables.mode == Mode::All
        && options.tables.exclude.is_empty()
}

/// Whether the filters choose objects of `schema`.
#[must_use]
pub fn chooses_schema(options: &ScopeOptions, schema: &str) -> bool {
    let named = |names: &[String]| names.iter().any(|name| name == schema);
    match options.schemas.mode {
        Mode::Include => named(&options.schemas.include) && !named(&options.schemas.exclude),
        Mode::All | Mode::Exclude => !named(&options.schemas.exclude),
    }
}

/// The names of relations that the configuration lists.
pub struct Names<'a> {
    options: &'a ScopeOptions,
    pub(super) listed: HashSet<&'a QualifiedName>,
    pub(super) excluded: HashSet<&'a QualifiedName>,
}

impl<'a> Names<'a> {
    /// The names in `options`.
    #[must_use]
    pub fn new(options: &'a ScopeOptions) -> Self {
        Names {
            options,
            listed: options.tables.include.iter().map(|rule| &rule.table).collect(),
            excluded: options.tables.exclude.iter().collect(),
        }
    }

    /// Whether the filters choose a relation: `line` is its name and those of the partitioned tables above it.
    #[must_use]
    pub fn choose(&self, line: &[&QualifiedName]) -> bool {
        if line.iter().any(|name| self.excluded.contains(name)) {
            return false;
        }
        match self.options.tables.mode {
            Mode::Include => line.iter().any(|name| self.listed.contains(name)),
            Mode::All | Mode::Exclude => line.first().is_some_and(|name| chooses_schema(self.options, &name.schema)),
        }
    }
}
