//! Leases of snapshots of the source: processes of a run register the snapshots that they have exported in the ledger, so that others can
//! join them.
//!
//! A lease is valid as long as its process lives: it names the backend on the target whose advisory lock ends with it
//! (<https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS>), so no process joins a snapshot of a dead process. The
//! holder registers the run's snapshot; each part registers the snapshot that it reads in. Called by `hold` and `part`.

use super::{LOCK_CLASS, LOCK_HOLD, LOCK_RUN, Ledger, condition};
use crate::closed_set::closed_set;
use crate::error::Result;
use crate::pg::Session;
use crate::pg::snapshot::Snapshot;
use crate::status::TaskStatus;

closed_set! {
    /// Who registered a snapshot lease.
    pub enum LeaseRole, "role of a snapshot lease" {
        /// The holder of the run's one snapshot.
        Holder = "holder",
        /// A part of the run that reads in it.
        Part = "part",
    }
}

/// A snapshot lease whose process lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The snapshot that can be joined.
    pub snapshot: Snapshot,
    /// Who registered it.
    pub role: LeaseRole,
    /// Whether the holder was requested to release it.
    pub is_released: bool,
}

/// How far the copy of a run's rows is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Tasks of the data phase that are settled.
    pub settled: u64,
    /// Those that a part has started, even if it has died since.
    pub running: u64,
    /// Those that failed.
    pub failed: u64,
    /// Those that no part has started.
    pub pending: u64,
}

impl Progress {
    /// How many are not settled.
    #[must_use]
    pub fn open(&self) -> u64 {
        self.running + self.failed + self.pending
    }
}

impl Ledger {
    pub(super) fn snapshots(&self) -> String {
        self.table(2)
    }

    /// Whether the ledger has the table of snapshot leases: a ledger of an older version has not.
    async fn has_snapshots(&self, session: &Session) -> Result<bool> {
        let sql = "SELECT pg_catalog.to_regclass($1) IS NOT NULL";
        Ok(session.query_one(sql, &[&self.snapshots()]).await?.get(0))
    }

    /// Takes the lock of the one holder on this target, for as long as the session lives.
    pub async fn lock_hold(&self, session: &Session) -> Result<bool> {
        let sql = "SELECT pg_catalog.pg_try_advisory_lock($1, $2)";
        Ok(session.query_one(sql, &[&LOCK_CLASS, &LOCK_HOLD]).await?.get(0))
    }

    /// The backend of the living holder, if there is one other than this session.
    pub async fn holder(&self, session: &Session) -> Result<Option<i32>> {
        let sql = "SELECT l.pid FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_database d ON d.oid = l.database \
                   WHERE l.locktype = 'advisory' AND d.datname = pg_catalog.current_database() \
                   AND l.classid::int8 = $1::int4 AND l.objid::int8 = $2::int4 AND l.granted AND l.pid <> pg_catalog.pg_backend_pid()";
        Ok(session.query_opt(sql, &[&LOCK_CLASS, &LOCK_HOLD]).await?.map(|row| row.get(0)))
    }

    /// Registers a snapshot lease for as long as this session lives, and deletes those of dead processes.
    pub async fn register_lease(
        &self,
        session: &Session,
        run: i64,
        snapshot: &Snapshot,
        role: LeaseRole,
    ) -> Result<()> {
        if !self.has_snapshots(session).await? {
            self.create(session).await?;
        }
        let forget = format!("DELETE FROM {} s WHERE NOT {}", self.snapshots(), alive());
        session.execute(&forget, &[&LOCK_CLASS, &LOCK_RUN, &LOCK_HOLD]).await?;
        let sql = format!(
            "INSERT INTO {} (run, backend, role, snapshot, sees, server) \
             VALUES ($1, pg_catalog.pg_backend_pid(), $2, $3, $4, $5) \
             ON CONFLICT (run, backend) DO UPDATE SET role = EXCLUDED.role, snapshot = EXCLUDED.snapshot, sees = EXCLUDED.sees, \
                    server = EXCLUDED.server, announced = now(), released = false",
            self.snapshots()
        );
        session.execute(&sql, &[&run, &role.as_str(), &snapshot.id, &snapshot.text, &snapshot.server]).await.map(|_| ())
    }

