//! Measures rates by a short sample of a run's work on the real servers.
//!
//! The steps of a run before its first task are done once and timed. Then rows of the largest tables are copied, indexed and analyzed on
//! the target and removed again, by one session and by several at once. `choice` selects the tables, `sampling` measures within its time,
//! and `figures` computes the rates. Nothing stays on either server. Called by the bindings.

mod choice;
mod figures;
mod sampling;

use super::Context;
use super::connect::{Endpoints, Source};
use super::preflight::{self, Subject};
use super::programs::{self, Majors};
use super::run::shared_encoding;
use crate::config::{self, Config};
use crate::error::{Error, Kind, Result, Side};
use crate::pg::{Session, introspect};
use crate::plan::Plan;
use crate::rates::Rates;
use figures::Figures;
use sampling::{Ends, Sampling};
use std::time::{Duration, Instant};

/// Measures the rates for a plan, or for the plan of the configuration; the sample ends after `seconds`, even if it is incomplete.
pub async fn calibrate(config: &Config, plan: Option<Plan>, seconds: f64, context: &Context) -> Result<Rates> {
    let limit = Duration::try_from_secs_f64(seconds).ok().filter(|limit| !limit.is_zero()).ok_or_else(|| {
        Error::new(
            "calibration_time_invalid",
            Kind::Config,
            "the time for a calibration is no number of seconds above 0",
        )
    })?;
    let began = Instant::now();
    let endpoints = Endpoints::new(config, context)?;
    let lock_timeout = config.options.lock_timeout;
    let open = async {
        let found = programs::find(config, context);
        let source = Source::open(&endpoints.source, lock_timeout);
        let target = Session::open(&endpoints.target, Side::Target, "calibrate");
        tokio::try_join!(Box::pin(found), Box::pin(source), Box::pin(target))
    };
    let (found, source, target) = context.step("connect", open).await?;
    let majors = Majors::of(&source.leader, &target, plan.as_ref());
    let programs = found.map(|found| programs::choose(&found, majors)).transpose()?;
    let tools = programs.as_ref().map(|programs| &programs.source);
    let catalog = context.step("inspect", source.catalog(config, tools)).await?;
    let plan = match plan {
        Some(plan) => plan,
        None => context.step("plan", source.plan(&catalog, config)).await?.finish().plan(),
    };
    let jobs = config::jobs(config.max_jobs, context.cpus);
    let subject = Subject {
        config,
        source: &source,
        target: &target,
        programs: programs.as_ref(),
        catalog: &catalog,
        plan: &plan,
        jobs,
        resuming: false,
        backs_up: config.options.backup,
    };
    // Only its time matters here: other verbs report its findings and its errors.
    let _ = preflight::preflight(&subject, context).await;
    let preparation = began.elapsed().as_secs_f64();
    let ends = Ends {
        source: &source,
        target: target.conninfo(),
        encoding: shared_encoding(&catalog.server, &introspect::server(&target).await?),
        ledger_schema: &config.options.ledger_schema,
        lock_timeout,
    };
    let tables = choice::tables(&plan, &catalog, config);
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
