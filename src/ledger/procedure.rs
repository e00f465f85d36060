//! The safe procedure's data on the target: the lock that prevents a second procedure, and the journal from which the next one continues.
//!
//! The lock ends with its session. This module treats the journal as text: the Python package decides what its entries mean. It is written
//! by compare-and-set on its version, so a procedure that has lost its lock cannot overwrite the journal of its successor.

use super::{LOCK_CLASS, LOCK_SAFE, Ledger};
use crate::action::Action;
use crate::error::{Error, Kind, Result, Side};
use crate::pg::Session;
use crate::plan::TaskKind;
use crate::record::RowMode;
use serde::{Deserialize, Serialize};

/// A journal as the ledger keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journal {
    /// The procedure that it belongs to.
    pub procedure: String,
    /// Grows with every entry.
    pub version: i64,
    /// How the procedure ended; none until it has ended by itself.
    pub outcome: Option<String>,
    /// The entries, as JSON.
    pub journal: String,
}

/// The session that holds the procedure's lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockHolder {
    /// The process that serves it.
    pub pid: i32,
    /// Its `application_name`, which names process and host.
    pub application: String,
}

/// What a task of some run is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The task's kind.
    pub kind: TaskKind,
    /// Its object.
    pub object: String,
    /// How rows are written to a table.
    pub mode: Option<RowMode>,
}

impl LockHolder {
    /// A description of the session: what it does, by which process on which host.
    #[must_use]
    pub fn words(&self) -> String {
        self.application.trim_start_matches("pgmigrate ").to_owned()
    }

    /// Whether it restores a backup by hand.
    #[must_use]
    pub fn is_restore(&self) -> bool {
        self.words().starts_with("restore ")
    }
}

impl Ledger {
    pub(super) fn journals(&self) -> String {
        self.table(5)
    }

    /// What the tasks of all runs are about; tables whose rows are only added to are left out.
    pub async fn subjects(&self, session: &Session) -> Result<Vec<Subject>> {
        let sql = format!(
            "SELECT DISTINCT kind, object, mode FROM {} WHERE kind <> '{}' OR mode = '{}'",
            self.tasks(),
            TaskKind::Data,
            RowMode::Replace
        );
        let rows = session.query(&sql, &[]).await?;
        let subject = |row: &tokio_postgres::Row| {
            Ok(Subject { kind: row.get::<_, &str>(0).into(), object: row.get(1), mode: self.value_if_any(row.get(2))? })
        };
        rows.iter().map(subject).collect()
    }

    /// Takes the lock of the safe procedure for as long as the session lives; whether it was free.
    pub async fn lock_procedure(&self, session: &Session) -> Result<bool> {
        let sql = "SELECT pg_catalog.pg_try_advisory_lock($1, $2)";
        Ok(session.query_one(sql, &[&LOCK_CLASS, &LOCK_SAFE]).await?.get(0))
    }

    /// The other session that holds the lock of the safe procedure, if there is one.
    pub async fn procedure_holder(&self, session: &Session) -> Result<Option<LockHolder>> {
        let sql = "SELECT l.pid, coalesce(a.application_name, '') FROM pg_catalog.pg_locks l \
                   JOIN pg_catalog.pg_database d ON d.oid = l.database \
                   LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid \
                   WHERE l.locktype = 'advisory' AND d.datname = pg_catalog.current_database() AND l.granted \
                   AND l.classid::int8 = $1::int4 AND l.objid::int8 = $2::int4 AND l.pid <> pg_catalog.pg_backend_pid()";
        let row = session.query_opt(sql, &[&LOCK_CLASS, &LOCK_SAFE]).await?;
        Ok(row.map(|row| LockHolder { pid: row.get(0), application: row.get(1) }))
    }

    /// Whether a client program of a restore is still connected: if its pgmigrate was killed, the program ends its transaction by itself.
    pub async fn is_being_restored(&self, session: &Session) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT FROM pg_catalog.pg_stat_activity WHERE datname = pg_catalog.current_database() \
                   AND application_name LIKE 'pgmigrate restore %')";
        Ok(session.query_one(sql, &[]).await?.get(0))
    }

    /// Whether the table of journals exists; ledgers of older versions have none.
    pub async fn has_journals(&self, session: &Session) -> Result<bool> {
        let sql = "SELECT pg_catalog.to_regclass($1) IS NOT NULL";
        Ok(session.query_one(sql, &[&self.journals()]).await?.get(0))
    }

    /// The latest journal.
    pub async fn last_journal(&self, session: &Session) -> Result<Option<Journal>> {
        if !self.has_journals(session).await? {
            return Ok(None);
        }
        let sql = format!(
            "SELECT procedure, version, outcome, journal::text FROM {} ORDER BY began DESC, procedure LIMIT 1",
            self.journals()
        );
        let row = session.query_opt(&sql, &[]).await?;
        Ok(row.map(|row| Journal {
            procedure: row.get(0),
            version: row.get(1),
            outcome: row.get(2),
            journal: row.get(3),
        }))
    }

    /// Writes a new journal, or the next version of one, so that it survives a crash of the server. `before` is the version that it
    /// follows, 0 for a new journal; with none, the journal is written whatever version the ledger has.
    pub async fn write_journal(&self, session: &Session, journal: &Journal, before: Option<i64>) -> Result<()> {
        session.batch("SET synchronous_commit = on").await?;
        let Journal { procedure, version, outcome, journal: entries } = journal;
        let sql = match before {
            Some(0) | None => format!(
                "INSERT INTO {} AS j (procedure, version, outcome, journal) VALUES ($1, $2, $3, $4::text::jsonb) \
                 ON CONFLICT (procedure) DO UPDATE SET version = excluded.version, outcome = excluded.outcome, \
                 journal = excluded.journal, changed = clock_timestamp() WHERE $5::int8 IS NULL",
                self.journals()
            ),
            Some(_) => format!(
                "UPDATE {} SET version = $2, outcome = $3, journal = $4::text::jsonb, changed = clock_timestamp() \
                 WHERE procedure = $1 AND version = $5::int8",
                self.journals()
            ),
        };
        match session.execute(&sql, &[procedure, version, outcome, entries, &before]).await? {
            1 => Ok(()),
            _ => Err(overtaken()),
        }
    }

    /// Deletes the journal of a procedure that has left the target as it was.
    pub async fn forget_journal(&self, session: &Session, procedure: &str) -> Result<()> {
        if !self.has_journals(session).await? {
            return Ok(());
        }
        let sql = format!("DELETE FROM {} WHERE procedure = $1", self.journals());
        session.execute(&sql, &[&procedure]).await.map(|_| ())
    }

    /// Whether the ledger holds neither a run nor a journal.
    pub async fn is_unused(&self, session: &Session) -> Result<bool> {
        if !self.exists(session).await? || !self.has_journals(session).await? {
            return Ok(false);
        }
        let sql =
            format!("SELECT NOT EXISTS (SELECT FROM {}) AND NOT EXISTS (SELECT FROM {})", self.runs(), self.journals());
        Ok(session.query_one(&sql, &[]).await?.get(0))
    }
}

fn overtaken() -> Error {
    Error::new(
        "journal_overtaken",
        Kind::State,
        "the procedure's journal has changed: another process has continued the procedure, or the ledger \
                was dropped",
    )
    .on(Side::Target)
    .remedy(format!("wait until the other process has ended; then {} continues from the journal", Action::Safe))
}