    /// Deregisters this session's snapshot lease.
    pub async fn deregister_lease(&self, session: &Session, run: i64) -> Result<()> {
        let sql = format!("DELETE FROM {} WHERE run = $1 AND backend = pg_catalog.pg_backend_pid()", self.snapshots());
        session.execute(&sql, &[&run]).await.map(|_| ())
    }

    /// Records for tasks that are not settled which state of the source a part reads them in.
    pub async fn claim(&self, session: &Session, run: i64, tasks: &[&str], snapshot: &str) -> Result<()> {
        let sql = format!(
            "UPDATE {} SET snapshot = $3 WHERE run = $1 AND task = ANY ($2) AND {}",
            self.tasks(),
            condition::open()
        );
        session.execute(&sql, &[&run, &tasks, &snapshot]).await.map(|_| ())
    }

    /// The snapshot leases of a run that other, living processes have registered, the holder's first.
    pub async fn leases(&self, session: &Session, run: i64) -> Result<Vec<Lease>> {
        if !self.has_snapshots(session).await? {
            return Ok(Vec::new());
        }
        let sql = format!(
            "SELECT s.role, s.snapshot, s.sees, s.server, s.released FROM {} s \
             WHERE s.run = $4 AND s.backend <> pg_catalog.pg_backend_pid() AND {} ORDER BY s.role <> '{}', s.announced",
            self.snapshots(),
            alive(),
            LeaseRole::Holder
        );
        let rows = session.query(&sql, &[&LOCK_CLASS, &LOCK_RUN, &LOCK_HOLD, &run]).await?;
        let lease = |row: &tokio_postgres::Row| {
            let snapshot = Snapshot { id: row.get(1), text: row.get(2), server: row.get(3) };
            Ok(Lease { role: self.value(row.get(0))?, snapshot, is_released: row.get(4) })
        };
        rows.iter().map(lease).collect()
    }

    /// Requests that the holder of a run releases its snapshot; returns whether there is one.
    pub async fn release(&self, session: &Session, run: i64) -> Result<bool> {
        if !self.has_snapshots(session).await? {
            return Ok(false);
        }
        let sql = format!(
            "UPDATE {} s SET released = true WHERE s.run = $4 AND s.role = '{}' AND {}",
            self.snapshots(),
            LeaseRole::Holder,
            alive()
        );
        Ok(session.execute(&sql, &[&LOCK_CLASS, &LOCK_RUN, &LOCK_HOLD, &run]).await? > 0)
    }

    /// Whether a session has requested that this session, the holder, releases its snapshot.
    pub async fn is_released(&self, session: &Session, run: i64) -> Result<bool> {
        let sql = format!(
            "SELECT released FROM {} WHERE run = $1 AND backend = pg_catalog.pg_backend_pid()",
            self.snapshots()
        );
        Ok(session.query_opt(&sql, &[&run]).await?.is_some_and(|row| row.get(0)))
    }

    /// How far the data phase of a run is.
    pub async fn progress(&self, session: &Session, run: i64) -> Result<Progress> {
        let sql = format!(
            "SELECT count(*) FILTER (WHERE {}), count(*) FILTER (WHERE status = '{}'), \
                    count(*) FILTER (WHERE {}), count(*) FILTER (WHERE status = '{}') \
             FROM {} WHERE run = $1 AND phase = 'data'",
            condition::settled(),
            TaskStatus::Running,
            condition::failed(),
            TaskStatus::Pending,
            self.tasks()
        );
        let row = session.query_one(&sql, &[&run]).await?;
        let count = |at: usize| row.get::<_, i64>(at).cast_unsigned();
        Ok(Progress { settled: count(0), running: count(1), failed: count(2), pending: count(3) })
    }
}

/// Whether the process of the lease `s` lives: parts share the run's lock, and the holder has its own.
fn alive() -> String {
    format!(
        "EXISTS (SELECT FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_database d ON d.oid = l.database \
     WHERE l.locktype = 'advisory' AND d.datname = pg_catalog.current_database() AND l.pid = s.backend AND l.granted \
     AND l.classid::int8 = $1::int4 AND l.objid::int8 = CASE s.role WHEN '{}' THEN $2::int4 ELSE $3::int4 END)",
        LeaseRole::Part
    )
}
