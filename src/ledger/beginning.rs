//! How to find out that an object existed before the first run: by OIDs, which grow, and after a restore by the transaction that made it.
//!
//! The engine decides what follows from it for a comparison.

use super::Ledger;
use crate::error::Result;
use crate::name::LEDGER_TABLES;
use crate::pg::Session;
use crate::plan::TaskKind;
use crate::status::TaskStatus;
use std::collections::HashSet;

impl Ledger {
    /// The lowest OID of the ledger's tables: objects with lower OIDs were made before the first run. None if there is no ledger.
    pub async fn first_oid(&self, session: &Session) -> Result<Option<u32>> {
        let sql = "SELECT min(c.oid::pg_catalog.int8)::pg_catalog.oid \
                   FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
                   WHERE n.nspname = $1 AND c.relname = ANY ($2)";
        // The journal of the safe procedure is made before the first run; the beginning of the first run is wanted here.
        let of_runs = &LEDGER_TABLES[..4];
        Ok(session.query_one(sql, &[&self.schema, &of_runs]).await?.get(0))
    }

    /// The highest OID that a restore has made in the transaction that restored a ledger with runs; none if the ledger was not restored.
    pub async fn last_restored_oid(&self, session: &Session) -> Result<Option<u32>> {
        if !self.exists(session).await? {
            return Ok(None);
        }
        // Otherwise the tables are made in a transaction of their own, before the first run.
        let sql = format!(
            "WITH restore (x) AS ( \
                SELECT a.xmin FROM pg_catalog.pg_attribute a WHERE a.attrelid = $1::text::regclass AND a.attnum = 1 \
                AND EXISTS (SELECT FROM {} t WHERE t.xmin = a.xmin)) \
             SELECT max(o.oid::pg_catalog.int8)::pg_catalog.oid FROM ( \
                SELECT d.objid AS oid, d.xmin AS x FROM pg_catalog.pg_depend d \
                UNION ALL SELECT p.oid, p.xmin FROM pg_catalog.pg_publication p) o JOIN restore USING (x)",
            self.tasks()
        );
        Ok(session.query_one(&sql, &[&self.tasks()]).await?.get(0))
    }

    /// Kind and object of what runs have made.
    pub async fn made(&self, session: &Session) -> Result<HashSet<(TaskKind, String)>> {
        let sql = format!(
            "SELECT DISTINCT kind, object FROM {} WHERE status = '{}' AND kind <> '{}'",
            self.tasks(),
            TaskStatus::Done,
            TaskKind::Data
        );
        Ok(session.query(&sql, &[]).await?.iter().map(|row| (row.get::<_, &str>(0).into(), row.get(1))).collect())
    }

    /// Drops the tables of runs if they are empty and owned by the role, so that their new OIDs are higher than those of all existing
    /// objects.
    pub async fn drop_unused_runs(&self, session: &Session) -> Result<()> {
        if !self.exists(session).await? {
            return Ok(());
        }
        let sql = format!(
            "SELECT pg_catalog.pg_has_role(c.relowner, 'USAGE') AND NOT EXISTS (SELECT FROM {}) \
             FROM pg_catalog.pg_class c WHERE c.oid = $1::text::regclass",
            self.runs()
        );
        if session.query_one(&sql, &[&self.runs()]).await?.get(0) {
            // Referencing tables are dropped first.
            let tables: Vec<String> = (0..LEDGER_TABLES.len() - 1).rev().map(|at| self.table(at)).collect();
            session.batch(&format!("DROP TABLE IF EXISTS {}", tables.join(", "))).await?;
        }
        Ok(())
    }
}
