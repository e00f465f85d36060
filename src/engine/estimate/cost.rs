//! The cost of each task of a plan by itself: seconds of one session that has the servers alone.
//!
//! The rules are few and deliberately rough: rows by the bytes of their table, indexes and foreign keys by what they read and write,
//! everything else by a fixed cost each. Called by `estimate`.

use crate::catalog::object_kind::ObjectKind;
use crate::plan::{Phase, Task, TaskKind};
use crate::rates::{Rates, TableRates};
use crate::row_format::RowFormat;
use std::collections::{BTreeSet, HashMap, HashSet};

/// The kind of load that a task puts on the servers. The speedup of a kind says how fast several such tasks run at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Rows from one server to the other.
    Copy,
    /// Work of the target.
    Build,
}

/// The figure of the rates that determines most of a task's cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Figure {
    /// [`Rates::copy_binary`] or [`Rates::copy_text`].
    Copy,
    /// [`Rates::index`].
    Index,
    /// [`Rates::validation`].
    Validation,
    /// [`Rates::analyze`].
    Analyze,
    /// A figure for each piece.
    Piece,
}

/// The cost of a task.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TaskWork {
    /// Seconds.
    pub seconds: f64,
    /// The kind of load.
    pub class: Class,
    /// The figure with which it is computed.
    pub figure: Figure,
}

/// A table of the plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// Its name as shown to users.
    pub name: String,
    /// Its size on the source.
    pub bytes: u64,
    /// Its rows by the statistics.
    pub rows: u64,
    /// How many tasks copy its rows.
    pub chunks: usize,
}

/// The costs of a plan's tasks, by their position.
#[derive(Debug)]
pub struct Costs {
    /// Each task's work.
    pub works: Vec<TaskWork>,
    /// The tables.
    pub tables: Vec<Table>,
    /// The tables that each task copies or reads, its own table first.
    pub tables_of: Vec<Vec<usize>>,
}

const MB: f64 = 1e6;
/// Pages that ANALYZE reads at most, with the default statistics target (<https://www.postgresql.org/docs/current/sql-analyze.html>).
const ANALYZED_BYTES: u64 = 30_000 * 8192;
/// Rows that it samples.
const ANALYZED_ROWS: u64 = 30_000;
/// The first read of rows that are not frozen also determines whether each row is visible, and writes its page.
const SETTLING: f64 = 4.0;
/// `run` freezes rows only from this size on, and below it there is no difference.
const SETTLED_FROM: u64 = 1024 * 1024;
/// Bytes of an index for each row, where the plan does not know its size.
const KEY: u64 = 20;
/// Comparing and moving the key of a row takes as long as writing this many bytes, whatever the key's size.
const ROW: u64 = 32;
/// The number of rows of the table on which `Rates::index` is based.
const INDEX_ROWS: u64 = 1_000_000;

/// The costs of a plan's tasks.
pub fn costs(plan: &[Task], rates: &Rates) -> Costs {
    let (tables, tables_of) = tables(plan);
    let pricing = Pricing {
        plan,
        rates,
        tables: &tables,
        by_table: rates.tables.iter().map(|table| (table.table.as_str(), table)).collect(),
        apart: validated_apart(plan),
        first: first_readers(plan, &tables_of),
    };
    let works = (0..plan.len()).map(|at| pricing.work(at, &tables_of[at])).collect();
    Costs { works, tables, tables_of }
}

