//! The pump: it sends rows unchanged from a COPY on the source into a COPY on the target, and hashes them on the way.
//!
//! Memory holds one message of the server and one buffer, whatever the table's size. Every `CopyData` message of a server is one row
//! (<https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-COPY>), and its frame is hashed: a 128-bit sum over rows does not
//! depend on their order. The caller owns the transaction around it.

pub mod large_object;
pub(super) mod relay;

use super::Session;
use crate::error::{Error, Kind, Result, Side};
use crate::row_format::RowFormat;
use bytes::Bytes;
use futures_util::TryStreamExt;
use relay::{End, Rows, relay};
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

/// Signature, flags and length of the extension area of a binary COPY.
const BINARY_HEADER: usize = 19;

/// An order-independent sum over rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RowSum {
    /// Rows.
    pub rows: u64,
    /// Bytes of the rows as they were sent.
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
}

/// The rows of one COPY, as each side counted them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Copied {
    /// What the source sent.
    pub sent: RowSum,
    /// The rows that the target reports as stored: without those that a trigger discarded or a foreign server did not accept.
    pub written: u64,
}

/// One COPY on each side, both complete statements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    /// The statement on the source.
    pub from: String,
    /// The statement on the target.
    pub into: String,
    /// The format of the rows; both statements specify it.
    pub format: RowFormat,
}

/// Sums up rows as they arrive.
struct Frames {
    format: RowFormat,
    /// The formats of the COPY that follow, the next one last.
    following: Vec<RowFormat>,
    /// The sums of those that are over.
    over: Vec<RowSum>,
    /// Remaining bytes of the binary header, which is before the first row in the same message.
    header: usize,
    /// The hash of a row that arrives in pieces.
    open: Option<Box<Xxh3>>,
    sum: RowSum,
}

impl Frames {
    fn new(format: RowFormat) -> Self {
        Frames {
            format,
            following: Vec::new(),
            over: Vec::new(),
            header: header(format),
            open: None,
            sum: RowSum::default(),
        }
    }

    fn of(copies: &[Copy]) -> Self {
        let mut following: Vec<RowFormat> = copies.iter().rev().map(|copy| copy.format).collect();
        let first = following.pop().unwrap_or(RowFormat::Text);
        Frames { following, ..Frames::new(first) }
    }

    /// The part of `bytes` after the header.
    fn without_header<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let skipped = self.header.min(bytes.len());
        self.header -= skipped;
        &bytes[skipped..]
    }

    fn add(&mut self, hash: u128) {
        self.sum.rows += 1;
        self.sum.hash = self.sum.hash.wrapping_add(hash);
    }
}

impl Rows for Frames {
    fn row(&mut self, row: &[u8]) {
        let row = if self.header == 0 { row } else { self.without_header(row) };
        // The trailer of a binary COPY is the field count -1; it and the header may be a message of their own.
        if self.format == RowFormat::Binary && (row.is_empty() || row == [0xff, 0xff]) {
            return;
        }
        self.sum.bytes += row.len() as u64;
        self.add(xxh3_128(row));
    }

    fn part(&mut self, part: &[u8], is_last: bool) {
        let part = self.without_header(part);
        self.sum.bytes += part.len() as u64;
        let mut open = self.open.take().unwrap_or_default();
        open.update(part);
        if is_last {
            self.add(open.digest128());
        } else {
            self.open = Some(open);
        }
    }

    fn end_copy(&mut self) {
        self.over.push(std::mem::take(&mut self.sum));
        self.format = self.following.pop().unwrap_or(self.format);
        self.header = header(self.format);
    }
}

fn header(format: RowFormat) -> usize {
    if format == RowFormat::Binary { BINARY_HEADER } else { 0 }
}

/// Sends rows between two sessions, whose streams it holds meanwhile.
pub struct Pump {
    reader: End,
    writer: End,
}

impl Pump {
    /// Takes both sessions' streams.
    pub async fn open(source: &Session, target: &Session) -> Result<Pump> {
        Ok(Pump { reader: End::open(source).await?, writer: End::open(target).await? })
    }

    /// Returns the streams.
    pub fn close(self) {
        self.reader.close();
        self.writer.close();
    }

