//! How a table's rows are cut into chunks: by an integer column, by ctid, or not at all.
//!
//! The first and the last range are open, so rows that arrive outside the planned bounds, or stale statistics, lose nothing; NULLs
//! of a chunk column have a chunk of their own. ctid ranges are read without scanning the whole table only from 14 on, and
//! mean row positions only in the heap access method.

use super::build::KeyRange;
use crate::catalog::{Oid, Relation, RelationKind};
use crate::config::{Config, TableOptions};
use crate::name::{QualifiedName, ident};
use std::collections::HashMap;

/// The first server version that reads a ctid range without reading the whole table.
const CTID_RANGES: u32 = 140_000;
const PAGE: u64 = 8192;

/// A part of a table's rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// What selects the rows, empty for all of them.
    pub predicate: String,
    /// A label for people, empty for a whole table.
    pub label: String,
}

impl Chunk {
    fn whole() -> Vec<Chunk> {
        vec![Chunk { predicate: String::new(), label: String::new() }]
    }
}

/// The options that hold for each table.
#[derive(Debug)]
pub struct Rules<'a> {
    by_name: HashMap<&'a QualifiedName, &'a TableOptions>,
    default: &'a TableOptions,
}

impl<'a> Rules<'a> {
    /// The rules of `config`.
    #[must_use]
    pub fn new(config: &'a Config) -> Self {
        let by_name = config.tables.include.iter().map(|rule| (&rule.table, &rule.options)).collect();
        Rules { by_name, default: &config.tables.default }
    }

    /// The options of `table`, which is a partition of `ancestors`, the closest first.
    #[must_use]
    pub fn of(&self, table: &Relation, ancestors: &[&Relation]) -> &'a TableOptions {
        let mut line = std::iter::once(&table.name).chain(ancestors.iter().map(|relation| &relation.name));
        line.find_map(|name| self.by_name.get(name).copied()).unwrap_or(self.default)
    }
}

/// The chunk column of each table that has one, for the engine to ask the source for its range.
#[must_use]
pub fn chunked_tables<'a>(
    relations: &'a [Relation],
    config: &'a Config,
) -> Vec<(&'a Relation, &'a str, Option<&'a str>)> {
    let rules = Rules::new(config);
    let by_oid: HashMap<Oid, &Relation> = relations.iter().map(|relation| (relation.oid, relation)).collect();
    let mut found = Vec::new();
    for relation in relations.iter().filter(|relation| relation.kind == RelationKind::Table) {
        let ancestors: Vec<&Relation> =
            std::iter::successors(relation.partition_of.and_then(|oid| by_oid.get(&oid).copied()), |parent| {
                parent.partition_of.and_then(|oid| by_oid.get(&oid).copied())
            })
            .collect();
        let options = rules.of(relation, &ancestors);
        if let Some(column) = chunk_column(relation, options) {
            found.push((relation, column, options.filter.as_deref()));
        }
    }
    found
}

fn chunk_column<'a>(relation: &Relation, options: &'a TableOptions) -> Option<&'a str> {
    let column = options.chunk_column.as_deref().filter(|_| options.limit.is_none())?;
    relation.columns.iter().any(|c| c.name == column && c.is_integer).then_some(column)
}

/// Cuts a table.
#[must_use]
pub fn cut(relation: &Relation, options: &TableOptions, range: Option<KeyRange>, split: (u64, u32)) -> Vec<Chunk> {
    let (split_larger_than, version) = split;
    if options.limit.is_some() {
        return Chunk::whole();
    }
    if let (Some(column), Some(range)) = (chunk_column(relation, options), range) {
        let is_nullable = relation.columns.iter().any(|c| c.name == column && !c.not_null);
        return by_key(column, range, options.chunk_size, is_nullable);
    }
    let has_ctid = version >= CTID_RANGES && relation.access_method == "heap";
    if has_ctid && split_larger_than > 0 && relation.total_bytes > split_larger_than {
        by_ctid(relation.heap_bytes.div_ceil(PAGE), relation.total_bytes.div_ceil(split_larger_than))
    } else {
        Chunk::whole()
    }
}

