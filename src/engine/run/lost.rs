//! Sessions on the target that processes of a run have left behind, and how they are terminated.
//!
//! A process that is killed, or loses its network path, leaves sessions that keep their locks until the server notices. The ledger has the
//! sessions of each process, so that the next process terminates them. It never terminates a session of a process that may still be at
//! work. It terminates those of a run that it has to itself, those of a process of this machine that is gone, and those of a process whose
//! leader is gone and whose other sessions have been idle for longer than a leader takes to reconnect. Called by `begin`, `join` and
//! `leader`.

use crate::action::Action;
use crate::engine::process;
use crate::error::{Error, Kind, Result, Side};
use crate::ledger::{Ledger, SessionEntry};
use crate::pg::Session;
use crate::pg::backend::{self, Backend, Presence};
use std::time::{Duration, Instant};

/// How long a lost target may stay unreachable.
pub const AWAY: Duration = Duration::from_secs(60);
/// How long a lost session may keep its lock after it was terminated.
pub const LINGER: Duration = Duration::from_secs(5);
const BETWEEN_CHECKS: Duration = Duration::from_millis(100);
/// Seconds for which the sessions of a process must be idle before it counts as lost: its leader has given up by then.
const QUIET_SECONDS: f64 = 1.5 * AWAY.as_secs_f64();

/// Terminates all sessions that earlier processes of the run have left; this process has the run to itself.
pub async fn end_all(session: &Session, ledger: &Ledger, run: i64) -> Result<()> {
    let entries = of_run(session, ledger, run).await?;
    end(session, ledger, run, entries).await
}

/// Terminates the sessions of those parts of the run that are gone.
pub async fn end_of_lost_parts(session: &Session, ledger: &Ledger, run: i64) -> Result<()> {
    let entries = of_run(session, ledger, run).await?;
    let mut lost = Vec::new();
    for entry in &entries {
        if process::is_gone(&entry.process) || is_silent(session, &entries, entry).await? {
            lost.push(entry.clone());
        }
    }
    end(session, ledger, run, lost).await
}

/// Terminates the sessions of processes of this machine that are gone, before the run's lock is taken; returns whether there were any.
pub async fn end_of_dead_processes(session: &Session, ledger: &Ledger) -> Result<bool> {
    if !ledger.exists(session).await? {
        return Ok(false);
    }
    let entries = ledger.last_sessions(session).await?;
    let mut has_ended = false;
    for entry in entries.iter().filter(|entry| process::is_gone(&entry.process)) {
        match backend::presence(session, &entry.backend, QUIET_SECONDS).await? {
            Presence::Absent => {}
            Presence::Hidden => return Err(not_ended(&entry.backend)),
            Presence::Committing | Presence::Quiet | Presence::Busy => {
                has_ended = true;
                end_lost(session, &entry.backend).await?;
            }
        }
    }
    Ok(has_ended)
}

async fn of_run(session: &Session, ledger: &Ledger, run: i64) -> Result<Vec<SessionEntry>> {
    let entries = ledger.last_sessions(session).await?;
    Ok(entries.into_iter().filter(|entry| entry.run == run).collect())
}

/// Whether the leader of an entry's process is gone, and every session of the process is gone or idle. A leader whose connection is lost
/// reconnects, and its workers go on meanwhile.
async fn is_silent(session: &Session, entries: &[SessionEntry], entry: &SessionEntry) -> Result<bool> {
    if backend::presence(session, &entry.leader, QUIET_SECONDS).await? != Presence::Absent {
        return Ok(false);
    }
    for other in entries.iter().filter(|other| other.leader == entry.leader) {
        match backend::presence(session, &other.backend, QUIET_SECONDS).await? {
            Presence::Absent | Presence::Quiet => {}
            Presence::Hidden | Presence::Committing | Presence::Busy => return Ok(false),
        }
    }
    Ok(true)
}

async fn end(session: &Session, ledger: &Ledger, run: i64, lost: Vec<SessionEntry>) -> Result<()> {
    let mut ended = Vec::new();
    for entry in lost {
        match backend::presence(session, &entry.backend, QUIET_SECONDS).await? {
            // A commit that is under way is waited for, because it settles tasks.
            Presence::Committing => continue,
            Presence::Hidden => return Err(not_ended(&entry.backend)),
            Presence::Absent => {}
            Presence::Quiet | Presence::Busy => end_lost(session, &entry.backend).await?,
        }
        ended.push(entry);
    }
    ledger.forget_sessions(session, run, &ended).await
}

/// Terminates what a lost session has left on the server, so that its locks are released.
pub async fn end_lost(session: &Session, backend: &Backend) -> Result<()> {
    let began = Instant::now();
    let is_refused = |error: Error| if error.is("42501") { not_ended(backend).caused_by(error) } else { error };
    while backend::terminate(session, backend).await.map_err(is_refused)? && began.elapsed() < LINGER {
        tokio::time::sleep(BETWEEN_CHECKS).await;
    }
    Ok(())
}

/// The error where the role may not terminate a session that has to end first.
pub fn not_ended(backend: &Backend) -> Error {
    let Backend { pid, .. } = backend;
    let doing = format!(
        "an earlier process of the run has left session {pid} on the target, which this role may not end: it is another role's"
    );
    Error::new("session_left", Kind::State, doing).on(Side::Target).remedy(format!(
        "let its role or a superuser run SELECT pg_terminate_backend({pid}) on the target, then {}",
        Action::Resume
    ))
}
