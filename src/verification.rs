//! What a comparison of source and target has found.
//!
//! Pure data, filled by the engine's `verify` and shown by the bindings. Messages name objects and numbers, never a
//! row's values; a row's key stands in `key` and nowhere else. What could not be compared is never counted as equal.

use crate::name::readable;
use serde::Serialize;

/// The result of comparing two databases.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Verification {
    /// Whether everything was compared and nothing differs.
    pub equal: bool,
    /// Every table whose rows the plan moves, in the plan's order.
    pub tables: Vec<TableResult>,
    /// What differs.
    pub differences: Vec<Difference>,
    /// What could not be compared.
    pub unchecked: Vec<Unchecked>,
}

/// How the comparison of a table's rows ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TableStatus {
    /// The same rows stand on both sides.
    Equal,
    /// Rows differ.
    Different,
    /// The rows could not be compared.
    Unchecked,
}

impl TableStatus {
    /// The word for it in events.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            TableStatus::Equal => "equal",
            TableStatus::Different => "different",
            TableStatus::Unchecked => "unchecked",
        }
    }
}

/// One table's rows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TableResult {
    /// The table.
    pub object: String,
    /// How the comparison ended.
    pub status: TableStatus,
    /// Rows that the source sends, 0 where it was not read.
    pub source_rows: u64,
    /// Rows on the target, 0 where it was not read.
    pub target_rows: u64,
    /// How long the comparison took.
    pub seconds: f64,
    /// What a reader should know.
    pub note: String,
}

/// What kind of thing differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DifferenceKind {
    /// A row of the source is not on the target.
    MissingRow,
    /// A row of the target is not on the source.
    ExtraRow,
    /// A row differs in columns outside its key.
    DifferentRow,
    /// The tables hold different numbers of rows.
    RowCount,
    /// A sequence goes on from another value.
    Sequence,
    /// A large object is missing, or its content or owner differs.
    LargeObject,
    /// An index that queries cannot use.
    InvalidIndex,
    /// A constraint whose rows were not checked.
    InvalidConstraint,
    /// An object that the plan makes is not on the target.
    MissingObject,
    /// An object is defined, or owned, in another way.
    DifferentObject,
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What kind of thing differs.
    pub kind: DifferenceKind,
    /// The object.
    pub object: String,
    /// The row's key, where the difference is about one row that has a key.
    pub key: Option<String>,
    /// The columns that differ.
    pub columns: Vec<String>,
    /// What differs, in words.
    pub message: String,
}

impl Difference {
    /// A difference of `object`; the message names it, so that it can stand alone.
    pub fn new(kind: DifferenceKind, object: impl Into<String>, words: impl std::fmt::Display) -> Self {
        let object = object.into();
        let message = format!("{object}: {words}");
        Difference { kind, object, key: None, columns: Vec::new(), message }
    }

    /// Names the columns that differ.
    #[must_use]
    pub fn columns(mut self, columns: Vec<String>) -> Self {
        if !columns.is_empty() {
            let names: Vec<String> = columns.iter().map(|name| readable(name)).collect();
            self.message = format!("{} ({})", self.message, names.join(", "));
        }
        self.columns = columns;
        self
    }
}

/// Something that could not be compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unchecked {
    /// The object.
    pub object: String,
    /// Why.
    pub reason: String,
}

impl Verification {
    /// Adds something that differs.
    pub fn push_difference(&mut self, difference: Difference) {
        self.differences.push(difference);
    }

    /// Adds something that could not be compared.
    pub fn push_unchecked(&mut self, object: impl Into<String>, reason: impl Into<String>) {
        self.unchecked.push(Unchecked { object: object.into(), reason: reason.into() });
    }

    /// Adds all that another part of the comparison has found.
    pub fn absorb(&mut self, part: Verification) {
        self.tables.extend(part.tables);
        self.differences.extend(part.differences);
        self.unchecked.extend(part.unchecked);
    }

    /// Draws the conclusion.
    #[must_use]
    pub fn settled(mut self) -> Self {
        self.equal = self.differences.is_empty() && self.unchecked.is_empty();
        self
    }
}
