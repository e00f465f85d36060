//! How a run begins in the ledger: as a new run, where an earlier one stopped, or alongside other parts of the same plan.
//!
//! All decisions that depend on the contents of source, target and ledger are made here, and recorded before the first task. Called by
//! `run` between backup and tasks.

use super::begun::{Begun, refuse_changed, restart_tables};
use super::connections::{Connections, Inspection};
use super::join;
use super::join::join;
use super::prepared::{BeginOptions, Prepared};
use super::resume::{History, Mixing};
use super::state_file::StateFile;
use super::{lost, part, resume, state_file};
use crate::action::Action;
use crate::catalog::Relation;
use crate::config::TableFilter;
use crate::engine::target::column_mapping;
use crate::engine::target::existing;
use crate::engine::target::existing::Found;
use crate::engine::target::load_order::LoadConstraints;
use crate::engine::{Context, backup, secret, stop};
use crate::error::{Error, Kind, Result};
use crate::ledger::NewRun;
use crate::name::QualifiedName;
use crate::pg::client::archive;
use crate::pg::{introspect, present};
use crate::plan::{Plan, Rules, format};
use crate::record::{Record, RowMode, Run};
use crate::row_format::RowFormat;
use crate::status::RunState;
use std::collections::HashSet;
use std::path::Path;

/// Begins the run in the ledger, after a backup where one is requested; one process at a time, because only the first of several finds the
/// target unchanged.
pub async fn enter(prepared: &Prepared<'_>, options: BeginOptions<'_>, context: &Context) -> Result<Begun> {
    let Prepared { settings, connections: Connections { source, target, ledger, .. }, .. } = *prepared;
    settings.state.as_deref().map_or(Ok(()), StateFile::check)?;
    if !prepared.continues() {
        context.stop.or(secret::check(&source.leader, &prepared.plan.tasks)).await?;
    }
    context.stop.or(ledger.lock_begin(target)).await?;
    let known = match settings.tasks {
        Some(_) => context.stop.or(part::run_of(ledger, target, &prepared.plan.fingerprint())).await?,
        None => None,
    };
    let is_first = !settings.resume && known.is_none();
    let backup = match options.backup_dir.filter(|_| is_first) {
        Some(directory) => {
            let made = backup::of_target(target, options.pg_dump, Path::new(directory), context).await?;
            stop::check(prepared.connections, context).await;
            Some(made.path.display().to_string())
        }
        None => None,
    };
    let begun = context.step("ledger", Box::pin(begin(prepared, options, known))).await?;
    ledger.unlock_begin(target).await?;
    Ok(Begun { backup, ..begun })
}

/// Writes the run into the ledger, or finds the one to go on with. Chosen tasks join an existing run where that is known to be of their
/// plan. The caller holds the lock BEGIN.
async fn begin(prepared: &Prepared<'_>, options: BeginOptions<'_>, known: Option<Run>) -> Result<Begun> {
    let Prepared { settings, plan, connections: Connections { target, ledger, .. }, .. } = *prepared;
    let database = prepared.inspection.target.identity();
    if let Some(run) = known {
        resume::check_run(&run, (plan, &run.plan), &database)?;
        return join(prepared, options, run).await;
    }
    let last = if ledger.exists(target).await? { ledger.last_run(target).await? } else { None };
    let done = settings.state.as_deref().filter(|_| settings.resume).map_or(Ok(Vec::new()), state_file::done_tasks)?;
    match last {
        Some(run) if settings.resume => {
            resume::check_run(&run, (plan, &plan.fingerprint()), &database)?;
            resume_run(prepared, options, run, &done).await
        }
        Some(run) if run.state != RunState::Done => {
            // Parts and the holder join the run of their plan; this run is of another plan.
            if settings.tasks.is_some() {
                resume::check_run(&run, (plan, &plan.fingerprint()), &database)?;
            }
            let doing = format!("run {} on this target is not finished: its ledger says {}", run.run, run.state);
            Err(Error::new("run_not_finished", Kind::State, doing).remedy(format!(
                "{}, or discard it with {}",
                Action::Resume,
                Action::Cleanup
            )))
        }
        _ => begin_new(prepared, options).await,
    }
}

async fn begin_new(prepared: &Prepared<'_>, options: BeginOptions<'_>) -> Result<Begun> {
    let Prepared { settings, plan, connections: Connections { source, target, ledger, .. }, .. } = *prepared;
    let found = inspect_target(prepared, options).await?;
    let (mut records, mut findings) = existing::decide(plan, &found);
    send_as_text(&mut records, plan, &faster_as_text(prepared.inspection, options.tables)?);
    let is_chosen = |id: &str| settings.tasks.as_ref().is_none_or(|ids| ids.iter().any(|chosen| chosen == id));
    refuse_changed(source, plan, &records, &is_chosen)?;
    // Preflight has reported everything about the triggers of the target's own tables.
    findings.retain(|finding| !options.rules.data_only || finding.check != "triggers_fire");
    let constraints = LoadConstraints::of_found(options.rules, target, plan, &found).await?;
    if let Some(chosen) = &settings.tasks {
        resume::check_chosen(plan, &records, chosen)?;
        resume::check_order(plan, &records, chosen, &constraints)?;
        constraints.check_chosen(plan, chosen)?;
    }
    // A restore creates the ledger's tables before other tables of the target, and every table older than the ledger counts as the target's
    // own.
    ledger.drop_unused_runs(target).await?;
    ledger.create(target).await?;
    let new = NewRun { run: &new_run(prepared, options.mixing), records: &records, plan: plan.pieces() };
    let run = ledger.begin_run(target, new).await?;
    let started = ledger.last_run(target).await?.map_or(String::new(), |run| run.started);
    if let Some(chosen) = &settings.tasks {
        join::claim(prepared.connections, run, &records, chosen).await?;
    }
    Ok(Begun { run, records, constraints, findings, started, put_back: vec![], backup: None })
}

