//! Statements that set `search_path`, by which names without a schema are found.

use crate::name::literal;

/// The statement that lets later statements of the transaction find names without a schema by `path`, a value of `search_path`. The value
/// is no part of the statement's own text: the server keeps it unchanged, whatever characters it has.
#[must_use]
pub fn of_transaction(path: &str) -> String {
    format!("SELECT pg_catalog.set_config('search_path', {}, true)", literal(path))
}

/// The same for the whole session.
#[must_use]
pub fn of_session(path: &str) -> String {
    format!("SELECT pg_catalog.set_config('search_path', {}, false)", literal(path))
}
