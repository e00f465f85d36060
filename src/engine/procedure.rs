//! What the safe procedure keeps on the target while it works: its lock and its journal.
//!
//! The lock is held by a session of its own, which lives as long as the verb `hold_procedure` runs. The Python package, which calls these
//! verbs, decides what a journal means.

use super::{Context, POLL_INTERVAL, opened};
use crate::config::TargetOptions;
use crate::engine::run::leader::{Leader, RunLock};
use crate::error::{Error, Kind, Result, Side};
use crate::event::Event;
use crate::ledger::{Journal, Ledger, LockHolder};
use crate::pg::{Session, introspect};
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};

/// How long the lock of a process that was killed may outlive it.
const LINGER: Duration = Duration::from_secs(1);

/// What the target keeps of safe procedures.
#[derive(Debug, Clone, Serialize)]
pub struct Kept {
    /// The latest journal.
    pub journal: Option<Journal>,
    /// Whether the target has a ledger.
    pub has_ledger: bool,
    /// The identity of the target database.
    pub target: String,
    /// Whether a run works on the target, or a process that was killed still has sessions at work for one.
    pub is_run_active: bool,
    /// Whether a restore is under way.
    pub is_being_restored: bool,
}

/// What is to be written into the ledger.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JournalEntry {
    /// The journal with the entry.
    pub journal: Journal,
    /// The version that it follows, 0 for a new journal; none where a restore has brought back an older journal.
    #[serde(default)]
    pub before: Option<i64>,
    /// Whether the ledger is to be made where it is missing.
    #[serde(default)]
    pub create: bool,
}

/// What is to be removed from the ledger.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Removal {
    /// The procedure whose journal goes.
    pub procedure: String,
    /// Whether a ledger that then holds neither run nor journal is removed, too.
    #[serde(default)]
    pub with_unused_ledger: bool,
    /// Whether the whole ledger is removed.
    #[serde(default)]
    pub with_ledger: bool,
}

/// The process that takes the lock.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Taker {
    /// Its process.
    pub holder: String,
    /// Whether it restores a backup by hand, and is not a safe procedure.
    #[serde(default)]
    pub restores: bool,
}

/// Takes the lock of the safe procedure, emits an event, and holds the lock until it is asked to stop. A lost lock is taken again.
pub async fn hold_procedure(options: TargetOptions<'_>, taker: &Taker, context: &Context) -> Result<()> {
    let name = format!("{} of {}", if taker.restores { "restore" } else { "procedure" }, taker.holder);
    let (session, ledger) = context.stop.or(opened::target(options, &name, context)).await?;
    context.stop.or(take(&ledger, &session, taker)).await?;
    let mut leader = Leader::with_lock(session, &ledger, RunLock::Procedure).await?.shown_as(&name);
    context.events.send(Event::ProcedureLocked);
    while !context.stop.is_stopped() {
        tokio::select! {
            biased;
            () = context.stop.stopped() => {}
            () = tokio::time::sleep(POLL_INTERVAL) => {
                leader.keep(&context.stop).await?;
            }
        }
    }
    Ok(())
}

async fn take(ledger: &Ledger, session: &Session, taker: &Taker) -> Result<()> {
    let began = Instant::now();
    while !ledger.lock_procedure(session).await? {
        if began.elapsed() >= LINGER {
            return Err(occupied(ledger.procedure_holder(session).await?, taker));
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    Ok(())
}

fn occupied(holder: Option<LockHolder>, taker: &Taker) -> Error {
    let is_restore = holder.as_ref().is_some_and(LockHolder::is_restore);
    let (who, end) = match holder {
        Some(holder) => (
            format!(" ({}; its session on the target is process {})", holder.words(), holder.pid),
            format!("; if its machine no longer runs, SELECT pg_terminate_backend({}) on the target", holder.pid),
        ),
        None => (String::new(), String::new()),
    };
    let work = match (is_restore, taker.restores) {
        (true, false) => "a restore of a backup",
        (true, true) => "another restore of a backup",
        (false, true) => "a safe procedure",
        (false, false) => "another safe procedure",
    };
    let left = if taker.restores { "nothing was restored" } else { "this one has stopped and changed nothing" };
    Error::new("procedure_active", Kind::State, format!("{work} is active on this target{who}; {left}"))
        .on(Side::Target)
        .remedy(format!("wait for its end, or interrupt it by Ctrl-C or SIGTERM{end}"))
}

/// Reads what the target keeps of safe procedures.
pub async fn read_journal(options: TargetOptions<'_>, context: &Context) -> Result<Kept> {
    let (target, ledger) = opened::target(options, "journal", context).await?;
    Ok(Kept {
        journal: ledger.last_journal(&target).await?,
        has_ledger: ledger.exists(&target).await?,
        target: introspect::server(&target).await?.identity(),
        is_run_active: ledger.is_locked(&target).await?,
        is_being_restored: ledger.is_being_restored(&target).await?,
    })
}

/// Writes an entry of the journal.
pub async fn write_journal(options: TargetOptions<'_>, entry: &JournalEntry, context: &Context) -> Result<()> {
    let (target, ledger) = opened::target(options, "journal", context).await?;
    if entry.create {
        ledger.create(&target).await?;
    }
    ledger.write_journal(&target, &entry.journal, entry.before).await
}

/// Removes the journal of a procedure that is over and has left nothing on the target; with the ledger where that is requested.
pub async fn remove_journal(options: TargetOptions<'_>, removal: &Removal, context: &Context) -> Result<()> {
    let (target, ledger) = opened::target(options, "journal", context).await?;
    ledger.forget_journal(&target, &removal.procedure).await?;
    let is_unused = removal.with_unused_ledger && ledger.is_unused(&target).await?;
    if is_unused || removal.with_ledger && !ledger.is_locked(&target).await? {
        ledger.drop(&target).await?;
    }
    Ok(())
}
