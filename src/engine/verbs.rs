//! The verbs besides `run`: what a caller can request without moving anything.
//!
//! Each opens what it needs, and closes it.

use super::Context;
use super::backup::{self as archive, Backup, Guarded, Restore};
use super::connect::{Endpoints, Source};
use super::opened::{self, Opened};
use super::others::Backed;
use super::preflight::checks::{Check, outcomes};
use super::preflight::{self as survey, PreflightSubject};
use super::programs::{self, Majors};
use super::verify as comparison;
use crate::action::Action;
use crate::config::{self, Config, ConnectionOptions, TargetForeignKeys, TargetOptions};
use crate::engine::target::foreign_keys::{Left, Place, give_back};
use crate::error::{Error, Kind, Result, Side};
use crate::finding::{Finding, Severity};
use crate::ledger::Ledger;
use crate::pg::Session;
use crate::plan::Plan;
use crate::plan::document::Document;
use crate::verification::Verification;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::time::Duration;

/// How long a target may take to return its version when a plan is made.
const TO_ANSWER: Duration = Duration::from_secs(5);

/// Makes the plan. Where it is to be compared with an earlier plan, the `pg_dump` that wrote the earlier definitions writes these, too.
pub async fn plan(config: &Config, like: Option<&Plan>, context: &Context) -> Result<Document> {
    let endpoints = Endpoints::new(&config.connection, context)?;
    let Config { connection, scope, .. } = config;
    let found = programs::find(scope, connection, context).await?;
    let source = context.step("connect", Source::open(&endpoints.source, connection.lock_timeout)).await?;
    let mut majors = Majors::of(&source.leader, &source.leader, like);
    if found.is_some() {
        majors.target = context.stop.or(target_major(connection, &endpoints, context)).await?.unwrap_or(majors.target);
    }
    let programs = found.map(|found| programs::choose(&found, majors)).transpose()?;
    if let Some(programs) = &programs {
        programs::refuse_older(&programs.source, majors.source, "source")?;
        context.report(programs.finding.as_slice());
    }
    let tools = programs.as_ref().map(|programs| &programs.source);
    let catalog = opened::inspect(&source, scope, tools, context).await?;
    let draft = opened::draft(&source, &catalog, config.plan(), context).await?;
    // The text of a plan of many objects takes as much memory as they do.
    drop(catalog);
    Ok(draft.finish())
}

/// The target's major version, by which a run chooses the `pg_dump` that writes the plan. A plan can be made without it.
async fn target_major(connection: &ConnectionOptions, endpoints: &Endpoints, context: &Context) -> Result<Option<u32>> {
    if connection.target.expose().is_empty() {
        return Ok(None);
    }
    let open = Session::open(&endpoints.target, Side::Target, "plan");
    let reason = match tokio::time::timeout(TO_ANSWER, open).await {
        Ok(Ok(target)) => return Ok(Some(target.major())),
        Ok(Err(error)) => error.chain(),
        Err(_) => format!("it has not answered for {} s", TO_ANSWER.as_secs()),
    };
    let message = format!("the target's version is not known, and the plan is written for the source's: {reason}");
    let remedy = "make the plan again when the target can be reached, or run this plan as it is";
    context.report(&[Finding::new("pg_dump_version", Severity::Info, "", message, remedy)]);
    Ok(None)
}

/// What a preflight found, and what it checked.
#[derive(Debug, Clone, Serialize)]
pub struct Preflight {
    /// All findings, the blocking ones first.
    pub findings: Vec<Finding>,
    /// All checks, each with its result.
    pub checks: Vec<Check>,
}

/// What the run for which a preflight is made will do besides its configuration.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PreflightSettings {
    /// It resumes an earlier one.
    pub resume: bool,
    /// It is verified, whatever `options.verify` says.
    pub verify: bool,
}