/// The plan's tables, and the tables of each task: those that it copies into, or whose rows it requires.
fn tables(plan: &[Task]) -> (Vec<Table>, Vec<Vec<usize>>) {
    let mut tables: Vec<Table> = Vec::new();
    let mut known: HashMap<(&str, &str), usize> = HashMap::new();
    let mut position: HashMap<&str, usize> = HashMap::new();
    let mut tables_of: Vec<Vec<usize>> = Vec::with_capacity(plan.len());
    for (at, task) in plan.iter().enumerate() {
        let of = if task.is_data() {
            let number = *known.entry((&task.schema, &task.name)).or_insert(tables.len());
            if number == tables.len() {
                tables.push(Table { name: task.object(), bytes: 0, rows: 0, chunks: 0 });
            }
            let table = &mut tables[number];
            (table.bytes, table.rows, table.chunks) =
                (table.bytes + task.bytes, table.rows + task.rows, table.chunks + 1);
            vec![number]
        } else if matches!(task.phase, Phase::Index | Phase::Analyze | Phase::Constraint)
            || task.kind == TaskKind::Refresh
        {
            let below = task.requires.iter().filter_map(|id| position.get(id.as_str()));
            let all: BTreeSet<usize> = below.flat_map(|at| tables_of[*at].iter().copied()).collect();
            let mut all: Vec<usize> = all.into_iter().collect();
            // The archive names a constraint `table constraint`, and a foreign key requires the rows of two tables.
            all.sort_by_key(|table| !task.object().starts_with(&format!("{} ", tables[*table].name)));
            all
        } else {
            Vec::new()
        };
        tables_of.push(of);
        position.insert(&task.id, at);
    }
    (tables, tables_of)
}

/// The foreign keys that a separate task validates.
fn validated_apart(plan: &[Task]) -> HashSet<&str> {
    let validations = plan.iter().filter(|task| task.kind == TaskKind::FkValidation);
    validations.flat_map(|task| task.requires.iter().map(String::as_str)).collect()
}

/// The tasks that are the first to read all rows of a table.
fn first_readers(plan: &[Task], tables_of: &[Vec<usize>]) -> HashSet<usize> {
    let mut read: HashSet<usize> = HashSet::new();
    let reads = |at: &usize| matches!(plan[*at].kind, TaskKind::Entry(ObjectKind::Index) | TaskKind::Analyze);
    (0..plan.len()).filter(reads).filter(|at| tables_of[*at].iter().any(|table| read.insert(*table))).collect()
}

struct Pricing<'a> {
    plan: &'a [Task],
    rates: &'a Rates,
    tables: &'a [Table],
    by_table: HashMap<&'a str, &'a TableRates>,
    apart: HashSet<&'a str>,
    first: HashSet<usize>,
}

