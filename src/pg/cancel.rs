//! Stopping what a session's server is doing, and closing the session when nobody holds it any more.
//!
//! It decides nothing about when to stop. `Session` hands out [`Canceller`]s; `connect` gives each connection its
//! [`Owner`].

use super::connect::Wire;
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

/// Asks a session's server to stop the statement that it is running. Clones speak of the same session.
#[derive(Clone)]
pub struct Canceller {
    token: CancelToken,
    tls: MakeRustlsConnect,
}

impl Canceller {
    pub(super) fn new(token: CancelToken, tls: MakeRustlsConnect) -> Self {
        Canceller { token, tls }
    }

    /// Sends the request over a connection of its own, encrypted as the session is. The statement then fails with
    /// SQLSTATE 57014 unless it ended by itself before. Gives up after five seconds.
    pub async fn cancel(&self) -> Result<()> {
        let doing = "cancelling a statement";
        match timeout(CANCEL_TIMEOUT, self.token.cancel_query(self.tls.clone())).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(reply::from_postgres(&error, Kind::Connect, doing)),
            Err(_) => Err(Error::new(Kind::Connect, doing).caused_by("no answer within 5 s")),
        }
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
