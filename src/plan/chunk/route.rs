//! By what a table can be divided: a column of the configuration, pages, a key, or nothing. Called by `chunk`.

use crate::catalog::{Column, Index, Lookup, Relation};
use crate::config::TableOptions;
use crate::server_version::ServerVersion;

/// How a table can be divided.
#[derive(Debug, Clone, PartialEq)]
pub enum Route<'a> {
    /// By the integer column that the configuration names.
    Column(&'a str),
    /// By ranges of pages.
    Pages,
    /// By ranges of a key, of the type that [`key_type`] names.
    Key(&'a Column, &'static str),
    /// Not at all; the reason is empty if it is the configuration.
    Not(String),
}

/// The route of a table.
pub fn route<'a>(
    version: ServerVersion,
    lookup: &Lookup<'a>,
    relation: &'a Relation,
    options: &'a TableOptions,
) -> Route<'a> {
    // A condition is text after the table's name, after which no predicate can follow.
    if relation.is_configuration() {
        return Route::Not(String::new());
    }
    if let Some(column) = chunk_column(relation, options) {
        return Route::Column(column);
    }
    if options.limit.is_some() {
        return Route::Not(String::new());
    }
    if version.has_tid_range_scan() && relation.access_method == "heap" {
        return Route::Pages;
    }
    let indexes = || lookup.indexes_of.get(&relation.oid).into_iter().flatten().filter(|i| i.is_arbiter && i.is_valid);
    let lead = |index: &&'a Index| {
        let column = relation.columns.iter().find(|column| Some(&column.name) == index.columns.first())?;
        key_type(column).map(|type_name| (column, type_name))
    };
    match indexes().filter_map(lead).min_by_key(|(column, _)| !column.is_integer) {
        Some((column, type_name)) => Route::Key(column, type_name),
        None => Route::Not(not_cut(version, relation)),
    }
}

fn not_cut(version: ServerVersion, relation: &Relation) -> String {
    let pages = if version.has_tid_range_scan() {
        format!("access method {:?} has no ranges of pages", relation.access_method)
    } else {
        format!("PostgreSQL {version} reads no range of pages by itself")
    };
    // Bounds of any other key would reveal values of rows.
    format!("whole: {pages}, and no unique key begins with an integer, uuid, date or timestamp")
}

/// The type within `pg_catalog` of a column whose ranges can divide a table; none if its bounds would reveal something about the rows.
pub fn key_type(column: &Column) -> Option<&'static str> {
    let name = column.type_name.as_str();
    match name {
        _ if column.is_integer => Some("int8"),
        "uuid" => Some("uuid"),
        "date" => Some("date"),
        _ if name.starts_with("timestamp") && name.ends_with("with time zone") => Some("timestamptz"),
        _ if name.starts_with("timestamp") && name.ends_with("without time zone") => Some("timestamp"),
        _ => None,
    }
}

/// The column that the configuration names, if the table has it and it is an integer.
pub fn chunk_column<'a>(relation: &Relation, options: &'a TableOptions) -> Option<&'a str> {
    let column = options.chunk_column.as_deref().filter(|_| options.limit.is_none())?;
    relation.columns.iter().any(|c| c.name == column && c.is_integer).then_some(column)
}
