//! The one snapshot that all readers of a run share, held by the leader session for as long as the run lasts.
//!
//! <https://www.postgresql.org/docs/current/functions-admin.html#FUNCTIONS-SNAPSHOT-SYNCHRONIZATION>. What a snapshot does not cover,
//! `table_lock` guards.

use super::Session;
use crate::error::{Error, Kind, Result};
use crate::name::literal;

/// An exported snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The name to join it by.
    pub id: String,
    /// Which transactions it sees, as `pg_current_snapshot()` writes it, and behind `@` in whose history: the timeline and the start of the
    /// server. On a standby it is the moment when it was taken, for there the transactions in progress do not show and two states may be
    /// written alike.
    pub sees: String,
    /// The server's identity, which every session that joins must show, too: system identifier, start and database.
    pub server: String,
}

/// Begins the leader's transaction and exports its snapshot.
pub async fn export(leader: &Session) -> Result<Snapshot> {
    let (server, state) = (identity(leader).await?, state(leader).await?);
    leader.batch("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    let (id, sees) = name(leader).await?;
    Ok(Snapshot { id, sees: format!("{sees}@{state}"), server })
}

/// Begins the leader's transaction in a snapshot that another process holds, and exports it anew: from here on it lives as long as
/// this session, too.
pub async fn adopt(leader: &Session, held: &Snapshot) -> Result<Snapshot> {
    join(leader, held).await?;
    Ok(Snapshot { id: name(leader).await?.0, ..held.clone() })
}

/// The name of the transaction's snapshot for others, and which transactions it sees.
async fn name(leader: &Session) -> Result<(String, String)> {
    let sql = "SELECT pg_catalog.pg_export_snapshot(), pg_catalog.pg_current_snapshot()::text";
    let row = leader.query_one(sql, &[]).await?;
    Ok((row.get(0), row.get(1)))
}

/// Whether the session that holds a snapshot still answers.
pub async fn is_held(leader: &Session) -> Result<()> {
    leader.batch("SELECT 1").await
}

/// Begins a reader's transaction in the snapshot, and proves that it reads the same server.
pub async fn join(reader: &Session, snapshot: &Snapshot) -> Result<()> {
    let set = format!("SET TRANSACTION SNAPSHOT {}", literal(&snapshot.id).trim_start());
    let begin = ["BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", &set];
    let server = identity(reader).await?;
    if server != snapshot.server {
        return Err(Error::new(Kind::Connect, "a reader was connected to another server than the snapshot's")
            .on(crate::error::Side::Source)
            .remedy("name one server in the source's conninfo, not a load balancer or a pooler over several"));
    }
    reader.batch(&begin.join("; ")).await.map_err(|error| {
        if error.is("42704") || error.is("22023") {
            return Error::new(Kind::State, "the snapshot is gone: the session that held it has ended")
                .caused_by(error);
        }
        error
    })
}

/// Who a server is, for as long as it runs.
async fn identity(session: &Session) -> Result<String> {
    const WITHOUT_SYSTEM: &str = "SELECT pg_catalog.pg_postmaster_start_time()::text || '/' || \
         (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())";
    match session.query_one(include_str!("../sql/snapshot/identity.sql"), &[]).await {
        Ok(row) => Ok(row.get(0)),
        // The identifier may be kept from plain roles.
        Err(error) if error.is("42501") => Ok(session.query_one(WITHOUT_SYSTEM, &[]).await?.get(0)),
        Err(error) => Err(error),
    }
}

/// In whose history transactions have their numbers: a standby that became the primary before it had all of them gives them again.
async fn state(session: &Session) -> Result<String> {
    match session.query_one(include_str!("../sql/snapshot/state.sql"), &[]).await {
        Ok(row) => Ok(row.get(0)),
        // Servers with a storage of their own have no files of WAL to name; their processes still differ.
        Err(error) if error.is("0A000") || error.is("42501") => Ok(identity(session).await?),
        Err(error) => Err(error),
    }
}
