//! The server process of a session: how soon it notices that its client is gone, and how it is ended if it did not.
//!
//! A connection whose network path is gone stays open on the server, with its transaction and its locks, until TCP times out: by default
//! after two hours. Called by the engine's `leader`, `worker` and `lost`.

use super::Session;
use crate::error::{Error, Kind, Result};

/// A server process. Its number alone may belong to another session later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backend {
    /// Its number.
    pub pid: String,
    /// When it was started, as the server writes it.
    pub started: String,
}

const IDENTITY: &str =
    "SELECT pid, backend_start FROM pg_catalog.pg_stat_activity WHERE pid = pg_catalog.pg_backend_pid()";

/// The process that serves the session.
pub async fn identify(session: &Session) -> Result<Backend> {
    let rows = session.simple(IDENTITY).await?;
    match rows.last().map(Vec::as_slice) {
        Some([Some(pid), Some(started)]) => Ok(Backend { pid: pid.clone(), started: started.clone() }),
        _ => {
            Err(Error::new("session_not_listed", Kind::Connect, "the session's own process is not in pg_stat_activity")
                .on(session.side()))
        }
    }
}

/// Ends a process of the same role that an earlier session has left; returns whether it still existed.
pub async fn terminate(session: &Session, backend: &Backend) -> Result<bool> {
    let sql = "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity \
               WHERE pid::text = $1 AND backend_start::text = $2 AND pid <> pg_catalog.pg_backend_pid()";
    Ok(session.query_opt(sql, &[&backend.pid, &backend.started]).await?.is_some())
}

/// The state of a process that an earlier session has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It has ended.
    Absent,
    /// The process with its number is a session of this program, of a role whose sessions the connecting role may not see.
    Hidden,
    /// It executes a COMMIT.
    Committing,
    /// It has been idle for longer than the given time.
    Quiet,
    /// It executes a statement, or did so a moment ago.
    Busy,
}

/// Whether a process exists on the server, and what it does; it is quiet after more than `seconds` without statements.
pub async fn presence(session: &Session, backend: &Backend, seconds: f64) -> Result<Presence> {
    let sql = "SELECT CASE WHEN backend_start IS NULL THEN 'hidden' \
                           WHEN state = 'active' AND query = 'COMMIT' THEN 'committing' \
                           WHEN state LIKE 'idle%' \
                                AND state_change < pg_catalog.clock_timestamp() - pg_catalog.make_interval(secs => $3) \
                           THEN 'quiet' ELSE 'busy' END \
               FROM pg_catalog.pg_stat_activity WHERE pid::text = $1 \
               AND (backend_start::text = $2 OR backend_start IS NULL AND application_name LIKE 'pgmigrate%')";
    let row = session.query_opt(sql, &[&backend.pid, &backend.started, &seconds]).await?;
    Ok(match row.as_ref().map(|row| row.get::<_, &str>(0)) {
        None => Presence::Absent,
        Some("hidden") => Presence::Hidden,
        Some("committing") => Presence::Committing,
        Some("quiet") => Presence::Quiet,
        Some(_) => Presence::Busy,
    })
}
