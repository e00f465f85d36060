//! A table of the target with its counterpart. Made by `pairs`, compared by `rows`.

use crate::name::QualifiedName;
use crate::pg::compare::rows;
use crate::pg::copy::RowSum;
use crate::row_format::RowFormat;

/// Rows of the source that one task copies.
#[derive(Debug)]
pub struct SourceRows {
    /// The query that returns them.
    pub query: String,
    /// The COPY statement, without a format, that returns them.
    pub copy: String,
}

impl SourceRows {
    /// Those of a query.
    #[must_use]
    pub fn of(query: String) -> Self {
        SourceRows { copy: format!("COPY ({query}) TO STDOUT"), query }
    }
}

/// A table of the target, and the rows of the source that belong there.
#[derive(Debug)]
pub struct Pair {
    /// The table.
    pub object: String,
    /// The columns that rows are compared by.
    pub columns: Vec<String>,
    /// The columns of its key; empty where it has none.
    pub keys: Vec<String>,
    /// The format that both sides are read in first.
    pub format: RowFormat,
    /// The source's tables that the statements read.
    pub reads: Vec<QualifiedName>,
    /// How the source's rows are read, task by task.
    pub source: Vec<SourceRows>,
    /// The COPY statement that returns the target's rows.
    pub target: String,
    /// The queries of source and target that are merged to find differing rows.
    pub queries: (String, String),
    /// The source's rows as the run sent them.
    pub source_checksum: Option<RowSum>,
    /// The values that replace the columns where text is compared; empty where the columns themselves are compared.
    pub values: Vec<String>,
    /// Whether the table held rows before the run, by the ledger.
    pub held_rows: bool,
    /// Whether the source selected some rows of many, and might select others now.
    pub is_a_choice: bool,
}

impl Pair {
    /// The COPY statements, without a format option, that return the source's rows in a format.
    #[must_use]
    pub fn source_in(&self, format: RowFormat) -> Vec<String> {
        if !self.is_rewritten(format) {
            return self.source.iter().map(|rows| rows.copy.clone()).collect();
        }
        let rewritten = |rows: &SourceRows| rows::with_values(&rows.query, &self.values);
        self.source.iter().map(|rows| format!("COPY ({}) TO STDOUT", rewritten(rows))).collect()
    }

    /// The statement that returns the target's rows.
    #[must_use]
    pub fn target_in(&self, format: RowFormat) -> String {
        if self.is_rewritten(format) { format!("COPY ({}) TO STDOUT", self.queries.1) } else { self.target.clone() }
    }

    pub fn is_rewritten(&self, format: RowFormat) -> bool {
        format == RowFormat::Text && !self.values.is_empty()
    }
}
