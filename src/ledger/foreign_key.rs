//! The foreign keys of the target's own tables that a run has dropped, for as long as they are not restored completely.
//!
//! Rows are written and deleted in the transactions that change the keys, so either the catalog has the key or this table has its
//! definition.

use super::Ledger;
use crate::error::Result;
use crate::name::QualifiedName;
use crate::pg::Session;
use crate::pg::foreign_keys::Key;

/// A key that was dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// The key as it was.
    pub key: Key,
    /// Whether it exists again, its rows not checked yet.
    pub is_back: bool,
    /// Whether the catalog has a constraint of its name on its table, and whether that is valid.
    pub found: Option<bool>,
}

impl Taken {
    /// Whether it is to be made again: another session may have dropped a key that was made again.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        !self.is_back || self.found.is_none()
    }

    /// Whether the catalog lacks it, or has it as NOT VALID although it was valid.
    #[must_use]
    pub fn is_open(&self) -> bool {
        match self.found {
            None => true,
            Some(is_valid) => !is_valid && !self.key.is_unchecked(),
        }
    }
}

impl Ledger {
    pub(super) fn foreign_keys(&self) -> String {
        self.table(3)
    }

    /// Keeps a key's definition, in the transaction that drops it. For a key that exists again and is not checked yet, the definition of
    /// its first drop is kept, because the present one is NOT VALID.
    pub async fn keep_key(&self, session: &Session, run: i64, key: &Key) -> Result<()> {
        let sql = format!(
            "INSERT INTO {} (run, table_schema, table_name, name, definition, comment, is_partitioned, checked_schema, checked_table) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
             ON CONFLICT (table_schema, table_name, name) DO UPDATE SET is_back = false",
            self.foreign_keys()
        );
        let params: [&(dyn tokio_postgres::types::ToSql + Sync); 9] = [
            &run,
            &key.table.schema,
            &key.table.name,
            &key.name,
            &key.definition,
            &key.comment,
            &key.is_partitioned,
            &key.checked.schema,
            &key.checked.name,
        ];
        session.execute(&sql, &params).await.map(|_| ())
    }

    /// Records that a key exists again, its rows not checked yet.
    pub async fn key_is_back(&self, session: &Session, key: &Key) -> Result<()> {
        let sql = format!("UPDATE {} SET is_back = true {}", self.foreign_keys(), THIS);
        session.execute(&sql, &[&key.table.schema, &key.table.name, &key.name]).await.map(|_| ())
    }

    /// Deletes the row of a key that is restored completely.
    pub async fn forget_key(&self, session: &Session, key: &Key) -> Result<()> {
        let sql = format!("DELETE FROM {} {}", self.foreign_keys(), THIS);
        session.execute(&sql, &[&key.table.schema, &key.table.name, &key.name]).await.map(|_| ())
    }

    /// The keys that are not restored completely.
    pub async fn taken_keys(&self, session: &Session) -> Result<Vec<Taken>> {
        let there = "SELECT pg_catalog.to_regclass($1) IS NOT NULL";
        if !session.query_one(there, &[&self.foreign_keys()]).await?.get::<_, bool>(0) {
            return Ok(Vec::new());
        }
        let sql = format!(
            "SELECT table_schema, table_name, name, definition, comment, is_partitioned, checked_schema, checked_table, is_back, \
                    (SELECT c.convalidated FROM pg_catalog.pg_constraint c \
                     WHERE c.conrelid = pg_catalog.to_regclass(pg_catalog.format('%I.%I', table_schema, table_name)) \
                       AND c.conname = k.name) AS found \
             FROM {} k ORDER BY table_schema COLLATE \"C\", table_name COLLATE \"C\", name COLLATE \"C\"",
            self.foreign_keys()
        );
        Ok(session.query(&sql, &[]).await?.iter().map(taken).collect())
    }
}

const THIS: &str = "WHERE table_schema = $1 AND table_name = $2 AND name = $3";

fn taken(row: &tokio_postgres::Row) -> Taken {
    let name = |schema: &str, name: &str| QualifiedName::new(row.get::<_, String>(schema), row.get::<_, String>(name));
    let key = Key {
        oid: 0,
        table: name("table_schema", "table_name"),
        name: row.get("name"),
        definition: row.get("definition"),
        comment: row.get("comment"),
        is_partitioned: row.get("is_partitioned"),
        checked: name("checked_schema", "checked_table"),
        may_drop: true,
    };
    Taken { key, is_back: row.get("is_back"), found: row.get("found") }
}
