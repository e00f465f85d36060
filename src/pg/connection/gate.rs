//! The stream under a session, which the pump can take for a while and return.
//!
//! tokio-postgres logs in, runs the statements around a COPY and keeps the connection; the rows of the COPY itself bypass it as raw frames.
//! While the stream is taken, tokio-postgres cannot read or write. If a stream is not returned cleanly, it is lost, and the session with
//! it.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use tokio_postgres_rustls::MakeRustlsConnect;

/// A stream to a server, encrypted or not.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {
    /// The data that binds a login to this channel.
    fn binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl Duplex for super::net::Net {}

type Boxed = Box<dyn Duplex>;
type Encrypted = <MakeRustlsConnect as MakeTlsConnect<Boxed>>::Stream;

impl Duplex for Encrypted {
    fn binding(&self) -> ChannelBinding {
        self.channel_binding()
    }
}

#[derive(Default)]
struct Slot {
    stream: Option<Boxed>,
    is_lost: bool,
    waiting: Vec<Waker>,
}

/// A stream that can be taken from its session for a while; clones share it.
#[derive(Clone)]
pub struct Gate(Arc<Mutex<Slot>>);

impl Gate {
    pub fn new(stream: Boxed) -> Self {
        Gate(Arc::new(Mutex::new(Slot { stream: Some(stream), ..Slot::default() })))
    }

    fn slot(&self) -> MutexGuard<'_, Slot> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads until the server closes its side, which happens when the session's process ends: all its locks are released by then.
    pub async fn ended(mut self) {
        let mut rest = [0; 512];
        while !self.is_lost() && matches!(self.read(&mut rest).await, Ok(1..)) {}
    }

    /// Takes the stream; none if it is taken or lost already.
    pub fn hold(&self) -> Option<HeldStream> {
        let stream = self.slot().stream.take()?;
        Some(HeldStream { stream: Some(stream), gate: self.clone() })
    }

    /// Whether the stream was dropped in the middle of an exchange of messages.
    pub fn is_lost(&self) -> bool {
        self.slot().is_lost
    }

    fn with_stream<T>(
        &self,
        cx: &mut Context<'_>,
        work: impl FnOnce(Pin<&mut Boxed>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let mut slot = self.slot();
        if let Some(stream) = &mut slot.stream {
            return work(Pin::new(stream), cx);
        }
        if slot.is_lost {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        slot.waiting.push(cx.waker().clone());
        Poll::Pending
    }
}

/// A stream that was taken.
pub struct HeldStream {
    stream: Option<Boxed>,
    gate: Gate,
}

impl HeldStream {
    /// The stream.
    pub fn stream(&mut self) -> io::Result<&mut Boxed> {
        self.stream.as_mut().ok_or_else(|| io::ErrorKind::BrokenPipe.into())
    }

    /// Returns it. No part of an exchange may be left on it.
    pub fn give_back(mut self) {
        let stream = self.stream.take();
        self.gate.slot().stream = stream;
    }
}

/// A stream that is dropped without being returned is in the middle of an exchange: the connection is closed.
impl Drop for HeldStream {
    fn drop(&mut self) {
        let mut slot = self.gate.slot();
        slot.is_lost = slot.stream.is_none();
        slot.waiting.drain(..).for_each(Waker::wake);
    }
}

impl AsyncRead for Gate {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.with_stream(cx, |stream, cx| stream.poll_read(cx, buf))
    }
}

impl AsyncWrite for Gate {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.with_stream(cx, |stream, cx| stream.poll_write(cx, buf))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with_stream(cx, AsyncWrite::poll_flush)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with_stream(cx, AsyncWrite::poll_shutdown)
    }
}

impl TlsStream for Gate {
    fn channel_binding(&self) -> ChannelBinding {
        self.slot().stream.as_ref().map_or_else(ChannelBinding::none, |stream| stream.binding())
    }
}

/// Encrypts a stream and wraps the result in a gate of its own, which `inner` then holds.
pub struct GatedTls {
    connector: MakeRustlsConnect,
    host: String,
    inner: Arc<Mutex<Option<Gate>>>,
}

impl GatedTls {
    /// The object that encrypts a connection to `host`; the second value holds the gate after the handshake.
    pub fn new(connector: MakeRustlsConnect, host: &str) -> (Self, Arc<Mutex<Option<Gate>>>) {
        let inner = Arc::default();
        (GatedTls { connector, host: host.to_owned(), inner: Arc::clone(&inner) }, inner)
    }
}

type TlsError = Box<dyn std::error::Error + Send + Sync>;

impl TlsConnect<Gate> for GatedTls {
    type Stream = Gate;
    type Error = TlsError;
    type Future = Pin<Box<dyn Future<Output = Result<Gate, TlsError>> + Send>>;

    fn connect(mut self, stream: Gate) -> Self::Future {
        Box::pin(async move {
            let plain = stream.slot().stream.take().ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected))?;
            let connect = MakeTlsConnect::<Boxed>::make_tls_connect(&mut self.connector, &self.host)?;
            let gate = Gate::new(Box::new(connect.connect(plain).await?));
            *self.inner.lock().unwrap_or_else(PoisonError::into_inner) = Some(gate.clone());
            Ok(gate)
        })
    }
}

/// The half of a connection that moves bytes.
pub type Wire = tokio_postgres::Connection<Gate, Gate>;