/// Ranges of equal width, as many as `size` rows a chunk make on average: a sparse key does not make empty chunks by the million.
fn by_key(column: &str, range: KeyRange, size: u64, is_nullable: bool) -> Vec<Chunk> {
    let name = ident(column);
    let width_of_all = i128::from(range.max) - i128::from(range.min) + 1;
    let count = i128::from(range.rows.div_ceil(size.max(1)).max(1)).min(width_of_all.max(1));
    let bound = |at: i128| i128::from(range.min) + width_of_all * at / count;
    let mut chunks = open_ended(&name, &(1..count).map(|at| bound(at).to_string()).collect::<Vec<_>>());
    if chunks.len() == 1 {
        return Chunk::whole();
    }
    if is_nullable {
        chunks.push(Chunk { predicate: format!("{name} IS NULL"), label: format!("{column} is null") });
    }
    chunks
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
mod tests {
    use super::*;

    fn predicates(chunks: &[Chunk]) -> Vec<&str> {
        chunks.iter().map(|chunk| chunk.predicate.as_str()).collect()
    }

    #[test]
    fn the_outer_ranges_are_open_and_nulls_have_their_own() {
        let range = KeyRange { min: 1, max: 30, rows: 30 };
        let chunks = by_key("id", range, 10, true);
        let wanted = ["\"id\" < 11", "\"id\" >= 11 AND \"id\" < 21", "\"id\" >= 21", "\"id\" IS NULL"];
        assert_eq!(predicates(&chunks), wanted);
    }

    #[test]
    fn the_whole_range_of_bigint_does_not_overflow() {
        let range = KeyRange { min: i64::MIN, max: i64::MAX, rows: 4 };
        assert_eq!(by_key("id", range, 1, false).len(), 4);
    }

    #[test]
    fn sparse_keys_make_no_more_chunks_than_rows_ask_for() {
        let range = KeyRange { min: 0, max: 1 << 60, rows: 100 };
        assert_eq!(by_key("id", range, 50, false).len(), 2);
    }

    fn table(access_method: &str) -> Relation {
        Relation {
            oid: 16384,
            name: QualifiedName::new("public", "t"),
            kind: RelationKind::Table,
            is_populated: true,
            partition_of: None,
            access_method: access_method.into(),
            heap_bytes: 100 * PAGE,
            total_bytes: 100 * PAGE,
            tuples: -1.0,
            hides_rows: false,
            is_readable: true,
            in_extension: false,
            hashes_an_enum: false,
            columns: vec![],
        }
    }

    fn whole() -> TableOptions {
        TableOptions {
            chunk_column: None,
            chunk_size: 10,
            filter: None,
            order_by: None,
            limit: None,
            on_existing: crate::config::OnExisting::Append,
            on_conflict: crate::config::OnConflict::Auto,
            format: crate::config::Format::Auto,
        }
    }

    #[test]
    fn g4_before_14_no_table_is_split_by_ctid() {
        let count = |version| cut(&table("heap"), &whole(), None, (10 * PAGE, version)).len();
        assert_eq!(count(130_023), 1);
        assert_eq!(count(140_000), 10);
    }

    #[test]
    fn g5_only_the_heap_is_split_by_ctid() {
        let count = |access_method| cut(&table(access_method), &whole(), None, (10 * PAGE, 160_000)).len();
        assert_eq!(count("columnar"), 1);
        assert_eq!(count("heap"), 10);
    }

    #[test]
    fn a_limit_leaves_a_table_whole() {
        let limited = TableOptions { limit: Some(7), chunk_column: Some("id".into()), ..whole() };
        let range = KeyRange { min: 1, max: 1000, rows: 1000 };
        assert_eq!(cut(&table("heap"), &limited, Some(range), (PAGE, 160_000)), Chunk::whole());
    }

    #[test]
    fn pages_are_cut_into_open_ranges() {
        let chunks = by_ctid(100, 2);
        let wanted = ["ctid < '(50,0)'::pg_catalog.tid", "ctid >= '(50,0)'::pg_catalog.tid"];
        assert_eq!(predicates(&chunks), wanted);
        assert_eq!(by_ctid(1, 50), Chunk::whole(), "all of it is TOAST: one page cannot be cut");
    }
}
