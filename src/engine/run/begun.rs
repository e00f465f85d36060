//! What the beginnings of a run share: a new one, one that goes on, and a part that joins. Called by `begin` and `join`.

use super::connections::Connections;
use super::resume::Restart;
use crate::config::TargetTriggers;
use crate::engine::connect::Source;
use crate::engine::target::load_order::LoadConstraints;
use crate::error::Result;
use crate::finding::Finding;
use crate::name::QualifiedName;
use crate::pg::apply;
use crate::pg::triggers::{self, Silenced};
use crate::plan::{Plan, Task};
use crate::record::Record;
use std::collections::HashSet;

/// A run that is in the ledger, once everything is decided.
pub struct Begun {
    pub run: i64,
    pub records: Vec<Record>,
    pub constraints: LoadConstraints,
    pub findings: Vec<Finding>,
    pub started: String,
    /// Tasks beyond the chosen ones that this process does, because it has put them back or found them put back.
    pub put_back: Vec<String>,
    /// The backup of the target that was made first.
    pub backup: Option<String>,
}

/// Refuses to go on where the snapshot does not return the rows of a table that a task still has to read.
pub fn refuse_changed(
    source: &Source,
    plan: &Plan,
    records: &[Record],
    is_wanted: &dyn Fn(&str) -> bool,
) -> Result<()> {
    let settled: HashSet<&str> = records.iter().filter(|record| record.is_settled()).map(|r| r.task.as_str()).collect();
    let is_open = |task: &&Task| task.is_data() && !settled.contains(task.id.as_str()) && is_wanted(&task.id);
    let open: HashSet<QualifiedName> = plan.tasks.iter().filter(is_open).map(Task::source_table).collect();
    source.refuse_changed(|table| open.contains(table))
}

/// Empties half-copied tables and forgets their chunks, both or neither of each table. Where triggers are disabled while rows are copied,
/// they are disabled for this, too.
pub async fn restart_tables(
    connections: &Connections,
    run: i64,
    restarts: &[Restart],
    triggers: TargetTriggers,
) -> Result<()> {
    let Connections { source, target, ledger, .. } = connections;
    for restart in restarts {
        apply::begin(target, source.lock_timeout, "restart").await?;
        if let Some(table) = &restart.empty {
            tracing::info!("{table} was half copied from another snapshot of the source and is copied again");
            let silenced = match triggers {
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
        apply::commit(target).await?;
    }
    Ok(())
}
