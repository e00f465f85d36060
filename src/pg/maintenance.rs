//! The resources that a server allows for the build of an index or a key: as configured there, and as one transaction sets them for itself.
//!
//! Every role may set both for itself. `engine::tuning` decides on the values.

use super::Session;
use crate::error::Result;

/// The settings that apply to builds of indexes and keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Maintenance {
    /// `maintenance_work_mem`, in bytes.
    pub memory: u64,
    /// `max_parallel_maintenance_workers`.
    pub workers: u64,
}

/// The session's settings, and the bytes of `shared_buffers`.
pub async fn settings(session: &Session) -> Result<(Maintenance, u64)> {
    let row = session.query_one(include_str!("../sql/maintenance.sql"), &[]).await?;
    let number = |column: &str| row.get::<_, i64>(column).unsigned_abs();
    Ok((Maintenance { memory: number("memory"), workers: number("workers") }, number("shared")))
}

/// Sets them for the rest of the transaction.
pub async fn set(session: &Session, wanted: Maintenance) -> Result<()> {
    let (kilobytes, workers) = (wanted.memory / 1024, wanted.workers);
    session
        .batch(&format!(
            "SET LOCAL maintenance_work_mem = '{kilobytes}kB'; SET LOCAL max_parallel_maintenance_workers = {workers}"
        ))
        .await
}
