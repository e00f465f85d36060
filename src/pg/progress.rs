//! The progress of long operations of the target's sessions: builds of indexes and COPY, as the server reports them.
//!
//! The `application_name` of a worker's session shows its task. Without the right to see other roles' sessions the server reports nothing
//! about them, and these are left out. Called by `engine::time_left`.

use super::Session;
use crate::error::Result;

/// The stage of an index build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Reading the table, which includes the sort of what does not fit into memory.
    Scan,
    /// Sorting; the server does not report its progress.
    Sort,
    /// Writing the sorted keys into the index.
    Load,
    /// Reading the table and writing the index at the same time, as all access methods but btree do.
    Whole,
    /// Anything else, such as waiting for a lock.
    Other,
}

impl Stage {
    fn from_phase(phase: &str) -> Stage {
        match phase {
            "building index: scanning table" => Stage::Scan,
            "building index: sorting live tuples" | "building index: sorting dead tuples" => Stage::Sort,
            "building index: loading tuples in tree" => Stage::Load,
            phase if phase.starts_with("building index") => Stage::Whole,
            _ => Stage::Other,
        }
    }
}

/// A build of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build {
    /// The task.
    pub task: String,
    /// Its stage.
    pub stage: Stage,
    /// Blocks or rows that the stage has processed.
    pub done: u64,
    /// Its blocks or rows; 0 if the server does not know.
    pub total: u64,
}

/// A COPY.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copying {
    /// The task.
    pub task: String,
    /// Rows processed.
    pub rows: u64,
    /// Bytes processed.
    pub bytes: u64,
}

/// The builds of indexes on the session's database.
pub async fn builds(session: &Session) -> Result<Vec<Build>> {
    let rows = session.query(include_str!("../sql/target/build_progress.sql"), &[]).await?;
    let build = |row: &tokio_postgres::Row| Build {
        task: row.get("task"),
        stage: Stage::from_phase(row.get("phase")),
        done: row.get::<_, i64>("done").unsigned_abs(),
        total: row.get::<_, i64>("total").unsigned_abs(),
    };
    Ok(rows.iter().map(build).collect())
}

/// The COPY operations on the session's database; none if the server has no such view.
pub async fn copies(session: &Session) -> Result<Vec<Copying>> {
    if !session.version().reports_copy_progress() {
        return Ok(Vec::new());
    }
    let rows = session.query(include_str!("../sql/target/copy_progress.sql"), &[]).await?;
    let copying = |row: &tokio_postgres::Row| Copying {
        task: row.get("task"),
        rows: row.get::<_, i64>("rows").unsigned_abs(),
        bytes: row.get::<_, i64>("bytes").unsigned_abs(),
    };
    Ok(rows.iter().map(copying).collect())
}
