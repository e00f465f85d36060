//! What a run is asked to do: the configuration with the caller's overrides, the settings, and the plan to follow.
//!
//! The first value of a run; `run` makes it and passes on its parts. A resumed run follows the plan that its ledger keeps, so this is where
//! the ledger is first read.

use super::settings::Settings;
use super::{resume, state_file};
use crate::action::Action;
use crate::config::Config;
use crate::engine::Context;
use crate::engine::connect::Endpoints;
use crate::error::{Error, Kind, Result, Side};
use crate::ledger::Ledger;
use crate::pg::Session;
use crate::plan::{Plan, tsv};

/// What a run is asked to do.
pub struct RunRequest {
    /// The configuration, with what the settings override.
    pub config: Config,
    /// Where both databases are.
    pub endpoints: Endpoints,
    /// The settings; `resume` is set where there is a run to resume.
    pub settings: Settings,
    /// The plan to follow; none where the run makes one.
    pub plan: Option<Plan>,
    /// Whether a run was to be resumed, and none was begun.
    pub lacks_run: bool,
}

impl RunRequest {
    /// Reads the request. A given plan is followed; otherwise a resumed run follows its own, which the ledger keeps.
    pub async fn read(
        config: &Config,
        plan: Option<Plan>,
        settings: &Settings,
        context: &Context,
    ) -> Result<RunRequest> {
        let config = settings.over(config);
        let endpoints = Endpoints::new(&config.connection, context)?;
        let mut request = RunRequest { config, endpoints, settings: settings.clone(), plan, lacks_run: false };
        if settings.resume {
            context.step("plan", request.follow_last_run()).await?;
        }
        Ok(request)
    }

    /// Whether this process does the whole of a run that it begins itself.
    pub fn begins_whole_run(&self) -> bool {
        !self.settings.resume && self.settings.tasks.is_none()
    }

    /// Takes the plan of the run that the ledger has. A run that was killed before it was written there has left nothing to resume: then this
    /// run begins.
    async fn follow_last_run(&mut self) -> Result<()> {
        let ledger = Ledger::new(&self.config.ledger.schema);
        let target = Session::open(&self.endpoints.target, Side::Target, "leader").await?;
        let run = if ledger.exists(&target).await? { ledger.last_run(&target).await? } else { None };
        let Some(run) = run else {
            // Work that the state file records as done was done on another target, or was undone.
            let done = self.settings.state.as_deref().map_or(Ok(Vec::new()), state_file::done_tasks)?;
            resume::check_state(&done, &[])?;
            (self.settings.resume, self.lacks_run) = (false, true);
            return Ok(());
        };
        if self.plan.is_some() {
            return Ok(());
        }
        let lacking = || {
            let doing = format!("the ledger keeps no plan of run {}", run.run);
            Error::new("plan_not_kept", Kind::State, doing)
                .on(Side::Target)
                .remedy("name the plan file that the run was started with")
        };
        let text = ledger.plan(&target, run.run).await?.ok_or_else(lacking)?;
        self.plan = Some(tsv::read(&text).map_err(|error| {
            error.on(Side::Target).remedy(format!(
                "resume run {} with the version of pgmigrate that began it, or discard it with {}",
                run.run,
                Action::Cleanup
            ))
        })?);
        tracing::info!("the plan of run {} is read from the target's ledger", run.run);
        Ok(())
    }
}
