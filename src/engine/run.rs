//! The run itself, from two conninfos to a report.
//!
//! The order is the design's: nothing on the target is touched before the snapshot is proved, the preflight has passed and the backup, if
//! asked for, can be read back. Every step is a function; this file only puts them in order.

use super::begin::{Start, begin};
use super::connect::{Endpoints, tools};
use super::ends::{Ends, Looked, connect};
use super::job::{Form, Job, Mode};
use super::part::{self, Reading};
use super::pool::{Ended, Pool};
use super::schedule::{End, Schedule};
use super::state_file::StateFile;
use super::tuning::Tuning;
use super::worker::batch::families;
use super::worker::statistics;
use super::{Context, adapt, backup, foreign_keys, preflight, resume, verify};
use crate::catalog::Server;
use crate::config::{self, Config};
use crate::error::{Error, Kind, Result};
use crate::event::{Event, PhaseSize};
use crate::finding::{Finding, Severity};
use crate::ledger::Ledger;
use crate::name::{QualifiedName, split_name};
use crate::pg::copy::RowFormat;
use crate::pg::{Session, maintenance, snapshot, tool};
use crate::plan::document::Document;
use crate::plan::{Phase, Plan, Task, kind};
use crate::record::{Record, is_settled};
use crate::report::{self, Report, TaskResult};
use serde::Deserialize;
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What a run is told beside its configuration.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where a plan that the run makes is written, before anything is touched.
    pub plan_file: Option<PathBuf>,
    /// Whether to go on with the run that the ledger has.
    pub resume: bool,
    /// How many tasks run at once, whatever the configuration says.
    pub jobs: Option<usize>,
    /// Only these tasks.
    pub tasks: Option<Vec<String>>,
    /// Where the state file is.
    pub state: Option<PathBuf>,
    /// Whether to stop before the target is touched.
    pub dry_run: bool,
    /// Overrides `options.backup`.
    pub backup: Option<bool>,
    /// Overrides `options.verify`.
    pub verify: Option<bool>,
    /// Overrides `options.consistent`.
    pub consistent: Option<bool>,
    /// For chosen tasks: `own` or `held`, the snapshot that they read the source in; their own where nothing is said.
    pub snapshot: Option<String>,
    /// For how many seconds to wait for a held snapshot to be announced.
    pub wait: Option<f64>,
}

impl Settings {
    pub(super) fn reading(&self) -> Result<Reading> {
        self.snapshot.as_deref().map_or(Ok(Reading::Own), Reading::from_word)
    }

    pub(super) fn wait(&self) -> Result<Duration> {
        let Some(seconds) = self.wait else { return Ok(part::WAIT) };
        Duration::try_from_secs_f64(seconds)
            .map_err(|_| Error::config(vec![format!("wait is {seconds}: use seconds, 0 or more")]))
    }

    pub(super) fn over(&self, config: &Config) -> Config {
        let mut config = config.clone();
        let options = &mut config.options;
        options.backup = self.backup.unwrap_or(options.backup);
        options.verify = self.verify.unwrap_or(options.verify);
        options.consistent = self.consistent.unwrap_or(options.consistent);
        config
    }
}

/// Runs a migration, or goes on with one. Without a plan, one is made.
pub async fn run(config: &Config, plan: Option<Plan>, settings: &Settings, context: &Context) -> Result<Report> {
    let began = Instant::now();
    let config = settings.over(config);
    let endpoints = Endpoints::new(&config, context)?;
    let connecting = connect(&config, &endpoints, (settings, plan.as_ref()), context);
    let ends = context.step("connect", Box::pin(connecting)).await?;
    let plan = context.step("plan", plan_of(&config, (plan, settings), &ends)).await?;
    let jobs = settings.jobs.unwrap_or_else(|| config::jobs(config.max_jobs, context.cpus)).max(1);
    let mut findings = plan.header.findings.clone();
    findings.extend(check(&config, &ends, (&plan, jobs, settings), context).await?);
    let mut report = head(&endpoints, &plan, findings);
    if settings.dry_run {
        report.tasks = report::dry_run(&plan);
        report.phases = report::phases(&report.tasks);
        return Ok(report);
    }
    settings.state.as_deref().map_or(Ok(()), StateFile::check)?;
    let (mut start, made) = Box::pin(enter(&config, (settings, &ends, &plan), context)).await?;
    report.backup = made;
    let ended = execute(&config, (&ends, &plan, &mut start), (settings, jobs), context).await?;
    let is_whole = close(&mut report, &ends, start, (&ended, settings)).await?;
    if config.options.data_only && settings.tasks.is_none() {
        report.findings.extend(foreign_keys::left(&ends.ledger, &ends.target).await?);
    }
    if is_whole && config.options.verify {
        report.verification = Some(verified(&config, &ends, (&plan, jobs), context).await?);
    }
    if is_whole && !config.options.keep_ledger && !ends.ledger.is_locked(&ends.target).await? {
        ends.ledger.drop(&ends.target).await?;
    }
    report.seconds = began.elapsed().as_secs_f64();
    Ok(report)
}

