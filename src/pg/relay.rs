//! Raw frames from one server's COPY into another's, past tokio-postgres: one task owns both streams.
//!
//! Rows are not looked into. The headers of the source's messages are stripped, the rows gathered into large messages for the
//! target, and hashed on the way (<https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-COPY>). While writing, the
//! target is listened to, so that its error ends the relay at once. Memory holds two buffers, whatever a row's size: a row
//! that is larger than a buffer goes through in pieces. `copy` calls it.

use super::Session;
use super::gate::{Duplex, Held};
use super::reply::Fields;
use crate::error::{Error, Kind, Result, ServerError, Side};
use bytes::{Buf, BytesMut};
use postgres_protocol::message::backend::{ErrorFields, Message};
use postgres_protocol::message::frontend;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

/// A type byte and a length that counts itself.
const HEADER: usize = 5;
const COPY_DATA: u8 = b'd';
/// Rows are gathered to messages of about this size.
pub(super) const MESSAGE: usize = 64 * 1024;
const INBOX: usize = 256 * 1024;

/// Who sees the rows on their way.
pub(super) trait Rows {
    /// A row.
    fn row(&mut self, row: &[u8]);
    /// A piece of a row that does not lie in the buffer as a whole.
    fn part(&mut self, part: &[u8], is_last: bool);
}

/// One end of a relay.
pub(super) struct End {
    held: Held,
    side: Side,
    inbox: Inbox,
}

impl End {
    /// Takes a session's stream.
    pub(super) async fn open(session: &Session) -> Result<Self> {
        Ok(End { held: session.hold().await?, side: session.side(), inbox: Inbox::new() })
    }

    fn stream(&mut self) -> Result<&mut Box<dyn Duplex>> {
        let side = self.side;
        self.held.stream().map_err(|error| lost(side, error))
    }

    /// Sends a statement and waits until the server is ready for its rows, or has some.
    pub(super) async fn start(&mut self, copy: &str) -> Result<()> {
        let mut message = BytesMut::new();
        frontend::query(copy, &mut message).map_err(|error| lost(self.side, error))?;
        self.send(&message).await?;
        loop {
            match self.next().await? {
                Message::CopyOutResponse(_) | Message::CopyInResponse(_) => return Ok(()),
                Message::ErrorResponse(body) => return Err(self.refused(body.fields(), "starting a COPY").await),
                Message::ReadyForQuery(_) => {
                    return Err(Error::new(Kind::State, "the statement is no COPY").on(self.side));
                }
                _ => {}
            }
        }
    }

    async fn send(&mut self, message: &[u8]) -> Result<()> {
        let side = self.side;
        let stream = self.stream()?;
        stream.write_all(message).await.map_err(|error| lost(side, error))?;
        stream.flush().await.map_err(|error| lost(side, error))
    }

    /// The next message of the server that is no row.
    async fn next(&mut self) -> Result<Message> {
        loop {
            if let Some(message) = self.inbox.message().map_err(|error| lost(self.side, error))? {
                return Ok(message);
            }
            let side = self.side;
            let space = self.inbox.space();
            let stream = self.held.stream().map_err(|error| lost(side, error))?;
            let read = stream.read(space).await.map_err(|error| lost(side, error))?;
            if read == 0 {
                return Err(lost(side, io::ErrorKind::UnexpectedEof.into()));
            }
            self.inbox.end += read;
        }
    }

    /// The server's error, once the conversation is in order again.
    async fn refused(&mut self, fields: ErrorFields<'_>, doing: &str) -> Error {
        let error = Error::new(Kind::Copy, doing).on(self.side).caused_by_server(server_error(fields));
        // What the server said tells more than that the connection may be gone by now as well.
        let _ = self.settle().await;
        error
    }

