//! Adds staged rows to a table of the target that held rows before.
//!
//! One key identifies rows: staged rows whose key the table has are removed from the stage first (or update the table), and all others must
//! be stored. A conflict on any other unique or exclusion constraint is an error that names the constraint and counts the rows. Rules of
//! the table never apply to the rows, as they do not apply to COPY. Called by the worker of a data task within its transaction.

use super::{Session, apply};
use crate::error::{Error, Kind, Result, Side};
use crate::plan::merge::Merge;
use crate::plan::merge::STAGE;
use futures_util::{SinkExt, TryStreamExt};
use tokio_postgres::Row;

/// The result for the staged rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Merged {
    /// Rows whose key the table had, which it kept as they were.
    pub kept: u64,
    /// Rows that had to be stored.
    pub expected: u64,
    /// Rows that the target reports as stored.
    pub written: u64,
}

/// Makes the stage for one chunk: the table's columns without its constraints, rules and triggers.
pub async fn create_stage(session: &Session, table: &str) -> Result<()> {
    session.batch(&format!("CREATE TEMPORARY TABLE pgmigrate_stage ON COMMIT DROP AS TABLE {table} WITH NO DATA")).await
}

/// Drops the stage before the transaction's end, to make room for another.
pub async fn drop_stage(session: &Session) -> Result<()> {
    session.batch(&format!("DROP TABLE {STAGE}")).await
}

/// Adds the `staged` rows. If the transaction is for this table alone, deferred constraints are checked at once and conflicting rows are
/// counted; a transaction of several tables has no savepoints, and its deferred checks run at its end.
pub async fn merge(target: &Session, merge: &Merge, staged: u64, is_alone: bool) -> Result<Merged> {
    // If nothing is written, no right to write is required.
    if staged == 0 {
        return Ok(Merged::default());
    }
    let table = Table::look(target, merge).await?;
    let mut merged = Merged { kept: 0, expected: staged, written: 0 };
    let way = if merge.updates() {
        table.may_update(merge)?;
        MergeWay::Insert(merge.sql())
    } else {
        merged.kept = target.execute(&table.take_out(merge)?, &[]).await?;
        merged.expected = staged.saturating_sub(merged.kept);
        table.way(merge)
    };
    if merged.expected == 0 {
        return Ok(merged);
    }
    if !is_alone {
        merged.written = store(target, merge, &way).await?;
        return Ok(merged);
    }
    target.batch("SAVEPOINT pgmigrate_merge").await?;
    match store_and_check(target, merge, &way).await {
        Ok(written) => merged.written = written,
        Err(error) if error.is("23505") || error.is("23P01") => {
            target.batch("ROLLBACK TO pgmigrate_merge").await?;
            return Err(clash(target, merge, &table, error).await?);
        }
        Err(error) => return Err(error),
    }
    target.batch("RELEASE pgmigrate_merge").await?;
    Ok(merged)
}

/// How staged rows are written to the table.
enum MergeWay {
    /// By a statement.
    Insert(String),
    /// By COPY from the stage, which rules do not rewrite.
    Copy,
}

async fn store(target: &Session, merge: &Merge, way: &MergeWay) -> Result<u64> {
    match way {
        MergeWay::Insert(sql) => target.execute(sql, &[]).await,
        MergeWay::Copy => copy_from_stage(target, merge).await,
    }
}

async fn store_and_check(target: &Session, merge: &Merge, way: &MergeWay) -> Result<u64> {
    let written = store(target, merge, way).await?;
    target.batch("SET CONSTRAINTS ALL IMMEDIATE").await?;
    Ok(written)
}

/// Pages of the stage that memory holds at once.
const PAGES: i64 = 64;

async fn copy_from_stage(target: &Session, merge: &Merge) -> Result<u64> {
    let sql = "SELECT pg_catalog.pg_relation_size('pg_temp.pgmigrate_stage') \
               / pg_catalog.current_setting('block_size')::int8";
    let pages: i64 = target.query_one(sql, &[]).await?.get(0);
    let (columns, into) = (&merge.columns, &merge.into);
    let mut written = 0;
    let mut page = 0;
    while page < pages {
        let end = page + PAGES;
        let from = format!(
            "COPY (SELECT {columns} FROM {STAGE} WHERE ctid >= '({page},0)'::tid AND ctid < '({end},0)'::tid) TO STDOUT"
        );
        let lost = |error: &tokio_postgres::Error| target.error(error, Kind::Copy, "adding staged rows");
        let stream = target.copy_out(&from).await?;
        let rows: Vec<bytes::Bytes> = stream.try_collect().await.map_err(|error| lost(&error))?;
        if !rows.is_empty() {
            let sink = target.copy_in(&format!("COPY {into} ({columns}) FROM STDIN")).await?;
            let mut sink = std::pin::pin!(sink);
            for row in rows {
                sink.send(row).await.map_err(|error| lost(&error))?;
            }
            written += sink.finish().await.map_err(|error| lost(&error))?;
        }
        page = end;
    }
    Ok(written)
}