/// Begins the run in the ledger, with a backup before it where one is asked for; one process at a time, for of several only the first
/// finds the target as it was.
pub(super) async fn enter(
    config: &Config,
    (settings, ends, plan): (&Settings, &Ends, &Plan),
    context: &Context,
) -> Result<(Start, Option<String>)> {
    let mut backed_up = None;
    context.stop.or(ends.ledger.lock_begin(&ends.target)).await?;
    let known = match settings.tasks {
        Some(_) => part::run_of(&ends.ledger, &ends.target, &plan.fingerprint()).await?,
        None => None,
    };
    if config.options.backup && !settings.resume && known.is_none() {
        let directory = PathBuf::from(&config.options.backup_dir);
        let tools = match &ends.looked()?.tools {
            Some(tools) => tools.clone(),
            None => tool::find(config.options.pg_dump.as_deref(), &context.tools).await?,
        };
        let made = context.step("backup", backup::backup(ends.target.conninfo(), &tools, &directory, context)).await?;
        backed_up = Some(made.path.display().to_string());
    }
    let start = context.step("ledger", begin(config, settings, ends, (plan, known))).await?;
    ends.ledger.unlock_begin(&ends.target).await?;
    Ok((start, backed_up))
}

async fn plan_of(config: &Config, (plan, settings): (Option<Plan>, &Settings), ends: &Ends) -> Result<Plan> {
    match plan {
        Some(plan) => Ok(plan),
        None if settings.resume => {
            Err(Error::new(Kind::State, "a run is resumed with its own plan, and none was given")
                .remedy("give the plan file that the run was started with"))
        }
        None => {
            let made = ends.source.plan(&ends.looked()?.catalog, config).await?.finish();
            if let Some(path) = &settings.plan_file {
                write_plan(path, &made, ends).await?;
            }
            Ok(made.plan())
        }
    }
}

/// Writes the plan, unless another one is there that an unfinished run needs.
async fn write_plan(path: &Path, plan: &Document, ends: &Ends) -> Result<()> {
    let is_other = std::fs::read(path).is_ok_and(|found| !plan.is_in(&found));
    if is_other
        && ends.ledger.exists(&ends.target).await?
        && let Some(run) = ends.ledger.last_run(&ends.target).await?.filter(|run| run.state != "done")
    {
        let state = if run.state == "running" { "interrupted" } else { run.state.as_str() };
        let doing =
            format!("the last run is {state}, and {} is its plan: not overwritten by another one", path.display());
        return Err(
            Error::new(Kind::State, doing).remedy("go on with it by --resume, or start over after `pgmigrate cleanup`")
        );
    }
    // Replaced whole, and on the disk before the first task: without its plan a run cannot be resumed.
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = path.with_file_name(format!(".{name}.{}", std::process::id()));
    let write = || {
        let mut file = File::create(&beside)?;
        plan.pieces().iter().try_for_each(|piece| file.write_all(piece.as_bytes()))?;
        file.sync_all()?;
        std::fs::rename(&beside, path)
    };
    write().map_err(|error| {
        // It may never have been made.
        let _ = std::fs::remove_file(&beside);
        Error::new(Kind::State, "writing the plan file").object(path.display().to_string()).caused_by(error)
    })
}

type Asked<'a> = (&'a Plan, usize, &'a Settings);

pub(super) async fn check(config: &Config, ends: &Ends, asked: Asked<'_>, context: &Context) -> Result<Vec<Finding>> {
    let (plan, jobs, settings) = asked;
    let mut findings: Vec<Finding> = part::finding(plan, settings).into_iter().collect();
    context.tell(&findings);
    let Some(Looked { tools, catalog }) = &ends.looked else { return Ok(findings) };
    let drift = resume::drift(plan, catalog, config);
    // Parts would refuse the tables that have changed as soon as the run has begun.
    drift.refuse(settings.resume || settings.tasks.is_some())?;
    findings.extend(drift.findings());
    let subject = preflight::Subject {
        config,
        source: &ends.source,
        target: &ends.target,
        tools: tools.as_ref(),
        catalog,
        plan,
        jobs,
        resuming: settings.resume || settings.tasks.is_some(),
    };
    let checked = preflight::preflight(&subject, context).await?;
    context.tell(&checked);
    findings.extend(refuse(checked)?);
    Ok(findings)
}

