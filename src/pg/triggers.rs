//! Triggers of users on the target's tables: which fire, and how they are disabled for one transaction.
//!
//! `ALTER TABLE ... DISABLE TRIGGER` takes part in transactions: if it is done and undone in the one that writes the rows, other sessions
//! never see it, and a crash never leaves it behind. `session_replication_role` would not require ownership, but it also disables the
//! checks of foreign keys and lets REPLICA triggers fire (<https://www.postgresql.org/docs/current/runtime-config-client.html>).

use super::{Session, apply};
use crate::error::{Error, Result};
use crate::name::QualifiedName;

/// A trigger that fires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trigger {
    /// Its table.
    pub table: QualifiedName,
    /// Its name.
    pub name: String,
    /// Whether INSERT and COPY fire it.
    pub fires_on_insert: bool,
    /// Whether the role may disable it.
    pub is_own: bool,
}

/// Every trigger that fires in an ordinary session.
pub async fn firing(session: &Session) -> Result<Vec<Trigger>> {
    let rows = session.query(include_str!("../sql/target/triggers.sql"), &[]).await?;
    let trigger = |row: &tokio_postgres::Row| Trigger {
        table: QualifiedName::new(row.get::<_, String>("schema"), row.get::<_, String>("name")),
        name: row.get("trigger"),
        fires_on_insert: row.get("fires_on_insert"),
        is_own: row.get("is_owner"),
    };
    Ok(rows.iter().map(trigger).collect())
}

/// Triggers that are disabled until the transaction's end, or a call of [`Silenced::restore`].
#[derive(Debug, Default)]
pub struct Silenced {
    back: Vec<String>,
    /// Why the target refused to disable them.
    pub refused: Option<Error>,
}

/// Disables the triggers of a table, given by its quoted name, and of its partitions.
pub async fn silence(session: &Session, table: &str) -> Result<Silenced> {
    let rows = session.query(include_str!("../sql/target/silence.sql"), &[&table]).await?;
    let off: Vec<String> = rows.iter().map(|row| row.get("off")).collect();
    match apply::optional(session, &off.join(";\n")).await? {
        Some(error) => Ok(Silenced { back: Vec::new(), refused: Some(error) }),
        None => Ok(Silenced { back: rows.iter().map(|row| row.get("back")).collect(), refused: None }),
    }
}

impl Silenced {
    /// A remark for a reader; empty if there is nothing to report.
    #[must_use]
    pub fn note(&self) -> String {
        let refused = self.refused.as_ref().map(|error| format!("its triggers fired: {}", error.chain()));
        refused.unwrap_or_default()
    }

    /// Restores the state of the triggers. A table with deferred checks cannot be altered, so these run first.
    pub async fn restore(self, session: &Session) -> Result<()> {
        if self.back.is_empty() {
            return Ok(());
        }
        session.batch(&format!("SET CONSTRAINTS ALL IMMEDIATE;\n{}", self.back.join(";\n"))).await
    }
}

/// Defers the check of deferrable constraints to the end of the open transaction.
pub async fn defer(session: &Session) -> Result<()> {
    session.batch("SET CONSTRAINTS ALL DEFERRED").await
}
