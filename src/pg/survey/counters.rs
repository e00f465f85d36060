//! The counters of the target's statistics table by table, and rows that no transaction of a run has written.
//!
//! A task's effect and its ledger row are one transaction, so the `xmin` values of the ledger's rows are the transactions of the run
//! (<https://www.postgresql.org/docs/current/ddl-system-columns.html>). The engine decides which table is read and what it means.

use super::changes::{LooseParts, SequenceCounter, loose_parts, sequence_counters};
use crate::catalog::Oid;
use crate::error::Result;
use crate::name::{QualifiedName, ident};
use crate::pg::{Session, unqualified};
use serde::{Deserialize, Serialize};
use std::ops::RangeInclusive;

/// The counters of one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableCounters {
    /// The table.
    pub table: QualifiedName,
    /// Its OID.
    pub oid: u32,
    /// The file that holds its rows; it changes with a TRUNCATE or a rewrite.
    pub file: Option<i64>,
    /// Rows inserted, also by transactions that were rolled back; the next two are of the same kind.
    pub inserted: i64,
    /// Rows updated.
    pub updated: i64,
    /// Rows deleted.
    pub deleted: i64,
}

/// The counters of a database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Table by table.
    pub tables: Vec<TableCounters>,
    /// Sequence by sequence; none if an older version recorded the counters.
    #[serde(default)]
    pub sequences: Vec<SequenceCounter>,
    /// Parts that appear in no other catalog row; none if an older version recorded the counters.
    #[serde(default)]
    pub parts: Vec<LooseParts>,
    /// Transactions committed.
    pub commits: i64,
    /// When the statistics were last reset; empty if they never were.
    pub reset: String,
    /// Every transaction that commits after this was read has this number or a greater one.
    pub horizon: i64,
    /// Whether the server counts (`track_counts`).
    pub is_counted: bool,
}

/// Reads the counters, without those of the ledger in `ledger`. Objects older than `horizon` are counted separately; without a horizon,
/// those older than now.
pub async fn counters(session: &Session, ledger: &str, horizon: Option<i64>) -> Result<Counters> {
    let whole = session.query_one(include_str!("../../sql/survey/database_counters.sql"), &[]).await?;
    let tables = session.query(include_str!("../../sql/survey/table_counters.sql"), &[&ledger]).await?;
    let translate = |row: &tokio_postgres::Row| TableCounters {
        table: QualifiedName::new(row.get::<_, String>("schema"), row.get::<_, String>("name")),
        oid: row.get("oid"),
        file: row.get("file"),
        inserted: row.get("inserted"),
        updated: row.get("updated"),
        deleted: row.get("deleted"),
    };
    let now: i64 = whole.get("horizon");
    Ok(Counters {
        sequences: sequence_counters(session, ledger).await?,
        parts: loose_parts(session, horizon.unwrap_or(now)).await?,
        tables: tables.iter().map(translate).collect(),
        commits: whole.get("commits"),
        reset: whole.get("reset"),
        horizon: now,
        is_counted: whole.get("is_counted"),
    })
}

/// Rows of one table that transactions from `horizon` on have written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewRows {
    /// All of them.
    pub all: i64,
    /// Those of transactions that the ledger does not know.
    pub unknown: i64,
}

/// Counts the new rows of a table; without a ledger no transaction is known. Reads the whole table.
pub async fn new_rows(session: &Session, table: &QualifiedName, horizon: i64, ledger: Option<&str>) -> Result<NewRows> {
    let sql =
        format!("SELECT count(*), count(*) FILTER (WHERE {}) FROM ONLY {} t WHERE {NEW}", unknown(ledger), table.sql());
    let row = unqualified::query_one(session, &sql, &[&horizon], "").await?;
    Ok(NewRows { all: row.get(0), unknown: row.get(1) })
}

/// Whether large objects, but for those with the OIDs `own`, have new pages of transactions that the ledger does not know.
pub async fn unknown_pages(
    session: &Session,
    horizon: i64,
    ledger: Option<&str>,
    own: &[RangeInclusive<Oid>],
) -> Result<bool> {
    let (first, last): (Vec<Oid>, Vec<Oid>) = own.iter().map(|range| (*range.start(), *range.end())).unzip();
    let sql = format!(
        "SELECT EXISTS (SELECT FROM pg_catalog.pg_largeobject t WHERE {NEW} AND {} \
         AND NOT EXISTS (SELECT FROM unnest($2::oid[], $3::oid[]) o (first, last) WHERE t.loid BETWEEN o.first AND o.last))",
        unknown(ledger)
    );
    Ok(session.query_one(&sql, &[&horizon, &first, &last]).await?.get(0))
}

/// An xid has 32 bits; the xmin of a row frozen in an earlier epoch can at worst make the row count as new.
const NEW: &str = "pg_catalog.age(t.xmin) BETWEEN 0 AND pg_catalog.age(($1::int8 % 4294967296)::text::xid)";

fn unknown(ledger: Option<&str>) -> String {
    let of =
        |schema: &str| format!("NOT EXISTS (SELECT FROM {}.migration_task k WHERE k.xmin = t.xmin)", ident(schema));
    ledger.map_or_else(|| "true".to_owned(), of)
}

#[cfg(test)]
mod tests {
    use crate::name::LEDGER_TABLES;

    #[test]
    fn every_table_of_the_ledger_is_left_out() {
        for sql in [include_str!("../../sql/survey/table_counters.sql"), include_str!("../../sql/is_empty.sql")] {
            let (_, list) = sql.split_once("'^migration_(").unwrap();
            let names: Vec<&str> = list.split(')').next().unwrap().split('|').collect();
            for table in LEDGER_TABLES {
                assert!(names.contains(&table.trim_start_matches("migration_")), "{table}");
            }
        }
    }
}
