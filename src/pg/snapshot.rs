//! The one snapshot that all readers of a run share, held by the leader session for as long as the run lasts.
//!
//! <https://www.postgresql.org/docs/current/functions-admin.html#FUNCTIONS-SNAPSHOT-SYNCHRONIZATION>. `table_lock` protects what a snapshot
//! does not cover. Once that session is lost, `join` fails with `snapshot_gone`, which is not retried.

use super::Session;
use crate::error::{Error, Kind, Result};
use crate::name::literal;

/// An exported snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The name by which sessions join it.
    pub id: String,
    /// Which transactions it sees, as `pg_current_snapshot()` writes it, and after `@` the history in which they are numbered: the timeline
    /// and the start of the server. On a standby it is the time when it was taken, because the transactions in progress are not shown there
    /// and two states may have the same text.
    pub text: String,
    /// The server's identity, which every session that joins must have, too: system identifier, start and database.
    pub server: String,
}

/// Begins the leader's transaction and exports its snapshot.
pub async fn export(leader: &Session) -> Result<Snapshot> {
    let (server, state) = (identity(leader).await?, state(leader).await?);
    leader.batch("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    let (id, text) = name(leader).await?;
    Ok(Snapshot { id, text: format!("{text}@{state}"), server })
}

/// Begins the leader's transaction in a snapshot that another process holds, and exports it again: from here on it lives as long as this
/// session, too.
pub async fn adopt(leader: &Session, held: &Snapshot) -> Result<Snapshot> {
    join(leader, held).await?;
    Ok(Snapshot { id: name(leader).await?.0, ..held.clone() })
}

/// The name of the transaction's snapshot for other sessions, and which transactions it sees.
async fn name(leader: &Session) -> Result<(String, String)> {
    let sql = "SELECT pg_catalog.pg_export_snapshot(), pg_catalog.pg_current_snapshot()::text";
    let row = leader.query_one(sql, &[]).await?;
    Ok((row.get(0), row.get(1)))
}

/// Whether the session that holds a snapshot still answers.
pub async fn is_held(leader: &Session) -> Result<()> {
    leader.batch("SELECT 1").await
}

/// Begins a reader's transaction in the snapshot, and checks that it is on the same server.
pub async fn join(reader: &Session, snapshot: &Snapshot) -> Result<()> {
    let set = format!("SET TRANSACTION SNAPSHOT {}", literal(&snapshot.id).trim_start());
    let begin = ["BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", &set];
    let server = identity(reader).await?;
    if server != snapshot.server {
        return Err(Error::new(
            "snapshot_on_other_server",
            Kind::Connect,
            "a reading session was connected to another server than the one that holds the snapshot",
        )
        .on(crate::error::Side::Source)
        .remedy(
            "name one server in the source's conninfo, not a load balancer or a connection pooler for several servers",
        ));
    }
    reader.batch(&begin.join("; ")).await.map_err(|error| {
        if error.is("42704") || error.is("22023") {
            return Error::new(
                "snapshot_gone",
                Kind::State,
                "the snapshot no longer exists: the session that exported it has ended",
            )
            .caused_by(error);
        }
        error
    })
}

/// The identity of a server for as long as it runs.
async fn identity(session: &Session) -> Result<String> {
    const WITHOUT_SYSTEM: &str = "SELECT pg_catalog.pg_postmaster_start_time()::text || '/' || \
         (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())";
    match session.query_one(include_str!("../sql/snapshot/identity.sql"), &[]).await {
        Ok(row) => Ok(row.get(0)),
        // Plain roles may have no right to read the identifier.
        Err(error) if error.is("42501") => Ok(session.query_one(WITHOUT_SYSTEM, &[]).await?.get(0)),
        Err(error) => Err(error),
    }
}

/// The history in which transactions are numbered: a standby that became the primary before it had received all of them assigns their
/// numbers again.
async fn state(session: &Session) -> Result<String> {
    match session.query_one(include_str!("../sql/snapshot/state.sql"), &[]).await {
        Ok(row) => Ok(row.get(0)),
        // Servers with their own storage layer have no WAL files to name; their processes still differ.
        Err(error) if error.is("0A000") || error.is("42501") => Ok(identity(session).await?),
        Err(error) => Err(error),
    }
}
