//! A sample of a migration's work on the real servers, which leaves nothing behind.
//!
//! Everything that is written is in a schema of its own that is made and rolled back in one transaction, so no other session ever sees it.
//! It holds ordinary tables and not temporary ones, because the write-ahead log is part of the time. No object of an application is
//! changed. The engine decides how much is sampled, how often and by how many sessions, and measures the time.

use super::copy::{Copy, Pump, RowSum, copy_one};
use super::{Session, apply};
use crate::catalog::Column;
use crate::error::{Error, Kind, Result, Side};
use crate::interned::Interned;
use crate::name::{QualifiedName, ident, ident_list};
use crate::row_format::RowFormat;

/// Rows that are read.
#[derive(Debug, Clone)]
pub struct Slice<'a> {
    /// Their table.
    pub table: &'a QualifiedName,
    /// The columns that are copied.
    pub columns: &'a [&'a Column],
    /// Which rows are copied; empty for all.
    pub filter: &'a str,
    /// Which of them are read.
    pub part: Part,
}

/// A part of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The rows on pages from the first one on, up to the second one.
    Pages(u64, u64),
    /// The first rows of a scan, up to this number.
    First(u64),
}

impl Slice<'_> {
    fn sql(&self) -> String {
        let columns: Vec<String> = self.columns.iter().map(|column| sampled(column)).collect();
        let mut conditions = Vec::new();
        if let Part::Pages(first, end) = self.part {
            conditions.push(format!("ctid >= '({first},0)'::pg_catalog.tid AND ctid < '({end},0)'::pg_catalog.tid"));
        }
        conditions.extend((!self.filter.is_empty()).then(|| format!("({})", self.filter)));
        let which = if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) };
        let limit = if let Part::First(rows) = self.part { format!(" LIMIT {rows}") } else { String::new() };
        format!("COPY (SELECT {} FROM ONLY {}{which}{limit}) TO STDOUT", columns.join(", "), self.table.sql())
    }
}

/// The target need not have the source's user-defined types yet: their values are copied as text. `format_type` qualifies only these types
/// under the search path of pgmigrate's sessions.
fn is_own_type(column: &Column) -> bool {
    column.type_name.contains('.')
}

fn sampled(column: &Column) -> String {
    let name = ident(&column.name);
    if is_own_type(column) { format!("{name}::pg_catalog.text") } else { name }
}

/// A transaction on the target that takes samples, and its schema.
pub struct SampleStage<'a> {
    target: &'a Session,
    schema: String,
}