    /// Reads on until the server waits for the next statement; the rows that the COPY counted.
    async fn settle(&mut self) -> Result<u64> {
        let mut rows = 0;
        let mut failure = None;
        loop {
            match self.next().await? {
                Message::CommandComplete(body) => {
                    let tag = body.tag().map_err(|error| lost(self.side, error))?;
                    rows = tag.rsplit(' ').next().and_then(|count| count.parse().ok()).unwrap_or_default();
                }
                Message::ErrorResponse(body) => failure = Some(server_error(body.fields())),
                Message::ReadyForQuery(_) => break,
                _ => {}
            }
        }
        match failure {
            Some(reply) => Err(Error::new(Kind::Copy, copying(self.side)).on(self.side).caused_by_server(reply)),
            None => Ok(rows),
        }
    }

    /// Ends the rows in order and waits for the count.
    pub(super) async fn finish(&mut self) -> Result<u64> {
        let mut message = BytesMut::new();
        frontend::copy_done(&mut message);
        self.send(&message).await?;
        self.settle().await
    }

    /// Behind the last row: the end of the source's COPY.
    pub(super) async fn end_rows(&mut self) -> Result<()> {
        self.settle().await.map(|_| ())
    }

    /// Reads all rows of a COPY and sends them nowhere.
    pub(super) async fn drain<R: Rows>(&mut self, rows: &mut R) -> Result<()> {
        let mut taken = Taken::default();
        loop {
            while let Some(piece) = taken.piece(&mut self.inbox) {
                piece.show(&self.inbox, rows);
            }
            if taken.left == 0 && self.inbox.header().is_some() {
                match self.inbox.message().map_err(|error| lost(self.side, error))? {
                    Some(Message::CopyDone) => return self.end_rows().await,
                    Some(Message::ErrorResponse(body)) => {
                        return Err(self.refused(body.fields(), "reading rows").await);
                    }
                    Some(_) => continue,
                    None => {}
                }
            }
            std::future::poll_fn(|cx| match poll_fill(self, cx) {
                Ok(true) => Poll::Ready(Ok(())),
                Ok(false) => Poll::Pending,
                Err(error) => Poll::Ready(Err(error)),
            })
            .await?;
        }
    }

    /// Ends a COPY into the target that failed, by its own error or by the source's, so that its session is in order again; where that
    /// cannot be, the session is closed.
    pub(super) async fn give_up(mut self, error: &Error) {
        let is_own = error.context.side == Some(self.side);
        let settled = if is_own && error.sqlstate.is_some() {
            self.settle().await
        } else if is_own {
            return;
        } else {
            self.fail().await
        };
        // The server's last word about rows that it did not get is ours and tells nothing.
        if settled.err().is_none_or(|error| error.sqlstate.is_some()) {
            self.close();
        }
    }

    async fn fail(&mut self) -> Result<u64> {
        let mut message = BytesMut::new();
        frontend::copy_fail("the rows could not be read", &mut message).map_err(|error| lost(self.side, error))?;
        self.send(&message).await?;
        self.settle().await
    }

    /// Gives the stream back after an error that the server told, which leaves the session in order.
    pub(super) fn close_after(self, error: Error) -> Error {
        if error.sqlstate.is_some() {
            self.close();
        }
        error
    }

    /// Gives the stream back to its session.
    pub(super) fn close(self) {
        self.held.give_back();
    }
}

fn copying(side: Side) -> &'static str {
    match side {
        Side::Source => "reading rows",
        Side::Target => "writing rows",
    }
}

fn lost(side: Side, error: io::Error) -> Error {
    Error::new(Kind::Connect, copying(side)).on(side).caused_by(error)
}

fn server_error(fields: ErrorFields<'_>) -> ServerError {
    use fallible_iterator::FallibleIterator;
    let mut all: Vec<(u8, String)> = Vec::new();
    let mut fields = fields;
    while let Ok(Some(field)) = fields.next() {
        all.push((field.type_(), String::from_utf8_lossy(field.value_bytes()).into_owned()));
    }
    let of = |wanted: u8| all.iter().find(|(kind, _)| *kind == wanted).map(|(_, value)| value.as_str());
    let fields = Fields {
        sqlstate: of(b'C').unwrap_or("XX000"),
        message: of(b'M').unwrap_or_default(),
        schema: of(b's'),
        table: of(b't').or(of(b'd')),
        column: of(b'c'),
        constraint: of(b'n'),
        routine: of(b'R'),
    };
    fields.into()
}

