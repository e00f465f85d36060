//! Tasks that are not done. Called by the pool and the workers.

use super::text::escaped;
use super::{Ledger, condition};
use crate::error::Result;
use crate::pg::Session;
use crate::status::TaskStatus;

/// Why a task is not done.
#[derive(Debug, Clone, Copy)]
pub struct TaskFailure<'a> {
    /// Failed, or blocked where it cannot be tried because of another's failure.
    pub status: TaskStatus,
    /// The server's error code, empty where there is none.
    pub sqlstate: &'a str,
    /// The reason as people read it.
    pub note: &'a str,
}

impl Ledger {
    /// Records a failure, or that the task cannot be tried because of another's.
    pub async fn fail(&self, session: &Session, run: i64, task: &str, failure: TaskFailure<'_>) -> Result<()> {
        let TaskFailure { sqlstate, note, .. } = failure;
        let status = failure.status.as_str();
        let sql = format!(
            "UPDATE {} SET status = $3, sqlstate = $4, note = $5, \
                    seconds = coalesce(extract(epoch FROM clock_timestamp() - started)::float8, 0) \
             WHERE run = $1 AND task = $2 AND {}",
            self.tasks(),
            condition::open()
        );
        match session.execute(&sql, &[&run, &task, &status, &sqlstate, &note]).await {
            // The source's server may speak a language that the target has no letters for.
            Err(error) if error.is("22P05") => {
                session.execute(&sql, &[&run, &task, &status, &sqlstate, &escaped(note)]).await.map(|_| ())
            }
            result => result.map(|_| ()),
        }
    }
}
