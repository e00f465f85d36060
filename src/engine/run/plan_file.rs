//! The plan that a run follows: the given one, or one that is made now and written to the plan file. Called by `run`.

use super::connections::{Connections, Inspection};
use super::request::RunRequest;
use super::resume::{self, OnDrift};
use super::state_file;
use crate::action::Action;
use crate::error::{Error, Kind, Result};
use crate::plan::Plan;
use crate::plan::document::Document;
use crate::status::RunState;
use std::io::Write;
use std::path::Path;

/// Takes the request's plan, or makes one. A given plan that would be another one now is refused where the caller asks for that.
pub async fn plan(request: &mut RunRequest, connections: &Connections, inspection: &Inspection) -> Result<Plan> {
    let options = request.config.plan();
    let settings = &request.settings;
    let is_checked = settings.on_drift == OnDrift::Refuse && !settings.resume;
    if let Some(plan) = request.plan.take() {
        if is_checked {
            let now = connections.source.plan(inspection.catalog()?, options).await?.finish().plan();
            resume::refuse_difference(&plan, &now)?;
        }
        return Ok(plan);
    }
    let made = connections.source.plan(inspection.catalog()?, options).await?.finish();
    if let Some(path) = &settings.plan_file {
        write_plan(path, &made, connections).await?;
    }
    Ok(made.plan())
}

/// Writes the plan, unless the file has another plan that an unfinished run needs.
async fn write_plan(path: &Path, plan: &Document, connections: &Connections) -> Result<()> {
    let is_other = !state_file::is_special(path) && std::fs::read(path).is_ok_and(|found| !plan.is_in(&found));
    if is_other
        && connections.ledger.exists(&connections.target).await?
        && let Some(run) =
            connections.ledger.last_run(&connections.target).await?.filter(|run| run.state != RunState::Done)
    {
        let state = if run.state == RunState::Running { RunState::Interrupted } else { run.state };
        let doing =
            format!("the last run is {}, and {} is its plan: not overwritten by another one", state, path.display());
        return Err(Error::new("plan_file_in_use", Kind::State, doing).remedy(format!(
            "{}, or start over after {}",
            Action::Resume,
            Action::Cleanup
        )));
    }
    // The file is replaced as a whole, and is on the disk before the first task: without its plan a run cannot be resumed.
    state_file::replace(path, &|file| plan.pieces().iter().try_for_each(|piece| file.write_all(piece.as_bytes())))
        .map_err(|error| {
            Error::new("plan_file_not_written", Kind::State, "writing the plan file")
                .object(path.display().to_string())
                .caused_by(error)
                .remedy(format!("name a plan file that can be written, with {}", Action::PlanFile))
        })
}
