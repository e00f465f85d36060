//! What the ledger has of a run's tasks: all of them, some, or only a summary of their states.
//!
//! Every part of a run reads rows here, so a part reads only those of its own tasks. Called by the engine.

use super::{Ledger, condition, text};
use crate::error::Result;
use crate::pg::Session;
use crate::record::Record;
use crate::status::TaskStatus;

/// A summary of the states of a run's tasks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// Whether every task is settled.
    pub is_complete: bool,
    /// Whether a task failed, or was blocked by one that did.
    pub has_failed: bool,
    /// The states of the source that tasks saw.
    pub snapshots: Vec<String>,
}

impl Ledger {
    /// All tasks of a run, in the plan's order.
    pub async fn records(&self, session: &Session, run: i64) -> Result<Vec<Record>> {
        let mut records = Vec::new();
        session.each(&self.select(run, ""), |row| records.push(self.record(row))).await?;
        records.into_iter().collect()
    }

    /// The same of those tasks alone.
    pub async fn records_of(&self, session: &Session, run: i64, tasks: &[String]) -> Result<Vec<Record>> {
        let rows = session.query(&self.select(run, " AND task = ANY ($1)"), &[&tasks]).await?;
        rows.iter().map(|row| self.record(row)).collect()
    }

    fn select(&self, run: i64, condition: &str) -> String {
        // If the ledger is of a version without the column, the name `worker` in the inner query means the outer query's NULL.
        format!(
            "SELECT t.* FROM (SELECT NULL::int4 AS worker) missing, LATERAL ( \
                SELECT task, phase, kind, object, mode, format, status, attempts, rows, bytes, hash, snapshot, \
                    CASE WHEN status = '{}' THEN extract(epoch FROM now() - started)::float8 ELSE seconds END, \
                    sqlstate, note, planned_rows, planned_bytes, worker, \
                    extract(epoch FROM started - (SELECT r.started FROM {} r WHERE r.run = {run}))::float8 \
                FROM {} WHERE run = {run}{condition}) t ORDER BY length(task), task COLLATE \"C\"",
            TaskStatus::Running,
            self.runs(),
            self.tasks()
        )
    }

    /// A summary of the states of a run's tasks.
    pub async fn standing(&self, session: &Session, run: i64) -> Result<Standing> {
        let sql = format!(
            "SELECT coalesce(bool_and({}), true), coalesce(bool_or({}), false), \
                    coalesce(array_agg(DISTINCT snapshot COLLATE \"C\") FILTER (WHERE snapshot <> ''), '{{}}') \
             FROM {} WHERE run = $1",
            condition::settled(),
            condition::failed(),
            self.tasks()
        );
        let row = session.query_one(&sql, &[&run]).await?;
        Ok(Standing { is_complete: row.get(0), has_failed: row.get(1), snapshots: row.get(2) })
    }

    fn record(&self, row: &tokio_postgres::Row) -> Result<Record> {
        Ok(Record {
            task: row.get(0),
            phase: self.value(row.get(1))?,
            kind: row.get::<_, &str>(2).into(),
            object: row.get(3),
            mode: self.value_if_any(row.get(4))?,
            format: self.value_if_any(row.get(5))?,
            status: self.value(row.get(6))?,
            attempts: row.get(7),
            rows: row.get(8),
            bytes: row.get(9),
            hash: row.get(10),
            snapshot: row.get(11),
            seconds: row.get(12),
            sqlstate: row.get(13),
            note: text::original(row.get(14)),
            planned_rows: row.get(15),
            planned_bytes: row.get(16),
            worker: row.get(17),
            begun: row.get(18),
        })
    }
}
