//! The run, from two conninfos to a report: a pipeline in which each step takes the values of those before it and returns the next.
//!
//! | step | file | takes | returns |
//! |---|---|---|---|
//! | read the request | `request` | configuration, settings, plan | `RunRequest` |
//! | connect | `open`, `part` | request | `Connections`: sessions, snapshot, locks |
//! | inspect | `inspect` | connections | `Inspection`: both servers, the source's catalog |
//! | plan | `plan_file` | request, connections, inspection | `Plan` |
//! | preflight | `check` | `Prepared`: all of these | `Foreseen`: what is reported before anything is changed |
//! | begin | `begin`, `join` | `Prepared` | `Begun`: the run's rows in the ledger, a backup |
//! | execute | `execute`, `pool`, `worker` | plan, begun | `RunOutcome` |
//! | close | `close` | begun, outcome | `Closed`: what the ledger says at the end |
//! | report | `report` | foreseen, closed | `Report` |
//!
//! Nothing on the target is changed before the snapshot is proved, the preflight has passed and the backup, if requested, can be read back.
//! No step calls an earlier one. `hold` is a pipeline over the same steps. What each step holds, and what the loss of it means, is in
//! `lifecycle`.

pub(super) mod begin;
pub(super) mod begun;
pub(super) mod check;
pub(super) mod close;
pub(super) mod connections;
pub(super) mod execute;
pub(super) mod inspect;
pub(super) mod job;
pub(super) mod join;
pub(super) mod leader;
pub(super) mod lost;
pub(super) mod make_job;
pub(super) mod open;
pub(super) mod outcome;
pub(super) mod part;
pub(super) mod plan_file;
pub(super) mod pool;
pub(super) mod prepared;
pub(super) mod report;
pub(super) mod request;
pub(super) mod resume;
pub(super) mod settings;
pub(super) mod state_file;
pub(super) mod tuning;
pub(super) mod unplanned;
pub(super) mod work;
pub(super) mod worker;

use super::{Context, stop};
use crate::config::{self, Config};
use crate::error::Result;
use crate::plan::Plan;
use crate::report::Report;
use begin::enter;
use check::foresee;
use close::{Closing, close};
use execute::execute;
use inspect::inspect;
use open::connect;
use prepared::{BeginOptions, Prepared};
use request::RunRequest;
use settings::Settings;
use std::time::Instant;
use work::Execution;

/// Runs a migration, or resumes one. Without a plan, one is made.
pub async fn run(config: &Config, plan: Option<Plan>, settings: &Settings, context: &Context) -> Result<Report> {
    let clock = Instant::now();
    let mut request = RunRequest::read(config, plan, settings, context).await?;
    let opening = async {
        let connections = connect(&request, context).await?;
        let inspection = inspect(request.config.run(), request.plan.as_ref(), &connections).await?;
        Ok((connections, inspection))
    };
    let (mut connections, inspection) = context.step("connect", Box::pin(opening)).await?;
    if request.begins_whole_run() {
        connections.source.refuse_changed(|_| true)?;
    }
    let (is_given, resumes) = (request.plan.is_some(), request.settings.resume);
    let before_begin = |error| if resumes { error } else { stop::before_begin(error) };
    let planning = context.step("plan", plan_file::plan(&mut request, &connections, &inspection));
    let plan = stop::stoppable(&connections, context, Box::pin(planning)).await.map_err(before_begin)?;
    let RunRequest { config, endpoints, settings, .. } = &request;
    let jobs = settings.jobs.unwrap_or_else(|| config::jobs(config.copy.max_jobs, context.cpus)).max(1);
    let (connected, inspected) = (&connections, &inspection);
    let prepared = Prepared { settings, connections: connected, inspection: inspected, plan: &plan, jobs };
    let foreseeing = Box::pin(foresee(&request, &prepared, is_given, context));
    let foreseen = stop::stoppable(&connections, context, foreseeing).await.map_err(before_begin)?;
    if settings.dry_run {
        return Ok(report::dry_run(endpoints, foreseen, &plan));
    }
    let entering = Box::pin(enter(&prepared, BeginOptions::of(config.run()), context));
    let mut begun = stop::stoppable(&connections, context, entering).await.map_err(before_begin)?;
    // Preflight may have reported the same findings.
    begun.findings.retain(|finding| !foreseen.findings.contains(finding));
    let Config { connection, scope, schema, .. } = config;
    let execution = Execution { connection, scope, schema, settings, inspection: &inspection, plan: &plan, jobs };
    let outcome = Box::pin(execute(execution, &mut connections, &mut begun, context)).await;
    let closing = Closing {
        connection,
        plan_options: config.plan(),
        verifies: config.safety.verify,
        settings,
        inspection: &inspection,
        plan: &plan,
        begun,
        outcome,
        jobs,
    };
    let closed = Box::pin(close(&mut connections, closing, context)).await;
    Ok(report::ended(endpoints, foreseen, closed, clock.elapsed().as_secs_f64()))
}
