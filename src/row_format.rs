//! The formats of COPY in which rows are sent (<https://www.postgresql.org/docs/current/sql-copy.html>, File Formats).

use crate::closed_set::closed_set;

closed_set! {
    /// The format in which rows are sent.
    pub enum RowFormat, "format of rows" {
        /// COPY's text format.
        Text = "text",
        /// COPY's binary format.
        Binary = "binary",
    }
}

impl RowFormat {
    /// A plan's COPY in this format.
    #[must_use]
    pub fn apply(self, copy: &str) -> String {
        match self {
            RowFormat::Text => copy.to_owned(),
            RowFormat::Binary => format!("{copy} (FORMAT binary)"),
        }
    }

    /// A plan's COPY in this format with FREEZE: for a table that the transaction has emptied or made.
    #[must_use]
    pub fn apply_frozen(self, copy: &str) -> String {
        match self {
            RowFormat::Text => format!("{copy} (FREEZE)"),
            RowFormat::Binary => format!("{copy} (FORMAT binary, FREEZE)"),
        }
    }
}
