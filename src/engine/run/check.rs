//! What is reported before a run begins: how the plan differs from the source, and what the servers will refuse. Called by `run` and `hold`.

use super::prepared::Prepared;
use super::request::RunRequest;
use super::resume::Drift;
use super::unplanned::{self, Changes};
use super::{part, resume};
use crate::catalog::scope::Absent;
use crate::config::RunOptions;
use crate::engine::Context;
use crate::engine::preflight::{self, PreflightSubject};
use crate::engine::refuse::refuse;
use crate::error::Result;
use crate::finding::Finding;

/// What a run reports before it begins.
pub struct Foreseen {
    pub findings: Vec<Finding>,
    pub absent: Vec<Absent>,
}

/// Everything that is known before the run begins; fails where it must not begin. `is_given` says that the plan was not made by this run,
/// so that the source may have changed since.
pub async fn foresee(
    request: &RunRequest,
    prepared: &Prepared<'_>,
    is_given: bool,
    context: &Context,
) -> Result<Foreseen> {
    let mut findings = prepared.plan.header.findings.clone();
    findings.extend(request.lacks_run.then(resume::nothing_begun));
    let options = request.config.run();
    let checked = check(options, prepared, context).await?;
    findings.extend(checked.findings);
    let changes =
        if is_given { unplanned::changes(prepared, options.plan, &checked.drift, context) } else { Changes::default() };
    findings.extend(changes.findings());
    let absent = prepared.plan.header.absent.iter().cloned().chain(changes.absent()).collect();
    Ok(Foreseen { findings, absent })
}

/// What preflight found, and how the plan differs from the source.
pub struct Checked {
    pub findings: Vec<Finding>,
    /// Empty in a part that joins a run.
    pub drift: Drift,
}

/// Fails where the run must not begin. A part that joins a run relies on the process that has begun it.
pub async fn check(options: RunOptions<'_>, prepared: &Prepared<'_>, context: &Context) -> Result<Checked> {
    let Prepared { settings, connections, inspection, plan, jobs } = *prepared;
    let mut findings: Vec<Finding> = part::finding(plan, settings).into_iter().collect();
    context.report(&findings);
    let Some(catalog) = &inspection.catalog else {
        return Ok(Checked { findings, drift: Drift::default() });
    };
    findings.extend(connections.programs.as_ref().and_then(|programs| programs.finding.clone()));
    let drift = resume::drift(plan, catalog, options.plan);
    // Parts would refuse the changed tables as soon as the run has begun.
    drift.refuse(prepared.continues())?;
    findings.extend(drift.findings());
    let subject = PreflightSubject {
        options,
        source: &connections.source,
        target: &connections.target,
        programs: connections.programs.as_ref(),
        catalog,
        plan,
        jobs,
        resuming: prepared.continues(),
        backs_up: options.safety.backup && !settings.resume,
    };
    let checked = preflight::preflight(&subject, context).await?;
    context.report(&checked);
    findings.extend(refuse(checked)?);
    Ok(Checked { findings, drift })
}
