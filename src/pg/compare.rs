//! Reads source and target in parallel, to check whether they hold the same.
//!
//! [`Readers`] is a session on each side; the submodules define what is read through them: rows and where they differ, sequences, large
//! objects, validity, definitions. Nothing is written on either side (a view is deparsed in a transaction that rolls back). The engine's
//! `verify`, the only caller, decides what a difference means.

pub mod definition;
pub mod merge;
pub mod objects;
pub mod rows;

use super::snapshot::{self, Snapshot};
use super::{Conninfo, Session, search_path};
use crate::error::{Result, Side};

/// Where readers connect to, and what they read.
#[derive(Debug, Clone)]
pub struct ComparedConnections {
    /// The source.
    pub source: Conninfo,
    /// The target.
    pub target: Conninfo,
    /// The source's snapshot.
    pub snapshot: Snapshot,
    /// The encoding that both databases have, where it is the same and not UTF8: bytes are then compared as they are.
    pub encoding: Option<String>,
}

/// A session on each side.
pub struct Readers {
    /// On the source, in the snapshot.
    pub source: Session,
    /// On the target.
    pub target: Session,
    /// Whether the first attempt to read has failed, because a name without a schema was not found.
    pub is_second_attempt: bool,
}

impl Readers {
    /// Opens both sessions and joins the snapshot.
    pub async fn open(ends: &ComparedConnections) -> Result<Readers> {
        let (mut source, mut target) = tokio::try_join!(
            Session::open(&ends.source, Side::Source, "verify"),
            Session::open(&ends.target, Side::Target, "verify")
        )?;
        source.set_copy_encoding(ends.encoding.clone());
        target.set_copy_encoding(ends.encoding.clone());
        // Linux includes the time in which this program reads no rows, for example while the other side sorts.
        target.batch("SET tcp_user_timeout = 0").await?;
        snapshot::join(&source, &ends.snapshot).await?;
        source.batch("SAVEPOINT pgmigrate_verify").await?;
        Ok(Readers { source, target, is_second_attempt: false })
    }

    /// Lets both sessions find names without a schema by the search path `path` from now on.
    pub async fn look_up_in(&mut self, path: &str) -> Result<()> {
        let sql = search_path::of_session(path);
        self.is_second_attempt = true;
        tokio::try_join!(self.source.batch(&sql), self.target.batch(&sql)).map(|_| ())
    }

    /// Begins a transaction on the target in which all reads see one state.
    pub async fn begin(&self) -> Result<()> {
        self.target.batch("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await
    }

    /// Cancels the statements that both servers still run for these sessions. A cancel request without an answer only makes the wait
    /// longer.
    pub async fn cancel(&self) {
        let (source, target) = (self.source.canceller(), self.target.canceller());
        let _ = tokio::join!(source.cancel(), target.cancel());
    }

    /// Ends the transactions, and releases the locks of the reads; on the source the session stays in the snapshot.
    pub async fn release(&self) -> Result<()> {
        let source = self.source.batch("ROLLBACK TO SAVEPOINT pgmigrate_verify");
        tokio::try_join!(source, self.target.batch("ROLLBACK")).map(|_| ())
    }
}
