//! Stopping a run from elsewhere: from another process, on any machine that reaches the target.
//!
//! What is asked is what Ctrl-C asks: tasks that run are rolled back, the rest stays, and the run can be resumed. It does not stop what a
//! run does before its first task or after its last one.

use super::Context;
use super::connect::Endpoints;
use crate::config::Config;
use crate::error::{Result, Side};
use crate::ledger::Ledger;
use crate::pg::Session;
use std::time::Duration;

const BETWEEN_LOOKS: Duration = Duration::from_millis(250);

/// Asks whoever works on the target to stop, and waits until nobody does; whether there was somebody.
pub async fn halt(config: &Config, context: &Context) -> Result<bool> {
    let endpoints = Endpoints::new(config, context)?;
    let target = context.stop.or(Session::open(&endpoints.target, Side::Target, "stop")).await?;
    let ledger = Ledger::new(&config.options.ledger_schema);
    if !ledger.is_locked(&target).await? {
        return Ok(false);
    }
    ledger.ask_to_stop(&target).await?;
    while ledger.is_locked(&target).await? {
        context.stop.or(pause()).await?;
    }
    Ok(true)
}

async fn pause() -> Result<()> {
    tokio::time::sleep(BETWEEN_LOOKS).await;
    Ok(())
}
