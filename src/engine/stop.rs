//! Stopping a run from elsewhere: from another process, on any machine that reaches the target.
//!
//! The request has the effect of Ctrl-C: running tasks are rolled back, finished ones stay, and the run can be resumed. It does not stop
//! what a run does after its last task; before the first task it takes effect only where the current step can be given up. Called by the
//! verb `stop`, and by `run` for the steps before the tasks; while tasks run, `pool` checks by itself.

use super::{Context, POLL_INTERVAL, opened};
use crate::config::TargetOptions;
use crate::engine::run::connections::Connections;
use crate::error::{Error, Kind, Result};

/// Asks every process that works on the target to stop, and waits until none does; returns whether there was one.
pub async fn stop(options: TargetOptions<'_>, context: &Context) -> Result<bool> {
    let (target, ledger) = context.stop.or(opened::target(options, "stop", context)).await?;
    if !ledger.is_locked(&target).await? {
        return Ok(false);
    }
    ledger.ask_to_stop(&target).await?;
    while ledger.is_locked(&target).await? {
        context.stop.or(pause()).await?;
    }
    Ok(true)
}

/// Does a step of a run before its tasks; the step is given up when another session on the target asks the run to stop.
pub(super) async fn stoppable<T>(
    connections: &Connections,
    context: &Context,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    let asked = async {
        while !is_asked(connections).await {
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    };
    let mut work = std::pin::pin!(work);
    tokio::select! {
        biased;
        result = &mut work => return result,
        () = asked => request(context),
    }
    work.await
}

/// The error of a run that ended before it had begun: an interrupted one has left nothing to resume.
pub(super) fn before_begin(error: Error) -> Error {
    if error.kind == Kind::Interrupted { error.remedy("run it again") } else { error }
}

/// Checks once, for a step that cannot be given up later.
pub(super) async fn check(connections: &Connections, context: &Context) {
    if is_asked(connections).await {
        request(context);
    }
}

/// An error of the query is ignored: where the session is lost, the step itself finds that.
async fn is_asked(connections: &Connections) -> bool {
    connections.ledger.is_asked_to_stop(&connections.target).await.unwrap_or_default()
}

fn request(context: &Context) {
    tracing::warn!("another session on the target asked this run to stop");
    context.stop.stop();
}

async fn pause() -> Result<()> {
    tokio::time::sleep(POLL_INTERVAL).await;
    Ok(())
}
