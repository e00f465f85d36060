//! A run that has its plan, before it begins, and what its beginning obeys. Made by `run` and `hold`; preflight checks it, and `begin` and
//! `join` begin it.

use super::connections::{Connections, Inspection};
use super::resume::Mixing;
use super::settings::Settings;
use crate::config::{RunOptions, TableFilter};
use crate::engine::target::load_order::TargetRules;
use crate::plan::Plan;

/// A run that has its plan.
#[derive(Clone, Copy)]
pub struct Prepared<'a> {
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

    /// The state of the source that this process reads.
    pub fn snapshot_text(&self) -> &str {
        &self.connections.source.snapshot.text
    }
}

/// What the beginning of a run obeys.
#[derive(Clone, Copy)]
pub struct BeginOptions<'a> {
    /// The folder of the backup that is made first; none where none is made.
    pub backup_dir: Option<&'a str>,
    /// The configured program that makes the backup.
    pub pg_dump: Option<&'a str>,
    /// Which tables may have chunks of several snapshots of the source.
    pub mixing: Mixing,
    /// How each table is copied.
    pub tables: &'a TableFilter,
    /// How triggers and foreign keys of the target's own tables are treated.
    pub rules: TargetRules,
}

impl<'a> BeginOptions<'a> {
    /// Those of a run.
    pub fn of(options: RunOptions<'a>) -> Self {
        let RunOptions { connection, plan, safety } = options;
        BeginOptions {
            backup_dir: safety.backup.then_some(safety.backup_dir.as_str()),
            pg_dump: connection.pg_dump.as_deref(),
            mixing: if safety.consistent { Mixing::Never } else { Mixing::ByKey },
            tables: &plan.scope.tables,
            rules: TargetRules {
                data_only: plan.scope.data_only,
                triggers: plan.copy.target_triggers,
                foreign_keys: plan.copy.target_foreign_keys,
            },
        }
    }
}
