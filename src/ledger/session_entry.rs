//! The sessions on the target that each process of a run has opened, so that a later process can end the remaining ones.
//!
//! Called by the engine's `lost`, `leader` and `worker`.

use super::Ledger;
use crate::error::Result;
use crate::pg::Session;
use crate::pg::backend::Backend;

/// A session of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionEntry {
    /// The run.
    pub run: i64,
    /// The session's own process on the server.
    pub backend: Backend,
    /// The session that holds the run's lock for its process.
    pub leader: Backend,
    /// The process, as `engine::process` writes it.
    pub process: String,
}

/// A character that none of the parts contains.
const SEPARATOR: &str = "|";

impl SessionEntry {
    fn text(&self) -> String {
        let Backend { pid, started } = &self.backend;
        [pid, started, &self.leader.pid, &self.leader.started, &self.process].map(String::as_str).join(SEPARATOR)
    }

    fn read(run: i64, text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split(SEPARATOR).collect();
        let [pid, started, leader, leader_started, process] = parts[..] else { return None };
        let backend = |pid: &str, started: &str| Backend { pid: pid.to_owned(), started: started.to_owned() };
        let (backend, leader) = (backend(pid, started), backend(leader, leader_started));
        Some(SessionEntry { run, backend, leader, process: process.to_owned() })
    }
}

impl Ledger {
    /// Records a session of this process.
    pub async fn add_session(&self, session: &Session, entry: &SessionEntry) -> Result<()> {
        let sql = format!(
            "UPDATE {} SET sessions = pg_catalog.array_append(sessions, $2::text) WHERE run = $1 AND $2::text <> ALL (sessions)",
            self.runs()
        );
        session.execute(&sql, &[&entry.run, &entry.text()]).await.map(|_| ())
    }

    /// The sessions of the latest run. A ledger of an older version has none.
    pub async fn last_sessions(&self, session: &Session) -> Result<Vec<SessionEntry>> {
        let sql = format!(
            "SELECT r.run, e.entry FROM (SELECT * FROM {} ORDER BY run DESC LIMIT 1) r, \
                    pg_catalog.jsonb_array_elements_text(pg_catalog.to_jsonb(r) -> 'sessions') e (entry)",
            self.runs()
        );
        let rows = session.query(&sql, &[]).await?;
        Ok(rows.iter().filter_map(|row| SessionEntry::read(row.get(0), row.get(1))).collect())
    }

    /// Deletes the entries of sessions that have ended.
    pub async fn forget_sessions(&self, session: &Session, run: i64, ended: &[SessionEntry]) -> Result<()> {
        if ended.is_empty() {
            return Ok(());
        }
        let sql = format!(
            "UPDATE {} SET sessions = ARRAY(SELECT unnest(sessions) EXCEPT ALL SELECT unnest($2::text[])) WHERE run = $1",
            self.runs()
        );
        let texts: Vec<String> = ended.iter().map(SessionEntry::text).collect();
        session.execute(&sql, &[&run, &texts]).await.map(|_| ())
    }

    /// Deletes the entries of the process with this leader, which is about to end.
    pub async fn forget_process(&self, session: &Session, run: i64, leader: &Backend) -> Result<()> {
        let entries = self.last_sessions(session).await?;
        let own: Vec<SessionEntry> =
            entries.into_iter().filter(|entry| entry.run == run && entry.leader == *leader).collect();
        self.forget_sessions(session, run, &own).await
    }

    /// Replaces the leader of a process after it has connected again.
    pub async fn replace_leader(&self, session: &Session, old: &Backend, new: &Backend) -> Result<()> {
        for entry in self.last_sessions(session).await?.into_iter().filter(|entry| entry.leader == *old) {
            let is_leader = entry.backend == *old;
            let backend = if is_leader { new.clone() } else { entry.backend.clone() };
            let replaced = SessionEntry { backend, leader: new.clone(), ..entry.clone() };
            self.add_session(session, &replaced).await?;
            self.forget_sessions(session, entry.run, &[entry]).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_read_as_it_was_written() {
        let backend = |pid: &str| Backend { pid: pid.into(), started: "2026-11-30 20:00:00.1+00".into() };
        let entry =
            SessionEntry { run: 7, backend: backend("1"), leader: backend("2"), process: "boot/pid:[1] 5 9".into() };
        assert_eq!(SessionEntry::read(7, &entry.text()), Some(entry));
        assert_eq!(SessionEntry::read(7, "1|2"), None);
    }
}