impl Pricing<'_> {
    fn work(&self, at: usize, tables: &[usize]) -> TaskWork {
        let task = &self.plan[at];
        let class = if task.is_data() { Class::Copy } else { Class::Build };
        TaskWork { seconds: self.seconds(at, task, tables), class, figure: self.figure(task) }
    }

    fn figure(&self, task: &Task) -> Figure {
        match task.kind {
            TaskKind::Data => Figure::Copy,
            TaskKind::Entry(ObjectKind::Index) => Figure::Index,
            TaskKind::Entry(ObjectKind::Constraint) if !stands_on_an_index(task) => Figure::Index,
            TaskKind::FkValidation | TaskKind::Refresh => Figure::Validation,
            TaskKind::Entry(ObjectKind::FkConstraint) if !self.is_unchecked(task) => Figure::Validation,
            TaskKind::Analyze => Figure::Analyze,
            _ => Figure::Piece,
        }
    }

    fn seconds(&self, at: usize, task: &Task, tables: &[usize]) -> f64 {
        let rates = self.rates;
        let settling = if self.first.contains(&at) { self.settling(tables) } else { 0.0 };
        match task.kind {
            TaskKind::Data => rates.small_copy + per_second(task.bytes, self.copy(task, tables)),
            TaskKind::Entry(ObjectKind::Index) => rates.statement + settling + self.index(task, tables),
            TaskKind::Entry(ObjectKind::Constraint) if !stands_on_an_index(task) => {
                rates.statement + self.index(task, tables)
            }
            // The query of a view is unknown; it reads the tables that it depends on about as the check of a foreign key does.
            TaskKind::FkValidation | TaskKind::Refresh => rates.statement + self.validation(tables),
            TaskKind::Entry(ObjectKind::FkConstraint) if !self.is_unchecked(task) => {
                rates.statement + self.validation(tables)
            }
            TaskKind::Analyze => rates.statement + settling + self.analyze(tables),
            TaskKind::LargeObjects => self.asking() * (1.0 + to_f64(task.rows) / 16.0),
            TaskKind::SequenceValue | TaskKind::Role => rates.statement + self.asking(),
            // Where the target does not accept the source's statistics, it gathers its own; only sources of version 18 and newer have plans
            // with these tasks.
            TaskKind::Entry(ObjectKind::StatisticsData) => rates.statement + 2.0 * self.asking(),
            TaskKind::Entry(ObjectKind::Table) => rates.create_table,
            _ => rates.statement,
        }
    }

    /// One round trip to each server.
    fn asking(&self) -> f64 {
        self.rates.source_round_trip + self.rates.target_round_trip
    }

    fn known(&self, tables: &[usize], figure: impl Fn(&TableRates) -> Option<f64>) -> Option<f64> {
        let name = self.tables[*tables.first()?].name.as_str();
        self.by_table.get(name).copied().and_then(figure)
    }

    fn bytes(&self, tables: &[usize]) -> u64 {
        tables.iter().map(|table| self.tables[*table].bytes).sum()
    }

    fn rows(&self, tables: &[usize]) -> u64 {
        tables.iter().map(|table| self.tables[*table].rows).sum()
    }

    fn copy(&self, task: &Task, tables: &[usize]) -> f64 {
        let of_format =
            if task.format == Some(RowFormat::Binary) { self.rates.copy_binary } else { self.rates.copy_text };
        self.known(tables, |table| table.copy).unwrap_or(of_format)
    }

    /// Whether a foreign key is checked by a separate task, or never.
    fn is_unchecked(&self, task: &Task) -> bool {
        self.apart.contains(task.id.as_str()) || task.target_sql.trim_end_matches([';', '\n']).ends_with(" NOT VALID")
    }

    /// Reading the table, sorting its keys and writing them.
    fn index(&self, task: &Task, tables: &[usize]) -> f64 {
        let rate = self.known(tables, |table| table.index).unwrap_or(self.rates.index);
        let rows = self.rows(tables);
        let size = if task.bytes > 0 { task.bytes } else { rows * KEY };
        per_second(self.bytes(tables), self.rates.scan) + index_work(size, rows) / (rate * MB)
    }

    fn validation(&self, tables: &[usize]) -> f64 {
        let rate = self.known(tables, |table| table.validation).unwrap_or(self.rates.validation);
        per_second(self.bytes(tables), rate)
    }

    /// In a partition tree the root has statistics, and each partition has its own.
    fn analyze(&self, tables: &[usize]) -> f64 {
        let one = |table: &[usize]| {
            let full = self.known(table, |table| table.analyze).unwrap_or(self.rates.analyze);
            let pages = per_second(self.bytes(table).min(ANALYZED_BYTES), self.rates.scan);
            analyze_share(self.rows(table)) * full + pages
        };
        let parts = if tables.len() > 1 { tables } else { &[] };
        one(tables) + parts.iter().map(|table| one(&[*table])).sum::<f64>()
    }

    /// The extra cost of the first read, for tables that are copied in several chunks and so are not frozen.
    fn settling(&self, tables: &[usize]) -> f64 {
        let is_unsettled = |table: &&Table| table.chunks > 1 && table.bytes >= SETTLED_FROM;
        let bytes = tables.iter().map(|at| &self.tables[*at]).filter(is_unsettled).map(|table| table.bytes).sum();
        SETTLING * per_second(bytes, self.rates.scan)
    }
}

fn stands_on_an_index(task: &Task) -> bool {
    task.target_sql.contains(" USING INDEX ")
}

/// The work of an index of this size on this many rows, in the unit of [`Rates::index`].
pub fn index_work(size: u64, rows: u64) -> f64 {
    to_f64(size + rows * ROW) * depth(rows)
}

/// With every doubling of the number of rows, a sort needs one more comparison for each row.
fn depth(rows: u64) -> f64 {
    to_f64(rows.max(1024)).log2() / to_f64(INDEX_ROWS).log2()
}

/// A table's rows as a part of the rows that ANALYZE samples at most.
pub fn analyze_share(rows: u64) -> f64 {
    to_f64(rows.min(ANALYZED_ROWS)) / to_f64(ANALYZED_ROWS)
}

fn per_second(bytes: u64, rate: f64) -> f64 {
    to_f64(bytes) / (rate * MB)
}

#[expect(clippy::cast_precision_loss, reason = "an estimate needs no more than a double's precision")]
fn to_f64(count: u64) -> f64 {
    count as f64
}
