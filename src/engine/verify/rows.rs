//! Compares the rows of one table: sums first, and the rows themselves only where these differ.
//!
//! A table may have more rows than the source's, which is a result of its own; a table of which the source chose some rows by
//! `limit` without an order must hold as many as it sends, all of them the source's.

use super::pair::Pair;
use crate::error::{Error, Result};
use crate::pg::compare::merge::{Differing, Shape, merge};
use crate::pg::compare::{Readers, rows};
use crate::pg::copy::{self, RowSum};
use crate::pg::table_lock;
use crate::row_format::RowFormat;
use crate::status::TableStatus;
use crate::verification::{Difference, DifferenceKind, TableResult, Verification};

/// Compares a table.
pub async fn compare(readers: &Readers, pair: &Pair) -> Result<Verification> {
    readers.begin().await?;
    let found = sums(readers, pair).await?;
    Ok(match found.note {
        Some(note) => equal(pair, found.sums, note),
        None => search(readers, pair, found.sums).await?,
    })
}

/// The sums of both sides.
#[derive(Clone, Copy)]
struct Sums {
    source: RowSum,
    target: RowSum,
}

impl Sums {
    fn are_equal(self) -> bool {
        (self.source.rows, self.source.hash) == (self.target.rows, self.target.hash)
    }
}

/// The result of the sums.
struct SumsFound {
    sums: Sums,
    /// Why both sides count as equal; none where they do not.
    note: Option<&'static str>,
}

/// Sums up both sides. The source is not read where the target holds what the run has sent. Equal values may have several binary forms (an
/// array keeps whether it ever held a NULL), so the comparison as text is final.
async fn sums(readers: &Readers, pair: &Pair) -> Result<SumsFound> {
    let on_target = |format| target_sum(readers, pair, format);
    let on_source = |format| source_sum(readers, pair, format);
    let (source, target) = match pair.source_checksum {
        None => tokio::try_join!(on_source(pair.format), on_target(pair.format))?,
        Some(sent) => {
            let target = on_target(pair.format).await?;
            let sums = Sums { source: sent, target };
            if sums.are_equal() {
                return Ok(SumsFound { sums, note: Some("the source's rows are those that the run read") });
            }
            (on_source(pair.format).await?, target)
        }
    };
    let mut sums = Sums { source, target };
    if !sums.are_equal() && source.rows == target.rows && pair.format == RowFormat::Binary {
        let (source, target) = tokio::try_join!(on_source(RowFormat::Text), on_target(RowFormat::Text))?;
        sums = Sums { source, target };
    }
    Ok(SumsFound { sums, note: sums.are_equal().then_some("") })
}

async fn target_sum(readers: &Readers, pair: &Pair, format: RowFormat) -> Result<RowSum> {
    copy::sum(&readers.target, &format.apply(&pair.target_in(format)), format).await
}

async fn source_sum(readers: &Readers, pair: &Pair, format: RowFormat) -> Result<RowSum> {
    table_lock::guard(&readers.source, &pair.reads).await?;
    let mut sum = RowSum::default();
    for statement in pair.source_in(format) {
        sum = sum.plus(copy::sum(&readers.source, &format.apply(&statement), format).await?);
    }
    Ok(sum)
}

fn table(pair: &Pair, status: TableStatus, sums: Sums, note: impl Into<String>) -> TableResult {
    let mut result = TableResult::unread(&pair.object, status, note);
    (result.source_rows, result.target_rows) = (sums.source.rows, sums.target.rows);
    result.held_rows = pair.held_rows;
    result
}

fn equal(pair: &Pair, sums: Sums, note: impl Into<String>) -> Verification {
    Verification { tables: vec![table(pair, TableStatus::Equal, sums, note)], ..Verification::default() }
}

/// Finds the rows that differ.
async fn search(readers: &Readers, pair: &Pair, sums: Sums) -> Result<Verification> {
    match differing(readers, pair).await {
        Ok(found) => Ok(evaluated(pair, sums, found)),
        // The whole table is compared once more, under another path.
        Err(error) if error.is_undefined() && !readers.is_second_attempt => Err(error),
        Err(error) => {
            readers.cancel().await;
            Ok(unlocated(pair, sums, &error))
        }
    }
}