/// The table that rows are added to.
struct Table {
    only: String,
    /// Its rules with which ON CONFLICT is refused.
    rules: Vec<String>,
    /// Whether the key's types are known to have the same equality as the operator `=` that is found by name.
    is_built_in: bool,
    /// The columns of a staged row, computed ones included.
    staged: String,
    /// The index of the key.
    arbiter: Option<Index>,
}

impl Table {
    async fn look(target: &Session, merge: &Merge) -> Result<Table> {
        let sql = include_str!("../sql/target/merge_shape.sql");
        let row = target.query_opt(sql, &[&merge.into, &merge.key]).await?;
        let row = row.ok_or_else(|| {
            Error::new("table_missing", Kind::Schema, "the table does not exist")
                .object(merge.into.as_str())
                .on(Side::Target)
        })?;
        let indexes = Index::of(target, &merge.into, None).await?;
        Ok(Table {
            only: row.get("only"),
            rules: row.get("rules"),
            is_built_in: row.get("is_built_in"),
            staged: row.get("staged"),
            arbiter: indexes.into_iter().find(|index| index.is_over(&merge.key)),
        })
    }

    fn may_update(&self, merge: &Merge) -> Result<()> {
        if !self.rules.is_empty() {
            let doing = format!("rules on INSERT or UPDATE ({}) prevent updates of its rows", self.rules.join(", "));
            return Err(Error::new("rules_on_table", Kind::Schema, doing)
                .on(Side::Target)
                .object(merge.into.as_str())
                .remedy("set on_conflict to nothing for the table, or on_existing to truncate or skip"));
        }
        if self.arbiter.is_none() { Err(no_key(merge)) } else { Ok(()) }
    }

    /// The statement that removes rows from the stage whose key the table has, before any check or trigger of the table applies to them.
    fn take_out(&self, merge: &Merge) -> Result<String> {
        let from = format!("{}{}", self.only, merge.into);
        let key = match &self.arbiter {
            Some(index) => index.clone(),
            None if self.is_built_in => Index::plain(&merge.key),
            None => return Err(no_key(merge)),
        };
        // The keys of the staged row are its columns; no column name inside the subquery hides them.
        let matches = key.matches(&|at| key.keys[at].clone()).ok_or_else(|| no_key(merge))?;
        Ok(format!(
            "DELETE FROM {STAGE} WHERE EXISTS (SELECT FROM (SELECT {} FROM {from}) t WHERE {matches})",
            key.columns_as_keys()
        ))
    }

    fn way(&self, merge: &Merge) -> MergeWay {
        match &self.arbiter {
            _ if !self.rules.is_empty() => MergeWay::Copy,
            Some(_) => MergeWay::Insert(merge.sql()),
            None => MergeWay::Insert(merge.insert.clone()),
        }
    }
}

fn no_key(merge: &Merge) -> Error {
    let doing = format!("the table has no unique index on {}, which would identify its rows", merge.key.join(", "));
    Error::new("no_unique_key", Kind::Schema, doing)
        .on(Side::Target)
        .object(merge.into.as_str())
        .remedy("create one, or set on_existing to truncate or skip for the table")
}

/// An index that excludes equal or conflicting rows.
#[derive(Debug, Clone)]
struct Index {
    table: String,
    is_arbiter: bool,
    columns: Vec<String>,
    keys: Vec<String>,
    operators: Vec<Option<String>>,
    predicate: Option<String>,
    nulls_equal: bool,
}

impl Index {
    async fn of(target: &Session, table: &str, name: Option<&str>) -> Result<Vec<Index>> {
        let rows = target.query(include_str!("../sql/target/unique_indexes.sql"), &[&table, &name]).await?;
        Ok(rows.iter().map(Index::read).collect())
    }

    fn read(row: &Row) -> Index {
        Index {
            table: row.get("table"),
            is_arbiter: row.get("is_arbiter"),
            columns: row.get("columns"),
            keys: row.get("keys"),
            operators: row.get("operators"),
            predicate: row.get("predicate"),
            nulls_equal: row.get("nulls_equal"),
        }
    }

