//! What has to be read from the source before tables can be divided by a key, and the answers.
//!
//! Only for tables that are migrated, and only if they are divided by a key: the configuration names a chunk column, or it is worthwhile to
//! divide a table whose pages cannot be read in ranges. The engine passes the questions to `pg::keys`; the answers are arguments of `cut`.

use super::key::{KeyBounds, KeyRange};
use super::route::Route;
use super::{Cutting, Rules};
use crate::catalog::{Catalog, Oid, Relation, RelationKind, scope};
use crate::config::{PlanOptions, TableFilter, TableOptions};
use std::cmp::Reverse;
use std::collections::HashMap;

/// A question about a table.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Question<'a> {
    /// The range of an integer column.
    Range(&'a str),
    /// The same among the rows that meet the filter, and the number of these.
    Counted(&'a str, Option<&'a str>),
    /// The bounds that divide a column of the named type into so many equal shares.
    Bounds(&'a str, &'static str, u64),
}

/// The source's answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// To [`Question::Range`] and [`Question::Counted`].
    Range(KeyRange),
    /// To [`Question::Bounds`].
    Bounds(KeyBounds),
}

/// The answers by table; none for a table whose rows have no value, or about which the source has no information.
pub type Answers = HashMap<Oid, Answer>;

/// The question for each table.
#[must_use]
pub fn questions<'a>(catalog: &'a Catalog, options: PlanOptions<'a>) -> Vec<(&'a Relation, Question<'a>)> {
    if !may_need_keys(catalog, &options.scope.tables) {
        return Vec::new();
    }
    let scope = scope::select(catalog, options);
    let lookup = catalog.lookup();
    let rules = Rules::new(&options.scope.tables);
    let mut tables: Vec<(&Relation, &TableOptions)> = catalog
        .relations
        .iter()
        .filter(|relation| scope.tables.contains(&relation.oid))
        .map(|relation| (relation, rules.of(relation, &lookup.ancestors(relation))))
        .collect();
    // In the order of the rows' tasks: of equal tables, the first is divided.
    tables.sort_by_key(|(relation, _)| Reverse(relation.total_bytes));
    let cutting = Cutting::new(&catalog.server, &lookup, options.copy, &tables);
    tables
        .iter()
        .filter_map(|(relation, options)| {
            let (route, count) = cutting.ways.get(&relation.oid)?;
            Some((*relation, question(route, *count, options)?))
        })
        .collect()
}

fn question<'a>(route: &Route<'a>, count: u64, options: &'a TableOptions) -> Option<Question<'a>> {
    match route {
        Route::Column(column) => Some(Question::Counted(column, options.filter.as_deref())),
        Route::Key(column, _) if column.is_integer => Some(Question::Range(&column.name)),
        Route::Key(column, type_name) => Some(Question::Bounds(&column.name, type_name, count)),
        Route::Pages | Route::Not(_) => None,
    }
}

/// Most sources are divided by pages alone, and the scope of a large one need not be computed twice.
fn may_need_keys(catalog: &Catalog, tables: &TableFilter) -> bool {
    let mut options = tables.include.iter().map(|rule| &rule.options).chain([&tables.default]);
    let has_pages = |relation: &Relation| relation.kind != RelationKind::Table || relation.access_method == "heap";
    !catalog.server.version.has_tid_range_scan()
        || options.any(|options| options.chunk_column.is_some())
        || !catalog.relations.iter().all(has_pages)
}
