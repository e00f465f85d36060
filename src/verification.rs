//! What a comparison of source and target has found.
//!
//! Pure data, filled by the engine's `verify` and shown by the bindings. Messages name objects and numbers, never a row's values; a row's
//! key is in `key` and nowhere else. What could not be compared is never counted as equal.

use crate::closed_set::closed_set;
use crate::name::readable;
use crate::status::TableStatus;
use serde::Serialize;
use std::collections::{BTreeMap, HashSet};

/// The result of comparing two databases.
///
/// The verdict on rows depends on what the two databases hold now, and not on which run made a table. Equal means: every object and row
/// that the plan moves, and everything else that the configuration chooses on the source, was compared, and `differences`, `unchecked` and
/// `not_moved` are empty but for settings that every run leaves out because they prevent writes to the source. The other lists do not
/// affect the verdict: rows of materialized views, which a refresh may change; differences that only the servers' versions cause; and
/// objects that the target had before the first run.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Verification {
    /// The overall verdict.
    pub verdict: Verdict,
    /// Whether the verdict is equal.
    pub equal: bool,
    /// Every table whose rows the plan moves, in the plan's order.
    pub tables: Vec<TableResult>,
    /// Every materialized view that the plan refreshes, with how its rows compare.
    pub materialized_views: Vec<TableResult>,
    /// What differs.
    pub differences: Vec<Difference>,
    /// What differs by the servers' versions only, such as another spelling of one expression.
    pub by_version: Vec<Remark>,
    /// Objects that only the target has and had before the first run, and settings of its database.
    pub only_on_target: Vec<Remark>,
    /// Objects of the source that the configuration chooses and the plan lacks, and settings that every run leaves out.
    pub not_moved: Vec<Remark>,
    /// What could not be compared.
    pub unchecked: Vec<Unchecked>,
    /// How many objects of each kind were compared.
    #[serde(serialize_with = "as_list")]
    pub compared: BTreeMap<String, u64>,
}

closed_set! {
    /// The verdict of a comparison.
    #[derive(Default)]
    pub enum Verdict, "verdict" {
        /// Everything was compared, and nothing differs.
        Equal = "equal",
        /// Everything was compared, and all that the source has is on the target, where tables hold more rows.
        ContainsSource = "contains_source",
        /// Something differs.
        Different = "different",
        /// Nothing was found to differ, and something could not be compared.
        #[default]
        NotCompared = "not_compared",
    }
}

/// Of one kind, how many objects were compared.
#[derive(Debug, Serialize)]
struct Compared<'a> {
    kind: &'a str,
    objects: u64,
}

fn as_list<S: serde::Serializer>(counts: &BTreeMap<String, u64>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(counts.iter().map(|(kind, &objects)| Compared { kind, objects }))
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
    /// Rows that only the target has, where the rows themselves were compared.
    pub more_rows: u64,
    /// Whether the table held rows before the run, by the ledger.
    pub held_rows: bool,
    /// How long the comparison took.
    pub seconds: f64,
    /// What a reader should know.
    pub note: String,
}

impl TableResult {
    /// A table whose rows were not read.
    pub fn unread(object: impl Into<String>, status: TableStatus, note: impl Into<String>) -> Self {
        TableResult {
            object: object.into(),
            status,
            source_rows: 0,
            target_rows: 0,
            more_rows: 0,
            held_rows: false,
            seconds: 0.0,
            note: note.into(),
        }
    }
}

closed_set! {
    /// What kind of thing differs.
    pub enum DifferenceKind, "kind of difference" {
        /// A row of the source is not on the target.
        MissingRow = "missing_row",
        /// A row of the target is not on the source.
        ExtraRow = "extra_row",
        /// A row differs in columns outside its key.
        DifferentRow = "different_row",
        /// The tables hold different numbers of rows.
        RowCount = "row_count",
        /// The next value of a sequence differs.
        Sequence = "sequence",
        /// A large object is missing, or its content or owner differs.
        LargeObject = "large_object",
        /// An index that queries cannot use.
        InvalidIndex = "invalid_index",
        /// A constraint whose rows were not checked.
        InvalidConstraint = "invalid_constraint",
        /// An object that the plan makes is not on the target.
        MissingObject = "missing_object",
        /// An object is on the target only, and was made after the first run began or at an unknown time.
        ExtraObject = "extra_object",
        /// An object is defined, or owned, in another way.
        DifferentObject = "different_object",
    }
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
    /// A difference of `object`; the message names the object, so that it can be read alone.
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

/// Something that a reader should know and that is no failure by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Remark {
    /// The kind of object.
    pub kind: String,
    /// The object.
    pub object: String,
    /// What there is to know.
    pub message: String,
}

