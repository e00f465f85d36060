//! Stopping what a session's server is doing, and closing the session when nobody holds it any more.
//!
//! It decides nothing about when to stop. `Session` hands out [`Canceller`]s; `connect` gives each connection its
//! [`Owner`].

use super::connect::Wire;
use super::conninfo::{Host, Keepalive};
use super::gate::{Gate, GatedTls};
use super::net::Net;
use super::reply;
use crate::error::{Error, Kind, Result};
use std::convert::Infallible;
use std::pin::pin;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_postgres::CancelToken;
use tokio_postgres_rustls::MakeRustlsConnect;

/// How long the server has to take a cancel request.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection that nobody holds any more has to end in order.
const GRACE: Duration = Duration::from_millis(500);

/// How a session's server was reached, for another connection to it.
#[derive(Clone)]
pub(super) struct Way {
    host: Host,
    keepalive: Keepalive,
    tls: MakeRustlsConnect,
}

impl Way {
    pub(super) fn new(host: &Host, keepalive: &Keepalive, tls: &MakeRustlsConnect) -> Self {
        Way { host: host.clone(), keepalive: keepalive.clone(), tls: tls.clone() }
    }
}

/// Asks a session's server to stop the statement that it is running. Clones speak of the same session.
#[derive(Clone)]
pub struct Canceller {
    token: CancelToken,
    way: Way,
}

impl Canceller {
    pub(super) fn new(token: CancelToken, way: Way) -> Self {
        Canceller { token, way }
    }

    /// Sends the request over a connection of its own, encrypted as the session is. The statement then fails with
    /// SQLSTATE 57014 unless it ended by itself before. Gives up after five seconds.
    pub async fn cancel(&self) -> Result<()> {
        let doing = "cancelling a statement";
        match timeout(CANCEL_TIMEOUT, self.send(doing)).await {
            Ok(result) => result,
            Err(_) => Err(Error::new(Kind::Connect, doing).caused_by("no answer within 5 s")),
        }
    }

    async fn send(&self, doing: &str) -> Result<()> {
        let net = Net::open(&self.way.host, &self.way.keepalive).await;
        let net = net.map_err(|error| Error::new(Kind::Connect, doing).caused_by(error))?;
        let (tls, _) = GatedTls::new(self.way.tls.clone(), &self.way.host.name);
        let sent = self.token.cancel_query_raw(Gate::new(Box::new(net)), tls).await;
        sent.map_err(|error| reply::from_postgres(&error, Kind::Connect, doing))
    }
}

/// Keeps a connection open; it is closed once this is dropped.
pub(super) struct Owner(#[allow(dead_code, reason = "held for its drop only")] oneshot::Sender<Infallible>);

impl Owner {
    /// Starts to move the bytes of `wire`. When the owner is gone and a statement still runs, it is cancelled: closing
    /// the socket alone would let the server go on with it.
    pub(super) fn of(wire: Wire, canceller: Canceller) -> Owner {
        let (owner, gone) = oneshot::channel();
        tokio::spawn(async move {
            let mut wire = pin!(wire);
            // How a connection ends is told to whoever uses its client, not here.
            tokio::select! {
                _ = &mut wire => return,
                _ = gone => {}
            }
            if timeout(GRACE, &mut wire).await.is_err() {
                let _ = canceller.cancel().await;
                let _ = timeout(GRACE, wire).await;
            }
        });
        Owner(owner)
    }
}
