//! Statements that set `search_path`, under which names without a schema are looked up.

use crate::name::literal;

/// The statement that lets those behind it in the transaction look names without a schema up in `path`, a value of `search_path`. The value
/// is no part of the statement's own text: a server keeps what it was given, whatever characters that has.
#[must_use]
pub fn of_transaction(path: &str) -> String {
    format!("SELECT pg_catalog.set_config('search_path', {}, true)", literal(path))
}

/// The same for the whole session.
#[must_use]
pub fn of_session(path: &str) -> String {
    format!("SELECT pg_catalog.set_config('search_path', {}, false)", literal(path))
}