/// Ends the run where a finding blocks it.
pub(super) fn refuse(findings: Vec<Finding>) -> Result<Vec<Finding>> {
    let blocking: Vec<&Finding> = findings.iter().filter(|finding| finding.severity == Severity::Blocking).collect();
    let Some(first) = blocking.first() else { return Ok(findings) };
    let doing = match blocking.len() {
        1 => format!("the preflight found what blocks the run: {}", first.message),
        many => format!("the preflight found {many} things that block the run, the first: {}", first.message),
    };
    let mut error = Error::new(Kind::Preflight, doing).object(first.object.clone()).remedy(first.remedy.clone());
    error.details.findings = findings;
    Err(error)
}

fn head(endpoints: &Endpoints, plan: &Plan, findings: Vec<Finding>) -> Report {
    Report {
        run: None,
        status: "dry_run".into(),
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
    (ends, plan, start): (&Ends, &Plan, &mut Start),
    (settings, jobs): (&Settings, usize),
    context: &Context,
) -> Result<Ended> {
    // They say how the run begins, and are let go before it does.
    let records = std::mem::take(&mut start.records);
    let by_id: HashMap<&str, &Record> = records.iter().map(|record| (record.task.as_str(), record)).collect();
    let chosen: Option<HashSet<&str>> = settings.tasks.as_ref().map(|ids| ids.iter().map(String::as_str).collect());
    let is_settled_already = |task: &Task| by_id.get(task.id.as_str()).is_some_and(|record| record.is_settled());
    let is_open =
        |task: &Task| !is_settled_already(task) && chosen.as_ref().is_none_or(|ids| ids.contains(task.id.as_str()));
    lock_tables(config, ends, plan, &is_open).await?;
    let mut schedule = Schedule::new(&plan.tasks, &|at| match &plan.tasks[at] {
        task if is_settled_already(task) => Some(End::Settled),
        task if is_open(task) => None,
        _ => Some(End::Failed),
    });
    start.live.lead(&|at| !is_settled_already(&plan.tasks[at]));
    for (child, parent) in start.live.waits.iter().chain(&start.live.turns) {
        schedule.wait_for(*child, *parent);
    }
    tell_start(plan, start.run, (&is_open, by_id.values().filter(|record| record.is_settled()).count(), jobs), context);
    let tuning = Tuning::new(&config.options, maintenance::settings(&ends.target).await?, jobs);
    let mut job = job(config, (ends, plan, start), (&by_id, tuning), context);
    job.first_worker = ends.ledger.take_workers(&ends.target, start.run, jobs, chosen.is_none()).await?;
    if config.options.data_only {
        job.tasks = adapt::tasks(config, &ends.source.leader, &ends.target, &plan.tasks).await?;
    }
    let job = Arc::new(job);
    let schedule = schedule.with_families(families(&job));
    let state = settings.state.as_deref().map(|path: &Path| StateFile::create(path, &records)).transpose()?;
    drop(by_id);
    let before = records.iter().filter(|record| record.is_settled()).count() as u64;
    drop(records);
    let began = Instant::now();
    let mut pool = Pool {
        job,
        schedule,
        leader: &ends.target,
        state,
        lines: Vec::new(),
        written: Instant::now(),
        looked: Instant::now(),
        ended: Ended::default(),
    };
    pool.run(jobs).await?;
    context.events.send(Event::RunFinished {
        done: before + pool.ended.settled,
        failed: pool.ended.failed,
        seconds: began.elapsed().as_secs_f64(),
    });
    Ok(pool.ended)
}

/// Locks what is still to be read. A table that is gone or locked by somebody fails as a task of its own.
pub(super) async fn lock_tables(
    config: &Config,
    ends: &Ends,
    plan: &Plan,
    is_open: &impl Fn(&Task) -> bool,
) -> Result<()> {
    let open = plan.tasks.iter().filter(|task| task.is_data() && is_open(task));
    let mut tables: Vec<QualifiedName> = open.map(|task| QualifiedName::new(&task.schema, &task.name)).collect();
    tables.dedup();
    for (table, error) in snapshot::lock(&ends.source.leader, &tables, config.options.lock_timeout).await? {
        tracing::warn!("{table} could not be locked on the source: {}", error.chain());
    }
    Ok(())
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
            // Frozen rows save the first index build and ANALYZE a pass over the table, and small tables nothing; FREEZE wants the
            // table empty in its own transaction, which two chunks cannot both have.
            is_frozen: mode == Mode::Create && task.bytes >= FREEZE_FROM && is_alone.contains(task.id.as_str()),
            is_silent: start.live.silent.contains(&at),
        }
    };
    Job {
        run: start.run,
        first_worker: 0,
        forms: plan.tasks.iter().enumerate().map(form).collect(),
        together: start.live.together.iter().map(|group| (group[0], group.clone())).collect(),
        tasks: plan.tasks.clone(),
        ledger: ends.ledger.clone(),
        source: ends.source.leader.conninfo().clone(),
        target: ends.target.conninfo().clone(),
        snapshot: ends.source.snapshot.clone(),
        encoding: shared_encoding(&ends.source_server, &ends.target_server),
        same_collation: sorting(&ends.source_server) == sorting(&ends.target_server),
        options: config.options.clone(),
        tuning,
        context: context.clone(),
    }
}

