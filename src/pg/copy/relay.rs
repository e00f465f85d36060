//! Passes raw frames from one server's COPY to another's without tokio-postgres: one task owns both streams.
//!
//! Rows are not parsed. The headers of the source's messages are removed; the rows are gathered into large messages for the target and
//! hashed on the way (<https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-COPY>). While it writes, the relay also reads
//! from the target, so that an error of the target ends the relay at once. Memory holds two buffers, whatever a row's size: a row that is
//! larger than a buffer is sent in pieces. Called by `copy`.

mod buffer;
mod end;
mod rows;

pub(in crate::pg) use end::End;
pub use rows::Rows;

use crate::error::{Error, Kind, Result, Side};
use buffer::{Outbox, TakenRow};
use end::{lost, poll_fill, server_error};
use postgres_protocol::message::backend::Message;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::AsyncWrite;

/// The number of messages to the target after which other tasks of the runtime run: about a megabyte.
const BETWEEN_YIELDS: usize = 16;

/// Rows on their way.
struct Relay<'a, R> {
    source: &'a mut End,
    target: &'a mut End,
    outbox: Outbox,
    rows: &'a mut R,
    taken: TakenRow,
    /// The number of COPY statements that are still to be read.
    copies: usize,
}

/// Sends the rows of the COPY statements that both ends have sent to their servers, one after another. The end of each is sent to the
/// target, which needs nothing more from this side afterwards.
pub async fn relay<R: Rows>(
    source: &mut End,
    target: &mut End,
    copies: usize,
    rows: &mut R,
    mut progress: impl FnMut(&R),
) -> Result<()> {
    let mut relay = Relay { source, target, outbox: Outbox::new(), rows, taken: TakenRow::default(), copies };
    let mut messages = 0_usize;
    loop {
        match std::future::poll_fn(|cx| relay.poll_message(cx)).await {
            Ok(false) => {
                progress(relay.rows);
                messages += 1;
                // If neither stream ever has to wait, the runtime learns only at this point that the target has sent something.
                if messages.is_multiple_of(BETWEEN_YIELDS) {
                    tokio::task::yield_now().await;
                }
            }
            Ok(true) => return Ok(()),
            Err(error) => {
                relay.end_message().await;
                return Err(error);
            }
        }
    }
}

