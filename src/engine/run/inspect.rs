//! Inspects both sides of a run: what the source contains, and which servers they are.
//!
//! A process that begins a run reads the whole catalog, after the checks for whatever would prevent that. A part that joins a run is
//! inspected only as far as no other process has done it: that it is on the same source, and that the plan still matches. Called by `run`
//! and `hold`.

use super::connections::{Connections, Entry, Inspection};
use super::resume;
use crate::config::RunOptions;
use crate::engine::preflight;
use crate::engine::refuse::refuse;
use crate::error::Result;
use crate::pg::introspect;
use crate::plan::Plan;

/// Inspects both sides; `plan` is the one that a part follows.
pub async fn inspect(options: RunOptions<'_>, plan: Option<&Plan>, connections: &Connections) -> Result<Inspection> {
    match (connections.entry, plan) {
        (Entry::Joined { may_differ }, Some(plan)) => inspect_joined(options, plan, connections, may_differ).await,
        _ => inspect_whole(options, connections).await,
    }
}

async fn inspect_whole(options: RunOptions<'_>, connections: &Connections) -> Result<Inspection> {
    let Connections { source, target, programs, .. } = connections;
    // What would prevent the catalog from being read is reported as such, and not as an error of pg_dump.
    refuse(preflight::prerequisites(options, &source.leader, target, programs.as_ref()).await?)?;
    let catalog = source.catalog(options.plan.scope, programs.as_ref().map(|programs| &programs.source)).await?;
    let target = introspect::server(target).await?;
    Ok(Inspection { source: catalog.server.clone(), target, catalog: Some(catalog) })
}

async fn inspect_joined(
    options: RunOptions<'_>,
    plan: &Plan,
    connections: &Connections,
    may_differ: bool,
) -> Result<Inspection> {
    let leader = &connections.source.leader;
    let source = introspect::server(leader).await?;
    resume::drift_of_server(plan, &source, options.plan).refuse(true)?;
    if may_differ {
        resume::drift(plan, &introspect::catalog(leader).await?, options.plan).refuse(true)?;
    }
    Ok(Inspection { source, target: introspect::server(&connections.target).await?, catalog: None })
}
