//! The token of a stop request, seen by everything that waits.
//!
//! Code that works selects between its work and [`StopToken::stopped`], rolls back and reports itself interrupted; nothing is killed.

use crate::action::Action;
use crate::error::{Error, Kind, Result};
use std::sync::Arc;
use tokio::sync::watch;

/// A request to stop; clones share it.
#[derive(Debug, Clone)]
pub struct StopToken {
    sender: Arc<watch::Sender<bool>>,
}

impl Default for StopToken {
    fn default() -> Self {
        StopToken { sender: Arc::new(watch::Sender::new(false)) }
    }
}

impl StopToken {
    /// Requests the stop.
    pub fn stop(&self) {
        self.sender.send_replace(true);
    }

    /// Whether a stop was requested.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        *self.sender.borrow()
    }

    /// Waits until a stop is requested.
    pub async fn stopped(&self) {
        // The sender lives as long as `self`, so the wait can end only with the request.
        let _ = self.sender.subscribe().wait_for(|stopped| *stopped).await;
    }

    /// `work`, unless a stop is requested before it is done.
    pub async fn or<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            biased;
            () = self.stopped() => Err(interrupted()),
            result = work => result,
        }
    }
}

/// The error of work that was asked to stop.
#[must_use]
pub fn interrupted() -> Error {
    Error::new("interrupted", Kind::Interrupted, "stopped on request").remedy(Action::Again.to_string())
}
