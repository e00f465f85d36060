//! The report of a run, from what its steps have found. Called by `run`.

use super::check::Foreseen;
use super::close::Closed;
use crate::engine::connect::Endpoints;
use crate::plan::Plan;
use crate::report::{self, Report};
use crate::status::ReportStatus;

/// The report of a run that stops before the target is touched.
pub fn dry_run(endpoints: &Endpoints, foreseen: Foreseen, plan: &Plan) -> Report {
    let tasks = report::dry_run(plan);
    Report {
        run: None,
        status: ReportStatus::DryRun,
        run_state: None,
        consistent: true,
        source: endpoints.source.describe(),
        target: endpoints.target.describe(),
        started: String::new(),
        seconds: 0.0,
        snapshots: vec![],
        phases: report::phases(&tasks),
        tasks,
        absent: foreseen.absent,
        findings: foreseen.findings,
        verification: None,
        backup: None,
    }
}

/// The report of a run that has ended.
pub fn ended(endpoints: &Endpoints, foreseen: Foreseen, closed: Closed, seconds: f64) -> Report {
    let Foreseen { mut findings, mut absent } = foreseen;
    findings.extend(closed.findings);
    absent.extend(closed.absent);
    Report {
        run: Some(closed.run),
        status: closed.status,
        run_state: closed.run_state,
        consistent: closed.snapshots.len() <= 1,
        source: endpoints.source.describe(),
        target: endpoints.target.describe(),
        started: closed.started,
        seconds,
        snapshots: closed.snapshots,
        phases: report::phases(&closed.tasks),
        tasks: closed.tasks,
        absent,
        findings,
        verification: closed.verification,
        backup: closed.backup,
    }
}
