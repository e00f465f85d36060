//! A run that has its plan, before it begins: what preflight checks and what the beginnings of a run read. Made by `run` and `hold`.

use super::connections::{Connections, Inspection};
use super::resume::Mixing;
use super::settings::Settings;
use crate::config::RunOptions;
use crate::plan::Plan;

/// A run that has its plan.
#[derive(Clone, Copy)]
pub struct Prepared<'a> {
    pub options: RunOptions<'a>,
    pub settings: &'a Settings,
    pub connections: &'a Connections,
    pub inspection: &'a Inspection,
    pub plan: &'a Plan,
    /// How many tasks run at once.
    pub jobs: usize,
}

impl Prepared<'_> {
    /// Whether the tables on the target may be those of an earlier process of the run.
    pub fn continues(&self) -> bool {
        self.settings.resume || self.settings.tasks.is_some()
    }

    /// Which tables may have chunks of several snapshots of the source.
    pub fn mixing(&self) -> Mixing {
        Mixing::of(self.options.safety)
    }

    /// The state of the source that this process reads.
    pub fn sees(&self) -> &str {
        &self.connections.source.snapshot.sees
    }
}
