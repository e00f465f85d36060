//! What is reported before a run begins: how the plan differs from the source, and what the servers will refuse. Called by `run` and `hold`.

use super::prepared::Prepared;
use super::request::RunRequest;
use super::unplanned::{self, Changes};
use super::{part, resume};
use crate::catalog::scope::Absent;
use crate::engine::Context;
use crate::engine::preflight::{self, Subject};
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
    findings.extend(check(prepared, context).await?);
    let changes = if is_given { unplanned::changes(prepared, context) } else { Changes::default() };
    findings.extend(changes.findings());
    let absent = prepared.plan.header.absent.iter().cloned().chain(changes.absent()).collect();
    Ok(Foreseen { findings, absent })
}

/// Fails where the run must not begin; returns the findings otherwise. A part that joins a run relies on the process that has begun it.
pub async fn check(prepared: &Prepared<'_>, context: &Context) -> Result<Vec<Finding>> {
    let Prepared { options, settings, connections, inspection, plan, jobs } = *prepared;
    let mut findings: Vec<Finding> = part::finding(plan, settings).into_iter().collect();
    context.report(&findings);
    let Some(catalog) = &inspection.catalog else { return Ok(findings) };
    findings.extend(connections.programs.as_ref().and_then(|programs| programs.finding.clone()));
    let drift = resume::drift(plan, catalog, options.plan);
    // Parts would refuse the changed tables as soon as the run has begun.
    drift.refuse(prepared.continues())?;
    findings.extend(drift.findings());
    let subject = Subject {
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
    Ok(findings)
}
