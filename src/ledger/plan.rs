//! The plan of the latest run. A run without a plan file resumes by it.

use super::Ledger;
use crate::error::{Error, Kind, Result};
use crate::pg::Session;

impl Ledger {
    fn plans(&self) -> String {
        self.table(4)
    }

    /// Keeps the plan of a run, in place of those of earlier runs; in the transaction that begins the run.
    pub(super) async fn keep_plan(
        &self,
        session: &Session,
        run: i64,
        pieces: impl Iterator<Item = String>,
    ) -> Result<()> {
        session.batch(&format!("DELETE FROM {}", self.plans())).await?;
        let sql = format!("INSERT INTO {} (run, piece, bytes) VALUES ($1, $2, $3)", self.plans());
        for (at, piece) in (0_i32..).zip(pieces) {
            session.execute(&sql, &[&run, &at, &piece.as_bytes()]).await?;
        }
        Ok(())
    }

    /// The plan of a run as its file has it; none where the ledger does not keep it.
    pub async fn plan(&self, session: &Session, run: i64) -> Result<Option<String>> {
        if !self.keeps_plans(session).await? {
            return Ok(None);
        }
        let sql = format!("SELECT bytes FROM {} WHERE run = $1 ORDER BY piece", self.plans());
        let mut bytes = Vec::new();
        for row in session.query(&sql, &[&run]).await? {
            bytes.extend_from_slice(row.get(0));
        }
        if bytes.is_empty() {
            return Ok(None);
        }
        let broken = |error| {
            Error::new("plan_unreadable", Kind::State, "the ledger's plan is not valid UTF-8")
                .object(self.plans())
                .caused_by(error)
        };
        String::from_utf8(bytes).map(Some).map_err(broken)
    }

    /// Ledgers of older versions do not.
    async fn keeps_plans(&self, session: &Session) -> Result<bool> {
        let sql = "SELECT pg_catalog.to_regclass($1) IS NOT NULL";
        Ok(session.query_one(sql, &[&self.plans()]).await?.get(0))
    }
}
