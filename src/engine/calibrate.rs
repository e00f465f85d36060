//! Measures rates by a short sample of a run's work on the real servers.
//!
//! The steps of a run before its first task are done once and timed. Then rows of the largest tables are copied, indexed and analyzed on
//! the target and removed again, by one session and by several at once. `choice` selects the tables, `sampling` measures within its time,
//! and `figures` computes the rates. Nothing stays on either server. Called by the bindings.

mod choice;
mod figures;
mod sampling;

use super::Context;
use super::opened::{self, Opened};
use super::preflight::{self, PreflightSubject};
use super::run::connections::Inspection;
use crate::config::{self, Config};
use crate::error::{Error, Kind, Result};
use crate::pg::introspect;
use crate::plan::Plan;
use crate::rates::Rates;
use figures::Figures;
use sampling::{Sampling, SamplingConnections};
use std::time::{Duration, Instant};

/// Measures the rates for a plan, or for the plan of the configuration; the sample ends after `seconds`, even if it is incomplete.
pub async fn calibrate(config: &Config, plan: Option<Plan>, seconds: f64, context: &Context) -> Result<Rates> {
    let limit = Duration::try_from_secs_f64(seconds).ok().filter(|limit| !limit.is_zero()).ok_or_else(|| {
        Error::new(
            "calibration_time_invalid",
            Kind::Config,
            "the time of a calibration must be a number of seconds above 0",
        )
    })?;
    let began = Instant::now();
    let Opened { source, target, programs } = opened::open(config, "calibrate", plan.as_ref(), context).await?;
    let tools = programs.as_ref().map(|programs| &programs.source);
    let catalog = opened::inspect(&source, &config.scope, tools, context).await?;
    let plan = match plan {
        Some(plan) => plan,
        None => opened::plan(&source, &catalog, config.plan(), context).await?.plan(),
    };
    let subject = PreflightSubject {
        options: config.run(),
        source: &source,
        target: &target,
        programs: programs.as_ref(),
        catalog: &catalog,
        plan: &plan,
        jobs: config::jobs(config.copy.max_jobs, context.cpus),
        resuming: false,
        backs_up: config.safety.backup,
    };
    // Only its time matters here: other verbs report its findings and its errors.
    let _ = preflight::preflight(&subject, context).await;
    let preparation = began.elapsed().as_secs_f64();
    let servers =
        Inspection { source: catalog.server.clone(), target: introspect::server(&target).await?, catalog: None };
    let ends = SamplingConnections {
        source: &source,
        target: target.conninfo(),
        encoding: servers.shared_encoding(),
        ledger_schema: &config.ledger.schema,
        lock_timeout: config.connection.lock_timeout,
    };
    let tables = choice::tables(&plan, &catalog, &config.scope.tables);
    let mut sampling = Sampling::new(ends, &tables, seconds / PARTS);
    let sample = async {
        // A measurement that is under way when the time is up is lost; earlier ones are kept.
        tokio::time::timeout(limit, sampling.run(limit)).await.unwrap_or(Ok(()))
    };
    context.step("calibrate", Box::pin(sample)).await?;
    let (passes, notes) = sampling.end();
    Ok(Figures { preparation, passes, notes }.rates())
}

/// One measurement of copying may take one part in this many of the time.
const PARTS: f64 = 40.0;