impl<R: Rows> Relay<'_, R> {
    /// Works until one message was sent to the target; true once all were.
    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool>> {
        loop {
            self.listen(cx)?;
            let was_sent = self.outbox.is_sent();
            let mut moved = self.write(cx)?;
            if !was_sent && self.outbox.is_sent() {
                return Poll::Ready(Ok(false));
            }
            moved |= self.parse()?;
            if self.outbox.is_full() || self.is_read() {
                let waits = !self.outbox.is_sent();
                self.outbox.close().map_err(|error| lost(Side::Target, error))?;
                moved |= !waits && !self.outbox.is_sent();
            }
            if self.is_read() && self.outbox.is_sent() {
                return Poll::Ready(Ok(true));
            }
            if !self.is_read() && !self.outbox.is_full() {
                moved |= self.read(cx)?;
            }
            if !moved {
                return Poll::Pending;
            }
        }
    }

    /// After an error: sends the rest of an incomplete message, because the target would take the next bytes for its rest.
    async fn end_message(&mut self) {
        if !self.outbox.is_sent() {
            // If the target can no longer be written to, the code that ends its COPY reports it.
            let _ = self.target.send(self.outbox.unsent()).await;
        }
    }

    /// Whether all rows were received.
    fn is_read(&self) -> bool {
        self.copies == 0
    }

    /// Reads whether the target has sent an error.
    fn listen(&mut self, cx: &mut Context<'_>) -> Result<()> {
        let target = &mut *self.target;
        let end = loop {
            match poll_fill(target, cx) {
                Ok(true) => {}
                Ok(false) => break None,
                Err(error) => break Some(error),
            }
        };
        // A message before the end of the stream says why the stream ended.
        while let Some(message) = target.inbox.message().map_err(|error| lost(Side::Target, error))? {
            if let Message::ErrorResponse(body) = message {
                let reply = server_error(body.fields());
                return Err(Error::new("copy_refused", Kind::Copy, "writing rows")
                    .on(Side::Target)
                    .caused_by_server(reply));
            }
            target.hear(&message)?;
        }
        end.map_or(Ok(()), Err)
    }

    /// The error of a write that failed: the server's last message, where it sent one before it closed its side.
    fn unwritable(&mut self, error: io::Error, cx: &mut Context<'_>) -> Error {
        match self.listen(cx) {
            Err(reported) if reported.sqlstate.is_some() => reported,
            _ => lost(Side::Target, error),
        }
    }

    fn write(&mut self, cx: &mut Context<'_>) -> Result<bool> {
        let mut moved = false;
        while !self.outbox.is_sent() {
            let stream = self.target.held.stream().map_err(|error| lost(Side::Target, error))?;
            match Pin::new(stream).poll_write(cx, self.outbox.unsent()) {
                Poll::Ready(Ok(0)) => return Err(self.unwritable(io::ErrorKind::WriteZero.into(), cx)),
                Poll::Ready(Ok(count)) => self.outbox.advance(count),
                Poll::Ready(Err(error)) => return Err(self.unwritable(error, cx)),
                Poll::Pending => break,
            }
            moved = true;
        }
        Ok(moved)
    }

    fn read(&mut self, cx: &mut Context<'_>) -> Result<bool> {
        poll_fill(self.source, cx)
    }

    /// Takes as many rows from the inbox as fit; true if any moved.
    fn parse(&mut self) -> Result<bool> {
        let mut moved = false;
        while !self.is_read() && !self.outbox.is_full() {
            if let Some(piece) = self.taken.piece(&mut self.source.inbox) {
                self.outbox.add(&self.source.inbox.bytes[piece.begin..piece.end]);
                piece.show(&self.source.inbox, self.rows);
            } else if self.taken.left > 0 || self.source.inbox.header().is_none() || !self.hear()? {
                break;
            }
            moved = true;
        }
        Ok(moved)
    }

    /// Reads a message of the source that is no row; false if it is incomplete.
    fn hear(&mut self) -> Result<bool> {
        let message = self.source.inbox.message().map_err(|error| lost(Side::Source, error))?;
        match message {
            None => return Ok(false),
            Some(Message::CopyDone) => {
                self.copies -= 1;
                self.rows.end_copy();
                self.outbox.end_copy().map_err(|error| lost(Side::Target, error))?;
            }
            Some(Message::ErrorResponse(body)) => {
                let reply = server_error(body.fields());
                return Err(Error::new("copy_refused", Kind::Copy, "reading rows")
                    .on(Side::Source)
                    .caused_by_server(reply));
            }
            Some(message) => self.source.hear(&message)?,
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pg::connection::gate::{Duplex, Gate};
    use crate::pg::copy::relay::buffer::{COPY_DATA, Inbox, MESSAGE};
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    impl Duplex for DuplexStream {}

    #[derive(Default)]
    struct Counted(usize, usize, usize);

    impl Rows for Counted {
        fn row(&mut self, row: &[u8]) {
            self.0 += 1;
            self.1 += row.len();
        }

        fn part(&mut self, part: &[u8], is_last: bool) {
            self.0 += usize::from(is_last);
            self.1 += part.len();
        }

        fn end_copy(&mut self) {
            self.2 += 1;
        }
    }

    fn end(stream: impl Duplex + 'static, side: Side) -> End {
        let held = Gate::new(Box::new(stream)).hold().unwrap();
        End { held, side, inbox: Inbox::new(), encoding: None, counts: Vec::new(), is_ready: false }
    }

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).unwrap();
        [&[kind], &length.to_be_bytes()[..], body].concat()
    }

    /// Runs a relay of so many COPY statements from the bytes of a source into a target that accepts few bytes at a time; returns the bytes
    /// that the target received.
    async fn received(said: Vec<u8>, copies: usize, rows: &mut Counted) -> (Result<()>, Vec<u8>) {
        let (mut source_server, source) = duplex(said.len() + 1);
        let (target, mut target_server) = duplex(1000);
        source_server.write_all(&said).await.unwrap();
        let (mut source, mut target) = (end(source, Side::Source), end(target, Side::Target));
        let work = async {
            let result = relay(&mut source, &mut target, copies, rows, |_| {}).await;
            drop(target);
            result
        };
        let mut received = Vec::new();
        let (result, read) = tokio::join!(work, target_server.read_to_end(&mut received));
        read.unwrap();
        (result, received)
    }

    /// The rows of each COPY that was ended, and of the one that was not; only whole messages may occur.
    fn bodies(mut received: &[u8]) -> Vec<Vec<u8>> {
        let mut all = vec![Vec::new()];
        while let [kind, a, b, c, d, ..] = *received {
            let length = u32::from_be_bytes([a, b, c, d]) as usize;
            match kind {
                COPY_DATA => all.last_mut().unwrap().extend_from_slice(&received[5..=length]),
                b'c' => all.push(Vec::new()),
                other => panic!("a message of type {other}"),
            }
            received = &received[length + 1..];
        }
        assert!(received.is_empty());
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
        let (result, received) = received(said, 1, &mut counted).await;
        result.unwrap();
        assert_eq!(bodies(&received), [rows.concat(), vec![]]);
        assert_eq!((counted.0, counted.1), (sizes.len(), sizes.iter().sum()));
    }

    #[tokio::test]
    async fn several_copies_go_through_one_behind_the_other() {
        let mut said = Vec::new();
        for rows in [1, 0, 40_000, 2] {
            said.extend(message(b'H', b"\0\0\0"));
            said.extend((0..rows).flat_map(|_| message(COPY_DATA, b"a row")));
            said.extend([message(b'c', b""), message(b'C', b"COPY 7\0")].concat());
        }
        let mut counted = Counted::default();
        let (result, received) = received(said, 4, &mut counted).await;
        result.unwrap();
        let sizes: Vec<usize> = bodies(&received).iter().map(Vec::len).collect();
        assert_eq!(sizes, [5, 0, 200_000, 10, 0]);
        assert_eq!((counted.0, counted.2), (40_003, 4));
    }

    /// A stream that sends nothing before it is flushed, as an encrypted one may.
    struct Lazy(DuplexStream, Vec<u8>);

    impl Duplex for Lazy {}

    impl tokio::io::AsyncRead for Lazy {
        fn poll_read(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: &mut tokio::io::ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_read(cx, buf)
        }
    }

    impl AsyncWrite for Lazy {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            self.1.extend_from_slice(buf);
            Poll::Ready(Ok(buf.len()))
        }

        fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            let held = std::mem::take(&mut self.1);
            // The other end has room for all of it.
            match Pin::new(&mut self.0).poll_write(cx, &held) {
                Poll::Ready(Ok(count)) if count == held.len() => Poll::Ready(Ok(())),
                other => panic!("{other:?}"),
            }
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_shutdown(cx)
        }
    }

    #[tokio::test]
    async fn a_stream_that_holds_back_is_flushed_before_the_answer_is_waited_for() {
        let (mut source_server, source) = duplex(1000);
        let (target, mut target_server) = duplex(1000);
        source_server.write_all(&message(b'c', b"")).await.unwrap();
        let (mut source, mut target) = (end(source, Side::Source), end(Lazy(target, Vec::new()), Side::Target));
        relay(&mut source, &mut target, 1, &mut Counted::default(), |_| {}).await.unwrap();
        let answer = async {
            let mut received = [0; 5];
            target_server.read_exact(&mut received).await.unwrap();
            assert_eq!(received, *b"c\0\0\0\x04");
            let said = [message(b'C', b"COPY 3\0"), message(b'Z', b"T")].concat();
            target_server.write_all(&said).await.unwrap();
        };
        let both = async { tokio::join!(target.finish(), answer) };
        let (counts, ()) = tokio::time::timeout(std::time::Duration::from_secs(5), both).await.unwrap();
        assert_eq!(counts.unwrap(), [3]);
    }

    #[tokio::test]
    async fn no_message_is_left_half_said_when_the_source_fails() {
        let mut said: Vec<u8> = (0..200).flat_map(|_| message(COPY_DATA, &[b'x'; 1000])).collect();
        said.extend(message(b'E', b"SFATAL\0C57P01\0Mgone\0\0"));
        let (result, received) = received(said, 1, &mut Counted::default()).await;
        assert!(result.unwrap_err().is("57P01"));
        let [unfinished] = &bodies(&received)[..] else { panic!("the target was informed that the rows are complete") };
        assert!(unfinished.len() >= MESSAGE);
    }
}
