//! How a run begins in the ledger: as a new run, where an earlier one stopped, or alongside other parts of the same plan.
//!
//! All decisions that depend on the contents of source, target and ledger are made here, and recorded before the first task. Called by
//! `run` between backup and tasks.

use super::connections::Ends;
use super::join;
use super::join::join;
use super::resume::Mixing;
use super::settings::Settings;
use super::start::{Start, live, place, refuse_changed, restart_table};
use super::{lost, resume, state_file};
use crate::action::Action;
use crate::catalog::Relation;
use crate::config::Config;
use crate::engine::target::column_mapping;
use crate::engine::target::existing;
use crate::engine::target::existing::Found;
use crate::engine::target::load_order;
use crate::error::{Error, Kind, Result};
use crate::ledger::NewRun;
use crate::name::QualifiedName;
use crate::pg::client::archive;
use crate::pg::{introspect, present};
use crate::plan::{Plan, Rules, format};
use crate::record::{Run, RunState};
use std::collections::HashSet;

/// Writes the run into the ledger, or finds the one to go on with. Chosen tasks join an existing run where that is known to be of their
/// plan. The caller holds the lock BEGIN.
pub async fn begin(
    config: &Config,
    settings: &Settings,
    ends: &Ends,
    (plan, known): (&Plan, Option<Run>),
) -> Result<Start> {
    let target = ends.target_server.identity();
    if let Some(run) = known {
        resume::check_run(&run, (plan, &run.plan), &target)?;
        return join(config, settings, ends, (plan, run)).await;
    }
    let last = if ends.ledger.exists(&ends.target).await? { ends.ledger.last_run(&ends.target).await? } else { None };
    let done = settings.state.as_deref().filter(|_| settings.resume).map_or(Ok(Vec::new()), state_file::done_tasks)?;
    match last {
        Some(run) if settings.resume => {
            resume::check_run(&run, (plan, &plan.fingerprint()), &target)?;
            go_on(config, ends, plan, (run, &done)).await
        }
        Some(run) if run.state != RunState::Done => {
            // Parts and the holder join the run of their plan; this run is of another plan.
            if settings.tasks.is_some() {
                resume::check_run(&run, (plan, &plan.fingerprint()), &target)?;
            }
            let doing = format!("run {} on this target is not finished: its ledger says {}", run.run, run.state.word());
            Err(Error::new("run_not_finished", Kind::State, doing).remedy(format!(
                "{}, or discard it with {}",
                Action::Resume,
                Action::Cleanup
            )))
        }
        _ => start_anew(config, settings, ends, plan).await,
    }
}

async fn start_anew(config: &Config, settings: &Settings, ends: &Ends, plan: &Plan) -> Result<Start> {
    let found = look(config, ends, plan).await?;
    let texts = faster_as_text(config, ends)?;
    let (mut records, mut findings) = existing::decide(plan, &found);
    for (record, task) in records.iter_mut().zip(&plan.tasks).filter(|(record, _)| record.mode == "create") {
        if texts.contains(&task.source_table()) {
            record.format = "text".into();
        }
    }
    let is_chosen = |id: &str| settings.tasks.as_ref().is_none_or(|ids| ids.iter().any(|chosen| chosen == id));
    refuse_changed(ends, (plan, &records), &is_chosen)?;
    // Preflight has reported everything about the triggers of the target's own tables.
    findings.retain(|finding| !config.options.data_only || finding.check != "triggers_fire");
    let live = load_order::look(config, &ends.target, plan, &found).await?;
    if let Some(chosen) = &settings.tasks {
        resume::check_chosen(plan, &records, chosen)?;
        resume::check_order(plan, &records, chosen, &live)?;
        live.check_chosen(plan, chosen)?;
    }
    // A restore creates the ledger's tables before other tables of the target, and every table older than the ledger counts as the target's
    // own.
    ends.ledger.drop_unused_runs(&ends.target).await?;
    ends.ledger.create(&ends.target).await?;
    let run = Run {
        run: 0,
        plan: plan.fingerprint(),
        source: plan.header.source.clone(),
        target: ends.target_server.identity(),
        config: plan.header.config.to_string(),
        state: RunState::Running,
        snapshot: ends.source.snapshot.sees.clone(),
        consistent: config.options.consistent,
        started: String::new(),
        seconds: 0.0,
    };
    let new = NewRun { run: &run, records: &records, plan: plan.pieces() };
    let number = ends.ledger.begin_run(&ends.target, new).await?;
    let started = ends.ledger.last_run(&ends.target).await?.map_or(String::new(), |run| run.started);
    if let Some(chosen) = &settings.tasks {
        join::claim(ends, number, (&records, chosen)).await?;
    }
    Ok(Start { run: number, records, live, findings, started, put_back: vec![] })
}

