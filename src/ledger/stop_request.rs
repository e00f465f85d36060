//! The request that every process at work on this target stops, made from any machine by an advisory lock on the target.
//!
//! The lock ends with the session that requests it, so a request never outlives its process and stops no later run
//! (<https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS>). The verb `stop` makes it; every run checks for it.

use super::{LOCK_CLASS, LOCK_STOP, Ledger};
use crate::error::Result;
use crate::pg::Session;

impl Ledger {
    /// Requests a stop for as long as the session lives; any number of sessions may.
    pub async fn ask_to_stop(&self, session: &Session) -> Result<()> {
        let sql = "SELECT pg_catalog.pg_advisory_lock_shared($1, $2)";
        session.query_one(sql, &[&LOCK_CLASS, &LOCK_STOP]).await.map(|_| ())
    }

    /// Whether a session requests a stop.
    pub async fn is_asked_to_stop(&self, session: &Session) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_database d ON d.oid = l.database \
                   WHERE l.locktype = 'advisory' AND d.datname = pg_catalog.current_database() \
                   AND l.classid::int8 = $1::int4 AND l.objid::int8 = $2::int4 AND l.granted)";
        Ok(session.query_one(sql, &[&LOCK_CLASS, &LOCK_STOP]).await?.get(0))
    }
}