/// The encoding of both databases, where it is the same and not UTF8: rows then travel in it.
fn sorting(server: &Server) -> (&str, &str) {
    (&server.collation, &server.ctype)
}

pub(super) fn shared_encoding(source: &Server, target: &Server) -> Option<String> {
    let is_shared = source.encoding == target.encoding && source.encoding != "UTF8";
    is_shared.then(|| source.encoding.clone())
}

/// Tables smaller than this are not worth the TRUNCATE that FREEZE asks for.
const FREEZE_FROM: u64 = 1024 * 1024;

/// The data tasks that bring all rows of a table that they copy into directly.
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
            rows: tasks().map(|task| task.rows).sum(),
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

/// Says in the ledger how the run ended, and makes the report from it; whether the whole plan is done.
async fn close(report: &mut Report, ends: &Ends, start: Start, (ended, settings): (&Ended, &Settings)) -> Result<bool> {
    let mut tasks = conclude(&ends.ledger, &ends.target, start.run).await?;
    let is_complete = tasks.iter().all(|task| is_settled(&task.status));
    report.snapshots = report::snapshots(&tasks);
    report.consistent = report.snapshots.len() <= 1;
    if let Some(chosen) = &settings.tasks {
        let chosen: HashSet<&str> = chosen.iter().map(String::as_str).collect();
        tasks.retain(|task| chosen.contains(task.id.as_str()));
    }
    report.status = match report::not_arrived(&tasks).next() {
        _ if ended.stopped => "interrupted".into(),
        Some(_) => "failed".into(),
        None => "done".into(),
    };
    report.run = Some(start.run);
    report.started = start.started;
    report.phases = report::phases(&tasks);
    report.tasks = tasks;
    report.findings.extend(start.findings);
    Ok(is_complete)
}

/// Says in the ledger how the run stands, now that one of its processes ends; all of its tasks.
pub(super) async fn conclude(ledger: &Ledger, target: &Session, run: i64) -> Result<Vec<TaskResult>> {
    // One at a time, or the first of two that end together would overwrite what the last one says of the whole.
    ledger.lock_begin(target).await?;
    let records = ledger.records(target, run).await?;
    let is_complete = records.iter().all(Record::is_settled);
    let mut tasks: Vec<TaskResult> = records.into_iter().map(TaskResult::from).collect();
    tasks.shrink_to_fit();
    let state = match (report::not_arrived(&tasks).next(), is_complete) {
        (_, true) => "done",
        _ if ledger.is_locked(target).await? => "running",
        (Some(_), false) => "failed",
        (None, false) if ledger.holder(target).await?.is_some() => "running",
        (None, false) => "interrupted",
    };
    ledger.set_state(target, run, state, report::snapshots(&tasks).len() <= 1).await?;
    if !is_complete {
        // Whoever ends next asks whether others are at work, and this process is not any more.
        ledger.unlock(target).await?;
    }
    ledger.unlock_begin(target).await?;
    Ok(tasks)
}

async fn verified(
    config: &Config,
    ends: &Ends,
    (plan, jobs): (&Plan, usize),
    context: &Context,
) -> Result<crate::verification::Verification> {
    let tools = match &ends.looked {
        Some(looked) => looked.tools.clone(),
        None => tools(config, context).await?,
    };
    let subject =
        verify::Subject { config, plan, source: &ends.source, target: &ends.target, tools: tools.as_ref(), jobs };
    verify::verify(&subject, context).await
}