/// The source's tables whose rows this target reads faster as text, although the plan sends them in binary.
fn faster_as_text(config: &Config, ends: &Ends) -> Result<HashSet<QualifiedName>> {
    let catalog = &ends.looked()?.catalog;
    let (lookup, rules, version) = (catalog.lookup(), Rules::new(config), ends.target_server.version);
    let is_faster =
        |relation: &&Relation| format::is_text_for(version, relation, rules.of(relation, &lookup.ancestors(relation)));
    Ok(catalog.relations.iter().filter(is_faster).map(|relation| relation.name.clone()).collect())
}

/// Inspects what the target holds; reads an archive of it only where it holds anything.
async fn look(config: &Config, ends: &Ends, plan: &Plan) -> Result<Found> {
    if present::is_empty(&ends.target, &config.options.ledger_schema).await? {
        return Ok(Found::default());
    }
    let loaded = if ends.ledger.exists(&ends.target).await? {
        ends.ledger.loaded_objects(&ends.target).await?.into_iter().collect()
    } else {
        HashSet::new()
    };
    // Rows need no definitions.
    let entries = match &ends.looked()?.programs {
        Some(programs) => {
            archive::read_schema(&programs.both, ends.target.conninfo(), None, config.options.lock_timeout, &[]).await?
        }
        None => Vec::new(),
    };
    let alike = if config.options.data_only {
        column_mapping::alike(config, &ends.source.leader, &ends.target).await?
    } else {
        HashSet::new()
    };
    let path = introspect::search_path(&ends.source.leader).await?;
    let present = present::look(&ends.target, &existing::tables(plan), &path).await?;
    Ok(Found { present, entries, loaded, alike })
}

/// Resumes a run where it stopped.
async fn go_on(config: &Config, ends: &Ends, plan: &Plan, (run, done): (Run, &[String])) -> Result<Start> {
    ends.ledger.add_columns(&ends.target).await?;
    lost::end_all(&ends.target, &ends.ledger, run.run).await?;
    // This comes first, because every decision below depends on what is settled.
    ends.ledger.reopen(&ends.target, run.run).await?;
    let records = ends.ledger.records(&ends.target, run.run).await?;
    resume::check_state(done, &records)?;
    refuse_changed(ends, (plan, &records), &|_| true)?;
    let restarts = resume::restarts(plan, &records, Mixing::of(config), &ends.source.snapshot.sees, &|_| true)?;
    // Before tables are emptied, which the keys would prevent; after the last refusal, which would leave the target without the keys.
    place(config, ends).take_again(run.run, (plan, &records), &|_| true).await?;
    for restart in restarts {
        restart_table(config, ends, run.run, &restart).await?;
    }
    let stale = resume::stale_sequences(&run, &records, &ends.source.snapshot.sees);
    ends.ledger.reset(&ends.target, run.run, &stale).await?;
    ends.ledger.set_state(&ends.target, run.run, RunState::Running, run.consistent).await?;
    let records = ends.ledger.records(&ends.target, run.run).await?;
    let live = live(config, ends, plan).await?;
    Ok(Start { run: run.run, records, live, findings: vec![], started: run.started, put_back: vec![] })
}
