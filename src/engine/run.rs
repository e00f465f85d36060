//! The run itself, from two conninfos to a report.
//!
//! The order is fixed: nothing on the target is changed before the snapshot is proved, the preflight has passed and the backup, if
//! requested, can be read back. Every step is a function; this file only calls them in order.

pub(super) mod begin;
pub(super) mod close;
pub(super) mod connections;
pub(super) mod job;
pub(super) mod join;
pub(super) mod leader;
pub(super) mod lost;
pub(super) mod open;
pub(super) mod part;
pub(super) mod pool;
pub(super) mod resume;
pub(super) mod settings;
pub(super) mod start;
pub(super) mod state_file;
pub(super) mod tuning;
pub(super) mod unplanned;
pub(super) mod worker;

use super::connect::Endpoints;
use crate::action::Action;
use begin::begin;
use close::{Closing, close};
use connections::{Ends, Looked};
use job::{Form, Job, Mode, Target};
use open::connect;

use super::refuse::refuse;
use super::schedule::{End, Schedule, family};
use super::time_left::{Start as Progress, Watch};
use super::{Context, backup, halt, preflight, process, programs, secret};
use crate::catalog::Server;
use crate::config::{self, Config};
use crate::engine::target::column_mapping;
use crate::error::{Error, Kind, Result, Side};
use crate::event::{Event, PhaseSize};
use crate::finding::Finding;
use crate::ledger::Ledger;
use crate::name::{QualifiedName, split_name};
use crate::pg::copy::RowFormat;
use crate::pg::{Session, introspect, maintenance, privileges};
use crate::plan::document::Document;
use crate::plan::{Phase, Plan, Task, kind, tsv};
use crate::record::{Record, RunState};
use crate::report::{self, Report};
use pool::{Ended, Known, Pool};
use resume::OnDrift;
use settings::Settings;
use start::Start;
use state_file::StateFile;
use std::collections::{HashMap, HashSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Instant;
use tuning::Tuning;
use unplanned::Changes;
use worker::statistics;

/// Runs a migration, or resumes one. Without a plan, one is made.
pub async fn run(config: &Config, plan: Option<Plan>, settings: &Settings, context: &Context) -> Result<Report> {
    let began = Instant::now();
    let config = settings.over(config);
    let endpoints = Endpoints::new(&config, context)?;
    let (plan, is_begun) = Box::pin(begun(&config, &endpoints, (plan, settings), context)).await?;
    let is_new = settings.resume && !is_begun;
    let settings = &Settings { resume: is_begun, ..settings.clone() };
    let connecting = connect(&config, &endpoints, (settings, plan.as_ref()), context);
    let mut ends = context.step("connect", Box::pin(connecting)).await?;
    if !settings.resume && settings.tasks.is_none() {
        ends.source.refuse_changed(|_| true)?;
    }
    let is_saved = plan.is_some();
    let before_begin = |error| if settings.resume { error } else { halt::before_begin(error) };
    let planning = context.step("plan", plan_of(&config, (plan, settings), &ends));
    let plan = halt::stoppable(&ends, context, Box::pin(planning)).await.map_err(before_begin)?;
    let jobs = settings.jobs.unwrap_or_else(|| config::jobs(config.max_jobs, context.cpus)).max(1);
    let mut findings = plan.header.findings.clone();
    findings.extend(is_new.then(resume::nothing_begun));
    let checking = check(&config, &ends, (&plan, jobs, settings), context);
    findings.extend(halt::stoppable(&ends, context, Box::pin(checking)).await.map_err(before_begin)?);
    let changes = if is_saved { unplanned::changes(&config, &ends, &plan, context) } else { Changes::default() };
    findings.extend(changes.findings());
    let mut report = head(&endpoints, &plan, findings);
    report.absent.extend(changes.absent());
    if settings.dry_run {
        report.tasks = report::dry_run(&plan);
        report.phases = report::phases(&report.tasks);
        return Ok(report);
    }
    settings.state.as_deref().map_or(Ok(()), StateFile::check)?;
    if !settings.resume && settings.tasks.is_none() {
        context.stop.or(secret::check(&ends.source.leader, &plan.tasks)).await?;
    }
    let entering = enter(&config, (settings, &ends, &plan), context);
    let (mut start, made) = halt::stoppable(&ends, context, Box::pin(entering)).await.map_err(before_begin)?;
    report.backup = made;
    let mut ended = Ended::default();
    let executed = execute(&config, (&mut ends, &plan, &mut start), (settings, jobs), (&mut ended, context)).await;
    ended.failure = executed.err();
    let closing = Closing { config: &config, settings, plan: &plan, start, ended, jobs };
    Box::pin(close(&mut report, &mut ends, closing, context)).await;
    report.seconds = began.elapsed().as_secs_f64();
    Ok(report)
}

/// Begins the run in the ledger, after a backup where one is requested; one process at a time, because only the first of several finds the
/// target unchanged.
pub(super) async fn enter(
    config: &Config,
    (settings, ends, plan): (&Settings, &Ends, &Plan),
    context: &Context,
) -> Result<(Start, Option<String>)> {
    let mut backed_up = None;
    context.stop.or(ends.ledger.lock_begin(&ends.target)).await?;
    let known = match settings.tasks {
        Some(_) => context.stop.or(part::run_of(&ends.ledger, &ends.target, &plan.fingerprint())).await?,
        None => None,
    };
    if config.options.backup && !settings.resume && known.is_none() {
        let directory = PathBuf::from(&config.options.backup_dir);
        let tools = programs::for_target(config, context, ends.target.major()).await?;
        let made = context.step("backup", backup::backup(ends.target.conninfo(), &tools, &directory, context)).await?;
        backed_up = Some(made.path.display().to_string());
        halt::look(ends, context).await;
    }
    let start = context.step("ledger", begin(config, settings, ends, (plan, known))).await?;
    ends.ledger.unlock_begin(&ends.target).await?;
    Ok((start, backed_up))
}

/// The plan to follow, and whether a run goes on. A run that was killed before it was written into the ledger has left nothing to go on
/// with: then this run begins. A given plan is followed; otherwise the run's own, which the ledger keeps.
async fn begun(
    config: &Config,
    endpoints: &Endpoints,
    (plan, settings): (Option<Plan>, &Settings),
    context: &Context,
) -> Result<(Option<Plan>, bool)> {
    if !settings.resume {
        return Ok((plan, false));
    }
    let ledger = Ledger::new(&config.options.ledger_schema);
    let read = async {
        let target = Session::open(&endpoints.target, Side::Target, "leader").await?;
        let run = if ledger.exists(&target).await? { ledger.last_run(&target).await? } else { None };
        let Some(run) = run else {
            // Work that the state file records as done was done on another target, or was undone.
            let done = settings.state.as_deref().map_or(Ok(Vec::new()), state_file::done_tasks)?;
            resume::check_state(&done, &[])?;
            return Ok((plan, false));
        };
        if plan.is_some() {
            return Ok((plan, true));
        }
        let lacking = || {
            let doing = format!("the ledger keeps no plan of run {}", run.run);
            Error::new("plan_not_kept", Kind::State, doing)
                .on(Side::Target)
                .remedy("give the plan file that the run was started with")
        };
        let plan = tsv::read(&ledger.plan(&target, run.run).await?.ok_or_else(lacking)?)?;
        tracing::info!("the plan of run {} comes from the target's ledger", run.run);
        Ok((Some(plan), true))
    };
    context.step("plan", read).await
}

async fn plan_of(config: &Config, (plan, settings): (Option<Plan>, &Settings), ends: &Ends) -> Result<Plan> {
    let is_checked = settings.on_drift == OnDrift::Refuse && !settings.resume;
    if let Some(plan) = plan {
        if is_checked {
            let now = ends.source.plan(&ends.looked()?.catalog, config).await?.finish().plan();
            resume::refuse_difference(&plan, &now)?;
        }
        return Ok(plan);
    }
    let made = ends.source.plan(&ends.looked()?.catalog, config).await?.finish();
    if let Some(path) = &settings.plan_file {
        write_plan(path, &made, ends).await?;
    }
    Ok(made.plan())
}

/// Writes the plan, unless the file has another plan that an unfinished run needs.
async fn write_plan(path: &Path, plan: &Document, ends: &Ends) -> Result<()> {
    let is_other = !state_file::is_special(path) && std::fs::read(path).is_ok_and(|found| !plan.is_in(&found));
    if is_other
        && ends.ledger.exists(&ends.target).await?
        && let Some(run) = ends.ledger.last_run(&ends.target).await?.filter(|run| run.state != RunState::Done)
    {
        let state = if run.state == RunState::Running { RunState::Interrupted } else { run.state };
        let doing = format!(
            "the last run is {}, and {} is its plan: not overwritten by another one",
            state.word(),
            path.display()
        );
        return Err(Error::new("plan_file_in_use", Kind::State, doing).remedy(format!(
            "{}, or start over after {}",
            Action::Resume,
            Action::Cleanup
        )));
    }
    // The file is replaced as a whole, and is on the disk before the first task: without its plan a run cannot be resumed.
    state_file::replace(path, &|file| plan.pieces().iter().try_for_each(|piece| file.write_all(piece.as_bytes())))
        .map_err(|error| {
            Error::new("plan_file_not_written", Kind::State, "writing the plan file")
                .object(path.display().to_string())
                .caused_by(error)
                .remedy(format!("name a plan file that can be written, with {}", Action::PlanFile))
        })
}

type Asked<'a> = (&'a Plan, usize, &'a Settings);

pub(super) async fn check(config: &Config, ends: &Ends, asked: Asked<'_>, context: &Context) -> Result<Vec<Finding>> {
    let (plan, jobs, settings) = asked;
    let mut findings: Vec<Finding> = part::finding(plan, settings).into_iter().collect();
    context.tell(&findings);
    let Some(Looked { programs, catalog }) = &ends.looked else { return Ok(findings) };
    findings.extend(programs.as_ref().and_then(|programs| programs.finding.clone()));
    let drift = resume::drift(plan, catalog, config);
    // Parts would refuse the changed tables as soon as the run has begun.
    drift.refuse(settings.resume || settings.tasks.is_some())?;
    findings.extend(drift.findings());
    let subject = preflight::Subject {
        config,
        source: &ends.source,
        target: &ends.target,
        programs: programs.as_ref(),
        catalog,
        plan,
        jobs,
        resuming: settings.resume || settings.tasks.is_some(),
        backs_up: config.options.backup && !settings.resume,
    };
    let checked = preflight::preflight(&subject, context).await?;
    context.tell(&checked);
    findings.extend(refuse(checked)?);
    Ok(findings)
}

fn head(endpoints: &Endpoints, plan: &Plan, findings: Vec<Finding>) -> Report {
    Report {
        run: None,
        status: "dry_run".into(),
        run_state: None,
        consistent: true,
        source: endpoints.source.describe(),
        target: endpoints.target.describe(),
        started: String::new(),
        seconds: 0.0,
        snapshots: vec![],
        phases: vec![],
        tasks: vec![],
        absent: plan.header.absent.clone(),
        findings,
        verification: None,
        backup: None,
    }
}

async fn execute(
    config: &Config,
    (ends, plan, start): (&mut Ends, &Plan, &mut Start),
    (settings, jobs): (&Settings, usize),
    (ended, context): (&mut Ended, &Context),
) -> Result<()> {
    let rates = settings.rates()?;
    // The tables that the plan reads beyond those that the filters name.
    context.stop.or(ends.source.lock(part::tables(plan, settings), config.options.lock_timeout)).await?;
    // The records determine how the run begins, and are freed before it does.
    let records = std::mem::take(&mut start.records);
    let by_id: HashMap<&str, &Record> = records.iter().map(|record| (record.task.as_str(), record)).collect();
    let chosen: Option<HashSet<&str>> =
        settings.tasks.as_ref().map(|ids| ids.iter().chain(&start.put_back).map(String::as_str).collect());
    let is_settled_already = |task: &Task| by_id.get(task.id.as_str()).is_some_and(|record| record.is_settled());
    let is_open =
        |task: &Task| !is_settled_already(task) && chosen.as_ref().is_none_or(|ids| ids.contains(task.id.as_str()));
    let ended_before = |at: usize| match &plan.tasks[at] {
        task if is_settled_already(task) => Some(End::Settled),
        task if is_open(task) => None,
        _ => Some(End::Failed),
    };
    let mut schedule = Schedule::new(&plan.tasks, &ended_before);
    start.live.lead(&|at| !is_settled_already(&plan.tasks[at]));
    for wait in start.live.all_waits() {
        schedule.wait_for_all(&wait.after, &wait.before);
    }
    for (at, before) in &start.live.turns {
        schedule.wait_for(*at, *before);
    }
    ended.known = settled(plan, &by_id);
    tell_start(plan, start.run, (&is_open, by_id.values().filter(|record| record.is_settled()).count(), jobs), context);
    let stop = &context.stop;
    let tuning = Tuning::new(&config.options, stop.or(maintenance::settings(&ends.target)).await?, jobs);
    let mut job = job(config, (ends, plan, start), (&by_id, tuning), context);
    job.is_part = ends.target.is_shared();
    job.owner = stop.or(privileges::owner_of_new_objects(&ends.target)).await?;
    job.search_path = stop.or(introspect::search_path(&ends.source.leader)).await?;
    job.first_worker = stop.or(ends.ledger.take_workers(&ends.target, start.run, jobs, chosen.is_none())).await?;
    if config.options.data_only {
        job.tasks = stop.or(column_mapping::tasks(config, &ends.source.leader, &ends.target, &plan.tasks)).await?;
    }
    let secrets = stop.or(secret::complete(&ends.source.leader, &mut job.tasks, &is_open)).await?;
    job.hide(secrets);
    stop.or(ends.ledger.add_session(&ends.target, &job.session_entry(ends.target.backend()))).await?;
    let watch = Watch::new(&Progress { tasks: &job.tasks, rates: &rates, jobs, ended: &ended_before });
    job.context.events = job.context.events.observed_by(watch.observer());
    ends.target.leads(start.run);
    let job = Arc::new(job);
    let schedule = schedule.with_families(family::families(&job), family::LARGEST);
    let state = settings.state.as_deref().and_then(|path: &Path| match StateFile::create(path, &records) {
        Ok(state) => Some(state),
        Err(error) => {
            job.report(vec![state_file::lost(&error)]);
            None
        }
    });
    drop(by_id);
    let before = records.iter().filter(|record| record.is_settled()).count() as u64;
    drop(records);
    let began = Instant::now();
    let mut pool = Pool {
        job,
        schedule,
        leader: &mut ends.target,
        holder: &ends.source.leader,
        is_snapshot_lost: false,
        state,
        lines: Vec::new(),
        written: Instant::now(),
        looked: Instant::now(),
        ended: std::mem::take(ended),
        watch,
        in_order: tokio::sync::mpsc::unbounded_channel(),
    };
    let result = pool.run(jobs).await;
    pool.ended.found = pool.job.take_found();
    *ended = pool.ended;
    context.events.send(Event::RunFinished {
        done: before + ended.settled,
        failed: ended.failed,
        seconds: began.elapsed().as_secs_f64(),
    });
    result
}

/// The tasks that were settled before this process began.
fn settled(plan: &Plan, records: &HashMap<&str, &Record>) -> HashMap<usize, Known> {
    let known = |(at, task): (usize, &Task)| {
        let record = records.get(task.id.as_str())?;
        let status = ["done", "kept", "skipped"].into_iter().find(|status| *status == record.status)?;
        Some((at, Known { status, rows: record.rows, bytes: record.bytes }))
    };
    plan.tasks.iter().enumerate().filter_map(known).collect()
}

fn job(
    config: &Config,
    (ends, plan, start): (&Ends, &Plan, &Start),
    (by_id, tuning): (&HashMap<&str, &Record>, Tuning),
    context: &Context,
) -> Job {
    let is_alone = single_chunks(plan);
    let form = |(at, task): (usize, &Task)| {
        let record = by_id.get(task.id.as_str());
        let mode = match task.kind.as_str() {
            kind::STATISTICS => statistics::mode_of_rows(task, by_id),
            _ => record.map_or(Mode::Create, |record| Mode::from_word(&record.mode)),
        };
        Form {
            mode,
            format: RowFormat::from_word(record.map_or(&task.format, |record| &record.format)),
            // Frozen rows save the first index build and ANALYZE a pass over the table; small tables gain nothing. FREEZE requires a table
            // that was emptied in the same transaction, which two chunks cannot both have.
            is_frozen: mode == Mode::Create && task.bytes >= FREEZE_FROM && is_alone.contains(task.id.as_str()),
            is_silent: start.live.silent.contains(&at),
        }
    };
    Job {
        run: start.run,
        is_part: false,
        first_worker: 0,
        forms: plan.tasks.iter().enumerate().map(form).collect(),
        together: start.live.together.iter().map(|group| (group.tasks[0], group.tasks.clone())).collect(),
        tasks: plan.tasks.clone(),
        ledger: ends.ledger.clone(),
        source: ends.source.leader.conninfo().clone(),
        target: Mutex::new(Target { conninfo: ends.target.conninfo().clone(), leader: ends.target.backend().clone() }),
        process: process::this(),
        snapshot: ends.source.snapshot.clone(),
        encoding: shared_encoding(&ends.source_server, &ends.target_server),
        owner: None,
        search_path: String::new(),
        same_collation: sorting(&ends.source_server) == sorting(&ends.target_server),
        options: config.options.clone(),
        tuning,
        context: context.clone(),
        found: Mutex::default(),
    }
}

/// How a database sorts text.
fn sorting(server: &Server) -> (&str, &str) {
    (&server.collation, &server.ctype)
}

/// The encoding of both databases, where it is the same and not UTF8: rows are then sent in it.
pub(super) fn shared_encoding(source: &Server, target: &Server) -> Option<String> {
    let is_shared = source.encoding == target.encoding && source.encoding != "UTF8";
    is_shared.then(|| source.encoding.clone())
}

/// Tables smaller than this are not worth the TRUNCATE that FREEZE requires.
const FREEZE_FROM: u64 = 1024 * 1024;

/// The data tasks that copy all rows of a table directly into it.
fn single_chunks(plan: &Plan) -> HashSet<&str> {
    let mut chunks: HashMap<&str, Vec<&Task>> = HashMap::new();
    for task in plan.tasks.iter().filter(|task| task.is_data()) {
        if let Some((into, _)) = task.target_sql.strip_prefix("COPY ").and_then(split_name) {
            chunks.entry(into).or_default().push(task);
        }
    }
    let is_direct = |task: &Task| task.target_sql.contains(&QualifiedName::new(&task.schema, &task.name).sql());
    let single = chunks.into_values().filter_map(|tasks| match tasks[..] {
        [task] if is_direct(task) => Some(task.id.as_str()),
        _ => None,
    });
    single.collect()
}

fn tell_start(
    plan: &Plan,
    run: i64,
    (is_open, done, jobs): (&impl Fn(&Task) -> bool, usize, usize),
    context: &Context,
) {
    let open: Vec<&Task> = plan.tasks.iter().filter(|task| is_open(task)).collect();
    let of_phase = |phase: Phase| {
        let tasks = || open.iter().filter(|task| task.phase == phase);
        PhaseSize {
            phase: phase.word().into(),
            tasks: tasks().count() as u64,
            rows: tasks().filter(|task| task.kind != kind::LARGE_OBJECTS).map(|task| task.rows).sum(),
            bytes: tasks().map(|task| task.bytes).sum(),
        }
    };
    context.events.send(Event::RunStarted {
        run,
        tasks: open.len() as u64,
        done: done as u64,
        jobs,
        phases: Phase::ALL.into_iter().map(of_phase).filter(|size| size.tasks > 0).collect(),
    });
}