/// What has come from a server and was not yet looked at.
struct Inbox {
    bytes: Vec<u8>,
    begin: usize,
    end: usize,
}

impl Inbox {
    fn new() -> Self {
        Inbox { bytes: vec![0; INBOX], begin: 0, end: 0 }
    }

    fn held(&self) -> &[u8] {
        &self.bytes[self.begin..self.end]
    }

    /// Room for more, where what is held is no whole message.
    fn space(&mut self) -> &mut [u8] {
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

    /// Type and body length of the message that comes next.
    fn header(&self) -> Option<(u8, usize)> {
        let [kind, a, b, c, d, ..] = *self.held() else { return None };
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        Some((kind, length.saturating_sub(4)))
    }

    /// Takes the next whole message.
    fn message(&mut self) -> io::Result<Option<Message>> {
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
struct Taken {
    left: usize,
    is_begun: bool,
}

/// A stretch of an inbox that holds a row or a piece of one.
struct Piece {
    begin: usize,
    end: usize,
    is_first: bool,
    is_last: bool,
}

impl Piece {
    fn show(&self, inbox: &Inbox, rows: &mut impl Rows) {
        let bytes = &inbox.bytes[self.begin..self.end];
        if self.is_first && self.is_last { rows.row(bytes) } else { rows.part(bytes, self.is_last) }
    }
}

impl Taken {
    /// Takes the next row, or what is there of it; none where more must be read first, or the next message is no row.
    fn piece(&mut self, inbox: &mut Inbox) -> Option<Piece> {
        let mut is_empty = false;
        if self.left == 0 {
            let (COPY_DATA, length) = inbox.header()? else { return None };
            inbox.begin += HEADER;
            (self.left, self.is_begun) = (length, false);
            is_empty = length == 0;
        }
        let begin = inbox.begin;
        let end = inbox.end.min(begin + self.left);
        if begin == end && !is_empty {
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
struct Outbox {
    open: Vec<u8>,
    closed: BytesMut,
}

impl Outbox {
    fn new() -> Self {
        let mut open = Vec::with_capacity(MESSAGE * 2);
        open.extend_from_slice(&[COPY_DATA, 0, 0, 0, 0]);
        Outbox { open, closed: BytesMut::with_capacity(MESSAGE * 2) }
    }

    fn is_full(&self) -> bool {
        self.open.len() >= MESSAGE
    }

    /// Makes the gathered rows the next message, where the last one is gone.
    fn close(&mut self) -> io::Result<()> {
        if !self.closed.is_empty() || self.open.len() == HEADER {
            return Ok(());
        }
        let length = u32::try_from(self.open.len() - 1).map_err(|_| io::ErrorKind::InvalidData)?;
        self.open[1..HEADER].copy_from_slice(&length.to_be_bytes());
        self.closed.extend_from_slice(&self.open);
        self.open.truncate(HEADER);
        Ok(())
    }
}

/// Rows on their way.
struct Relay<'a, R> {
    source: &'a mut End,
    target: &'a mut End,
    outbox: Outbox,
    rows: &'a mut R,
    taken: Taken,
    is_read: bool,
}

/// Moves all rows; both ends are in the middle of a COPY, and the source's is over afterwards, the target's not.
pub(super) async fn relay<R: Rows>(
    source: &mut End,
    target: &mut End,
    rows: &mut R,
    mut progress: impl FnMut(&R),
) -> Result<()> {
    let mut relay = Relay { source, target, outbox: Outbox::new(), rows, taken: Taken::default(), is_read: false };
    loop {
        match std::future::poll_fn(|cx| relay.poll_message(cx)).await {
            Ok(false) => progress(relay.rows),
            Ok(true) => return Ok(()),
            Err(error) => {
                relay.end_message().await;
                return Err(error);
            }
        }
    }
}

impl<R: Rows> Relay<'_, R> {
    /// Works until a message has gone to the target; true once all have.
    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool>> {
        loop {
            self.listen(cx)?;
            let was_empty = self.outbox.closed.is_empty();
            let mut moved = self.write(cx)?;
            if !was_empty && self.outbox.closed.is_empty() {
                return Poll::Ready(Ok(false));
            }
            moved |= self.parse()?;
            if self.outbox.is_full() || self.is_read {
                let waits = !self.outbox.closed.is_empty();
                self.outbox.close().map_err(|error| lost(Side::Target, error))?;
                moved |= !waits && !self.outbox.closed.is_empty();
            }
            if self.is_read && self.outbox.closed.is_empty() {
                return Poll::Ready(Ok(true));
            }
            if !self.is_read && !self.outbox.is_full() {
                moved |= self.read(cx)?;
            }
            if !moved {
                return Poll::Pending;
            }
        }
    }

    /// After an error: sends the rest of a message that is on its way, for whatever is said to the target next would be taken for it.
    async fn end_message(&mut self) {
        let rest = std::mem::take(&mut self.outbox.closed);
        if !rest.is_empty() {
            // A target that cannot be written to any more is found out by whoever ends its COPY.
            let _ = self.target.send(&rest).await;
        }
    }

    /// Hears whether the target has objected.
    fn listen(&mut self, cx: &mut Context<'_>) -> Result<()> {
        let target = &mut *self.target;
        while poll_fill(target, cx)? {}
        while let Some(message) = target.inbox.message().map_err(|error| lost(Side::Target, error))? {
            if let Message::ErrorResponse(body) = message {
                let reply = server_error(body.fields());
                return Err(Error::new(Kind::Copy, "writing rows").on(Side::Target).caused_by_server(reply));
            }
        }
        Ok(())
    }

    fn write(&mut self, cx: &mut Context<'_>) -> Result<bool> {
        let mut moved = false;
        while !self.outbox.closed.is_empty() {
            let stream = self.target.held.stream().map_err(|error| lost(Side::Target, error))?;
            match Pin::new(stream).poll_write(cx, &self.outbox.closed) {
                Poll::Ready(Ok(0)) => return Err(lost(Side::Target, io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(count)) => self.outbox.closed.advance(count),
                Poll::Ready(Err(error)) => return Err(lost(Side::Target, error)),
                Poll::Pending => break,
            }
            moved = true;
        }
        Ok(moved)
    }

    fn read(&mut self, cx: &mut Context<'_>) -> Result<bool> {
        poll_fill(self.source, cx)
    }

    /// Takes rows out of the inbox, as many as fit; true where any moved.
    fn parse(&mut self) -> Result<bool> {
        let mut moved = false;
        while !self.is_read && !self.outbox.is_full() {
            if let Some(piece) = self.taken.piece(&mut self.source.inbox) {
                self.outbox.open.extend_from_slice(&self.source.inbox.bytes[piece.begin..piece.end]);
                piece.show(&self.source.inbox, self.rows);
            } else if self.taken.left > 0 || self.source.inbox.header().is_none() || !self.hear()? {
                break;
            }
            moved = true;
        }
        Ok(moved)
    }

    /// A message of the source that is no row; false where it is not complete.
    fn hear(&mut self) -> Result<bool> {
        let message = self.source.inbox.message().map_err(|error| lost(Side::Source, error))?;
        match message {
            None => return Ok(false),
            Some(Message::CopyDone) => self.is_read = true,
            Some(Message::ErrorResponse(body)) => {
                let reply = server_error(body.fields());
                return Err(Error::new(Kind::Copy, "reading rows").on(Side::Source).caused_by_server(reply));
            }
            Some(_) => {}
        }
        Ok(true)
    }
}

/// Reads into an end's inbox what is there; false where nothing is.
fn poll_fill(end: &mut End, cx: &mut Context<'_>) -> Result<bool> {
    let side = end.side;
    let stream = end.held.stream().map_err(|error| lost(side, error))?;
    let mut space = ReadBuf::new(end.inbox.space());
    match Pin::new(stream).poll_read(cx, &mut space) {
        Poll::Pending => Ok(false),
        Poll::Ready(Err(error)) => Err(lost(side, error)),
        Poll::Ready(Ok(())) if space.filled().is_empty() => Err(lost(side, io::ErrorKind::UnexpectedEof.into())),
        Poll::Ready(Ok(())) => {
            let count = space.filled().len();
            end.inbox.end += count;
            Ok(true)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::gate::Gate;
    use super::*;
    use tokio::io::{DuplexStream, duplex};

    impl Duplex for DuplexStream {}

    #[derive(Default)]
    struct Counted(usize, usize);

    impl Rows for Counted {
        fn row(&mut self, row: &[u8]) {
            self.0 += 1;
            self.1 += row.len();
        }

        fn part(&mut self, part: &[u8], is_last: bool) {
            self.0 += usize::from(is_last);
            self.1 += part.len();
        }
    }

    fn end(stream: DuplexStream, side: Side) -> End {
        let held = Gate::new(Box::new(stream)).hold().unwrap();
        End { held, side, inbox: Inbox::new() }
    }

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).unwrap();
        [&[kind], &length.to_be_bytes()[..], body].concat()
    }

    /// Runs a relay over what a source says, into a target that takes little at a time; what the target was told.
    async fn told(said: Vec<u8>, rows: &mut Counted) -> (Result<()>, Vec<u8>) {
        let (mut source_server, source) = duplex(said.len() + 1);
        let (target, mut target_server) = duplex(1000);
        source_server.write_all(&said).await.unwrap();
        let (mut source, mut target) = (end(source, Side::Source), end(target, Side::Target));
        let work = async {
            let result = relay(&mut source, &mut target, rows, |_| {}).await;
            drop(target);
            result
        };
        let mut heard = Vec::new();
        let (result, read) = tokio::join!(work, target_server.read_to_end(&mut heard));
        read.unwrap();
        (result, heard)
    }

    /// The bodies of whole messages; nothing may stand behind them.
    fn bodies(mut heard: &[u8]) -> Vec<u8> {
        let mut all = Vec::new();
        while !heard.is_empty() {
            assert_eq!(heard[0], COPY_DATA);
            let length = u32::from_be_bytes(heard[1..5].try_into().unwrap()) as usize;
            all.extend_from_slice(&heard[5..=length]);
            heard = &heard[length + 1..];
        }
        all
    }

    #[tokio::test]
    async fn rows_of_every_size_go_through_and_keep_their_order() {
        let sizes = [0, 1, 70_000, 3, 600_000, 0, 65_535, 65_536, 12];
        let rows: Vec<Vec<u8>> = sizes.iter().zip(1u8..).map(|(size, byte)| vec![byte; *size]).collect();
        let mut said: Vec<u8> = rows.iter().flat_map(|row| message(COPY_DATA, row)).collect();
        said.extend(message(b'N', b"\0"));
        said.extend(message(b'c', b""));
        let mut counted = Counted::default();
        let (result, heard) = told(said, &mut counted).await;
        result.unwrap();
        assert_eq!(bodies(&heard), rows.concat());
        assert_eq!((counted.0, counted.1), (sizes.len(), sizes.iter().sum()));
    }

    #[tokio::test]
    async fn no_message_is_left_half_said_when_the_source_fails() {
        let mut said: Vec<u8> = (0..200).flat_map(|_| message(COPY_DATA, &[b'x'; 1000])).collect();
        said.extend(message(b'E', b"SFATAL\0C57P01\0Mgone\0\0"));
        let (result, heard) = told(said, &mut Counted::default()).await;
        assert!(result.unwrap_err().is("57P01"));
        assert!(bodies(&heard).len() >= MESSAGE);
    }
}
