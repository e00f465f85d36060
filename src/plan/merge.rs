//! The parts of a data task's `merge_sql`: what is inserted, the key that identifies rows, and what happens to a row whose key exists.
//!
//! A plan has one statement; a run needs its parts, because the target decides whether ON CONFLICT can be used. Pure; rendered from the
//! task's [`Load`] for the plan and by the engine.

use super::subject::Load;
use crate::name::{ident, ident_list};

/// Where a chunk is staged before it is merged into a table that existed before.
pub const STAGE: &str = "pg_temp.\"pgmigrate_stage\"";

/// Allows the source's values in an identity column GENERATED ALWAYS.
const OVERRIDING: &str = " OVERRIDING SYSTEM VALUE";

/// A statement that adds staged rows to a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merge {
    /// The table, as quoted SQL.
    pub into: String,
    /// The quoted columns, separated by commas.
    pub columns: String,
    /// The statement without ON CONFLICT.
    pub insert: String,
    /// The quoted columns of the key.
    pub key: Vec<String>,
    /// The quoted columns that a row whose key exists gets from the new row.
    updates: Vec<String>,
}

impl Merge {
    /// The statement for rows that are loaded; none if no key identifies them.
    #[must_use]
    pub fn of(load: &Load) -> Option<Merge> {
        let merge = load.merge.as_ref()?;
        let quoted = |names: &[String]| names.iter().map(|name| ident(name)).collect::<Vec<_>>();
        let (into, columns) = (load.into.sql(), ident_list(&load.columns));
        let overriding = if merge.overriding { OVERRIDING } else { "" };
        let insert = format!("INSERT INTO {into} ({columns}){overriding} SELECT {columns} FROM {STAGE}");
        Some(Merge { into, columns, insert, key: quoted(&merge.key), updates: quoted(&merge.updates) })
    }

    /// Whether rows whose key exists are updated.
    #[must_use]
    pub fn updates(&self) -> bool {
        !self.updates.is_empty()
    }

    /// The whole statement.
    #[must_use]
    pub fn sql(&self) -> String {
        let sets: Vec<String> = self.updates.iter().map(|name| format!("{name} = EXCLUDED.{name}")).collect();
        let action = if sets.is_empty() { "NOTHING".to_owned() } else { format!("UPDATE SET {}", sets.join(", ")) };
        format!("{} ON CONFLICT ({}) DO {action}", self.insert, self.key.join(", "))
    }
}
