//! Queries the source for the values of its keys, so that tables can be divided by them: ranges, statistics, samples.
//!
//! Every answer is the same for the same rows and statistics: samples are repeatable. `plan::chunk` decides which tables are queried and
//! how the answers are used; called by the engine before it builds a plan.

use super::{Session, search_path};
use crate::catalog::Relation;
use crate::error::Result;
use crate::name::{ident, literal};
use crate::plan::{Answer, KeyBounds, KeyRange, Question, Spread};

/// The number of pages that a sample reads, or all if there are fewer.
const SAMPLED_PAGES: u64 = 3_000;
const PAGE: u64 = 8_192;

/// The source's answer; none if no row has a value, or if the source has no information about the key.
pub async fn answer(session: &Session, table: &Relation, question: Question<'_>) -> Result<Option<Answer>> {
    let answer = match question {
        Question::Range(column) => range(session, table, column, "NULL::int8", "").await?.map(Answer::Range),
        Question::Counted(column, Some(filter)) => {
            let condition = format!(" WHERE ({filter})");
            range(session, table, column, "count(*)", &condition).await?.map(Answer::Range)
        }
        Question::Counted(column, None) => {
            // Rows are counted only if the statistics have no number.
            let count = if table.tuples < 0.0 { "count(*)" } else { "NULL::int8" };
            range(session, table, column, count, "").await?.map(Answer::Range)
        }
        Question::Bounds(column, type_name, count) => {
            bounds(session, table, column, type_name, count).await?.map(Answer::Bounds)
        }
    };
    Ok(answer)
}

/// Protects the transaction from a query that fails: to be called before the first of several.
pub async fn begin(session: &Session) -> Result<()> {
    session.batch("SAVEPOINT pgmigrate_questions").await
}

/// Ends what [`begin`] began.
pub async fn end(session: &Session) -> Result<()> {
    session.batch("RELEASE pgmigrate_questions").await
}

/// The source's answer after the query has failed, with names without a schema found by the search path `path`.
pub async fn answer_by_path(
    session: &Session,
    table: &Relation,
    question: Question<'_>,
    path: &str,
) -> Result<Option<Answer>> {
    session.batch(&format!("ROLLBACK TO pgmigrate_questions; {}", search_path::of_transaction(path))).await?;
    let found = answer(session, table, question).await?;
    session.batch(&search_path::of_transaction("")).await?;
    Ok(found)
}

async fn range(
    session: &Session,
    table: &Relation,
    column: &str,
    count: &str,
    condition: &str,
) -> Result<Option<KeyRange>> {
    let name = ident(column);
    let sql = format!("SELECT min({name})::int8, max({name})::int8, {count} FROM ONLY {}{condition}", table.name.sql());
    let row = session.query_one(&sql, &[]).await.map_err(|e| e.object(table.name.to_string()))?;
    let (Some(min), Some(max)) = (row.get::<_, Option<i64>>(0), row.get::<_, Option<i64>>(1)) else { return Ok(None) };
    let rows = row.get::<_, Option<i64>>(2).map_or(table.estimated_rows(), i64::unsigned_abs);
    Ok(Some(KeyRange { min, max, rows, spread: spread(session, table, column).await? }))
}

async fn spread(session: &Session, table: &Relation, column: &str) -> Result<Option<Spread>> {
    let sql = include_str!("../sql/catalog/spread.sql");
    let row = session.query_opt(sql, &[&table.name.schema, &table.name.name, &column]).await?;
    Ok(row.map(|row| Spread {
        histogram: row.get("histogram"),
        common: row
            .get::<_, Vec<i64>>("common_values")
            .into_iter()
            .zip(row.get::<_, Vec<f64>>("common_shares"))
            .collect(),
        nulls: row.get("nulls"),
        correlation: row.get("correlation"),
    }))
}

/// Bounds from the column's histogram, else from a sample. The server truncates uuids and times, so that a plan does not contain whole
/// values; a date or an integer that is a bound is in the plan as it is.
async fn bounds(
    session: &Session,
    table: &Relation,
    column: &str,
    type_name: &'static str,
    count: u64,
) -> Result<Option<KeyBounds>> {
    let statistics = "SELECT coalesce(s.correlation, 0)::float8, s.histogram_bounds IS NOT NULL FROM pg_catalog.pg_stats s \
                      WHERE s.schemaname = $1 AND s.tablename = $2 AND s.attname = $3 AND NOT s.inherited";
    let row = session.query_opt(statistics, &[&table.name.schema, &table.name.name, &column]).await?;
    let correlation = row.as_ref().map_or(0.0, |row| row.get(0));
    let values = if row.is_some_and(|row| row.get(1)) {
        histogram(table, column, type_name)
    } else if table.access_method == "heap" {
        sample(table, column)
    } else {
        return Ok(None);
    };
    let sql = format!(
        "SELECT DISTINCT c.bound::text, c.bound FROM (SELECT {} AS bound FROM (SELECT pg_catalog.unnest(\
         pg_catalog.percentile_disc($1::float8[]) WITHIN GROUP (ORDER BY v.value)) AS value FROM {values}) q) c \
         WHERE c.bound IS NOT NULL ORDER BY c.bound",
        coarse(type_name)
    );
    let rows = session.query(&sql, &[&shares(count)]).await.map_err(|e| e.object(table.name.to_string()))?;
    let bounds: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    Ok((!bounds.is_empty()).then(|| KeyBounds { column: column.into(), type_name, bounds, correlation }))
}

fn histogram(table: &Relation, column: &str, type_name: &str) -> String {
    format!(
        "(SELECT pg_catalog.unnest(s.histogram_bounds::text::pg_catalog.{type_name}[]) AS value FROM pg_catalog.pg_stats s \
         WHERE s.schemaname = {} AND s.tablename = {} AND s.attname = {} AND NOT s.inherited) v",
        literal(&table.name.schema),
        literal(&table.name.name),
        literal(column)
    )
}

/// Whole pages, and the same ones each time (<https://www.postgresql.org/docs/current/sql-select.html#SQL-FROM>, TABLESAMPLE).
fn sample(table: &Relation, column: &str) -> String {
    let pages = (table.heap_bytes / PAGE).max(1);
    let (whole, part) = ((SAMPLED_PAGES * 100 / pages).min(100), SAMPLED_PAGES * 100 % pages * 1_000 / pages);
    let part = if whole == 0 { part.max(1) } else { part };
    let percent = if whole >= 100 { "100".to_owned() } else { format!("{whole}.{part:03}") };
    format!(
        "(SELECT t.{} AS value FROM ONLY {} t TABLESAMPLE SYSTEM ({percent}) REPEATABLE (0)) v",
        ident(column),
        table.name.sql()
    )
}

fn coarse(type_name: &str) -> &'static str {
    match type_name {
        "uuid" => "(pg_catalog.left(q.value::text, 8) || '-0000-0000-0000-000000000000')::pg_catalog.uuid",
        "timestamp" | "timestamptz" => "pg_catalog.date_trunc('second', q.value)",
        _ => "q.value",
    }
}

/// The shares of rows at which `count` equal parts end.
fn shares(count: u64) -> Vec<f64> {
    (1..count).map(|at| share(at, count)).collect()
}

#[expect(clippy::cast_precision_loss, reason = "far fewer chunks than an f64 can count")]
fn share(at: u64, count: u64) -> f64 {
    at as f64 / count as f64
}
