//! What the beginnings of a run share: a new one, one that goes on, and a part that joins. Called by `begin` and `join`.

use super::connections::Ends;
use super::resume;
use crate::config::{Config, TargetTriggers};
use crate::engine::target::existing::Found;
use crate::engine::target::foreign_keys::Place;
use crate::engine::target::load_order;
use crate::engine::target::load_order::Live;
use crate::error::Result;
use crate::finding::Finding;
use crate::name::QualifiedName;
use crate::pg::triggers::{self, Silenced};
use crate::pg::{apply, present};
use crate::plan::{Plan, Task};
use crate::record::Record;
use std::collections::HashSet;

/// What the run is based on once everything is decided.
pub struct Start {
    pub run: i64,
    pub records: Vec<Record>,
    pub live: Live,
    pub findings: Vec<Finding>,
    pub started: String,
    /// Tasks beyond the chosen ones that this process does, because it has put them back or found them put back.
    pub put_back: Vec<String>,
}

/// Refuses to go on where the snapshot does not return the rows of a table that a task still has to read.
pub fn refuse_changed(
    ends: &Ends,
    (plan, records): (&Plan, &[Record]),
    is_wanted: &dyn Fn(&str) -> bool,
) -> Result<()> {
    let settled: HashSet<&str> = records.iter().filter(|record| record.is_settled()).map(|r| r.task.as_str()).collect();
    let is_open = |task: &&Task| task.is_data() && !settled.contains(task.id.as_str()) && is_wanted(&task.id);
    let open: HashSet<QualifiedName> = plan.tasks.iter().filter(is_open).map(Task::source_table).collect();
    ends.source.refuse_changed(|table| open.contains(table))
}

/// What triggers and foreign keys on the target require now.
pub async fn live(config: &Config, ends: &Ends, plan: &Plan) -> Result<Live> {
    let found = Found { present: present::look(&ends.target, &HashSet::new(), "").await?, ..Found::default() };
    load_order::look(config, &ends.target, plan, &found).await
}

/// Where the foreign keys of existing tables of the target are dropped.
pub fn place<'a>(config: &Config, ends: &'a Ends) -> Place<'a> {
    Place { target: &ends.target, ledger: &ends.ledger, lock_timeout: config.connection.lock_timeout }
}

/// Empties a half-copied table and forgets its chunks, both or neither.
pub async fn restart_table(config: &Config, ends: &Ends, run: i64, restart: &resume::Restart) -> Result<()> {
    apply::begin(&ends.target, config.connection.lock_timeout, "restart").await?;
    if let Some(table) = &restart.empty {
        tracing::info!("{table} was half copied under another state of the source and begins anew");
        let silenced = match config.copy.target_triggers {
            TargetTriggers::Disable => triggers::silence(&ends.target, table).await?,
            TargetTriggers::Fire => Silenced::default(),
        };
        if silenced.refused.is_some() {
            tracing::warn!("{table}: {}", silenced.note());
        }
        apply::empty(&ends.target, table).await?;
        silenced.restore(&ends.target).await?;
    }
    ends.ledger.reset(&ends.target, run, &restart.tasks).await?;
    apply::commit(&ends.target).await
}
