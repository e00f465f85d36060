//! Finds the rows that differ: both sides stream their rows sorted by key, and one pass merges them.
//!
//! Memory holds a row of each side and the samples, whatever the tables' size. Keys leave this file only in a sample's `key`; other values
//! never leave it.

use crate::error::Result;
use crate::pg::{Session, copy};
use crate::verification::DifferenceKind;
use bytes::Bytes;
use futures_util::{Stream, TryStreamExt};
use std::pin::pin;

/// Samples of each kind of difference.
const SAMPLES: u64 = 20;

/// The columns of the streams' rows.
#[derive(Debug, Clone, Copy)]
pub struct Shape<'a> {
    /// The columns in their order.
    pub columns: &'a [String],
    /// The columns of the key; empty if each row is compared by a digest.
    pub keys: &'a [String],
}

/// The differing rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Differing {
    /// Rows of the source that the target lacks.
    pub missing: u64,
    /// Rows of the target that the source lacks.
    pub extra: u64,
    /// Rows of one key that differ elsewhere.
    pub different: u64,
    /// The first of each kind, if a key identifies them.
    pub samples: Vec<Sample>,
}

/// One differing row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// How it differs.
    pub kind: DifferenceKind,
    /// Its key, as `column=value`.
    pub key: String,
    /// The columns that differ.
    pub columns: Vec<String>,
}

/// Merges the rows of two complete COPY statements in text format that are sorted as `rows::sorted` sorts.
pub async fn merge(source: (&Session, &str), target: (&Session, &str), shape: Shape<'_>) -> Result<Differing> {
    let (left, right) = tokio::try_join!(copy::rows(source.0, source.1), copy::rows(target.0, target.1))?;
    merge_rows(pin!(left), pin!(right), shape).await
}

async fn merge_rows(
    mut left: impl Stream<Item = Result<Bytes>> + Unpin,
    mut right: impl Stream<Item = Result<Bytes>> + Unpin,
    shape: Shape<'_>,
) -> Result<Differing> {
    use std::cmp::Ordering::{Equal, Greater, Less};
    let merger = Merger::new(shape);
    let mut found = Differing::default();
    let (mut source, mut target) = tokio::try_join!(left.try_next(), right.try_next())?;
    loop {
        let order = match (&source, &target) {
            (None, None) => return Ok(found),
            (Some(_), None) => Less,
            (None, Some(_)) => Greater,
            (Some(a), Some(b)) if a == b => Equal,
            (Some(a), Some(b)) => merger.key(a).cmp(&merger.key(b)),
        };
        merger.record(&mut found, order, (source.as_deref(), target.as_deref()));
        if order != Greater {
            source = left.try_next().await?;
        }
        if order != Less {
            target = right.try_next().await?;
        }
    }
}

struct Merger<'a> {
    shape: Shape<'a>,
    /// The positions of the key's columns.
    at: Vec<usize>,
}

impl<'a> Merger<'a> {
    fn new(shape: Shape<'a>) -> Self {
        let position = |key: &String| shape.columns.iter().position(|column| column == key);
        Merger { shape, at: shape.keys.iter().filter_map(position).collect() }
    }

    /// The values that the rows are sorted by.
    fn key(&self, row: &[u8]) -> Vec<Vec<u8>> {
        if self.at.is_empty() {
            return vec![row.to_vec()];
        }
        let fields: Vec<&[u8]> = fields(row).collect();
        self.at.iter().map(|&at| fields.get(at).map(|field| unescape(field)).unwrap_or_default()).collect()
    }

