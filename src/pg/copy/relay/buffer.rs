//! Bytes received from a server, and bytes to be sent to one, divided into messages.
//!
//! No I/O; `relay` and its ends fill and empty these.

use super::rows::Rows;
use bytes::BytesMut;
use postgres_protocol::message::backend::Message;
use std::io;

/// The header of a message: a type byte and a length that includes itself.
const HEADER: usize = 5;
/// The type of a message that is a row.
pub(super) const COPY_DATA: u8 = b'd';
/// Rows are gathered to messages of about this size.
pub(super) const MESSAGE: usize = 64 * 1024;
const INBOX: usize = 256 * 1024;
/// A message of rows whose length is not known yet.
const UNSEALED: [u8; HEADER] = [COPY_DATA, 0, 0, 0, 0];
const COPY_DONE: [u8; HEADER] = [b'c', 0, 0, 0, 4];

/// Bytes received from a server and not yet read.
pub(super) struct Inbox {
    pub(super) bytes: Vec<u8>,
    pub(super) begin: usize,
    pub(super) end: usize,
}

impl Inbox {
    pub(super) fn new() -> Self {
        Inbox { bytes: vec![0; INBOX], begin: 0, end: 0 }
    }

    pub(super) fn held(&self) -> &[u8] {
        &self.bytes[self.begin..self.end]
    }

    /// Free space for more bytes, if the inbox holds no whole message.
    pub(super) fn space(&mut self) -> &mut [u8] {
        if self.begin == self.end {
            (self.begin, self.end) = (0, 0);
        } else if self.end == self.bytes.len() {
            self.bytes.copy_within(self.begin..self.end, 0);
            (self.begin, self.end) = (0, self.end - self.begin);
        }
        if self.end == self.bytes.len() {
            self.bytes.resize(self.bytes.len() * 2, 0);
        }
        &mut self.bytes[self.end..]
    }

    /// Type and body length of the next message.
    pub(super) fn header(&self) -> Option<(u8, usize)> {
        let [kind, a, b, c, d, ..] = *self.held() else { return None };
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        Some((kind, length.saturating_sub(4)))
    }

    /// Takes the next whole message.
    pub(super) fn message(&mut self) -> io::Result<Option<Message>> {
        let Some((_, length)) = self.header() else { return Ok(None) };
        if self.held().len() < HEADER + length {
            return Ok(None);
        }
        let mut bytes = BytesMut::from(&self.held()[..HEADER + length]);
        self.begin += HEADER + length;
        Message::parse(&mut bytes)
    }
}

/// How far the current row has been taken out of an inbox.
#[derive(Default)]
pub(super) struct TakenRow {
    pub(super) left: usize,
    pub(super) is_begun: bool,
}

/// A part of an inbox that holds a row or a piece of one.
pub(super) struct Piece {
    pub(super) begin: usize,
    pub(super) end: usize,
    pub(super) is_first: bool,
    pub(super) is_last: bool,
}

impl Piece {
    pub(super) fn show(&self, inbox: &Inbox, rows: &mut impl Rows) {
        let bytes = &inbox.bytes[self.begin..self.end];
        if self.is_first && self.is_last { rows.row(bytes) } else { rows.part(bytes, self.is_last) }
    }
}

impl TakenRow {
    /// Takes the next row, or the available part of it; none if more bytes must be read first, or the next message is no row.
    pub(super) fn piece(&mut self, inbox: &mut Inbox) -> Option<Piece> {
        let mut is_empty = false;
        if self.left == 0 {
            let (COPY_DATA, length) = inbox.header()? else { return None };
            inbox.begin += HEADER;
            (self.left, self.is_begun) = (length, false);
            is_empty = length == 0;
        }
        let begin = inbox.begin;
        let end = inbox.end.min(begin + self.left);
        // A row that fits into the inbox is read as a whole, because only a whole message can be distinguished from the trailer of a binary
        // COPY.
        if end - begin < self.left && self.left <= MESSAGE && !self.is_begun || begin == end && !is_empty {
            return None;
        }
        let piece = Piece { begin, end, is_first: !self.is_begun, is_last: end - begin == self.left };
        self.is_begun = true;
        self.left -= end - begin;
        inbox.begin = end;
        Some(piece)
    }
}

/// Rows gathered into messages for the target.
pub(super) struct Outbox {
    open: Vec<u8>,
    /// Where the message begins to which the next row is added.
    message: usize,
    closed: Vec<u8>,
    sent: usize,
}

impl Outbox {
    pub(super) fn new() -> Self {
        let mut open = Vec::with_capacity(MESSAGE * 2);
        open.extend_from_slice(&UNSEALED);
        Outbox { open, message: 0, closed: Vec::with_capacity(MESSAGE * 2), sent: 0 }
    }

    pub(super) fn is_full(&self) -> bool {
        self.open.len() >= MESSAGE
    }

    pub(super) fn add(&mut self, rows: &[u8]) {
        self.open.extend_from_slice(rows);
    }

    /// Writes the end of the rows after the last row, and begins the rows of the next COPY.
    pub(super) fn end_copy(&mut self) -> io::Result<()> {
        self.seal()?;
        self.open.truncate(self.message);
        self.open.extend_from_slice(&COPY_DONE);
        self.message = self.open.len();
        self.open.extend_from_slice(&UNSEALED);
        Ok(())
    }

    /// Completes the open message; an empty one is left as it is.
    fn seal(&mut self) -> io::Result<()> {
        let length = self.open.len() - self.message;
        if length > HEADER {
            let length = u32::try_from(length - 1).map_err(|_| io::ErrorKind::InvalidData)?;
            self.open[self.message + 1..self.message + HEADER].copy_from_slice(&length.to_be_bytes());
            self.message = self.open.len();
            self.open.extend_from_slice(&UNSEALED);
        }
        Ok(())
    }

    /// Makes the gathered bytes the next to be sent, if the previous ones were sent.
    pub(super) fn close(&mut self) -> io::Result<()> {
        if self.is_sent() {
            self.seal()?;
            self.open.truncate(self.message);
            std::mem::swap(&mut self.open, &mut self.closed);
            (self.sent, self.message) = (0, 0);
            self.open.clear();
            self.open.extend_from_slice(&UNSEALED);
        }
        Ok(())
    }

    /// Whether no bytes wait to be sent.
    pub(super) fn is_sent(&self) -> bool {
        self.sent == self.closed.len()
    }

    /// The bytes that wait to be sent.
    pub(super) fn unsent(&self) -> &[u8] {
        &self.closed[self.sent..]
    }

    pub(super) fn advance(&mut self, count: usize) {
        self.sent += count;
    }
}
