//! The server process of a session: how soon it notices that its client is gone, and how it is ended where it did not.
//!
//! A connection whose network path is gone stays open on the server, with its transaction and its locks, until TCP gives it up: by default
//! after two hours. Called by the engine's `connect`, `leader` and `worker`.

use super::Session;
use crate::error::{Error, Kind, Result};

/// A server process. Its number alone may belong to another session later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backend {
    pid: String,
    started: String,
}

/// Probes of a silent connection, which end it after two minutes. `tcp_user_timeout` is not for sessions that COPY: Linux counts the time
/// in which the other side takes no rows, too.
const KEEPALIVES: &str = "SET tcp_keepalives_idle = 60; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 6";
/// Ends a long statement whose client is gone; servers on Windows refuse it.
const CHECK_CLIENT: &str = "SELECT pg_catalog.set_config('client_connection_check_interval', '5s', false) \
     WHERE pg_catalog.version() !~ 'Visual C|mingw|windows'";
const IDENTITY: &str =
    "SELECT pid, backend_start FROM pg_catalog.pg_stat_activity WHERE pid = pg_catalog.pg_backend_pid()";

/// Lets the server notice soon that the session's client is gone; the process that serves it.
pub async fn identify(session: &Session) -> Result<Backend> {
    let check = if session.major() >= 14 { CHECK_CLIENT } else { "SELECT" };
    let rows = session.simple(&format!("{KEEPALIVES}; {check}; {IDENTITY}")).await?;
    match rows.last().map(Vec::as_slice) {
        Some([Some(pid), Some(started)]) => Ok(Backend { pid: pid.clone(), started: started.clone() }),
        _ => Err(Error::new(Kind::Connect, "the session's own process is not in pg_stat_activity").on(session.side())),
    }
}

/// Ends a process of the same role that an earlier session has left behind; whether it was still there.
pub async fn terminate(session: &Session, backend: &Backend) -> Result<bool> {
    let sql = "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity \
               WHERE pid::text = $1 AND backend_start::text = $2 AND pid <> pg_catalog.pg_backend_pid()";
    Ok(session.query_opt(sql, &[&backend.pid, &backend.started]).await?.is_some())
}