    fn record(&self, found: &mut Differing, order: std::cmp::Ordering, rows: (Option<&[u8]>, Option<&[u8]>)) {
        use std::cmp::Ordering::{Equal, Greater, Less};
        let (kind, row, count) = match (order, rows) {
            (Less, (Some(row), _)) => (DifferenceKind::MissingRow, row, &mut found.missing),
            (Greater, (_, Some(row))) => (DifferenceKind::ExtraRow, row, &mut found.extra),
            (Equal, (Some(a), Some(b))) if a != b => (DifferenceKind::DifferentRow, a, &mut found.different),
            _ => return,
        };
        *count += 1;
        if *count > SAMPLES || self.at.is_empty() {
            return;
        }
        let columns = match (order, rows) {
            (Equal, (Some(a), Some(b))) => self.differing_columns(a, b),
            _ => Vec::new(),
        };
        found.samples.push(Sample { kind, key: self.readable_key(row), columns });
    }

    fn differing_columns(&self, a: &[u8], b: &[u8]) -> Vec<String> {
        let pairs = fields(a).zip(fields(b)).zip(self.shape.columns);
        pairs.filter(|((a, b), _)| a != b).map(|(_, column)| column.clone()).collect()
    }

    fn readable_key(&self, row: &[u8]) -> String {
        let values = self.key(row);
        let pairs = self.shape.keys.iter().zip(&values);
        pairs
            .map(|(column, value)| format!("{column}={}", String::from_utf8_lossy(value)))
            .collect::<Vec<_>>()
            .join(", ")
    }
}

fn fields(row: &[u8]) -> impl Iterator<Item = &[u8]> {
    row.strip_suffix(b"\n").unwrap_or(row).split(|&byte| byte == b'\t')
}

/// A field's bytes without COPY's escapes (<https://www.postgresql.org/docs/current/sql-copy.html>); NULL sorts as an
/// empty text.
fn unescape(field: &[u8]) -> Vec<u8> {
    if field == b"\\N" {
        return Vec::new();
    }
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field.iter();
    while let Some(&byte) = rest.next() {
        bytes.push(if byte == b'\\' { rest.next().map_or(byte, |&letter| escaped(letter)) } else { byte });
    }
    bytes
}

fn escaped(letter: u8) -> u8 {
    match letter {
        b'b' => 8,
        b't' => b'\t',
        b'n' => b'\n',
        b'v' => 11,
        b'f' => 12,
        b'r' => b'\r',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(source: &[&'static str], target: &[&'static str], keys: &[&str]) -> Differing {
        let stream = |rows: &[&'static str]| {
            let rows: Vec<Result<Bytes>> = rows.iter().map(|row| Ok(Bytes::from_static(row.as_bytes()))).collect();
            futures_util::stream::iter(rows)
        };
        let columns = ["id".to_owned(), "v".to_owned()];
        let keys: Vec<String> = keys.iter().map(|&key| key.to_owned()).collect();
        let shape = Shape { columns: &columns, keys: &keys };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(merge_rows(stream(source), stream(target), shape)).unwrap()
    }

    #[test]
    fn each_kind_of_difference_is_found_by_its_key() {
        let found = merged(&["1\ta\n", "2\tb\n", "3\tc\n"], &["1\ta\n", "3\tx\n", "4\td\n"], &["id"]);
        assert_eq!((found.missing, found.extra, found.different), (1, 1, 1));
        let samples: Vec<(&str, usize)> = found.samples.iter().map(|s| (s.key.as_str(), s.columns.len())).collect();
        assert_eq!(samples, [("id=2", 0), ("id=3", 1), ("id=4", 0)]);
        assert_eq!(found.samples[1].columns, ["v"]);
    }

    #[test]
    fn keys_are_ordered_by_their_bytes_and_not_by_their_escapes() {
        // A line feed sorts before a space; its escape sorts after one.
        let rows = ["a\\nb\t1\n", "a b\t2\n"];
        assert_eq!(merged(&rows, &rows[1..], &["id"]).missing, 1);
        assert_eq!(merged(&rows[1..], &rows, &["id"]).extra, 1);
    }

    #[test]
    fn doubled_rows_without_a_key_are_counted_and_not_shown() {
        let found = merged(&["\\\\x01\n", "\\\\x02\n"], &["\\\\x01\n", "\\\\x01\n", "\\\\x02\n"], &[]);
        assert_eq!(found, Differing { extra: 1, ..Differing::default() });
    }
}
