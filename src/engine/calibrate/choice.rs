//! Which tables are sampled, and which part of each: pure.
//!
//! The largest tables, because they determine how long a run takes; and one of each format.

use crate::catalog::{Catalog, Column, Index, Relation};
use crate::config::TableFilter;
use crate::interned::Interned;
use crate::pg::sample::{Part, Slice};
use crate::plan::{Plan, Rules};
use crate::row_format::RowFormat;
use std::cmp::Reverse;
use std::collections::HashMap;

/// The largest number of tables that are sampled.
const MOST: usize = 5;
/// A table whose rows are fewer bytes than this measures round trips rather than rows.
const SMALLEST: u64 = 256 * 1024;
/// The largest number of indexes of a table that are built.
const INDEXES: usize = 3;
const PAGE: u64 = 8192;

/// A table to be sampled.
#[derive(Debug)]
pub struct Choice<'a> {
    /// The table.
    pub relation: &'a Relation,
    /// The columns that are copied.
    pub columns: Vec<&'a Column>,
    /// Which rows are; empty for all.
    pub filter: &'a str,
    /// The format in which rows are sent.
    pub format: RowFormat,
    /// Bytes of the table.
    pub bytes: u64,
    /// Columns of its indexes.
    pub keys: Vec<&'a [Interned]>,
    /// Columns of one that is unique; none where there is none.
    pub unique: &'a [Interned],
    has_pages: bool,
}

/// The tables to sample of a plan, the largest first.
pub fn tables<'a>(plan: &Plan, catalog: &'a Catalog, filter: &'a TableFilter) -> Vec<Choice<'a>> {
    let lookup = catalog.lookup();
    let by_name: HashMap<(&str, &str), &Relation> =
        catalog.relations.iter().map(|r| ((r.name.schema.as_str(), r.name.name.as_str()), r)).collect();
    let mut found: Vec<(RowFormat, &Relation)> = Vec::new();
    for task in plan.tasks.iter().filter(|task| task.is_data()) {
        // The chunks of a table follow each other.
        if let Some(&relation) = by_name.get(&(task.schema.as_str(), task.name.as_str()))
            && found.last().is_none_or(|(_, last)| last.oid != relation.oid)
            && relation.total_bytes >= SMALLEST
            && relation.heap_bytes > 0
        {
            found.extend(task.format.map(|format| (format, relation)));
        }
    }
    found.sort_by_key(|(_, relation)| Reverse(relation.total_bytes));
    let other =
        found.iter().skip(MOST).find(|(format, _)| found[..MOST].iter().all(|(taken, _)| taken != format)).copied();
    found.truncate(MOST - usize::from(other.is_some()));
    found.extend(other);
    let rules = Rules::new(filter);
    let choice = |(format, relation): (RowFormat, &'a Relation)| Choice {
        relation,
        columns: relation.copied_columns().collect(),
        filter: rules.of(relation, &lookup.ancestors(relation)).filter.as_deref().unwrap_or_default(),
        format,
        bytes: relation.total_bytes,
        keys: keys(catalog, relation, |_| true).take(INDEXES).collect(),
        unique: keys(catalog, relation, |index| index.is_arbiter).next().unwrap_or_default(),
        has_pages: catalog.server.version.has_tid_range_scan() && relation.access_method == "heap",
    };
    found.into_iter().map(choice).filter(|choice| !choice.columns.is_empty()).collect()
}

/// The columns of a table's indexes; generated columns are not copied, and so cannot be indexed in a sample.
fn keys<'a>(
    catalog: &'a Catalog,
    relation: &'a Relation,
    is_wanted: impl Fn(&Index) -> bool,
) -> impl Iterator<Item = &'a [Interned]> {
    let is_copied = |name: &Interned| relation.copied_columns().any(|column| column.name == *name);
    let wanted = catalog.indexes.iter().filter(move |index| index.relation == relation.oid && is_wanted(index));
    let keys = wanted.map(|index| index.columns.as_slice());
    keys.filter(move |columns| !columns.is_empty() && columns.iter().all(is_copied))
}

impl Choice<'_> {
    /// A slice of about `bytes`, which begins at the part `place`, from 0 to 1, of the table's pages; and its size in bytes.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a slice is about as large as it should be, and never below 0"
    )]
    pub fn slice(&self, place: f64, bytes: f64) -> (Slice<'_>, f64) {
        let share = (bytes / self.bytes as f64).clamp(0.0, 1.0);
        let (part, bytes) = if self.has_pages {
            let all = self.relation.heap_bytes.div_ceil(PAGE);
            let pages = ((all as f64 * share).ceil() as u64).clamp(1, all);
            let first = ((all - pages) as f64 * place) as u64;
            (Part::Pages(first, first + pages), self.bytes as f64 * pages as f64 / all as f64)
        } else {
            let all = self.relation.estimated_rows().max(1);
            let rows = ((all as f64 * share).ceil() as u64).max(1);
            (Part::First(rows), self.bytes as f64 * rows as f64 / all as f64)
        };
        (Slice { table: &self.relation.name, columns: &self.columns, filter: self.filter, part }, bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::RelationKind;
    use crate::name::QualifiedName;

    fn relation() -> Relation {
        Relation {
            oid: 16384,
            name: QualifiedName::new("s", "t"),
            kind: RelationKind::Table,
            is_populated: true,
            partition_of: None,
            access_method: "heap".into(),
            heap_bytes: 100 * PAGE,
            total_bytes: 200 * PAGE,
            tuples: 1000.0,
            hides_rows: false,
            is_readable: true,
            member: None,
            hashes_an_enum: false,
            columns: vec![],
        }
    }

    fn parts(has_pages: bool) -> [(Part, f64); 3] {
        let relation = relation();
        let choice = Choice {
            relation: &relation,
            columns: vec![],
            filter: "",
            format: RowFormat::Text,
            bytes: relation.total_bytes,
            keys: vec![],
            unique: &[],
            has_pages,
        };
        let slice = |place, bytes| {
            let (slice, bytes) = choice.slice(place, bytes);
            (slice.part, bytes)
        };
        [slice(0.0, 0.0), slice(0.5, 81_920.0), slice(1.0, 1e12)]
    }

    #[test]
    fn a_slice_is_a_run_of_pages_with_their_share_of_toast() {
        let wanted = [(Part::Pages(0, 1), 16384.0), (Part::Pages(47, 52), 81920.0), (Part::Pages(0, 100), 1_638_400.0)];
        assert_eq!(parts(true), wanted);
    }

    #[test]
    fn where_pages_cannot_be_chosen_the_first_rows_stand_for_all() {
        let parts = parts(false).map(|(part, _)| part);
        assert_eq!(parts, [Part::First(1), Part::First(50), Part::First(1000)]);
    }
}
