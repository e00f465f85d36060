//! What other sessions do on the two servers: an active run, sessions, open transactions, locks.

use super::look::{Look, list, warning};
use crate::config::ScopeOptions;
use crate::engine::refuse::run_active;
use crate::error::{Result, Side};
use crate::finding::Finding;
use crate::ledger::Ledger;
use crate::name::{QualifiedName, literal, readable};
use crate::pg::Session;
use crate::pg::survey::{self, Activity, TableLock};
use std::collections::HashSet;

/// A transaction that is open longer than this is reported.
const LONG_SECONDS: f64 = 600.0;
const READERS_WAIT: &str = "AccessExclusiveLock";

pub(super) async fn check(look: &Look<'_>) -> Result<Vec<Finding>> {
    let target = look.subject.target;
    let mut findings = Vec::new();
    let ledger = Ledger::new(&look.subject.options.plan.ledger.schema);
    // Runs of chosen tasks share the lock, and so may this one where only such runs hold it.
    if ledger.is_locked(target).await? && !ledger.lock(target, true).await? {
        findings.push(run_active());
    }
    let on_source = others(look, survey::sessions(look.leader()).await?);
    let on_target = others(look, survey::sessions(target).await?);
    findings.extend(target_sessions(&on_target));
    findings.extend(source_writers(&on_source));
    findings.extend(
        [(Side::Source, &on_source), (Side::Target, &on_target)].into_iter().filter_map(|(side, all)| long(side, all)),
    );
    findings.extend(prepared(Side::Source, look.leader()).await?);
    findings.extend(prepared(Side::Target, target).await?);
    let tables: HashSet<&QualifiedName> = look.tables().map(|table| &table.name).collect();
    let in_scope = |lock: &&TableLock| tables.contains(&lock.table);
    let on_source = survey::locks(look.leader()).await?;
    let readers = on_source.iter().filter(|lock| lock.mode == READERS_WAIT).filter(in_scope);
    findings.extend(locked(Side::Source, &readers.collect::<Vec<_>>()));
    let on_target = survey::locks(target).await?;
    findings.extend(locked(Side::Target, &on_target.iter().filter(in_scope).collect::<Vec<_>>()));
    Ok(findings)
}

/// A run that goes on alongside others of the same plan finds their sessions, which are not reported.
fn others(look: &Look<'_>, mut sessions: Vec<Activity>) -> Vec<Activity> {
    sessions.retain(|session| !look.subject.resuming || !session.application.starts_with("pgmigrate "));
    sessions
}

/// Tables of the source that no session can read at present; reading the schema would wait for them.
pub(super) async fn readers_kept_out(scope: &ScopeOptions, source: &Session) -> Result<Option<Finding>> {
    let locks = survey::locks(source).await?;
    let chosen = |lock: &&TableLock| lock.mode == READERS_WAIT && !scope.tables.exclude.contains(&lock.table);
    Ok(locked(Side::Source, &locks.iter().filter(chosen).collect::<Vec<_>>()))
}

/// The tables that no session can read at present.
pub(super) async fn unreadable(source: &Session) -> Result<HashSet<QualifiedName>> {
    let locks = survey::locks(source).await?.into_iter().filter(|lock| lock.mode == READERS_WAIT);
    Ok(locks.map(|lock| lock.table).collect())
}

pub(super) fn target_sessions(sessions: &[Activity]) -> Option<Finding> {
    let others: Vec<String> = sessions.iter().map(describe).collect();
    (!others.is_empty()).then(|| {
        let message = format!(
            "{} to the target's database: {}",
            count(others.len(), "other session is connected", "other sessions are connected"),
            list(&others)
        );
        warning("target_sessions", "", message, "stop the applications that use the target until the run has ended")
    })
}

/// Writers of the source: the run does not see what they have not committed yet.
pub(super) fn source_writers(sessions: &[Activity]) -> Option<Finding> {
    let writers: Vec<String> = sessions.iter().filter(|session| session.is_writing).map(describe).collect();
    (!writers.is_empty()).then(|| {
        let message = format!(
            "{} to the source, and rows written after the snapshot are not copied: {}",
            count(writers.len(), "session is writing", "sessions are writing"),
            list(&writers)
        );
        warning(
            "source_writers",
            "",
            message,
            "stop the applications that write to the source before the run that counts",
        )
    })
}

fn long(side: Side, sessions: &[Activity]) -> Option<Finding> {
    let old: Vec<String> = sessions.iter().filter(|session| session.seconds > LONG_SECONDS).map(describe).collect();
    (!old.is_empty()).then(|| {
        let message = format!("transactions are open for long on the {side}: {}", list(&old));
        let remedy = "end them, or SELECT pg_terminate_backend(pid): they may hold locks that the run needs";
        warning("long_transactions", "", message, remedy)
    })
}

fn describe(session: &Activity) -> String {
    let application = if session.application.is_empty() { "no name" } else { &session.application };
    let age = match session.seconds {
        seconds if seconds >= 1.0 => format!(", {seconds:.0} s in its transaction"),
        _ => String::new(),
    };
    format!("{} {} {application} ({}{age})", session.pid, readable(&session.role), session.state)
}

async fn prepared(side: Side, session: &Session) -> Result<Vec<Finding>> {
    let means = match side {
        Side::Source => "what it wrote is not copied",
        Side::Target => "it keeps its locks",
    };
    let finding = |transaction: survey::PreparedTransaction| {
        let name = literal(&transaction.name);
        let message = format!(
            "a transaction of {} has been prepared on the {side} for {:.0} s: {means}",
            readable(&transaction.role),
            transaction.seconds
        );
        let remedy = format!("COMMIT PREPARED {0} or ROLLBACK PREPARED {0} on the {side}", name.trim_start());
        warning("prepared_transaction", transaction.name, message, remedy)
    };
    Ok(survey::prepared(session).await?.into_iter().map(finding).collect())
}

fn locked(side: Side, locks: &[&TableLock]) -> Option<Finding> {
    let described: Vec<String> = locks
        .iter()
        .map(|lock| {
            let holder = if lock.pid == 0 {
                "a prepared transaction".into()
            } else {
                format!("{} {} {}", lock.pid, readable(&lock.role), lock.application)
            };
            format!("{} by {} ({})", lock.table, holder.trim_end(), lock.mode)
        })
        .collect();
    (!described.is_empty()).then(|| {
        let message = format!("tables are locked on the {side}, and the run waits for them: {}", list(&described));
        warning(
            "table_locks",
            "",
            message,
            "wait for the end of these transactions, or SELECT pg_terminate_backend(pid)",
        )
    })
}

pub(super) fn count(number: usize, one: &str, many: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {many}") }
}
