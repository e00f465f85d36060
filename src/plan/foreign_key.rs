//! A foreign key and its statements: to add it, with or without a check, and to check it.
//!
//! A key whose rows turn out to have orphans is left NOT VALID (<https://www.postgresql.org/docs/current/sql-altertable.html>). Pure;
//! `schema` writes the statements, the engine's workers run them.

use crate::name::{QualifiedName, ident};
use serde::{Deserialize, Serialize};

/// A foreign key of a table that has no partitions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignKey {
    /// The table that it is on.
    pub table: QualifiedName,
    /// Its name.
    pub name: String,
}

impl ForeignKey {
    /// Adds the key with all its rows checked.
    #[must_use]
    pub fn add(&self, definition: &str) -> String {
        format!("{}{definition}", self.add_head())
    }

    fn add_head(&self) -> String {
        add("ALTER TABLE ONLY", &self.table, &self.name, "")
    }

    /// Whether a statement adds this key.
    #[must_use]
    pub fn is_added_by(&self, sql: &str) -> bool {
        sql.starts_with(&self.add_head())
    }

    /// Checks the rows of the key.
    #[must_use]
    pub fn validation(&self) -> String {
        format!("ALTER TABLE ONLY {} VALIDATE CONSTRAINT {}", self.table.sql(), ident(&self.name))
    }
}

/// Adds the key `name` to a table and its partitions, with all its rows checked.
#[must_use]
pub fn add_to_partitioned(table: &QualifiedName, name: &str, definition: &str) -> String {
    add("ALTER TABLE", table, name, definition)
}

fn add(alter: &str, table: &QualifiedName, name: &str, definition: &str) -> String {
    format!("{alter} {}\n    ADD CONSTRAINT {} {definition}", table.sql(), ident(name))
}

/// The statement of a key whose existing rows are not checked.
#[must_use]
pub fn unchecked(add: &str) -> String {
    format!("{add} NOT VALID")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_name_the_key_whatever_its_name_holds() {
        let key = ForeignKey { table: QualifiedName::new("s", "odd \"t\" ADD CONSTRAINT"), name: "k \"1\"".into() };
        let sql = key.add("FOREIGN KEY (a) REFERENCES s.b(c)");
        assert!(key.is_added_by(&sql) && key.is_added_by(&unchecked(&sql)));
        assert_eq!(
            key.validation(),
            "ALTER TABLE ONLY \"s\".\"odd \"\"t\"\" ADD CONSTRAINT\" VALIDATE CONSTRAINT \"k \"\"1\"\"\""
        );
        let other = ForeignKey { name: "k".into(), ..key };
        assert!(!other.is_added_by(&sql));
    }
}