async fn differing(readers: &Readers, pair: &Pair) -> Result<Differing> {
    let source = rows::sorted(&pair.queries.0, &pair.columns, &pair.keys);
    let target = rows::sorted(&pair.queries.1, &pair.columns, &pair.keys);
    let shape = Shape { columns: &pair.columns, keys: &pair.keys };
    merge((&readers.source, &source), (&readers.target, &target), shape).await
}

fn evaluated(pair: &Pair, sums: Sums, mut found: Differing) -> Verification {
    let left_out = found.missing;
    if pair.is_a_choice {
        // Rows that the source did not select are not missing; the counts show whether enough rows were copied.
        found.missing = 0;
        found.samples.retain(|sample| sample.kind != DifferenceKind::MissingRow);
    }
    let more = sums.target.rows.saturating_sub(sums.source.rows);
    let is_contained = found.missing == 0 && found.different == 0 && found.extra <= more;
    let has_more = is_contained && more > 0;
    let mut notes = Vec::new();
    if has_more {
        notes.push(format!("contains the source; {more} more rows"));
    } else if pair.held_rows && found.extra > 0 {
        notes.push(format!("the target holds {} rows of its own", found.extra));
    }
    if pair.held_rows {
        // These rows are the table's own, and may be many.
        found.extra = 0;
        found.samples.retain(|sample| sample.kind != DifferenceKind::ExtraRow);
    }
    if left_out > found.missing {
        notes.push(format!("limit without order_by leaves {left_out} rows on the source"));
    }
    if is_contained && !notes.is_empty() {
        let mut part = equal(pair, sums, notes.join("; "));
        part.tables[0].more_rows = more;
        if has_more {
            part.tables[0].status = TableStatus::ContainsSource;
            part.differences = differences(pair, sums, &found);
        }
        return part;
    }
    let counts = [(found.missing, "missing"), (found.extra, "extra"), (found.different, "different")];
    notes.extend(counts.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")));
    let mut part = equal(pair, sums, notes.join("; "));
    part.tables[0].status = TableStatus::Different;
    part.differences = differences(pair, sums, &found);
    if part.differences.is_empty() {
        let message = "the sums over the rows differ, and no differing row was found";
        part.push_difference(Difference::new(DifferenceKind::DifferentRow, &pair.object, message));
    }
    part
}

fn differences(pair: &Pair, sums: Sums, found: &Differing) -> Vec<Difference> {
    let mut list = Vec::new();
    list.extend(row_count(pair, sums));
    if pair.keys.is_empty() {
        let kinds = [
            (found.missing, DifferenceKind::MissingRow, "missing on the target"),
            (found.extra, DifferenceKind::ExtraRow, "on the target only"),
        ];
        let found = kinds.iter().filter(|(count, ..)| *count > 0);
        list.extend(found.map(|(count, kind, words)| {
            let message = format!("rows {words}: {count}; the table has no key to name them by");
            Difference::new(*kind, &pair.object, message)
        }));
    }
    list.extend(found.samples.iter().map(|sample| {
        let message = match sample.kind {
            DifferenceKind::MissingRow => "the row is missing on the target",
            DifferenceKind::ExtraRow => "the row is on the target only",
            _ => "the row differs",
        };
        let mut difference = Difference::new(sample.kind, &pair.object, message).columns(sample.columns.clone());
        difference.key = Some(sample.key.clone());
        difference
    }));
    list
}

fn row_count(pair: &Pair, Sums { source, target }: Sums) -> Option<Difference> {
    let message = format!("{} rows on the source, {} on the target", source.rows, target.rows);
    let is_wrong = if pair.held_rows { target.rows < source.rows } else { target.rows != source.rows };
    is_wrong.then(|| Difference::new(DifferenceKind::RowCount, &pair.object, message))
}

/// The result where the sums differ, and the rows that differ could not be found.
fn unlocated(pair: &Pair, sums: Sums, error: &Error) -> Verification {
    let reason = format!("rows differ, and which ones could not be found out: {}", error.chain());
    let mut part = equal(pair, sums, reason.clone());
    let may_contain = sums.target.rows > sums.source.rows;
    if may_contain || pair.is_a_choice {
        part.tables[0].status = TableStatus::Unchecked;
        part.push_unchecked(&pair.object, reason);
    } else {
        part.tables[0].status = TableStatus::Different;
        let counted = row_count(pair, sums);
        part.push_difference(
            counted.unwrap_or_else(|| Difference::new(DifferenceKind::DifferentRow, &pair.object, reason)),
        );
    }
    part
}
