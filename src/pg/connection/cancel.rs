//! Cancels the statement of a session, and closes the session when its last user has dropped it.
//!
//! This module does not decide when to stop. `Session` hands out [`Canceller`]s; `connect` gives each connection its [`Owner`].

use super::gate::{Gate, GatedTls, Wire};
use super::net::Net;
use crate::error::{Error, Kind, Result};
use crate::pg::conninfo::{Host, Keepalive};
use crate::pg::notice::Warnings;
use crate::pg::reply;
use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::LazyLock;
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;
use tokio_postgres::{AsyncMessage, CancelToken};
use tokio_postgres_rustls::MakeRustlsConnect;

/// How long the server has to accept a cancel request.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection without a user has to end cleanly.
const GRACE: Duration = Duration::from_millis(100);
/// How long the server's process has to end after that.
const END_TIMEOUT: Duration = Duration::from_secs(1);

/// The address and TLS settings of a session's server, for another connection to it.
#[derive(Clone)]
pub struct Way {
    host: Host,
    keepalive: Keepalive,
    tls: MakeRustlsConnect,
}

impl Way {
    pub fn new(host: &Host, keepalive: &Keepalive, tls: &MakeRustlsConnect) -> Self {
        Way { host: host.clone(), keepalive: keepalive.clone(), tls: tls.clone() }
    }
}

/// Requests that a session's server cancels the running statement. Clones refer to the same session.
#[derive(Clone)]
pub struct Canceller {
    token: CancelToken,
    way: Way,
}

impl Canceller {
    pub(in crate::pg) fn new(token: CancelToken, way: Way) -> Self {
        Canceller { token, way }
    }

    /// Sends the request over a connection of its own, encrypted as the session is. The statement then fails with SQLSTATE 57014 unless it
    /// ended before. Gives up after five seconds.
    pub async fn cancel(&self) -> Result<()> {
        let doing = "cancelling a statement";
        match timeout(CANCEL_TIMEOUT, self.send(doing)).await {
            Ok(result) => result,
            Err(_) => Err(Error::new("cancel_failed", Kind::Connect, doing).caused_by("no answer within 5 s")),
        }
    }

    async fn send(&self, doing: &str) -> Result<()> {
        let net = Net::open(&self.way.host, &self.way.keepalive).await;
        let net = net.map_err(|error| Error::new("cancel_failed", Kind::Connect, doing).caused_by(error))?;
        let (tls, _) = GatedTls::new(self.way.tls.clone(), &self.way.host.name);
        let sent = self.token.cancel_query_raw(Gate::new(Box::new(net)), tls).await;
        sent.map_err(|error| reply::from_postgres(&error, Kind::Connect, doing).named("cancel_failed"))
    }
}

/// The connections without a user that are not closed yet, in the order in which they were dropped.
#[derive(Default)]
struct GivenUp {
    next: u64,
    open: BTreeSet<u64>,
}

static GIVEN_UP: LazyLock<watch::Sender<GivenUp>> = LazyLock::new(watch::Sender::default);

/// Waits until every connection that was dropped is closed, its locks are released and its statement is cancelled; not longer than a cancel
/// request takes.
pub async fn closed() {
    let mut given_up = GIVEN_UP.subscribe();
    let next = given_up.borrow().next;
    // The sender is static, so the wait ends with the last of them or with the timeout.
    let _ = timeout(CANCEL_TIMEOUT, given_up.wait_for(|now| now.open.first().is_none_or(|first| *first >= next))).await;
}

/// A connection that is being closed.
struct Closing(u64);

impl Closing {
    fn begin() -> Self {
        let mut number = 0;
        GIVEN_UP.send_modify(|given_up| {
            number = given_up.next;
            given_up.next += 1;
            given_up.open.insert(number);
        });
        Closing(number)
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        GIVEN_UP.send_modify(|given_up| {
            given_up.open.remove(&self.0);
        });
    }
}

/// Moves the bytes of a connection until it ends, and keeps the warnings that the server sends.
async fn drive(mut wire: Wire, warnings: Warnings) {
    while let Some(Ok(message)) = std::future::poll_fn(|cx| wire.poll_message(cx)).await {
        if let AsyncMessage::Notice(notice) = message {
            warnings.add(&notice);
        }
    }
}

/// Keeps a connection open; it is closed once this is dropped.
pub struct Owner(Option<oneshot::Sender<Closing>>);

impl Owner {
    /// Starts to move the bytes of `wire`. When the owner is gone and a statement still runs, the statement is cancelled, because the
    /// server would not stop it when only the socket is closed.
    pub fn of(wire: Wire, gate: Gate, canceller: Canceller, warnings: Warnings) -> Owner {
        let (owner, gone) = oneshot::channel();
        tokio::spawn(async move {
            let mut wire = pin!(drive(wire, warnings));
            // The end of a connection is reported to the user of its client, not here.
            let (is_over, _closing) = tokio::select! {
                () = &mut wire => (true, Ok(Closing::begin())),
                closing = gone => (timeout(GRACE, &mut wire).await.is_ok(), closing),
            };
            // If a stream was dropped in the middle of a COPY, a server without a row to send does not notice it.
            if !is_over || gate.is_lost() {
                let _ = canceller.cancel().await;
            }
            if !is_over {
                let _ = timeout(GRACE, wire).await;
            }
            let _ = timeout(END_TIMEOUT, gate.ended()).await;
        });
        Owner(Some(owner))
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        if let Some(owner) = self.0.take() {
            // If the connection has ended already, no task receives this, and it is no longer counted.
            let _ = owner.send(Closing::begin());
        }
    }
}