    /// Sends the rows of each of `copies`, one after another without a wait between them; returns the counts of both sides. `progress` gets
    /// the rows and bytes so far of the COPY in progress, about once a message. After an error, streams whose COPY ended cleanly are
    /// returned, and the other sessions are closed.
    pub async fn copy(mut self, copies: &[Copy], mut progress: impl FnMut(u64, u64)) -> Result<(Pump, Vec<Copied>)> {
        let mut frames = Frames::of(copies);
        let all = |statement: fn(&Copy) -> &str| copies.iter().map(statement).collect::<Vec<_>>().join("; ");
        self.reader.ask(&all(|copy| &copy.from)).await?;
        self.writer.ask(&all(|copy| &copy.into)).await?;
        if let Err(error) = self.reader.begun().await {
            self.writer.give_up(&error).await;
            return Err(self.reader.close_after(error));
        }
        if let Err(error) = self.writer.begun().await {
            return Err(self.writer.close_after(error));
        }
        let report = |rows: &Frames| progress(rows.sum.rows, rows.sum.bytes);
        let count = copies.len();
        if let Err(error) = relay(&mut self.reader, &mut self.writer, count, &mut frames, report).await {
            self.writer.give_up(&error).await;
            return Err(error);
        }
        let written = match self.writer.finish().await {
            Ok(written) => written,
            Err(error) => return Err(self.writer.close_after(error)),
        };
        let read = self.reader.finish().await?;
        let received: Vec<u64> = frames.over.iter().map(|sum| sum.rows).collect();
        if read != received {
            let doing = format!("the source counted {read:?} rows, but {received:?} were received");
            return Err(Error::new("rows_miscounted", Kind::State, doing).on(Side::Source));
        }
        if written.len() != received.len() {
            return Err(Error::new(
                "rows_miscounted",
                Kind::State,
                "the target executed a different number of COPY statements than was sent",
            )
            .on(Side::Target));
        }
        let counts = frames.over.into_iter().zip(written).map(|(sent, written)| Copied { sent, written });
        Ok((self, counts.collect()))
    }
}

/// Sends the rows of one COPY and returns the streams; the result is the counts of both sides.
pub async fn copy_one(
    source: &Session,
    target: &Session,
    copy: Copy,
    progress: impl FnMut(u64, u64),
) -> Result<Copied> {
    let (pump, counts) = Pump::open(source, target).await?.copy(&[copy], progress).await?;
    pump.close();
    Ok(counts.into_iter().next().unwrap_or_default())
}

/// Reads the rows of a complete COPY statement and sums them up.
pub async fn sum(session: &Session, from: &str, format: RowFormat) -> Result<RowSum> {
    let mut reader = End::open(session).await?;
    let mut frames = Frames::new(format);
    reader.ask(from).await?;
    let read = match reader.begun().await {
        Ok(()) => reader.drain(&mut frames).await,
        Err(error) => Err(error),
    };
    match read {
        Ok(()) => reader.close(),
        Err(error) => return Err(reader.close_after(error)),
    }
    Ok(frames.sum)
}

/// The messages of a COPY one by one, for callers that compare rows.
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
        let header = [b"PGCOPY\n\xff\r\n\0".as_slice(), &[0; 8]].concat();
        let row = [0, 1, 0, 0, 0, 1, b'x'];
        let mut first = Frames::new(RowFormat::Binary);
        for message in [[&header[..], &row].concat().as_slice(), &row, &[0xff, 0xff]] {
            first.row(message);
        }
        let mut second = Frames::new(RowFormat::Binary);
        for message in [header.as_slice(), &row, &row, &[0xff, 0xff]] {
            second.row(message);
        }
        assert_eq!(first.sum, second.sum);
        assert_eq!(first.sum.rows, 2);
    }

    #[test]
    fn a_row_in_pieces_is_the_same_row() {
        let row: Vec<u8> = (0..=255).cycle().take(10_000).collect();
        let mut whole = Frames::new(RowFormat::Text);
        whole.row(&row);
        let mut pieces = Frames::new(RowFormat::Text);
        for (at, piece) in row.chunks(777).enumerate() {
            pieces.part(piece, (at + 1) * 777 >= row.len());
        }
        assert_eq!(whole.sum, pieces.sum);
    }

    #[test]
    fn order_does_not_matter_and_doubled_rows_do() {
        let sum = |rows: &[&[u8]]| {
            let mut frames = Frames::new(RowFormat::Text);
            for row in rows {
                frames.row(row);
            }
            frames.sum
        };
        assert_eq!(sum(&[b"1\n", b"2\n"]), sum(&[b"2\n", b"1\n"]));
        assert_ne!(sum(&[b"1\n", b"1\n", b"2\n"]).hash, sum(&[b"1\n", b"2\n", b"2\n"]).hash);
    }
}
