//! Foreign keys of the target's own tables: found, dropped and restored.
//!
//! Each function is one step of a transaction that its caller opens and commits together with the ledger's row for the key.

use super::Session;
use crate::error::Result;
use crate::name::{QualifiedName, ident, literal};
use crate::plan::foreign_key::{self, ForeignKey};
use std::collections::HashSet;

/// A foreign key as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Its OID.
    pub oid: u32,
    /// The table that it is on.
    pub table: QualifiedName,
    /// Its name.
    pub name: String,
    /// `pg_get_constraintdef`.
    pub definition: String,
    /// Its comment.
    pub comment: Option<String>,
    /// Whether its table is partitioned.
    pub is_partitioned: bool,
    /// The table of the plan whose rows it checks.
    pub checked: QualifiedName,
    /// Whether the role may drop it and create it again.
    pub may_drop: bool,
}

impl Key {
    /// Table and key as people read them.
    #[must_use]
    pub fn object(&self) -> String {
        format!("{} {}", self.table, self.name)
    }

    /// Whether its rows were never checked and are not to be checked.
    #[must_use]
    pub fn is_unchecked(&self) -> bool {
        self.definition.ends_with(" NOT VALID")
    }

    /// Whether it can be added without a scan of the rows.
    #[must_use]
    pub fn may_wait(&self, target: &Session) -> bool {
        !self.is_partitioned || target.version().has_not_valid_keys_of_partitioned_tables()
    }

    /// The statement that adds it, with or without a check of its rows.
    #[must_use]
    pub fn add(&self, is_checked: bool) -> String {
        let add = if self.is_partitioned {
            foreign_key::add_to_partitioned(&self.table, &self.name, &self.definition)
        } else {
            ForeignKey { table: self.table.clone(), name: self.name.clone() }.add(&self.definition)
        };
        if is_checked || self.is_unchecked() { add } else { foreign_key::unchecked(&add) }
    }

    /// The statement that checks its rows.
    #[must_use]
    pub fn validation(&self) -> String {
        format!("ALTER TABLE {} VALIDATE CONSTRAINT {}", self.table.sql(), ident(&self.name))
    }
}

/// The keys that check rows of `tables`.
#[expect(clippy::implicit_hasher, reason = "only the engine passes its own set")]
pub async fn of_tables(session: &Session, tables: &HashSet<QualifiedName>) -> Result<Vec<Key>> {
    let schemas: Vec<&str> = tables.iter().map(|table| table.schema.as_str()).collect();
    let names: Vec<&str> = tables.iter().map(|table| table.name.as_str()).collect();
    let rows = session.query(include_str!("../sql/target/foreign_keys.sql"), &[&schemas, &names]).await?;
    let name = |row: &tokio_postgres::Row, schema: &str, name: &str| {
        QualifiedName::new(row.get::<_, String>(schema), row.get::<_, String>(name))
    };
    let key = |row: &tokio_postgres::Row| Key {
        oid: row.get("oid"),
        table: name(row, "schema", "table"),
        name: row.get("name"),
        definition: row.get("definition"),
        comment: row.get("comment"),
        is_partitioned: row.get("is_partitioned"),
        checked: name(row, "checked_schema", "checked_table"),
        may_drop: row.get("may_drop"),
    };
    Ok(rows.iter().map(key).collect())
}

/// Drops a key.
pub async fn drop(session: &Session, key: &Key) -> Result<()> {
    session.batch(&format!("ALTER TABLE {} DROP CONSTRAINT {}", key.table.sql(), ident(&key.name))).await
}

/// Adds a key, with or without a check of its rows, unless one of its name exists already.
pub async fn make(session: &Session, key: &Key, is_checked: bool) -> Result<()> {
    if !exists(session, key).await? {
        session.batch(&key.add(is_checked)).await?;
    }
    let Some(comment) = &key.comment else { return Ok(()) };
    let comment = literal(comment);
    session.batch(&format!("COMMENT ON CONSTRAINT {} ON {} IS {comment}", ident(&key.name), key.table.sql())).await
}

/// Checks the rows of a key.
pub async fn validate(session: &Session, key: &Key) -> Result<()> {
    session.batch(&key.validation()).await
}

async fn exists(session: &Session, key: &Key) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT FROM pg_catalog.pg_constraint WHERE conrelid = pg_catalog.to_regclass($1) AND conname = $2)";
    Ok(session.query_one(sql, &[&key.table.sql(), &key.name]).await?.get(0))
}
