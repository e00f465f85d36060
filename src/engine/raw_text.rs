//! Names and definitions of a source without an encoding, which must be valid UTF8 to be read at all.
//!
//! A `SQL_ASCII` database accepts any bytes; neither `pg_dump` nor pgmigrate's own queries can read what is not UTF8, and the server's
//! error names no object. Rows differ: a row with such bytes makes only its own table fail. Called by `connect` before the catalog is read,
//! and by the preflight, which names every object.

use crate::error::Result;
use crate::finding::{Finding, Severity};
use crate::pg::Session;
use crate::pg::survey;
use std::collections::BTreeSet;

/// The check's name.
pub(super) const CHECK: &str = "source_encoding";
const REMEDY: &str = "connect with client_encoding SQL_ASCII and rename it or replace it by a text in UTF8; or move the database by \
                      pg_dump --encoding=SQL_ASCII";

/// One finding for every object of the source whose name or definition is not UTF8.
pub(super) async fn check(source: &Session) -> Result<Vec<Finding>> {
    let texts = survey::raw_texts(source).await?;
    let invalid = texts.iter().filter(|found| std::str::from_utf8(&found.text).is_err());
    let objects: BTreeSet<(&str, String)> = invalid.map(|found| (found.kind.as_str(), shown(&found.object))).collect();
    Ok(objects.into_iter().map(|(kind, object)| finding(kind, &object)).collect())
}

fn finding(kind: &str, object: &str) -> Finding {
    let object = format!("{kind} {object}");
    let message = format!(
        "{object}: its name, definition or comment has bytes that are not valid UTF8; the source is encoded in SQL_ASCII and cannot convert them"
    );
    Finding::new(CHECK, Severity::Blocking, object, message, REMEDY)
}

/// The bytes as text; those that are not UTF8 are written as in a literal of `PostgreSQL`.
fn shown(bytes: &[u8]) -> String {
    let number = |byte: &u8| format!("\\x{byte:02x}");
    let parts = bytes.utf8_chunks().map(|chunk| {
        let invalid: String = chunk.invalid().iter().map(number).collect();
        chunk.valid().to_owned() + &invalid
    });
    parts.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_text_are_shown_as_numbers() {
        assert_eq!(shown(b"na\xefve"), "na\\xefve");
        assert_eq!(shown("na\u{ef}ve".as_bytes()), "na\u{ef}ve");
    }
}