/// Inspects both databases, and changes nothing.
pub async fn preflight(config: &Config, settings: PreflightSettings, context: &Context) -> Result<Preflight> {
    let mut config = config.clone();
    config.safety.verify |= settings.verify;
    let (options, scope) = (config.run(), &config.scope);
    let Opened { source, target, programs } = opened::open(&config, "preflight", None, context).await?;
    let mut findings =
        context.stop.or(survey::prerequisites(options, &source.leader, &target, programs.as_ref())).await?;
    let is_whole = findings.iter().all(|finding| finding.severity != Severity::Blocking);
    if is_whole {
        let tools = programs.as_ref().map(|programs| &programs.source);
        let catalog = opened::inspect(&source, scope, tools, context).await?;
        let plan = opened::plan(&source, &catalog, options.plan, context).await?.plan();
        let subject = PreflightSubject {
            options,
            source: &source,
            target: &target,
            programs: programs.as_ref(),
            catalog: &catalog,
            plan: &plan,
            jobs: config::jobs(config.copy.max_jobs, context.cpus),
            resuming: settings.resume,
            backs_up: config.safety.backup && !settings.resume,
        };
        findings = survey::preflight(&subject, context).await?;
    }
    context.report(&findings);
    Ok(Preflight { checks: outcomes(&findings, is_whole), findings })
}

/// How both databases are compared.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ComparisonSettings {
    /// How many sessions per side read at once; by the configuration when none.
    pub jobs: Option<usize>,
    /// Whether the source is read although the ledger has the sums of what the run sent.
    pub rereads: bool,
}

/// Compares both databases; without a plan, all that the configuration chooses.
pub async fn verify(
    config: &Config,
    plan: Option<Plan>,
    settings: ComparisonSettings,
    context: &Context,
) -> Result<Verification> {
    let Opened { source, target, programs } = opened::open(config, "verify", None, context).await?;
    let tools = programs.as_ref().map(|programs| &programs.both);
    let plan = if let Some(plan) = plan {
        plan
    } else {
        let catalog = opened::inspect(&source, &config.scope, tools, context).await?;
        opened::plan(&source, &catalog, config.plan(), context).await?.plan()
    };
    let subject = comparison::Subject {
        options: config.plan(),
        plan: &plan,
        source: &source,
        target: &target,
        tools,
        jobs: settings.jobs.unwrap_or_else(|| config::jobs(config.copy.max_jobs, context.cpus)).max(1),
        rereads: settings.rereads,
    };
    comparison::verify(&subject, context).await
}

/// Backs the target up.
pub async fn backup(connection: &ConnectionOptions, directory: &Path, context: &Context) -> Result<Backup> {
    let endpoints = Endpoints::new(connection, context)?;
    let session = context.stop.or(Session::open(&endpoints.target, Side::Target, "backup")).await?;
    archive::of_target(&session, connection.pg_dump.as_deref(), directory, context).await
}

/// Restores a backup of the target.
pub async fn restore(connection: &ConnectionOptions, path: &Path, context: &Context) -> Result<Restore> {
    let endpoints = Endpoints::new(connection, context)?;
    let work = archive::restore(connection.pg_dump.as_deref(), &endpoints.target, path, context);
    context.step_to_its_end("restore", Box::pin(work)).await
}

/// Restores a backup of the target, unless others have written to the target since. `keys` says what the run did about the target's foreign
/// keys.
pub async fn restore_unless_written(
    options: TargetOptions<'_>,
    keys: TargetForeignKeys,
    before: &Backed,
    context: &Context,
) -> Result<Guarded> {
    let endpoints = Endpoints::new(options.connection, context)?;
    let work = archive::restore_unless_written(options, keys, &endpoints.target, before, context);
    context.step_to_its_end("restore", Box::pin(work)).await
}

/// What a cleanup did.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Cleanup {
    /// What was dropped, quoted as SQL quotes it.
    pub dropped: Vec<String>,
    /// The foreign keys that stay NOT VALID.
    pub findings: Vec<Finding>,
}

