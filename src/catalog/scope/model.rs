//! What a migration moves and what it leaves out, as values, and the evaluation of the filters for a name.

use crate::catalog::Oid;
use crate::config::{Config, Mode};
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
pub fn is_whole(config: &Config) -> bool {
    config.scope.schemas.mode == Mode::All
        && config.scope.schemas.exclude.is_empty()
        && config.scope.tables.mode == Mode::All
        && config.scope.tables.exclude.is_empty()
}

/// Whether the filters choose objects of `schema`.
#[must_use]
pub fn chooses_schema(config: &Config, schema: &str) -> bool {
    let named = |names: &[String]| names.iter().any(|name| name == schema);
    match config.scope.schemas.mode {
        Mode::Include => named(&config.scope.schemas.include) && !named(&config.scope.schemas.exclude),
        Mode::All | Mode::Exclude => !named(&config.scope.schemas.exclude),
    }
}

/// The names of relations that the configuration lists.
pub struct Names<'a> {
    config: &'a Config,
    pub(super) listed: HashSet<&'a QualifiedName>,
    pub(super) excluded: HashSet<&'a QualifiedName>,
}

impl<'a> Names<'a> {
    /// The names in `config`.
    #[must_use]
    pub fn new(config: &'a Config) -> Self {
        Names {
            config,
            listed: config.scope.tables.include.iter().map(|rule| &rule.table).collect(),
            excluded: config.scope.tables.exclude.iter().collect(),
        }
    }

    /// Whether the filters choose a relation: `line` is its name and those of the partitioned tables above it.
    #[must_use]
    pub fn choose(&self, line: &[&QualifiedName]) -> bool {
        if line.iter().any(|name| self.excluded.contains(name)) {
            return false;
        }
        match self.config.scope.tables.mode {
            Mode::Include => line.iter().any(|name| self.listed.contains(name)),
            Mode::All | Mode::Exclude => line.first().is_some_and(|name| chooses_schema(self.config, &name.schema)),
        }
    }
}