impl<'a> SampleStage<'a> {
    /// Begins the transaction. If the role may not create a schema, the ledger's schema is used.
    pub async fn begin(target: &'a Session, ledger_schema: &str, lock_timeout: u64) -> Result<SampleStage<'a>> {
        apply::begin(target, lock_timeout, "calibrate").await?;
        target.batch(include_str!("../sql/sample/settings.sql")).await?;
        let row = target.query_one(include_str!("../sql/sample/rights.sql"), &[&ledger_schema]).await?;
        match (row.get(0), row.get(1)) {
            (true, _) => {
                // Several of these transactions run at the same time, and would wait for each other because of an equal name.
                let schema = ident(&format!("pgmigrate_sample_{}", target.backend_pid()));
                target.batch(&format!("CREATE SCHEMA {schema}")).await?;
                Ok(SampleStage { target, schema })
            }
            (false, true) => Ok(SampleStage { target, schema: ident(ledger_schema) }),
            (false, false) => Err(Error::new("no_place_for_sample", Kind::Schema, "creating a schema for samples")
                .on(Side::Target)
                .remedy("grant CREATE on the target's database, which a run needs as well")),
        }
    }

    fn table(&self, name: &str) -> String {
        format!("{}.{}", self.schema, ident(&format!("pgmigrate_sample_{}_{name}", self.target.backend_pid())))
    }

    /// Makes the table that slices with these columns are copied into.
    pub async fn create(&self, columns: &[&Column]) -> Result<()> {
        let definition = |column: &&Column| {
            let type_name = if is_own_type(column) { "pg_catalog.text" } else { &column.type_name };
            format!("{} {type_name}", ident(&column.name))
        };
        let columns: Vec<String> = columns.iter().map(definition).collect();
        self.target.batch(&format!("CREATE TABLE {} ({})", self.table("rows"), columns.join(", "))).await
    }

    /// Copies a slice into that table as a run does: with FREEZE, because the table is new.
    pub async fn copy(&self, source: &Session, slice: &Slice<'_>, format: RowFormat) -> Result<RowSum> {
        let columns = ident_list(slice.columns.iter().map(|column| &column.name));
        let into = format!("COPY {} ({columns}) FROM STDIN", self.table("rows"));
        let (from, into) = (format.apply(&slice.sql()), format.apply_frozen(&into));
        copy_one(source, self.target, Copy { from, into, format }, |_, _| {}).await.map(|copied| copied.sent)
    }

    /// Builds an index over columns of that table; its size, or none if their types have no order.
    pub async fn index(&self, number: usize, columns: &[Interned]) -> Result<Option<u64>> {
        let name = format!("pgmigrate_sample_{}_rows_{number}", self.target.backend_pid());
        let create = format!("CREATE INDEX {} ON {} ({})", ident(&name), self.table("rows"), ident_list(columns));
        if apply::optional(self.target, &create).await?.is_some() {
            return Ok(None);
        }
        let sql = "SELECT pg_catalog.pg_relation_size(pg_catalog.to_regclass($1))";
        let size: i64 = self.target.query_one(sql, &[&format!("{}.{}", self.schema, ident(&name))]).await?.get(0);
        Ok(Some(size.cast_unsigned()))
    }

    /// Gathers that table's statistics.
    pub async fn analyze(&self) -> Result<()> {
        self.target.batch(&format!("ANALYZE {}", self.table("rows"))).await
    }

    /// Reads that table.
    pub async fn scan(&self) -> Result<()> {
        self.target.simple(&format!("SELECT count(*) FROM {}", self.table("rows"))).await.map(|_| ())
    }

    /// Joins each row of that table with the table itself by a key, as the check of a foreign key does for all of its rows at once
    /// (`RI_Initial_Check` joins the two tables); by ctid if the table has no key.
    pub async fn look_up(&self, key: &[Interned]) -> Result<()> {
        let columns: Vec<String> =
            if key.is_empty() { vec!["ctid".into()] } else { key.iter().map(|c| ident(c)).collect() };
        let equal: Vec<String> = columns.iter().map(|column| format!("pk.{column} = fk.{column}")).collect();
        let (table, first) = (self.table("rows"), &columns[0]);
        let sql = format!(
            "SELECT count(*) FROM {table} fk LEFT JOIN {table} pk ON {} WHERE pk.{first} IS NULL",
            equal.join(" AND ")
        );
        self.target.simple(&sql).await.map(|_| ())
    }

    /// Makes `count` empty tables at once, with made-up columns.
    pub async fn create_small(&self, count: u8) -> Result<()> {
        let create = |number: u8| {
            let table = self.table(&number.to_string());
            format!("CREATE TABLE {table} (id int4 NOT NULL, label text, amount numeric, changed timestamptz);\n")
        };
        self.target.batch(&(0..count).map(create).collect::<String>()).await
    }

    /// Four small statements for each of those tables, all at once.
    pub async fn change_small(&self, count: u8) -> Result<()> {
        let change = |number: u8| {
            let table = self.table(&number.to_string());
            let key = ident(&format!("pgmigrate_sample_{}_{number}_key", self.target.backend_pid()));
            format!(
                "CREATE UNIQUE INDEX {key} ON {table} (id);\n\
                 ALTER TABLE {table} ADD PRIMARY KEY USING INDEX {key};\n\
                 ALTER TABLE {table} ADD FOREIGN KEY (id) REFERENCES {table};\n\
                 ANALYZE {table};\n"
            )
        };
        self.target.batch(&(0..count).map(change).collect::<String>()).await
    }

    /// Copies one row into each of those tables, one after another, as a run does.
    pub async fn copy_small(&self, source: &Session, count: u8) -> Result<()> {
        let copy = |number: u8| Copy {
            from: "COPY (SELECT 1) TO STDOUT".into(),
            into: format!("COPY {} (id) FROM STDIN", self.table(&number.to_string())),
            format: RowFormat::Text,
        };
        let copies: Vec<Copy> = (0..count).map(copy).collect();
        let (pump, _) = Pump::open(source, self.target).await?.copy(&copies, |_, _| {}).await?;
        pump.close();
        Ok(())
    }

    /// Rolls everything back.
    pub async fn end(self) -> Result<()> {
        apply::rollback(self.target).await
    }
}

/// Makes one round trip to a server without any work.
pub async fn ask(session: &Session) -> Result<()> {
    session.simple("SELECT 1").await.map(|_| ())
}
