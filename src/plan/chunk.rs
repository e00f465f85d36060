//! How a table's rows are divided into chunks: by an integer column that the configuration names, else, if that is worthwhile, by pages or
//! by a key.
//!
//! Only a server from 14 on reads a range of pages without reading the whole table, and only in the heap access method; elsewhere the table
//! is divided by ranges of a unique key. The first and the last range are open, so rows outside the planned bounds or stale statistics lose
//! nothing; NULLs have a chunk of their own. `weigh` says for which tables it is worthwhile, `key` makes ranges of keys, `ask` says what
//! has to be read from the source first. `Cutting::new` decides the number of chunks, `cut` makes their conditions. Called by `build/data`.

mod ask;
mod key;
mod route;
mod weigh;

use crate::catalog::{Lookup, Oid, Relation, Server};
use crate::config::{CopyOptions, TableFilter, TableOptions};
use crate::name::QualifiedName;
use std::collections::HashMap;

pub use ask::{Answer, Answers, Question, questions};
pub use key::{KeyBounds, KeyRange, Spread};

use route::{Route, route};

const PAGE: u64 = 8192;
/// From this correlation on, rows are nearly in the order of a key: a range of the key is a range of pages, or nearly.
const IN_ORDER: f64 = 0.9;

/// A part of a table's rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// The condition that selects the rows, empty for all of them.
    pub predicate: String,
    /// A label for people, empty for a whole table.
    pub label: String,
}

impl Chunk {
    fn whole() -> Vec<Chunk> {
        vec![Chunk { predicate: String::new(), label: String::new() }]
    }
}

/// The options that apply to each table.
#[derive(Debug)]
pub struct Rules<'a> {
    by_name: HashMap<&'a QualifiedName, &'a TableOptions>,
    default: &'a TableOptions,
}

impl<'a> Rules<'a> {
    /// The rules of `tables`.
    #[must_use]
    pub fn new(tables: &'a TableFilter) -> Self {
        let by_name = tables.include.iter().map(|rule| (&rule.table, &rule.options)).collect();
        Rules { by_name, default: &tables.default }
    }

    /// The options of `table`, which is a partition of `ancestors`, the closest first.
    #[must_use]
    pub fn of(&self, table: &Relation, ancestors: &[&Relation]) -> &'a TableOptions {
        let mut line = std::iter::once(&table.name).chain(ancestors.iter().map(|relation| &relation.name));
        line.find_map(|name| self.by_name.get(name).copied()).unwrap_or(self.default)
    }
}

/// How the tables of a plan are divided.
#[derive(Debug)]
pub struct Cutting<'a> {
    jobs: u64,
    ways: HashMap<Oid, (Route<'a>, u64)>,
}

/// A table's chunks.
#[derive(Debug, PartialEq, Eq)]
pub struct Cut {
    /// The chunks, one of them for a table that stays whole.
    pub chunks: Vec<Chunk>,
    /// Why a table that should be divided is not.
    pub note: String,
    /// Whether the chunks are ranges of pages.
    pub by_pages: bool,
}

