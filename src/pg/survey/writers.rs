//! Who writes in a database: by open transactions, by prepared ones, and by the counters of the statistics.
//!
//! This module reads once and translates; the engine decides how often to read and what it means. No text of a query is read.

use crate::error::Result;
use crate::pg::Session;
use serde::{Deserialize, Serialize};
use tokio_postgres::Row;

/// A session whose transaction writes.
#[derive(Debug, Clone, PartialEq)]
pub struct Writer {
    /// The process that serves it.
    pub pid: i32,
    /// Its role.
    pub role: String,
    /// Its `application_name`.
    pub application: String,
    /// Its client: an address or `local`; empty if the role may not see it.
    pub client: String,
    /// Its state, if the role may see it.
    pub state: String,
    /// The age of its transaction, 0 if the role may not see it.
    pub seconds: f64,
}

/// The counters of the statistics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// Rows inserted, updated and deleted since the statistics began.
    pub rows: i64,
    /// The number of the server's next transaction that writes, in any database.
    pub next_transaction: i64,
    /// Whether the server counts (`track_counts`).
    pub is_counted: bool,
    /// Whether it is a standby, whose writers are sessions of its primary.
    pub in_recovery: bool,
}

/// The sessions whose open transaction writes.
pub async fn writers(session: &Session) -> Result<Vec<Writer>> {
    let translate = |row: &Row| Writer {
        pid: row.get("pid"),
        role: row.get("role"),
        application: row.get("application"),
        client: row.get("client"),
        state: row.get("state"),
        seconds: row.get("seconds"),
    };
    super::read(session, include_str!("../../sql/survey/writers.sql"), translate).await
}

/// The rows that were written so far.
pub async fn written(session: &Session) -> Result<Written> {
    let row = session.query_one(include_str!("../../sql/survey/writes.sql"), &[]).await?;
    Ok(Written {
        rows: row.get("rows"),
        next_transaction: row.get("next_transaction"),
        is_counted: row.get("is_counted"),
        in_recovery: row.get("in_recovery"),
    })
}
