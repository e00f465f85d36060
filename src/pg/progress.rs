//! How far the target's sessions are with what takes long: builds of indexes and COPY, as the server reports them.
//!
//! A session of a worker shows the task that it does in its `application_name`. Without the right to see other roles' sessions the server
//! reports nothing of them, and these are left out. Called by `engine::time_left`.

use super::Session;
use crate::error::Result;

/// What the build of an index is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Reading the table, which also sorts what has no room in memory.
    Scan,
    /// Sorting; the server does not report how far it is.
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
    /// What it is at.
    pub stage: Stage,
    /// Blocks or rows that the stage is done with.
    pub done: u64,
    /// Its blocks or rows; 0 where the server does not know.
    pub total: u64,
}

/// A COPY.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copying {
    /// The task.
    pub task: String,
    /// Rows taken.
    pub rows: u64,
    /// Bytes taken.
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

/// The COPYs on the session's database; none where the server has no such view.
pub async fn copies(session: &Session) -> Result<Vec<Copying>> {
    if session.major() < REPORTS_COPY {
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

/// The first major with `pg_stat_progress_copy`.
const REPORTS_COPY: u32 = 14;