impl Remark {
    /// A remark on an object.
    pub fn new(kind: impl Into<String>, object: impl Into<String>, message: impl Into<String>) -> Self {
        Remark { kind: kind.into(), object: object.into(), message: message.into() }
    }

    /// Whether it is about a setting that belongs to the migration and not to the migrated data, or about something that the options leave
    /// out.
    fn is_left_out_by_design(&self) -> bool {
        [SETTING_LEFT_OUT, OPTION_LEFT_OUT].contains(&self.kind.as_str())
    }
}

/// The kind of remark in `not_moved` on a setting that every run leaves out.
pub const SETTING_LEFT_OUT: &str = "setting left out";

/// The kind of remark in `not_moved` on owners and privileges that the options leave out.
pub const OPTION_LEFT_OUT: &str = "option";

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

    /// Counts objects of a kind as compared.
    pub fn count(&mut self, kind: &str, number: usize) {
        if number > 0 {
            *self.compared.entry(kind.to_owned()).or_default() += number as u64;
        }
    }

    /// Adds the results of another part of the comparison.
    pub fn absorb(&mut self, part: Verification) {
        self.tables.extend(part.tables);
        self.materialized_views.extend(part.materialized_views);
        self.differences.extend(part.differences);
        self.by_version.extend(part.by_version);
        self.only_on_target.extend(part.only_on_target);
        self.not_moved.extend(part.not_moved);
        self.unchecked.extend(part.unchecked);
        for (kind, number) in part.compared {
            *self.compared.entry(kind).or_default() += number;
        }
    }

    /// Sets the verdict.
    #[must_use]
    pub fn settled(mut self) -> Self {
        self.verdict = self.verdict();
        self.equal = self.verdict == Verdict::Equal;
        self
    }

    fn verdict(&self) -> Verdict {
        let containing: HashSet<&str> = self.containing().map(|table| table.object.as_str()).collect();
        // If a table contains the source's rows, these differences are about the additional rows.
        let is_more = |found: &Difference| {
            matches!(found.kind, DifferenceKind::ExtraRow | DifferenceKind::RowCount)
                && containing.contains(found.object.as_str())
        };
        if !self.not_moved.iter().all(Remark::is_left_out_by_design) || !self.differences.iter().all(is_more) {
            Verdict::Different
        } else if !self.unchecked.is_empty() {
            Verdict::NotCompared
        } else if containing.is_empty() {
            Verdict::Equal
        } else {
            Verdict::ContainsSource
        }
    }

    fn containing(&self) -> impl Iterator<Item = &TableResult> {
        self.tables.iter().filter(|table| table.status == TableStatus::ContainsSource)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(status: TableStatus) -> Verification {
        Verification { tables: vec![TableResult::unread("a", status, "")], ..Verification::default() }
    }

    #[test]
    fn the_verdict_is_the_worst_of_what_was_found() {
        let equal = table(TableStatus::Equal);
        let more = table(TableStatus::ContainsSource);
        let mut named = more.clone();
        named.push_difference(Difference::new(DifferenceKind::ExtraRow, "a", "the row is on the target only"));
        let mut other = named.clone();
        other.push_difference(Difference::new(DifferenceKind::ExtraRow, "b", "the row is on the target only"));
        let mut setting = equal.clone();
        setting.not_moved.push(Remark::new(SETTING_LEFT_OUT, "DATABASE", "the setting a=on is not carried over"));
        let mut unchecked = named.clone();
        unchecked.push_unchecked("c", "it is locked");
        let mut not_moved = unchecked.clone();
        not_moved.not_moved.push(Remark::new("table", "d", "it was made after the plan"));
        for (found, verdict) in [
            (equal, Verdict::Equal),
            (setting, Verdict::Equal),
            (more, Verdict::ContainsSource),
            (named, Verdict::ContainsSource),
            (other, Verdict::Different),
            (unchecked, Verdict::NotCompared),
            (not_moved, Verdict::Different),
        ] {
            let settled = found.settled();
            assert_eq!((settled.verdict, settled.equal), (verdict, verdict == Verdict::Equal));
        }
    }
}
