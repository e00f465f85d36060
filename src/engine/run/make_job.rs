//! Makes the job that the workers of a run share: how each task is done, by what the ledger and both servers say. Called by `execute`.

use super::begun::Begun;
use super::connections::Connections;
use super::job::{Job, Target, TaskExecution};
use super::tuning::Tuning;
use super::work::{Execution, Work};
use super::worker::statistics;
use crate::catalog::Server;
use crate::catalog::object_kind::ObjectKind;
use crate::engine::target::column_mapping;
use crate::engine::{Context, process, secret};
use crate::error::Result;
use crate::name::QualifiedName;
use crate::pg::{introspect, maintenance, privileges};
use crate::plan::{Plan, Task, TaskKind};
use crate::record::RowMode;
use crate::row_format::RowFormat;
use std::collections::{HashMap, HashSet};
use std::sync::Mutex;

/// Makes the job of the work that is open.
pub async fn make_job(
    execution: Execution<'_>,
    connections: &Connections,
    begun: &Begun,
    work: &Work<'_>,
    context: &Context,
) -> Result<Job> {
    let Execution { connection, scope, schema, inspection, plan, jobs, .. } = execution;
    let Connections { source, target, ledger, .. } = connections;
    let stop = &context.stop;
    let tuning = Tuning::new(schema, stop.or(maintenance::settings(target)).await?, jobs);
    let owner = stop.or(privileges::owner_of_new_objects(target)).await?;
    let search_path = stop.or(introspect::search_path(&source.leader)).await?;
    let first_worker = stop.or(ledger.take_workers(target, begun.run, jobs, !work.is_part())).await?;
    let mut tasks = if scope.data_only {
        stop.or(column_mapping::tasks(&scope.tables, &source.leader, target, &plan.tasks)).await?
    } else {
        plan.tasks.clone()
    };
    let secrets = stop.or(secret::complete(&source.leader, &mut tasks, &|task| work.is_open(task))).await?;
    let mut job = Job {
        run: begun.run,
        is_part: target.is_shared(),
        first_worker,
        forms: forms(begun, work),
        atomic_groups: begun
            .constraints
            .atomic_groups
            .iter()
            .map(|group| (group.tasks[0], group.tasks.clone()))
            .collect(),
        tasks,
        ledger: ledger.clone(),
        source: source.leader.conninfo().clone(),
        target: Mutex::new(Target { conninfo: target.conninfo().clone(), leader: target.backend().clone() }),
        process: process::this(),
        snapshot: source.snapshot.clone(),
        encoding: inspection.shared_encoding(),
        owner,
        search_path,
        same_collation: sorting(&inspection.source) == sorting(&inspection.target),
        scope: scope.clone(),
        lock_timeout: connection.lock_timeout,
        retries: connection.retries,
        tuning,
        context: context.clone(),
        found: Mutex::default(),
    };
    job.hide(secrets);
    Ok(job)
}

/// How each task is done.
fn forms(begun: &Begun, work: &Work<'_>) -> Vec<TaskExecution> {
    let is_alone = single_chunks(work.plan);
    let form = |(at, task): (usize, &Task)| {
        let record = work.records().get(task.id.as_str());
        let mode = match task.kind {
            TaskKind::Entry(ObjectKind::StatisticsData) => statistics::mode_of_rows(task, work.records()),
            _ => record.map_or(RowMode::Create, |record| record.mode.unwrap_or(RowMode::Copy)),
        };
        TaskExecution {
            mode,
            format: record.map_or(task.format, |record| record.format).unwrap_or(RowFormat::Text),
            // Frozen rows save the first index build and ANALYZE a pass over the table; small tables gain nothing. FREEZE requires a table
            // that was emptied in the same transaction, which two chunks cannot both have.
            is_frozen: mode == RowMode::Create && task.bytes >= FREEZE_FROM && is_alone.contains(task.id.as_str()),
            is_silent: begun.constraints.triggers_off.contains(&at),
        }
    };
    work.plan.tasks.iter().enumerate().map(form).collect()
}

/// How a database sorts text.
fn sorting(server: &Server) -> (&str, &str) {
    (&server.collation, &server.ctype)
}

/// Tables smaller than this are not worth the TRUNCATE that FREEZE requires.
const FREEZE_FROM: u64 = 1024 * 1024;

/// The data tasks that copy all rows of a table directly into it.
fn single_chunks(plan: &Plan) -> HashSet<&str> {
    let mut chunks: HashMap<&QualifiedName, Vec<&Task>> = HashMap::new();
    for task in &plan.tasks {
        if let Some(load) = task.load() {
            chunks.entry(&load.into).or_default().push(task);
        }
    }
    let is_direct = |task: &Task| task.load().is_some_and(|load| load.into == task.source_table());
    let single = chunks.into_values().filter_map(|tasks| match tasks[..] {
        [task] if is_direct(task) => Some(task.id.as_str()),
        _ => None,
    });
    single.collect()
}
