//! How the rows of a data task are stored: the table and its columns ([`Load`]), and the parts of the statement that adds staged rows to a
//! table with a key, and what it does with a row whose key exists ([`Merge`]). `build/data` chooses the key, `pg::merge` runs the statement.
//!
//! A plan has that statement as a whole; a run needs its parts, because the target decides whether ON CONFLICT can be used. Pure; `build`
//! makes loads, `subject` keeps them in the plan, the engine renders their statements.

use crate::name::{QualifiedName, ident, ident_list};
use serde::{Deserialize, Serialize};

/// Where a chunk is staged before it is merged into a table that existed before.
pub const STAGE: &str = "pg_temp.\"pgmigrate_stage\"";

/// Allows the source's values in an identity column GENERATED ALWAYS.
const OVERRIDING: &str = " OVERRIDING SYSTEM VALUE";

/// Where the rows of a data task are stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Load {
    /// The table, which is another one than the source's if rows are copied through a partitioned table.
    pub into: QualifiedName,
    /// The columns in the order in which their values are sent.
    pub columns: Vec<String>,
    /// The query that returns the rows on the source; none where COPY reads the table itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// Whether the query selects rows by the pages that they are on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_pages: bool,
    /// How staged rows are added to a table that existed before; none if no key identifies rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merge: Option<OnKey>,
}

/// What identifies rows, and what happens to a row whose key exists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnKey {
    /// The columns of the key.
    pub key: Vec<String>,
    /// The columns that such a row gets from the new one; without any it stays as it is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub updates: Vec<String>,
    /// Whether an identity column GENERATED ALWAYS may be among the columns.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub overriding: bool,
}

impl Load {
    /// The list of columns after the name of a table in COPY, with a space before it; empty without columns.
    #[must_use]
    pub fn column_list(&self) -> String {
        let list = ident_list(&self.columns);
        if list.is_empty() { String::new() } else { format!(" ({list})") }
    }

    /// The statement that returns the rows of the source's `table`.
    #[must_use]
    pub fn source_sql(&self, table: &QualifiedName) -> String {
        match &self.query {
            Some(query) => format!("COPY ({query}) TO STDOUT"),
            None => format!("COPY {}{} TO STDOUT", table.sql(), self.column_list()),
        }
    }

    /// The query that returns the rows of the source's `table`.
    #[must_use]
    pub fn rows_of(&self, table: &QualifiedName) -> String {
        self.query.clone().unwrap_or_else(|| format!("SELECT * FROM ONLY {}", table.sql()))
    }

    /// The statement that stores the rows.
    #[must_use]
    pub fn copy_sql(&self) -> String {
        format!("COPY {}{} FROM STDIN", self.into.sql(), self.column_list())
    }

    /// The statement that adds staged rows; empty if no key identifies rows.
    #[must_use]
    pub fn merge_sql(&self) -> String {
        Merge::of(self).map(|merge| merge.sql()).unwrap_or_default()
    }

    /// Whether rows whose key exists are updated.
    #[must_use]
    pub fn updates(&self) -> bool {
        self.merge.as_ref().is_some_and(|merge| !merge.updates.is_empty())
    }
}

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
