//! Names of database objects, and the only place that quotes them.
//!
//! Every identifier is quoted, reserved word or not, so that no list of keywords has to be kept for six majors
//! (<https://www.postgresql.org/docs/current/sql-syntax-lexical.html#SQL-SYNTAX-IDENTIFIERS>).

use serde::{Deserialize, Serialize};
use std::fmt;

/// Quotes an identifier.
#[must_use]
pub fn ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Quotes a string literal, whatever `standard_conforming_strings` is set to.
#[must_use]
pub fn literal(text: &str) -> String {
    let doubled = text.replace('\'', "''");
    if text.contains('\\') { format!(" E'{}'", doubled.replace('\\', "\\\\")) } else { format!("'{doubled}'") }
}

/// Quotes and joins identifiers as a column list without parentheses.
pub fn ident_list<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> String {
    let quoted: Vec<String> = names.into_iter().map(|name| ident(name.as_ref())).collect();
    quoted.join(", ")
}

/// A schema-qualified name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct QualifiedName {
    /// The schema, unquoted.
    pub schema: String,
    /// The object's own name, unquoted.
    pub name: String,
}

impl QualifiedName {
    /// The name `schema`.`name`, both unquoted.
    pub fn new(schema: impl Into<String>, name: impl Into<String>) -> Self {
        QualifiedName { schema: schema.into(), name: name.into() }
    }

    /// The name as SQL text, both parts quoted.
    #[must_use]
    pub fn sql(&self) -> String {
        format!("{}.{}", ident(&self.schema), ident(&self.name))
    }
}

/// The name as people read it: quoted only where a reader could mistake it.
impl fmt::Display for QualifiedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", readable(&self.schema), readable(&self.name))
    }
}

/// Splits a quoted, qualified name off the front of SQL text that this program wrote.
#[must_use]
pub fn split_name(sql: &str) -> Option<(&str, &str)> {
    let schema = quoted_length(sql)?;
    let name = quoted_length(sql.get(schema..)?.strip_prefix('.')?)?;
    Some(sql.split_at(schema + 1 + name))
}

/// Splits a quoted identifier off the front of SQL text that this program wrote.
#[must_use]
pub fn split_ident(sql: &str) -> Option<(&str, &str)> {
    Some(sql.split_at(quoted_length(sql)?))
}

fn quoted_length(sql: &str) -> Option<usize> {
    let inner = sql.strip_prefix('"')?;
    let mut end = 0;
    loop {
        end += inner.get(end..)?.find('"')? + 1;
        if !inner.get(end..)?.starts_with('"') {
            return Some(end + 1);
        }
        end += 1;
    }
}

/// A name as the catalog has it, of an identifier that is quoted where SQL would quote it.
#[must_use]
pub fn unquoted(name: &str) -> String {
    let inner = name.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    inner.map_or_else(|| name.to_owned(), |inner| inner.replace("\"\"", "\""))
}

/// The tables of a ledger; a source that was once a target holds them, and they are no user's data.
pub const LEDGER_TABLES: [&str; 6] = [
    "migration_run",
    "migration_task",
    "migration_snapshot",
    "migration_foreign_key",
    "migration_plan",
    "migration_procedure",
];

/// What a run says of a schema that it has made for its ledger.
pub const SCHEMA_COMMENT: &str = "ledger of pgmigrate";

/// The table that the Python package's alembic hook keeps next to the ledger for as long as a data move is due.
const DUE_TABLE: &str = "migration_due";

/// Whether `name` is a table of a ledger, or the hook's table next to it.
#[must_use]
pub fn is_ledger_table(name: &str) -> bool {
    LEDGER_TABLES.contains(&name) || name == DUE_TABLE
}

/// An identifier as people read it: plain where it is plain, quoted elsewhere.
#[must_use]
pub fn readable(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if plain { name.to_owned() } else { ident(name) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_are_doubled() {
        assert_eq!(QualifiedName::new("a\"b", "c.d").sql(), "\"a\"\"b\".\"c.d\"");
        assert_eq!(QualifiedName::new("public", "Order").to_string(), "public.\"Order\"");
    }

    #[test]
    fn a_name_is_split_off_whatever_it_holds() {
        let name = QualifiedName::new("a\"\".\"b", "c (d\" FROM STDIN");
        let sql = format!("{} (\"x\") FROM STDIN", name.sql());
        assert_eq!(split_name(&sql), Some((name.sql().as_str(), " (\"x\") FROM STDIN")));
        assert_eq!(split_name("plain.name"), None);
    }

    #[test]
    fn an_identifier_is_read_as_the_catalog_has_it() {
        assert_eq!(unquoted("plain"), "plain");
        assert_eq!(unquoted("\"Odd \"\"name\""), "Odd \"name");
        assert_eq!(unquoted("\""), "\"");
    }

    #[test]
    fn backslashes_survive_any_string_setting() {
        assert_eq!(literal("it's"), "'it''s'");
        assert_eq!(literal("a\\b'"), " E'a\\\\b'''");
    }
}
