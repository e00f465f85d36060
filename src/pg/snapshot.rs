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
    /// Which transactions it sees, as `pg_current_snapshot()` writes it; on a standby with the moment when it was taken, for there the
    /// transactions in progress do not show and two states may be written alike.
    pub sees: String,
    /// The server's identity, which every session that joins must show, too.
    pub server: String,
}

const IDENTITY: &str = "SELECT pg_catalog.pg_postmaster_start_time()::text || '/' || \
     (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())";

const EXPORT: &str = "SELECT pg_catalog.pg_export_snapshot(), pg_catalog.pg_current_snapshot()::text || \
     CASE WHEN pg_catalog.pg_is_in_recovery() THEN '@' || extract(epoch FROM pg_catalog.clock_timestamp())::text ELSE '' END";

/// Begins the leader's transaction and exports its snapshot.
pub async fn export(leader: &Session) -> Result<Snapshot> {
    leader.batch("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    name(leader).await
}

/// Begins the leader's transaction in a snapshot that another process holds, and exports it anew: from here on it lives as long as
/// this session, too.
pub async fn adopt(leader: &Session, held: &Snapshot) -> Result<Snapshot> {
    join(leader, held).await?;
    Ok(Snapshot { sees: held.sees.clone(), ..name(leader).await? })
}

async fn name(leader: &Session) -> Result<Snapshot> {
    let row = leader.query_one(EXPORT, &[]).await?;
    Ok(Snapshot { id: row.get(0), sees: row.get(1), server: identity(leader).await? })
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
    Ok(session.query_one(IDENTITY, &[]).await?.get(0))
}