/// Lets the rows of these tables be sent as text where a task copies them into a table of its own plan.
fn send_as_text(records: &mut [Record], plan: &Plan, tables: &HashSet<QualifiedName>) {
    for (record, task) in records.iter_mut().zip(&plan.tasks) {
        if record.mode == Some(RowMode::Create) && tables.contains(&task.source_table()) {
            record.format = Some(RowFormat::Text);
        }
    }
}

/// The run's row in the ledger.
fn new_run(prepared: &Prepared<'_>, mixing: Mixing) -> Run {
    Run {
        run: 0,
        plan: prepared.plan.fingerprint(),
        source: prepared.plan.header.source.clone(),
        target: prepared.inspection.target.identity(),
        config: prepared.plan.header.config.to_string(),
        state: RunState::Running,
        snapshot: prepared.snapshot_text().to_owned(),
        consistent: mixing == Mixing::Never,
        started: String::new(),
        seconds: 0.0,
    }
}

/// The source's tables whose rows this target reads faster as text, although the plan sends them in binary.
fn faster_as_text(inspection: &Inspection, tables: &TableFilter) -> Result<HashSet<QualifiedName>> {
    let catalog = inspection.catalog()?;
    let (lookup, rules) = (catalog.lookup(), Rules::new(tables));
    let version = inspection.target.version;
    let is_faster =
        |relation: &&Relation| format::is_text_for(version, relation, rules.of(relation, &lookup.ancestors(relation)));
    Ok(catalog.relations.iter().filter(is_faster).map(|relation| relation.name.clone()).collect())
}

/// Inspects what the target holds; reads an archive of it only where it holds anything.
async fn inspect_target(prepared: &Prepared<'_>, options: BeginOptions<'_>) -> Result<Found> {
    let Prepared { plan, connections: Connections { source, target, ledger, programs, .. }, .. } = *prepared;
    if present::is_empty(target, ledger.schema()).await? {
        return Ok(Found::default());
    }
    let loaded = if ledger.exists(target).await? {
        ledger.loaded_objects(target).await?.into_iter().collect()
    } else {
        HashSet::new()
    };
    // Rows need no definitions.
    let entries = match programs {
        Some(programs) => {
            archive::read_schema(&programs.both, target.conninfo(), None, source.lock_timeout, &[]).await?
        }
        None => Vec::new(),
    };
    let same_layout = if options.rules.data_only {
        column_mapping::same_layout(options.tables, &source.leader, target).await?
    } else {
        HashSet::new()
    };
    let path = introspect::search_path(&source.leader).await?;
    let present = present::look(target, &existing::tables(plan), &path).await?;
    Ok(Found { present, entries, loaded, same_layout })
}

/// Resumes a run where it stopped; `done` are the tasks that the state file records as done.
async fn resume_run(prepared: &Prepared<'_>, options: BeginOptions<'_>, run: Run, done: &[String]) -> Result<Begun> {
    let Prepared { plan, connections, .. } = *prepared;
    let Connections { source, target, ledger, .. } = connections;
    ledger.add_columns(target).await?;
    lost::end_all(target, ledger, run.run).await?;
    // This comes first, because every decision below depends on what is settled.
    ledger.reopen(target, run.run).await?;
    let records = ledger.records(target, run.run).await?;
    resume::check_state(done, &records)?;
    refuse_changed(source, plan, &records, &|_| true)?;
    let history = History { plan, records: &records, mixing: options.mixing, snapshot_text: prepared.snapshot_text() };
    let restarts = history.restarts(&|_| true)?;
    // Before tables are emptied, which the keys would prevent; after the last refusal, which would leave the target without the keys.
    connections.place().take_again(run.run, plan, &records, &|_| true).await?;
    restart_tables(connections, run.run, &restarts, options.rules.triggers).await?;
    let stale = resume::stale_sequences(&run, &records, prepared.snapshot_text());
    ledger.reset(target, run.run, &stale).await?;
    ledger.set_state(target, run.run, RunState::Running, run.consistent).await?;
    let records = ledger.records(target, run.run).await?;
    let constraints = LoadConstraints::inspect(options.rules, target, plan).await?;
    let Run { run, started, .. } = run;
    Ok(Begun { run, records, constraints, findings: vec![], started, put_back: vec![], backup: None })
}
