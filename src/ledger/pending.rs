//! Tasks that have to be done again, and the commits of processes that died while they settled tasks. Called by the engine where a run is
//! resumed or joined.

use super::{Ledger, condition};
use crate::error::Result;
use crate::pg::Session;
use crate::status::TaskStatus;
use std::time::Duration;

/// The pause between two queries for commits that are in progress.
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

impl Ledger {
    /// Sets tasks that a dead run left running, failed or blocked back to `pending`. Waits for a commit that the run has sent and the
    /// server still executes: a task that it settles stays settled.
    pub async fn reopen(&self, session: &Session, run: i64) -> Result<()> {
        let sql = format!(
            "{} WHERE run = $1 AND {} AND status <> '{}'",
            self.back_to_pending(),
            condition::open(),
            TaskStatus::Pending
        );
        session.execute(&sql, &[&run]).await.map(|_| ())
    }

    /// Waits for commits in progress that settle tasks: a part that was killed may have sent one. Never waits for a row while it locks
    /// others, because that could deadlock with parts at work.
    pub async fn await_commits(&self, session: &Session, run: i64) -> Result<()> {
        let open = format!("FROM {} WHERE run = $1 AND {}", self.tasks(), condition::open());
        let sql = format!(
            "WITH free AS (SELECT task {open} FOR UPDATE SKIP LOCKED) \
             SELECT EXISTS (SELECT task {open} EXCEPT SELECT task FROM free)"
        );
        while session.query_one(&sql, &[&run]).await?.get(0) {
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
        Ok(())
    }

    /// Sets tasks that have to be done again back to `pending`, settled or not.
    pub async fn reset(&self, session: &Session, run: i64, tasks: &[String]) -> Result<()> {
        let sql = format!("{} WHERE run = $1 AND task = ANY ($2)", self.back_to_pending());
        session.execute(&sql, &[&run, &tasks]).await.map(|_| ())
    }

    fn back_to_pending(&self) -> String {
        format!(
            "UPDATE {} SET status = '{}', rows = 0, bytes = 0, hash = '', snapshot = '', sqlstate = '', note = '', \
                    started = NULL, seconds = 0, worker = NULL",
            self.tasks(),
            TaskStatus::Pending
        )
    }
}
