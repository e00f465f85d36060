//! What the beginnings of a run share: a new one, one that goes on, and a part that joins. Called by `begin` and `join`.

use super::connections::Connections;
use super::prepared::Prepared;
use super::resume;
use crate::config::TargetTriggers;
use crate::engine::target::existing::Found;
use crate::engine::target::foreign_keys::Place;
use crate::engine::target::load_order;
use crate::engine::target::load_order::Live;
use crate::error::Result;
use crate::finding::Finding;
use crate::name::QualifiedName;
use crate::pg::triggers::{self, Silenced};
use crate::pg::{apply, present};
use crate::plan::Task;
use crate::record::Record;
use std::collections::HashSet;

/// A run that is in the ledger, once everything is decided.
pub struct Begun {
    pub run: i64,
    pub records: Vec<Record>,
    pub live: Live,
    pub findings: Vec<Finding>,
    pub started: String,
    /// Tasks beyond the chosen ones that this process does, because it has put them back or found them put back.
    pub put_back: Vec<String>,
    /// The backup of the target that was made first.
    pub backup: Option<String>,
}

/// Refuses to go on where the snapshot does not return the rows of a table that a task still has to read.
pub fn refuse_changed(prepared: &Prepared<'_>, records: &[Record], is_wanted: &dyn Fn(&str) -> bool) -> Result<()> {
    let settled: HashSet<&str> = records.iter().filter(|record| record.is_settled()).map(|r| r.task.as_str()).collect();
    let is_open = |task: &&Task| task.is_data() && !settled.contains(task.id.as_str()) && is_wanted(&task.id);
    let open: HashSet<QualifiedName> = prepared.plan.tasks.iter().filter(is_open).map(Task::source_table).collect();
    prepared.connections.source.refuse_changed(|table| open.contains(table))
}

/// What triggers and foreign keys on the target require now.
pub async fn live(prepared: &Prepared<'_>) -> Result<Live> {
    let target = &prepared.connections.target;
    let found = Found { present: present::look(target, &HashSet::new(), "").await?, ..Found::default() };
    load_order::look(prepared.options.plan, target, prepared.plan, &found).await
}

/// Where the foreign keys of existing tables of the target are dropped.
pub fn place<'a>(prepared: &Prepared<'a>) -> Place<'a> {
    let Connections { target, ledger, .. } = prepared.connections;
    Place { target, ledger, lock_timeout: prepared.options.connection.lock_timeout }
}

/// Empties a half-copied table and forgets its chunks, both or neither.
pub async fn restart_table(prepared: &Prepared<'_>, run: i64, restart: &resume::Restart) -> Result<()> {
    let (Connections { target, ledger, .. }, options) = (prepared.connections, prepared.options);
    apply::begin(target, options.connection.lock_timeout, "restart").await?;
    if let Some(table) = &restart.empty {
        tracing::info!("{table} was half copied from another snapshot of the source and is copied again");
        let silenced = match options.plan.copy.target_triggers {
            TargetTriggers::Disable => triggers::silence(target, table).await?,
            TargetTriggers::Fire => Silenced::default(),
        };
        if silenced.refused.is_some() {
            tracing::warn!("{table}: {}", silenced.note());
        }
        apply::empty(target, table).await?;
        silenced.restore(target).await?;
    }
    ledger.reset(target, run, &restart.tasks).await?;
    apply::commit(target).await
}
