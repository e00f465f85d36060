//! The keys that take one of a few words: an enum for each, with its words.
//!
//! All code that uses a configuration matches on these enums, never on the words; only the reader and the display of a configuration know
//! those.

use serde::{Serialize, Serializer};

/// An enum that is written as one of a few words.
pub(super) trait Choice: Copy + 'static {
    /// The words with their values.
    const WORDS: &'static [(&'static str, Self)];
}

/// Which of the source's schemas or tables are in scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Everything but what `exclude` lists.
    All,
    /// Only what `include` lists, less what `exclude` lists.
    Include,
    /// As [`Mode::All`]: everything but what `exclude` lists.
    Exclude,
}

/// Which of the roles that the target lacks are created there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RolesMode {
    /// Those that the objects in scope name, with their members and the roles that they are members of.
    Needed,
    /// All roles of the source's server.
    All,
    /// None.
    None,
}

/// What happens to a target table that exists before the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OnExisting {
    /// Rows are added to those it has.
    Append,
    /// It is emptied first.
    Truncate,
    /// Its task fails.
    Error,
    /// It is left as it is.
    Skip,
}

/// What happens to a row whose unique key exists on the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OnConflict {
    /// `Nothing` for a table that existed before the run and has a unique key, else `Error`.
    Auto,
    /// The task fails.
    Error,
    /// The target's row stays.
    Nothing,
    /// The source's row replaces it.
    Update,
}

/// The format of the COPY stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Binary if the table's types are safe on both servers and it is no more work than text, else text.
    Auto,
    /// Text.
    Text,
    /// Binary.
    Binary,
}

/// Where the planner statistics of a loaded table come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Statistics {
    /// As [`Statistics::Copy`] for tables that are not small, else as [`Statistics::Analyze`].
    Auto,
    /// From ANALYZE.
    Analyze,
    /// From the source, if both servers are 18 or newer and all rows of the table are copied.
    Copy,
}

/// How a data-only run handles the triggers of the target's tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TargetTriggers {
    /// They fire for its rows.
    Fire,
    /// They are disabled in the transactions that write its rows, and nowhere else.
    Disable,
}

/// How a data-only run handles the foreign keys of the target's tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TargetForeignKeys {
    /// A table's rows are copied after those that they reference.
    Order,
    /// The same, and tables that reference each other in a cycle are copied in one transaction, with their keys checked at its end.
    Defer,
    /// They are dropped before the rows are copied, and made and checked again afterwards.
    Drop,
}

/// Whether large objects are copied; written `auto`, `true`, `false`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LargeObjects {
    /// If neither schemas nor tables are filtered.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Serialize for LargeObjects {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            LargeObjects::Auto => serializer.serialize_str("auto"),
            LargeObjects::Always => serializer.serialize_bool(true),
            LargeObjects::Never => serializer.serialize_bool(false),
        }
    }
}

impl Choice for Mode {
    const WORDS: &'static [(&'static str, Self)] =
        &[("all", Mode::All), ("include", Mode::Include), ("exclude", Mode::Exclude)];
}

impl Choice for RolesMode {
    const WORDS: &'static [(&'static str, Self)] =
        &[("needed", RolesMode::Needed), ("all", RolesMode::All), ("none", RolesMode::None)];
}

impl Choice for OnExisting {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("append", OnExisting::Append),
        ("truncate", OnExisting::Truncate),
        ("error", OnExisting::Error),
        ("skip", OnExisting::Skip),
    ];
}

impl Choice for OnConflict {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("auto", OnConflict::Auto),
        ("error", OnConflict::Error),
        ("nothing", OnConflict::Nothing),
        ("update", OnConflict::Update),
    ];
}

impl Choice for Format {
    const WORDS: &'static [(&'static str, Self)] =
        &[("auto", Format::Auto), ("text", Format::Text), ("binary", Format::Binary)];
}

impl Choice for Statistics {
    const WORDS: &'static [(&'static str, Self)] =
        &[("auto", Statistics::Auto), ("analyze", Statistics::Analyze), ("copy", Statistics::Copy)];
}

impl Choice for TargetTriggers {
    const WORDS: &'static [(&'static str, Self)] =
        &[("fire", TargetTriggers::Fire), ("disable", TargetTriggers::Disable)];
}

impl Choice for TargetForeignKeys {
    const WORDS: &'static [(&'static str, Self)] =
        &[("order", TargetForeignKeys::Order), ("defer", TargetForeignKeys::Defer), ("drop", TargetForeignKeys::Drop)];
}
