//! The keys that take one of a few texts: a closed set for each.

use crate::closed_set::closed_set;
use serde::{Serialize, Serializer};

closed_set! {
    /// Which of the source's schemas or tables are in scope.
    pub enum Mode, "mode" {
        /// Everything but what `exclude` lists.
        All = "all",
        /// Only what `include` lists, less what `exclude` lists.
        Include = "include",
        /// As [`Mode::All`]: everything but what `exclude` lists.
        Exclude = "exclude",
    }
}

closed_set! {
    /// Which of the roles that the target lacks are created there.
    pub enum RolesMode, "mode of roles" {
        /// Those that the objects in scope name, with their members and the roles that they are members of.
        Needed = "needed",
        /// All roles of the source's server.
        All = "all",
        /// None.
        None = "none",
    }
}

closed_set! {
    /// What happens to a target table that exists before the run.
    pub enum OnExisting, "value of on_existing" {
        /// Rows are added to those it has.
        Append = "append",
        /// It is emptied first.
        Truncate = "truncate",
        /// Its task fails.
        Error = "error",
        /// It is left as it is.
        Skip = "skip",
    }
}

closed_set! {
    /// What happens to a row whose unique key exists on the target.
    pub enum OnConflict, "value of on_conflict" {
        /// `Nothing` for a table that existed before the run and has a unique key, else `Error`.
        Auto = "auto",
        /// The task fails.
        Error = "error",
        /// The target's row stays.
        Nothing = "nothing",
        /// The source's row replaces it.
        Update = "update",
    }
}

closed_set! {
    /// The format of the COPY stream.
    pub enum Format, "format" {
        /// Binary if the table's types are safe on both servers and it is no more work than text, else text.
        Auto = "auto",
        /// Text.
        Text = "text",
        /// Binary.
        Binary = "binary",
    }
}

closed_set! {
    /// Where the planner statistics of a loaded table come from.
    pub enum Statistics, "source of statistics" {
        /// As [`Statistics::Copy`] for tables that are not small, else as [`Statistics::Analyze`].
        Auto = "auto",
        /// From ANALYZE.
        Analyze = "analyze",
        /// From the source, if both servers are 18 or newer and all rows of the table are copied.
        Copy = "copy",
    }
}

closed_set! {
    /// How a data-only run handles the triggers of the target's tables.
    pub enum TargetTriggers, "value of target_triggers" {
        /// They fire for its rows.
        Fire = "fire",
        /// They are disabled in the transactions that write its rows, and nowhere else.
        Disable = "disable",
    }
}

closed_set! {
    /// How a data-only run handles the foreign keys of the target's tables.
    pub enum TargetForeignKeys, "value of target_foreign_keys" {
        /// A table's rows are copied after those that they reference.
        Order = "order",
        /// The same, and tables that reference each other in a cycle are copied in one transaction, with their keys checked at its end.
        Defer = "defer",
        /// They are dropped before the rows are copied, and made and checked again afterwards.
        Drop = "drop",
    }
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