/// Forgets all runs: drops the ledger, after the foreign keys that it keeps exist again.
pub async fn cleanup(options: TargetOptions<'_>, context: &Context) -> Result<Cleanup> {
    let (target, ledger) = context.stop.or(opened::target(options, "cleanup", context)).await?;
    if !context.stop.or(ledger.lock(&target, false)).await? {
        let doing = "a run of pgmigrate is active on the target, and its ledger cannot be dropped";
        let remedy = format!("wait for its end, or stop it with {}", Action::Stop);
        return Err(Error::new("run_active", Kind::State, doing).remedy(remedy));
    }
    if let Some(holder) = context.stop.or(ledger.procedure_holder(&target)).await? {
        let doing = "a safe procedure is running on this target, and its journal cannot be dropped with the ledger";
        let remedy = format!("wait for its end, or stop it; its session on the target is process {}", holder.pid);
        return Err(Error::new("procedure_active", Kind::State, doing).remedy(remedy));
    }
    if let Some(pid) = context.stop.or(ledger.holder(&target)).await? {
        let doing = "a snapshot is held for a run on this target, and the ledger cannot be dropped";
        let remedy = format!("stop its holder, or SELECT pg_terminate_backend({pid}) on the target if it is dead");
        return Err(Error::new("snapshot_held", Kind::State, doing).remedy(remedy));
    }
    let mut findings = Vec::new();
    if !context.stop.or(ledger.taken_keys(&target)).await?.is_empty() {
        findings = bring_keys_back(&target, &ledger, options.connection.lock_timeout).await?;
        context.report(&findings);
    }
    Ok(Cleanup { dropped: context.stop.or(ledger.drop(&target)).await?, findings })
}

/// A ledger that keeps foreign keys is dropped only when they exist again; orphan rows leave a key NOT VALID, with a finding for each.
async fn bring_keys_back(target: &Session, ledger: &Ledger, lock_timeout: u64) -> Result<Vec<Finding>> {
    let place = Place { target, ledger, lock_timeout };
    // The check that follows creates the keys that this could not, or reports why not.
    let _ = place.bring_back().await;
    let finding = |error: Error| {
        let (message, remedy) = (error.chain(), error.remedy.unwrap_or_default());
        Finding::new(
            "foreign_key_unchecked",
            Severity::Warning,
            error.context.object.unwrap_or_default(),
            message,
            remedy,
        )
    };
    let errors = place.check_all().await?;
    let is_there = ledger.taken_keys(target).await?.iter().all(|taken| taken.found.is_some());
    let findings: Vec<Finding> = errors.into_iter().map(finding).collect();
    if is_there {
        return Ok(findings);
    }
    let named: Vec<&str> = findings.iter().map(|finding| finding.message.as_str()).collect();
    let doing =
        format!("foreign keys of the target could not be created again, and the ledger is kept: {}", named.join("; "));
    let mut error = Error::new("foreign_keys_left", Kind::Schema, doing)
        .on(Side::Target)
        .remedy(format!("remove the causes, then run {} again", Action::Cleanup));
    error.details.findings = findings;
    Err(error)
}

/// Creates the target's foreign keys again that a run has dropped, without a check of their rows, where no run is active; returns what is
/// left.
pub async fn make_foreign_keys(options: TargetOptions<'_>, context: &Context) -> Result<Vec<Finding>> {
    let (target, ledger) = context.stop.or(opened::target(options, "foreign keys", context)).await?;
    if context.stop.or(ledger.taken_keys(&target)).await?.is_empty() {
        return Ok(Vec::new());
    }
    if context.stop.or(ledger.lock(&target, false)).await?
        && let Err(error) = give_back(&ledger, &target, options.connection.lock_timeout).await
    {
        tracing::warn!("{}", error.chain());
    }
    Ok(Left::read(&ledger, &target).await?.finding().into_iter().collect())
}

/// Asks the holder of the last run's snapshot to release it; returns whether there is one.
pub async fn release(options: TargetOptions<'_>, context: &Context) -> Result<bool> {
    let (target, ledger) = context.stop.or(opened::target(options, "release", context)).await?;
    if !ledger.exists(&target).await? {
        return Ok(false);
    }
    match ledger.last_run(&target).await? {
        Some(run) => ledger.release(&target, run.run).await,
        None => Ok(false),
    }
}
