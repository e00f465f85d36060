//! The statements that read a table's rows for a comparison: for sums in any order, or sorted, to find differing rows.
//!
//! Rows are compared as COPY sends them, so both sides need the same columns in the same order. The sort order is that of bytes and not of
//! a collation, which two servers may have in two versions.

use crate::catalog::{Lsn, Relation};
use crate::name::{ident, ident_list};

/// The rows of a query with its columns in another order.
#[must_use]
pub fn reordered(query: &str, columns: &[String]) -> String {
    format!("SELECT {} FROM ({query}) AS r", ident_list(columns))
}

/// All rows of a source's table that meet `filter`; for a configuration table, those that its extension marks to be dumped.
#[must_use]
pub fn all(table: &Relation, filter: Option<&str>) -> String {
    let condition = filter.map(|filter| format!(" WHERE ({filter})")).unwrap_or_default();
    format!("SELECT * FROM {}{condition}", table.from_item())
}

/// The rows of all these queries.
#[must_use]
pub fn union(queries: &[String], columns: &[String]) -> String {
    let list = ident_list(columns);
    let selects: Vec<String> = queries.iter().map(|query| format!("SELECT {list} FROM ({query}) AS r")).collect();
    selects.join(" UNION ALL ")
}

/// The rows of a target's table, given by its quoted name; with those of its partitions if it is partitioned, without those of tables that
/// inherit from it.
#[must_use]
pub fn on_target(table: &str, is_partitioned: bool) -> String {
    format!("SELECT * FROM {}{table}", if is_partitioned { "" } else { "ONLY " })
}

/// The expression for a column `r.name` where rows are compared as text: `pg_lsn`, whose text form 19 pads with zeros, is compared as its
/// bytes.
#[must_use]
pub fn value(name: &str, lsn: Option<Lsn>) -> String {
    let name = ident(name);
    match lsn {
        None => format!("r.{name}"),
        Some(Lsn::Value) => format!("pg_catalog.pg_lsn_send(r.{name}) AS {name}"),
        Some(Lsn::Array) => format!("pg_catalog.array_send(r.{name}) AS {name}"),
    }
}

/// The rows of a query with these values for its columns.
#[must_use]
pub fn with_values(query: &str, values: &[String]) -> String {
    format!("SELECT {} FROM ({query}) AS r", values.join(", "))
}

/// The rows of a query in any order.
#[must_use]
pub fn copy(query: &str, columns: &[String]) -> String {
    format!("COPY (SELECT {} FROM ({query}) AS r) TO STDOUT", ident_list(columns))
}

/// The rows of a query in the order of their keys' bytes. Without a key, the digest of each row is read, in the digests' order: no row is
/// too large to sort, and no row leaves its server. The digest is not MD5, which servers in FIPS mode refuse.
#[must_use]
pub fn sorted(query: &str, columns: &[String], keys: &[String]) -> String {
    if keys.is_empty() {
        let fields: Vec<String> = columns.iter().map(|column| format!("r.{}", ident(column))).collect();
        let row = format!("ROW({})::pg_catalog.text", fields.join(", "));
        return format!(
            "COPY (SELECT pg_catalog.sha256(pg_catalog.textsend({row})) FROM ({query}) AS r ORDER BY 1) TO STDOUT"
        );
    }
    // format() writes a value as COPY does, even if a type has casts to text; textsend() returns the bytes that COPY sends.
    let key = |column: &String| format!("pg_catalog.textsend(pg_catalog.format('%s', r.{}))", ident(column));
    let order: Vec<String> = keys.iter().map(key).collect();
    format!("COPY (SELECT {} FROM ({query}) AS r ORDER BY {}) TO STDOUT", ident_list(columns), order.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_without_columns_are_read_too() {
        assert_eq!(
            copy("SELECT  FROM ONLY \"s\".\"t\"", &[]),
            "COPY (SELECT  FROM (SELECT  FROM ONLY \"s\".\"t\") AS r) TO STDOUT"
        );
    }
}
