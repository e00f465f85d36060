//! The pump: rows from a COPY on the source into a COPY on the target, untouched, hashed on the way.
//!
//! Memory holds one message of the server and one buffer, whatever the table's size. Every CopyData message of a server is
//! one row (<https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-COPY>), which gives the frames to hash: a 128-bit
//! sum over rows does not depend on their order. Whoever calls owns the transaction around it.

use super::Session;
use crate::error::{Kind, Result};
use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt, TryStreamExt};
use std::pin::pin;
use xxhash_rust::xxh3::xxh3_128;

/// Size of the messages that the target gets: coalesced rows save it work.
const MESSAGE: usize = 64 * 1024;
/// Signature, flags and length of the extension area of a binary COPY.
const BINARY_HEADER: usize = 19;
const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";

/// How rows travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowFormat {
    /// COPY's text format.
    Text,
    /// COPY's binary format.
    Binary,
}

impl RowFormat {
    /// The format of that word in a plan.
    #[must_use]
    pub fn from_word(word: &str) -> Self {
        if word == "binary" { RowFormat::Binary } else { RowFormat::Text }
    }

    /// A plan's COPY in this format.
    #[must_use]
    pub fn apply(self, copy: &str) -> String {
        match self {
            RowFormat::Text => copy.to_owned(),
            RowFormat::Binary => format!("{copy} (FORMAT binary)"),
        }
    }
}

/// An order-independent sum over rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RowSum {
    /// Rows.
    pub rows: u64,
    /// Bytes of the rows as they travelled.
    pub bytes: u64,
    /// Sum of the rows' hashes.
    pub hash: u128,
}

impl RowSum {
    /// The sum over both.
    #[must_use]
    pub fn plus(self, other: RowSum) -> RowSum {
        RowSum {
            rows: self.rows + other.rows,
            bytes: self.bytes + other.bytes,
            hash: self.hash.wrapping_add(other.hash),
        }
    }

    /// The hash as the ledger keeps it.
    #[must_use]
    pub fn hash_text(&self) -> String {
        format!("{:032x}", self.hash)
    }

    fn add(&mut self, row: &[u8]) {
        self.rows += 1;
        self.bytes += row.len() as u64;
        self.hash = self.hash.wrapping_add(xxh3_128(row));
    }
}

/// Splits a server's messages into the rows that are hashed.
#[derive(Debug)]
struct Frames {
    format: RowFormat,
    at_start: bool,
    sum: RowSum,
}

impl Frames {
    fn new(format: RowFormat) -> Self {
        Frames { format, at_start: true, sum: RowSum::default() }
    }

    fn see(&mut self, message: &[u8]) {
        let mut row = message;
        if self.format == RowFormat::Binary {
            if std::mem::take(&mut self.at_start) && row.starts_with(SIGNATURE) {
                row = row.get(BINARY_HEADER..).unwrap_or_default();
            }
            // The trailer is the field count -1 and stands alone in the last message.
            if row.is_empty() || row == [0xff, 0xff] {
                return;
            }
        }
        self.sum.add(row);
    }
}

/// Pumps the rows of `from` into `into`; both are complete COPY statements in `format`. `progress` is told the rows and bytes so far
/// about once a buffer.
pub async fn pump(
    (source, from): (&Session, &str),
    (target, into): (&Session, &str),
    format: RowFormat,
    mut progress: impl FnMut(u64, u64),
) -> Result<RowSum> {
    let mut rows = pin!(source.copy_out(from).await?);
    let mut sink = pin!(target.copy_in(into).await?);
    let mut frames = Frames::new(format);
    let mut buffer = BytesMut::with_capacity(MESSAGE * 2);
    let read_failed = |e: tokio_postgres::Error| source.error(&e, Kind::Copy, "reading rows");
    let write_failed = |e: tokio_postgres::Error| target.error(&e, Kind::Copy, "writing rows");
    while let Some(message) = rows.try_next().await.map_err(read_failed)? {
        frames.see(&message);
        buffer.extend_from_slice(&message);
        if buffer.len() >= MESSAGE {
            sink.send(buffer.split().freeze()).await.map_err(write_failed)?;
            progress(frames.sum.rows, frames.sum.bytes);
        }
    }
    if !buffer.is_empty() {
        sink.send(buffer.split().freeze()).await.map_err(write_failed)?;
    }
    let written = sink.finish().await.map_err(write_failed)?;
    Ok(RowSum { rows: written, ..frames.sum })
}

/// Reads the rows of a complete COPY statement and sums them up.
pub async fn sum(session: &Session, from: &str, format: RowFormat) -> Result<RowSum> {
    let mut rows = pin!(session.copy_out(from).await?);
    let mut frames = Frames::new(format);
    let failed = |e: tokio_postgres::Error| session.error(&e, Kind::Copy, "reading rows");
    while let Some(message) = rows.try_next().await.map_err(failed)? {
        frames.see(&message);
    }
    Ok(frames.sum)
}

/// The messages of a COPY one by one, for whoever compares rows.
pub async fn rows(session: &Session, from: &str) -> Result<impl futures_util::Stream<Item = Result<Bytes>> + use<>> {
    let side = session.side();
    let stream = session.copy_out(from).await?;
    Ok(stream.map_err(move |e| super::reply::from_postgres(&e, Kind::Copy, "reading rows").on(side)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_and_trailer_are_no_rows() {
        let header = [SIGNATURE, &[0; 8]].concat();
        let row = [0, 1, 0, 0, 0, 1, b'x'];
        let mut first = Frames::new(RowFormat::Binary);
        for message in [[&header[..], &row].concat().as_slice(), &row, &[0xff, 0xff]] {
            first.see(message);
        }
        let mut second = Frames::new(RowFormat::Binary);
        for message in [header.as_slice(), &row, &row, &[0xff, 0xff]] {
            second.see(message);
        }
        assert_eq!(first.sum, second.sum);
        assert_eq!(first.sum.rows, 2);
    }

    #[test]
    fn order_does_not_matter_and_doubled_rows_do() {
        let sum = |rows: &[&[u8]]| {
            let mut frames = Frames::new(RowFormat::Text);
            rows.iter().for_each(|row| frames.see(row));
            frames.sum
        };
        assert_eq!(sum(&[b"1\n", b"2\n"]), sum(&[b"2\n", b"1\n"]));
        assert_ne!(sum(&[b"1\n", b"1\n", b"2\n"]).hash, sum(&[b"1\n", b"2\n", b"2\n"]).hash);
    }
}
