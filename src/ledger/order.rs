//! The ledger's part in running tasks one after another on one session, each sent before the server has answered the one before it.
//!
//! That session holds a lock for as long as it lives. After the death of the sending process, the server still executes what it has
//! received; so the next session queries what is settled only after it has taken the lock. The engine decides what to send.

use super::{LOCK_CLASS, LOCK_ORDER, Ledger, condition};
use crate::error::Result;
use crate::name::{ident, literal};
use crate::pg::Session;
use crate::status::TaskStatus;

/// A failed attempt, as the ledger keeps it.
#[derive(Debug, Clone, Copy)]
pub struct Failure<'a> {
    /// The task.
    pub task: &'a str,
    /// The worker that tried it.
    pub worker: i32,
    /// The server's SQLSTATE, empty where there is none.
    pub sqlstate: &'a str,
    /// The error in words.
    pub note: &'a str,
}

impl Ledger {
    /// Waits for the lock of the session that runs tasks in their order.
    pub async fn lock_order(&self, session: &Session) -> Result<()> {
        session.query_one("SELECT pg_catalog.pg_advisory_lock($1, $2)", &[&LOCK_CLASS, &LOCK_ORDER]).await.map(|_| ())
    }

    /// Prepares what [`Ledger::settling`] executes, on this session.
    pub async fn prepare_settling(&self, session: &Session, run: i64, worker: i32) -> Result<()> {
        let sql = include_str!("../sql/settle.sql")
            .replace(":\"ledger\"", &ident(&self.schema))
            .replace(":run", &run.to_string())
            .replace(":worker", &worker.to_string());
        session.batch(&sql).await
    }

    /// Releases the lock and deallocates what was prepared.
    pub async fn end_order(&self, session: &Session) -> Result<()> {
        let unlock = format!("SELECT pg_catalog.pg_advisory_unlock({LOCK_CLASS}, {LOCK_ORDER})");
        session.batch(&format!("DEALLOCATE pgmigrate_settle; {unlock}")).await
    }

    /// The statement that settles tasks in the message of their effects. It makes the message fail if one of `requires` is not settled.
    #[must_use]
    pub fn settling(&self, tasks: &[&str], requires: &[&str]) -> String {
        let array = |ids: &[&str]| ids.iter().map(|id| literal(id)).collect::<Vec<_>>().join(", ");
        format!("EXECUTE pgmigrate_settle(ARRAY[{}], ARRAY[{}]::text[])", array(tasks), array(requires))
    }

    /// The statement that records a failure.
    #[must_use]
    pub fn failing(&self, run: i64, failure: Failure<'_>) -> String {
        format!(
            "UPDATE {} SET status = '{}', attempts = attempts + 1, started = now(), worker = {}, sqlstate = {}, note = {} \
             WHERE run = {run} AND task = {} AND {}",
            self.tasks(),
            TaskStatus::Failed,
            failure.worker,
            literal(failure.sqlstate),
            literal(failure.note),
            literal(failure.task),
            condition::open()
        )
    }

    /// The statement that counts an attempt after which the task is tried again.
    #[must_use]
    pub fn counting(&self, run: i64, task: &str) -> String {
        format!(
            "UPDATE {} SET attempts = attempts + 1 \
             WHERE run = {run} AND task = {} AND {}",
            self.tasks(),
            literal(task),
            condition::open()
        )
    }

    /// The statement that records a note on a settled task.
    #[must_use]
    pub fn noting(&self, run: i64, task: &str, note: &str) -> String {
        let (note, task) = (literal(note), literal(task));
        format!("UPDATE {} SET note = {note} WHERE run = {run} AND task = {task}", self.tasks())
    }

    /// Which of the tasks are settled.
    pub async fn settled_of(&self, session: &Session, run: i64, tasks: &[&str]) -> Result<Vec<String>> {
        let sql = format!(
            "SELECT task FROM {} WHERE run = $1 AND task = ANY ($2) AND {}",
            self.tasks(),
            condition::settled()
        );
        Ok(session.query(&sql, &[&run, &tasks]).await?.iter().map(|row| row.get(0)).collect())
    }
}