    /// An index over columns of built-in types, as if it existed.
    fn plain(columns: &[String]) -> Index {
        let columns = columns.to_vec();
        Index {
            table: String::new(),
            is_arbiter: false,
            keys: columns.clone(),
            operators: vec![Some("OPERATOR(pg_catalog.=)".into()); columns.len()],
            columns,
            predicate: None,
            nulls_equal: false,
        }
    }

    /// Whether ON CONFLICT accepts it as a key of these columns.
    fn is_over(&self, key: &[String]) -> bool {
        self.is_arbiter && self.columns.len() == key.len() && self.columns.iter().all(|c| key.contains(c))
    }

    /// Its keys as columns of a query over the table's columns.
    fn columns_as_keys(&self) -> String {
        let keys = self.keys.iter().enumerate().map(|(at, key)| format!("{key} AS pgmigrate_key_{at}"));
        keys.collect::<Vec<_>>().join(", ")
    }

    /// The condition that keys given by `left` equal those of the query `t`, or conflict with them; none if the operators are not known.
    fn matches(&self, left: &dyn Fn(usize) -> String) -> Option<String> {
        let mut all = Vec::with_capacity(self.operators.len());
        for (at, operator) in self.operators.iter().enumerate() {
            let (a, b) = (left(at), format!("t.pgmigrate_key_{at}"));
            let same = format!("{a} {} {b}", operator.as_ref()?);
            all.push(if self.nulls_equal { format!("({same} OR {a} IS NULL AND {b} IS NULL)") } else { same });
        }
        (!all.is_empty()).then(|| all.join(" AND "))
    }

    fn condition(&self) -> String {
        self.predicate.as_ref().map(|predicate| format!(" WHERE {predicate}")).unwrap_or_default()
    }
}

/// The error for rows that conflict on another constraint than the key: with its name, and the number of rows if that can be counted.
async fn clash(target: &Session, merge: &Merge, table: &Table, error: Error) -> Result<Error> {
    let Some(reply) = error.server().cloned() else { return Ok(error) };
    let Some(name) = reply.constraint.clone() else { return Ok(error) };
    let count = match Index::of(target, &merge.into, Some(&name)).await?.first() {
        Some(index) => counted(target, table, index, merge).await?,
        None => None,
    };
    let rows = match count {
        Some(1) => "1 row clashes".into(),
        Some(count) if count > 1 => format!("{count} rows clash"),
        _ => "rows clash".to_owned(),
    };
    let doing = format!("{rows} on {name}, and rows are identified by {}", merge.key.join(", "));
    let remedy = "change or delete the rows on one side, or set on_existing to truncate or skip for the table";
    Ok(Error::new("rows_conflict", Kind::Copy, doing).on(Side::Target).remedy(remedy).caused_by_server(reply))
}

/// How many staged rows have the key of another row, of the table or else of the stage; none if the target refuses the query.
async fn counted(target: &Session, table: &Table, index: &Index, merge: &Merge) -> Result<Option<i64>> {
    let Some(matches) = index.matches(&|at| format!("s.pgmigrate_key_{at}")) else { return Ok(None) };
    let (keys, condition) = (index.columns_as_keys(), index.condition());
    let own: Vec<String> =
        merge.key.iter().enumerate().map(|(at, column)| format!("{column} AS pgmigrate_own_{at}")).collect();
    let is_same: Vec<String> =
        (0..own.len()).map(|at| format!("s.pgmigrate_own_{at} IS NOT DISTINCT FROM t.pgmigrate_own_{at}")).collect();
    let staged = format!(
        "(SELECT pgmigrate_row, {keys}, {own} FROM (SELECT ctid AS pgmigrate_row, {} FROM {STAGE}) r{condition})",
        table.staged,
        own = own.join(", ")
    );
    let other = if merge.updates() {
        // A row that is updated does not conflict with itself.
        format!("(SELECT {keys}, {} FROM ONLY {}{condition}) t", own.join(", "), index.table)
    } else {
        format!("(SELECT {keys} FROM ONLY {}{condition}) t", index.table)
    };
    let apart = if merge.updates() { format!(" AND NOT ({})", is_same.join(" AND ")) } else { String::new() };
    let among_others =
        format!("SELECT count(*) FROM {staged} s WHERE EXISTS (SELECT FROM {other} WHERE {matches}{apart})");
    let among_staged = format!(
        "SELECT count(*) FROM {staged} s WHERE EXISTS \
         (SELECT FROM {staged} t WHERE {matches} AND s.pgmigrate_row <> t.pgmigrate_row)"
    );
    for sql in [among_others, among_staged] {
        match apply::count(target, &sql).await? {
            Some(0) => {}
            count => return Ok(count),
        }
    }
    Ok(None)
}
