//! What a server can be built without, and whether a clause of the configuration is one that the source takes.
//!
//! This module only reads and translates. Queries that may fail have a session of their own, because an error ends a transaction.

use super::read;
use crate::catalog::Oid;
use crate::error::{Error, Result};
use crate::finding::examples;
use crate::name::{QualifiedName, ident, literal};
use crate::pg::event_triggers::LEFT_OUT;
use crate::pg::{Session, apply};
use tokio_postgres::Row;

/// An object that requires an optional feature of its server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeatureUse {
    /// `lz4`, `xml`, `ICU` or `library`.
    pub feature: String,
    /// The system catalog that lists the object.
    pub catalog: Oid,
    /// The object.
    pub oid: Oid,
    /// The library of a function in C.
    pub library: Option<String>,
}

/// Objects that require a feature that a server may be built without.
pub async fn feature_uses(session: &Session) -> Result<Vec<FeatureUse>> {
    let translate = |row: &Row| FeatureUse {
        feature: row.get("feature"),
        catalog: row.get("catalog"),
        oid: row.get("oid"),
        library: row.get("library"),
    };
    read(session, include_str!("../../sql/survey/built_in_use.sql"), translate).await
}

/// Whether the server was built with lz4, and with ICU.
pub async fn has_lz4_and_icu(session: &Session) -> Result<[bool; 2]> {
    let row = session.query_one(include_str!("../../sql/survey/built_in.sql"), &[]).await?;
    Ok([row.get("has_lz4"), row.get("has_icu")])
}

/// Whether the server was built with libxml.
pub async fn has_xml(session: &Session) -> Result<bool> {
    refused(session, "SELECT xmlparse(CONTENT '<a/>')").await.map(|error| error.is_none())
}

/// Why the server cannot load a library; none if it can.
pub async fn refused_library(session: &Session, library: &str) -> Result<Option<String>> {
    refused(session, &format!("LOAD {}", literal(library).trim_start())).await
}

/// Why the source refuses to read a table by a condition; none if it does not, if it refuses the table itself, or if the session waits for
/// a lock longer than its `lock_timeout`.
pub async fn refused_where(session: &Session, table: &QualifiedName, condition: &str) -> Result<Option<String>> {
    refused_read(session, table, &format!("WHERE ({condition}\n)")).await
}

/// The same for an order.
pub async fn refused_order(session: &Session, table: &QualifiedName, order: &str) -> Result<Option<String>> {
    refused_read(session, table, &format!("ORDER BY {order}\n")).await
}

async fn refused_read(session: &Session, table: &QualifiedName, clause: &str) -> Result<Option<String>> {
    let all = format!("EXPLAIN SELECT * FROM ONLY {}", table.sql());
    let ask = async {
        match refused(session, &all).await? {
            None => refused(session, &format!("{all} {clause}")).await,
            Some(_) => Ok(None),
        }
    };
    match ask.await {
        // The lock timeout has expired, and nothing is known about the clause.
        Err(error) if error.is("55P03") => Ok(None),
        other => other,
    }
}

/// The message of the server's refusal.
async fn refused(session: &Session, sql: &str) -> Result<Option<String>> {
    match session.query(sql, &[]).await {
        Ok(_) => Ok(None),
        Err(error) if error.sqlstate.is_some() && !error.is_retryable() => {
            Ok(Some(error.server().map_or_else(|| error.chain(), ToString::to_string)))
        }
        Err(error) => Err(error),
    }
}

/// Whether a provider of security labels is loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LabelProvider {
    /// It is loaded.
    Loaded,
    /// It is not.
    NotLoaded,
    /// The server did not report it, for this reason.
    Unknown(String),
}

/// Whether the server has loaded a provider of security labels. The query must not fire event triggers: if one would fire, it is not sent.
pub async fn label_provider(session: &Session, provider: &str) -> Result<LabelProvider> {
    session.batch(&format!("BEGIN;\n{LEFT_OUT}")).await?;
    let asked = ask_for_label_provider(session, provider).await;
    apply::rollback(session).await?;
    asked
}

async fn ask_for_label_provider(session: &Session, provider: &str) -> Result<LabelProvider> {
    let name = |row: &Row| row.get::<_, String>("name");
    let triggers = read(session, include_str!("../../sql/survey/label_event_triggers.sql"), name).await?;
    if !triggers.is_empty() {
        return Ok(LabelProvider::Unknown(format!(
            "event triggers fire on the statement that asks, and the role may not leave them out: {}",
            examples(&triggers)
        )));
    }
    let sql = format!("SECURITY LABEL FOR {} ON LARGE OBJECT 0 IS NULL", ident(provider));
    match session.batch(&sql).await {
        Ok(()) => Ok(LabelProvider::Loaded),
        Err(error) if error.sqlstate.is_none() || error.is_retryable() => Err(error),
        Err(error) => Ok(label_answer(&error)),
    }
}

/// The meaning of a refusal: the server checks the provider before the object, which does not exist.
fn label_answer(error: &Error) -> LabelProvider {
    match error.sqlstate.as_deref() {
        Some("22023") => LabelProvider::NotLoaded,
        Some("42704") => LabelProvider::Loaded,
        _ => LabelProvider::Unknown(error.server().map_or_else(|| error.chain(), ToString::to_string)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Kind, ServerError};

    #[test]
    fn only_a_missing_object_shows_a_loaded_provider() {
        let answer = |sqlstate: &str| {
            label_answer(&Error::new("statement_failed", Kind::Schema, "asking").caused_by_server(ServerError {
                sqlstate: sqlstate.into(),
                message: "no".into(),
                object: None,
                column: None,
                constraint: None,
                function: None,
            }))
        };
        assert_eq!(answer("42704"), LabelProvider::Loaded);
        assert_eq!(answer("22023"), LabelProvider::NotLoaded);
        for sqlstate in ["42501", "P0001", "25006", "57014"] {
            assert_eq!(answer(sqlstate), LabelProvider::Unknown(format!("no (SQLSTATE {sqlstate})")));
        }
    }
}
