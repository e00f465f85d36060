//! One end of a relay: a session's stream, and the messages of one COPY on it.
//!
//! It begins a COPY, ends it, and returns the stream when the exchange of messages is complete; `relay` sends the rows in between.

use super::buffer::{Inbox, TakenRow};
use super::rows::Rows;
use crate::error::{Error, Kind, Result, ServerError, Side};
use crate::name::literal;
use crate::pg::Session;
use crate::pg::connection::gate::{Duplex, HeldStream};
use crate::pg::reply::Fields;
use bytes::BytesMut;
use postgres_protocol::message::backend::{ErrorFields, Message};
use postgres_protocol::message::frontend;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};

/// One end of a relay.
pub(in crate::pg) struct End {
    pub(super) held: HeldStream,
    pub(super) side: Side,
    pub(super) inbox: Inbox,
    /// The encoding of the rows, if it is not the session's.
    pub(super) encoding: Option<String>,
    /// The number of rows that the server reported for each COPY.
    pub(super) counts: Vec<u64>,
    /// Whether the server waits for the next statement.
    pub(super) is_ready: bool,
}

impl End {
    /// Takes a session's stream.
    pub(in crate::pg) async fn open(session: &Session) -> Result<Self> {
        let encoding = session.copy_encoding().map(str::to_owned);
        let (held, side) = (session.hold().await?, session.side());
        Ok(End { held, side, inbox: Inbox::new(), encoding, counts: Vec::new(), is_ready: true })
    }

    fn stream(&mut self) -> Result<&mut Box<dyn Duplex>> {
        let side = self.side;
        self.held.stream().map_err(|error| lost(side, error))
    }

    /// Sends statements, each a COPY, without waiting.
    pub(in crate::pg) async fn ask(&mut self, copies: &str) -> Result<()> {
        let mut message = BytesMut::new();
        frontend::query(&self.in_encoding(copies), &mut message).map_err(|error| lost(self.side, error))?;
        self.counts.clear();
        self.is_ready = false;
        self.send(&message).await
    }

    /// Waits until the server is ready for the rows of its first COPY, or has some.
    pub(in crate::pg) async fn begun(&mut self) -> Result<()> {
        loop {
            match self.next().await? {
                Message::CopyOutResponse(_) | Message::CopyInResponse(_) => return Ok(()),
                Message::ErrorResponse(body) => return Err(self.refused(body.fields(), "starting a COPY").await),
                Message::ReadyForQuery(_) => {
                    return Err(Error::new("not_a_copy", Kind::State, "the statement is not a COPY").on(self.side));
                }
                _ => {}
            }
        }
    }

    /// Records what a message says about a COPY that has ended, or about all.
    pub(super) fn hear(&mut self, message: &Message) -> Result<()> {
        match message {
            Message::CommandComplete(body) => {
                let tag = body.tag().map_err(|error| lost(self.side, error))?;
                // The command tags of the statements around the COPY contain no number.
                self.counts.extend(tag.rsplit(' ').next().and_then(|count| count.parse::<u64>().ok()));
            }
            Message::ReadyForQuery(_) => self.is_ready = true,
            _ => {}
        }
        Ok(())
    }

    /// A server decodes a whole query string in the encoding that was set before it: the text of the statement stays in UTF8, and only the
    /// rows are in the other encoding.
    fn in_encoding(&self, copy: &str) -> String {
        let Some(encoding) = &self.encoding else { return copy.to_owned() };
        let encoding = literal(encoding);
        format!("SET client_encoding = {}; {copy}; SET client_encoding = 'UTF8'", encoding.trim_start())
    }

    pub(super) async fn send(&mut self, message: &[u8]) -> Result<()> {
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

    /// The server's error, after the protocol is in a clean state again.
    async fn refused(&mut self, fields: ErrorFields<'_>, doing: &str) -> Error {
        let error = Error::new("copy_refused", Kind::Copy, doing).on(self.side).caused_by_server(server_error(fields));
        // The server's error is more useful than an error that the connection was lost as well.
        let _ = self.settle().await;
        error
    }

    /// Reads on until the server waits for the next statement.
    async fn settle(&mut self) -> Result<()> {
        let mut failure = None;
        while !self.is_ready {
            let message = self.next().await?;
            if let Message::ErrorResponse(body) = &message {
                failure = Some(server_error(body.fields()));
            }
            self.hear(&message)?;
        }
        match failure {
            Some(reply) => {
                Err(Error::new("copy_refused", Kind::Copy, copying(self.side)).on(self.side).caused_by_server(reply))
            }
            None => Ok(()),
        }
    }

    /// After the last row: waits for the end of all COPY statements; returns the number of rows of each.
    pub(in crate::pg) async fn finish(&mut self) -> Result<Vec<u64>> {
        // An encrypted stream may still buffer bytes.
        self.send(&[]).await?;
        self.settle().await?;
        Ok(std::mem::take(&mut self.counts))
    }

    /// Reads all rows of a COPY without sending them anywhere.
    pub(in crate::pg) async fn drain<R: Rows>(&mut self, rows: &mut R) -> Result<()> {
        let mut taken = TakenRow::default();
        loop {
            while let Some(piece) = taken.piece(&mut self.inbox) {
                piece.show(&self.inbox, rows);
            }
            if taken.left == 0 && self.inbox.header().is_some() {
                match self.inbox.message().map_err(|error| lost(self.side, error))? {
                    Some(Message::CopyDone) => return self.settle().await,
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

    /// Ends a COPY into the target that failed, by its own error or by the source's, so that its session can be used again; if that is not
    /// possible, the session is closed.
    pub(in crate::pg) async fn give_up(mut self, error: &Error) {
        let is_own = error.context.side == Some(self.side);
        let settled = if is_own && error.sqlstate.is_some() {
            self.settle().await
        } else if is_own {
            return;
        } else {
            self.fail().await
        };
        // The server's error about the missing rows was caused by CopyFail and has no information.
        if settled.err().is_none_or(|error| error.sqlstate.is_some()) {
            self.close();
        }
    }

    async fn fail(&mut self) -> Result<()> {
        let mut message = BytesMut::new();
        frontend::copy_fail("the rows could not be read", &mut message).map_err(|error| lost(self.side, error))?;
        self.send(&message).await?;
        self.settle().await
    }

    /// Returns the stream after an error of the server, which leaves the session usable.
    pub(in crate::pg) fn close_after(self, error: Error) -> Error {
        if error.sqlstate.is_some() {
            self.close();
        }
        error
    }

    /// Returns the stream to its session.
    pub(in crate::pg) fn close(self) {
        self.held.give_back();
    }
}

fn copying(side: Side) -> &'static str {
    match side {
        Side::Source => "reading rows",
        Side::Target => "writing rows",
    }
}

pub(super) fn lost(side: Side, error: io::Error) -> Error {
    Error::new("connection_lost", Kind::Connect, copying(side)).on(side).caused_by(error)
}

pub(super) fn server_error(fields: ErrorFields<'_>) -> ServerError {
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
        context: of(b'W'),
    };
    fields.into()
}

/// Reads the available bytes into an end's inbox; false if there are none.
pub(super) fn poll_fill(end: &mut End, cx: &mut Context<'_>) -> Result<bool> {
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