impl<'a> Cutting<'a> {
    /// Decides which of `tables` are divided, and into how many chunks.
    #[must_use]
    pub fn new(
        server: &Server,
        lookup: &Lookup<'a>,
        options: &CopyOptions,
        tables: &[(&'a Relation, &'a TableOptions)],
    ) -> Self {
        let routes: Vec<Route<'a>> =
            tables.iter().map(|table| route(server.version, lookup, table.0, table.1)).collect();
        let jobs = weigh::jobs(options.max_jobs);
        let counts = match options.split_larger_than {
            None => weigh::decide(tables, &routes, lookup, jobs),
            Some(most) => tables.iter().map(|(relation, _)| obey(relation.total_bytes, most, jobs)).collect(),
        };
        let ways = tables.iter().zip(routes.into_iter().zip(counts));
        let is_whole = |(route, count): &(Route<'_>, u64)| *count < 2 && !matches!(route, Route::Column(_));
        let ways = ways.filter(|(_, way)| !is_whole(way)).map(|((relation, _), way)| (relation.oid, way)).collect();
        Cutting { jobs, ways }
    }

    /// Divides a table, with the source's answer about it.
    #[must_use]
    pub fn cut(&self, relation: &Relation, options: &TableOptions, answer: Option<&Answer>) -> Cut {
        let Some((route, count)) = self.ways.get(&relation.oid) else { return Cut::whole("") };
        match (route, answer) {
            (Route::Pages, _) => {
                let chunks = by_ctid(relation.heap_bytes.div_ceil(PAGE), *count);
                Cut { by_pages: chunks.len() > 1, ..Cut::into(chunks) }
            }
            (Route::Column(column), Some(Answer::Range(range))) => {
                let count = range.rows.div_ceil(options.chunk_size.max(1));
                Cut::into(range.chunks(column, count, is_nullable(relation, column)))
            }
            (Route::Key(column, _), Some(answer)) => {
                let nullable = !column.not_null;
                let chunks = match answer {
                    Answer::Range(range) => {
                        let order = range.spread.as_ref().map_or(0.0, |spread| spread.correlation);
                        range.chunks(&column.name, self.by_order(*count, order), nullable)
                    }
                    Answer::Bounds(bounds) => bounds.chunks(self.by_order(*count, bounds.correlation), nullable),
                };
                Cut::into(chunks)
            }
            (Route::Column(_), _) => Cut::whole(""),
            (Route::Key(column, _), None) => Cut::whole(&format!(
                "whole: the source has no statistics of its key {:?}, ANALYZE makes them",
                column.name
            )),
            (Route::Not(reason), _) => Cut::whole(reason),
        }
    }

    /// If the rows are not in the order of a key, each range of it is read by a scan of all pages: then no more ranges than readers.
    fn by_order(&self, count: u64, correlation: f64) -> u64 {
        if correlation.abs() >= IN_ORDER { count } else { count.min(self.jobs) }
    }
}

impl Cut {
    fn whole(note: &str) -> Cut {
        Cut { note: note.into(), ..Cut::into(Chunk::whole()) }
    }

    fn into(chunks: Vec<Chunk>) -> Cut {
        Cut { chunks, note: String::new(), by_pages: false }
    }
}

/// The number of chunks of a table whose chunks must not be larger than `most`. A divided table cannot be copied with FREEZE, so it is
/// divided for all jobs.
fn obey(bytes: u64, most: u64, jobs: u64) -> u64 {
    if bytes > most { bytes.div_ceil(most).max(weigh::pieces(bytes, jobs)) } else { 1 }
}

fn is_nullable(relation: &Relation, column: &str) -> bool {
    relation.columns.iter().any(|c| c.name == column && !c.not_null)
}

fn by_ctid(pages: u64, wanted: u64) -> Vec<Chunk> {
    let count = wanted.clamp(1, pages.max(1));
    let bounds: Vec<String> = (1..count).map(|at| format!("'({},0)'::pg_catalog.tid", pages * at / count)).collect();
    open_ended("ctid", &bounds)
}

fn open_ended(name: &str, bounds: &[String]) -> Vec<Chunk> {
    if bounds.is_empty() {
        return Chunk::whole();
    }
    let count = bounds.len() + 1;
    (0..count)
        .map(|at| {
            let low = at.checked_sub(1).map(|below| format!("{name} >= {}", bounds[below]));
            let high = bounds.get(at).map(|bound| format!("{name} < {bound}"));
            let predicate: Vec<String> = low.into_iter().chain(high).collect();
            Chunk { predicate: predicate.join(" AND "), label: format!("chunk {} of {count}", at + 1) }
        })
        .collect()
}

#[cfg(test)]
mod tests;
